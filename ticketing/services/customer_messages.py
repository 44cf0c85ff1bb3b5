"""What a customer writes to people becomes part of the ticket's history."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.tables import Handoff
from ticketing.domain.enums import TicketStatus
from ticketing.domain.sla.acknowledgements import is_closing
from ticketing.domain.ticket import CUSTOMER, OPEN_STATUSES
from ticketing.domain.ticket_transitions import customer_wrote
from ticketing.services import ticket_work
from ticketing.services.ticket_work import lock_ticket


@dataclass(frozen=True, slots=True)
class Written:
    """A message of the customer.

    Attributes:
        text: None for a picture, a voice message or a file.
        sent_at: By the provider's clock.
    """

    message_id: uuid.UUID
    text: str | None
    sent_at: datetime


async def record(
    session: AsyncSession,
    ticket_id: uuid.UUID,
    messages: Sequence[Written],
    *,
    turn_id: uuid.UUID,
    now: datetime,
    correlation_id: str,
) -> None:
    """Write `customer_wrote` for each message; a ticket that waited for the customer is open again.

    Nothing is written for the turn that opened the ticket: the opening stands for its words. The
    caller calls this once for a turn, in the transaction that ends it.

    Args:
        session: The transaction.
        ticket_id: An open ticket of the conversation.
        messages: What the turn brought.
        turn_id: The turn.
        now: The present moment.
        correlation_id: Of the turn.
    """
    opened_by = await session.scalar(
        select(Handoff.id).where(Handoff.turn_id == turn_id, Handoff.ticket_id == ticket_id)
    )
    if opened_by is not None or not messages:
        return
    work = await lock_ticket(
        session, ticket_id, actor=CUSTOMER, now=now, correlation_id=correlation_id
    )
    if work.state.status not in OPEN_STATUSES:
        return
    # Whether we waited for what comes now: "ok" is an answer then. All messages of a turn are.
    answers = work.state.status is TicketStatus.PENDING_CUSTOMER
    for message in sorted(messages, key=lambda item: (item.sent_at, item.message_id)):
        change = customer_wrote(work.state, message_id=message.message_id, sent_at=message.sent_at)
        asks = not is_closing(message.text, answers=answers)
        await ticket_work.apply(work, change, data={"asks": asks})
