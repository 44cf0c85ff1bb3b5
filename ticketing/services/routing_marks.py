"""Keep the router's marks on a ticket true, whoever changed it, and wake the router."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.tables import Conversation, Ticket
from ticketing.domain.enums import Control, RoutingState, TicketStatus
from ticketing.domain.routing.marks import Marks, Standing, follow
from ticketing.domain.routing.moves import OVERFLOW
from ticketing.domain.ticket import OPEN_STATUSES, Change

NOTIFY_CHANNEL = "ponte_routing"


def keep(
    ticket: Ticket,
    conversation: Conversation,
    change: Change,
    *,
    queue: str,
    queue_before: str,
    now: datetime,
) -> bool:
    """Write the marks after a change; whether the router has something new to look at."""
    state_before = RoutingState(ticket.routing_state)
    status = TicketStatus(ticket.status)
    before = Marks(
        state=state_before,
        since=ticket.routing_since,
        waiting_since=ticket.waiting_since,
        overflowed_from=ticket.overflowed_from,
    )
    after = follow(
        before,
        Standing(status, ticket.agent_id, Control(conversation.control), queue),
        queue_before=queue_before,
        by_overflow=change.data.get("code") == OVERFLOW,
        now=now,
    )
    ticket.routing_state = after.state.value
    ticket.routing_since = after.since
    ticket.waiting_since = after.waiting_since
    ticket.overflowed_from = after.overflowed_from
    if after.state is not RoutingState.OFFERED:
        ticket.offer_expires_at = None
    elif ticket.offer_expires_at is None:
        # An offer without an end would keep the ticket for ever; this one ends at once.
        ticket.offer_expires_at = now
    if after.state in {RoutingState.HELD, RoutingState.DONE}:
        ticket.preferred_agent_id = None
    # Somebody waits now, or somebody has room now.
    return after.state is not state_before or "status" in change.fields or queue != queue_before


async def wake(session: AsyncSession) -> None:
    """Wake the router when, and only when, this transaction commits."""
    await session.execute(text(f"SELECT pg_notify('{NOTIFY_CHANNEL}', '')"))


async def contact_changed(session: AsyncSession, contact_id: uuid.UUID, *, vip: bool) -> None:
    """Give a contact's open tickets the place in the queue that the mark of a VIP gives.

    Call it in the transaction that changes `contacts.vip`.
    """
    await session.execute(
        update(Ticket)
        .where(
            Ticket.contact_id == contact_id,
            Ticket.status.in_([status.value for status in OPEN_STATUSES]),
            Ticket.vip != vip,
        )
        .values(vip=vip)
    )
    await wake(session)
