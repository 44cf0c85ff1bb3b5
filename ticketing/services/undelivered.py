"""Tell whoever has a ticket that a reply to its customer was given up."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.tables import Message, Queue, Ticket
from ticketing.domain.enums import TicketStatus
from ticketing.services.outbox import add_event

UNDELIVERED = "message.undelivered"

_OVER = (TicketStatus.RESOLVED.value, TicketStatus.CLOSED.value)


async def tell_undelivered(session: AsyncSession, message: Message, *, now: datetime) -> None:
    """Write the event, in the transaction that gave the message up.

    Without an open ticket nobody has the conversation, and there is nobody to tell. The ticket is
    read without a lock: a message is locked after its conversation everywhere, never before.
    """
    found = (
        await session.execute(
            select(Ticket, Queue)
            .join(Queue, Queue.id == Ticket.queue_id)
            .where(Ticket.conversation_id == message.conversation_id, Ticket.status.not_in(_OVER))
            .order_by(Ticket.opened_at.desc())
            .limit(1)
        )
    ).one_or_none()
    if found is None:
        return
    ticket, queue = found
    await add_event(
        session,
        topic=UNDELIVERED,
        payload={
            "ticket_id": str(ticket.id),
            "ticket_number": ticket.number,
            "conversation_id": str(ticket.conversation_id),
            "queue_key": queue.key,
            "queue_name": queue.name,
            "level": ticket.level,
            "priority": ticket.priority,
            "severity": ticket.severity,
            "agent_id": None if ticket.agent_id is None else str(ticket.agent_id),
        },
        now=now,
        correlation_id=message.correlation_id,
    )
