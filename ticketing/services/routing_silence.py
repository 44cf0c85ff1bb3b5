"""Find the agents who leave a customer's message unanswered."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ScalarSelect, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from channels.message import MessageKind
from handoff.business_hours import working_time_between
from handoff.policy import HandoffPolicy
from ticketing.db.routing_tables import AgentPresence
from ticketing.db.tables import Message, Queue, Ticket
from ticketing.domain.enums import Author, Direction, RoutingState
from ticketing.domain.sla.acknowledgements import is_closing
from ticketing.services.routing_facts import is_worked_on

_LOOKED_AT = 50  # a customer who wrote fifty times without an answer has asked something
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_NO_QUESTION = frozenset({MessageKind.REACTION.value})


async def silent_tickets(
    session: AsyncSession, policy: HandoffPolicy, *, now: datetime, limit: int
) -> list[uuid.UUID]:
    """Tickets of people who take part, in which a customer has waited longer than the queue allows.

    Waiting counts in the queue's working time, and never from before the agent had the ticket.
    """
    limits = {
        key: described.routing.silent_after
        for key, described in policy.queues.items()
        if described.routing.silent_after is not None
    }
    if not limits:
        return []
    shortest = now - min(limits.values())
    answered = _last_answer(Ticket.conversation_id)
    asked = (
        select(Message.id)
        .where(
            Message.conversation_id == Ticket.conversation_id,
            Message.direction == Direction.INBOUND.value,
            Message.created_at <= shortest,
            Message.created_at > func.coalesce(answered, _NEVER),
        )
        .exists()
    )
    rows = await session.execute(
        select(Ticket, Queue.key)
        .join(Queue, Queue.id == Ticket.queue_id)
        .join(AgentPresence, AgentPresence.agent_id == Ticket.agent_id)
        .where(
            is_worked_on(),
            Ticket.routing_state == RoutingState.HELD.value,
            Ticket.routing_since <= shortest,
            Queue.key.in_(list(limits)),
            asked,
        )
        .order_by(Ticket.routing_since)
        .limit(limit)
    )
    found = []
    for ticket, key in rows.all():
        since = await unanswered_since(session, ticket)
        if since is None:
            continue
        if working_time_between(policy.calendar_of(key), since, now) >= limits[key]:
            found.append(ticket.id)
    return found


async def unanswered_since(session: AsyncSession, ticket: Ticket) -> datetime | None:
    """Since when the ticket's agent owes an answer; None when they owe none.

    Words that only close a talk ("obrigado, tchau") want no answer.
    """
    answered = await session.scalar(select(_last_answer(ticket.conversation_id)))
    asked = select(Message.created_at, Message.text).where(
        Message.conversation_id == ticket.conversation_id,
        Message.direction == Direction.INBOUND.value,
        Message.author == Author.CUSTOMER.value,
        Message.kind.not_in(_NO_QUESTION),
    )
    if answered is not None:
        asked = asked.where(Message.created_at > answered)
    rows = await session.execute(asked.order_by(Message.created_at).limit(_LOOKED_AT))
    for created_at, text in rows:
        if not (text and answered is not None and is_closing(text)):
            return max(created_at, ticket.routing_since or ticket.opened_at)
    return None


def _last_answer(conversation_id: Any) -> ScalarSelect[datetime | None]:
    """When a person last wrote to the customer in a conversation."""
    answers = Message.__table__.alias("answers")
    return (
        select(func.max(answers.c.created_at))
        .where(
            answers.c.conversation_id == conversation_id,
            answers.c.direction == Direction.OUTBOUND.value,
            answers.c.author == Author.AGENT.value,
        )
        .correlate(Ticket)
        .scalar_subquery()
    )
