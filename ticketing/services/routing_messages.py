"""Tell a customer, once, that nobody is there and what happens next."""

from __future__ import annotations

import uuid
from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from channels.message import OutboundMessage
from handoff.business_hours import CalendarNeverOpensError, is_open, next_opening
from handoff.messages import opening_text
from handoff.policy import HandoffPolicy
from ticketing.db.tables import Conversation, Ticket
from ticketing.domain.customer_texts import customer_text
from ticketing.domain.enums import Control, RoutingState
from ticketing.services.deliveries import WINDOW, WINDOW_MARGIN
from ticketing.services.outbound import add_system_message
from ticketing.services.ticket_work import Work

log = structlog.get_logger()


async def to_tell(
    session: AsyncSession, *, before: datetime, now: datetime, limit: int
) -> list[uuid.UUID]:
    """Tickets for which nobody has been there since `before`, whose customers can be told."""
    found = await session.scalars(
        select(Ticket.id)
        .join(Conversation, Conversation.id == Ticket.conversation_id)
        .where(
            Ticket.routing_state == RoutingState.NOBODY_AVAILABLE.value,
            Ticket.nobody_told_at.is_(None),
            Ticket.routing_since <= before,
            Conversation.control == Control.QUEUED.value,
            Conversation.last_customer_message_at > now - WINDOW + WINDOW_MARGIN,
        )
        .order_by(Ticket.routing_since)
        .limit(limit)
    )
    return list(found)


async def tell_nobody(work: Work, policy: HandoffPolicy) -> bool:
    """Write the message, unless the customer knows already; whether one was written.

    One message says all of it: whose turn it is, that nothing is lost, when the team is back. Who
    was told at the handoff that the team is closed is not told again: every message is billed.
    """
    ticket, conversation = work.ticket, work.conversation
    last = conversation.last_customer_message_at
    if (
        ticket.routing_state != RoutingState.NOBODY_AVAILABLE.value
        or ticket.nobody_told_at is not None
        or conversation.control != Control.QUEUED.value
        or last is None
        or work.now >= last + WINDOW - WINDOW_MARGIN
    ):
        return False
    ticket.nobody_told_at = work.now
    handoff = work.handoff
    if handoff is not None and handoff.evidence.get("hours_open") is False:
        return False
    await add_system_message(
        work.session,
        conversation,
        message=OutboundMessage(text=_words(work, policy)),
        ticket_id=ticket.id,
        now=work.now,
        correlation_id=work.correlation_id,
    )
    log.info(
        "routing.customer_told",
        ticket_number=ticket.number,
        conversation_id=str(conversation.id),
        queue=work.queue.key,
    )
    return True


def _words(work: Work, policy: HandoffPolicy) -> str:
    language = policy.languages.written(work.conversation.language)
    key, number = work.queue.key, work.ticket.number
    described = policy.queues.get(key)
    name = work.queue.name if described is None else described.names[language]
    opening = None if described is None else _opening(policy, key, language, now=work.now)
    if opening is None:
        return customer_text("nobody_available", language=language, number=number, queue=name)
    return customer_text(
        "nobody_until_opening", language=language, number=number, queue=name, opening=opening
    )


def _opening(policy: HandoffPolicy, key: str, language: str, *, now: datetime) -> str | None:
    """When the team is back, as people say it; None while it should be there."""
    calendar = policy.calendar_of(key)
    if is_open(calendar, now):
        return None
    try:
        opens = next_opening(calendar, now)
    except CalendarNeverOpensError:
        return None
    return opening_text(opens, now=now, time_zone=calendar.time_zone, language=language)
