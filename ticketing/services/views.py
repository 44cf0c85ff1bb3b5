"""What readers get of tickets and conversations, as frozen values.

Reads bypass the domain. What a person may see is checked on every object (OWASP ASVS 8.2.2).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.tables import (
    Agent,
    Contact,
    Conversation,
    Decision,
    Handoff,
    Message,
    Ticket,
    TicketEvent,
)
from ticketing.domain.ticket import OPEN_STATUSES, Actor
from ticketing.services.control import ConversationNotFoundError
from ticketing.services.ticket_views import TicketSummary, summary, ticket_rows, ticket_summary
from ticketing.services.ticket_work import TicketNotFoundError
from ticketing.services.visibility import NotVisibleError, may_see

__all__ = [
    "ConversationView",
    "DecisionView",
    "EventView",
    "HandoffView",
    "MessageView",
    "NotVisibleError",
    "QueueView",
    "TicketDetail",
    "TicketSummary",
    "agent_names",
    "conversation_view",
    "may_see",
    "messages_of",
    "summary",
    "ticket_detail",
    "ticket_rows",
    "ticket_summary",
]

MESSAGES_SHOWN = 500
"""Newest messages of a conversation on one page; an older history is rarely read and costs much."""
DECISIONS_SHOWN = 100


@dataclass(frozen=True, slots=True)
class MessageView:
    """One message of a conversation, or an internal note (`direction` internal)."""

    id: uuid.UUID
    direction: str
    author: str
    agent_id: uuid.UUID | None
    agent_name: str | None
    kind: str
    text: str | None
    data: dict[str, Any]
    sent_at: datetime
    delivery: str | None
    delivery_error: dict[str, Any] | None
    ticket_id: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class EventView:
    """One entry of a ticket's history."""

    id: uuid.UUID
    kind: str
    actor: str
    actor_name: str | None
    reason: str | None
    data: dict[str, Any]
    at: datetime
    correlation_id: str


@dataclass(frozen=True, slots=True)
class HandoffView:
    """A stay of the conversation with people: why, from where to where, and how it ended."""

    id: uuid.UUID
    state: str
    reason: str
    rule: str | None
    evidence: dict[str, Any]
    from_level: str | None
    to_level: str
    skills: tuple[str, ...]
    requested_at: datetime
    accepted_at: datetime | None
    ended_at: datetime | None
    ended_as: str | None
    decision_id: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class DecisionView:
    """A decision record; `decision` holds every rule with the values seen and wanted."""

    id: uuid.UUID
    turn_id: uuid.UUID
    outcome: str
    reason: str | None
    rule: str
    snapshot: dict[str, Any]
    decision: dict[str, Any]
    versions: dict[str, Any]
    created_at: datetime
    correlation_id: str


@dataclass(frozen=True, slots=True)
class TicketDetail:
    """A ticket with all that explains it. `decision` is the one that opened the last handoff."""

    ticket: TicketSummary
    messages: tuple[MessageView, ...]
    events: tuple[EventView, ...]
    handoffs: tuple[HandoffView, ...]
    decision: DecisionView | None


@dataclass(frozen=True, slots=True)
class ConversationView:
    """A conversation: who has control, and what was said and decided."""

    id: uuid.UUID
    contact_id: uuid.UUID
    contact_name: str | None
    channel: str
    lifecycle: str
    control: str
    control_epoch: int
    language: str
    created_at: datetime
    last_message_at: datetime | None
    open_ticket_id: uuid.UUID | None
    messages: tuple[MessageView, ...]
    decisions: tuple[DecisionView, ...]


@dataclass(frozen=True, slots=True)
class QueueView:
    """A queue and how many open tickets wait in it without an agent."""

    id: uuid.UUID
    key: str
    name: str
    level: str
    waiting: int
    open: int


async def ticket_detail(
    session: AsyncSession, ticket_id: uuid.UUID, *, actor: Actor
) -> TicketDetail:
    """One ticket with messages, history, handoffs and the decision behind the last of them.

    Raises:
        TicketNotFoundError: when there is none.
        NotVisibleError: when it is not for this person.
    """
    row = (await session.execute(ticket_rows().where(Ticket.id == ticket_id))).one_or_none()
    if row is None:
        raise TicketNotFoundError(ticket_id)
    ticket = row[0]
    if not may_see(ticket, actor):
        raise NotVisibleError
    handoffs = (
        await session.scalars(
            select(Handoff).where(Handoff.ticket_id == ticket_id).order_by(Handoff.id)
        )
    ).all()
    decision_ids = [handoff.decision_id for handoff in handoffs if handoff.decision_id is not None]
    decision = await session.get(Decision, decision_ids[-1]) if decision_ids else None
    return TicketDetail(
        ticket=summary(row),
        messages=await messages_of(session, ticket.conversation_id),
        events=await _events_of(session, ticket_id),
        handoffs=tuple(_handoff(item) for item in handoffs),
        decision=None if decision is None else _decision(decision),
    )


async def messages_of(session: AsyncSession, conversation_id: uuid.UUID) -> tuple[MessageView, ...]:
    """The newest messages of a conversation and its tickets' notes, oldest first."""
    rows = await session.execute(
        select(Message, Agent.name)
        .outerjoin(Agent, Agent.id == Message.agent_id)
        .where(Message.conversation_id == conversation_id)
        .order_by(Message.sent_at.desc(), Message.id.desc())
        .limit(MESSAGES_SHOWN)
    )
    return tuple(
        MessageView(
            id=message.id,
            direction=message.direction,
            author=message.author,
            agent_id=message.agent_id,
            agent_name=agent_name,
            kind=message.kind,
            text=message.text,
            data=message.data,
            sent_at=message.sent_at,
            delivery=message.delivery,
            delivery_error=message.delivery_error,
            ticket_id=message.ticket_id,
        )
        for message, agent_name in reversed(rows.all())
    )


async def conversation_view(
    session: AsyncSession, conversation_id: uuid.UUID, *, actor: Actor
) -> ConversationView:
    """One conversation with its messages and decisions.

    An agent sees a conversation that has, or had, a ticket they may see.

    Raises:
        ConversationNotFoundError: when there is none.
        NotVisibleError: when it is not for this person.
    """
    conversation = await session.get(Conversation, conversation_id)
    if conversation is None:
        raise ConversationNotFoundError(conversation_id)
    tickets = (
        await session.scalars(select(Ticket).where(Ticket.conversation_id == conversation_id))
    ).all()
    if not actor.supervises_all and not any(may_see(ticket, actor) for ticket in tickets):
        raise NotVisibleError
    contact = await session.get_one(Contact, conversation.contact_id)
    decisions = await session.scalars(
        select(Decision)
        .where(Decision.conversation_id == conversation_id)
        .order_by(Decision.id.desc())
        .limit(DECISIONS_SHOWN)
    )
    open_ids = [ticket.id for ticket in tickets if ticket.status in OPEN_STATUSES]
    return ConversationView(
        id=conversation.id,
        contact_id=contact.id,
        contact_name=contact.name,
        channel=conversation.channel,
        lifecycle=conversation.lifecycle,
        control=conversation.control,
        control_epoch=conversation.control_epoch,
        language=conversation.language,
        created_at=conversation.created_at,
        last_message_at=conversation.last_message_at,
        open_ticket_id=open_ids[0] if open_ids else None,
        messages=await messages_of(session, conversation_id),
        decisions=tuple(_decision(item) for item in reversed(decisions.all())),
    )


async def _events_of(session: AsyncSession, ticket_id: uuid.UUID) -> tuple[EventView, ...]:
    events = (
        await session.scalars(
            select(TicketEvent).where(TicketEvent.ticket_id == ticket_id).order_by(TicketEvent.seq)
        )
    ).all()
    agents = await agent_names(session, _agents_named_in(events))
    return tuple(
        EventView(
            id=event.id,
            kind=event.kind,
            actor=event.actor,
            actor_name=agents.get(event.actor.removeprefix("agent:")),
            reason=event.reason,
            data=_with_names(event.data, agents),
            at=event.at,
            correlation_id=event.correlation_id,
        )
        for event in events
    )


def _agents_named_in(events: Sequence[TicketEvent]) -> set[str]:
    named = {event.actor.removeprefix("agent:") for event in events}
    named |= {
        str(event.data[key])
        for event in events
        for key in ("from_agent", "to_agent")
        if event.data.get(key)
    }
    return named


def _with_names(data: dict[str, Any], agents: dict[str, str]) -> dict[str, Any]:
    names = {
        f"{key}_name": agents[str(data[key])]
        for key in ("from_agent", "to_agent")
        if str(data.get(key)) in agents
    }
    return {**data, **names}


async def agent_names(session: AsyncSession, ids: set[str]) -> dict[str, str]:
    """Names by id; texts that are no id of an agent are left out."""
    known: list[uuid.UUID] = []
    for value in ids:
        try:
            known.append(uuid.UUID(value))
        except ValueError:
            continue
    if not known:
        return {}
    rows = await session.execute(select(Agent.id, Agent.name).where(Agent.id.in_(known)))
    return {str(agent_id): name for agent_id, name in rows}


def _handoff(handoff: Handoff) -> HandoffView:
    return HandoffView(
        id=handoff.id,
        state=handoff.state,
        reason=handoff.reason,
        rule=handoff.rule,
        evidence=handoff.evidence,
        from_level=handoff.from_level,
        to_level=handoff.to_level,
        skills=tuple(handoff.skills),
        requested_at=handoff.requested_at,
        accepted_at=handoff.accepted_at,
        ended_at=handoff.ended_at,
        ended_as=handoff.ended_as,
        decision_id=handoff.decision_id,
    )


def _decision(decision: Decision) -> DecisionView:
    return DecisionView(
        id=decision.id,
        turn_id=decision.turn_id,
        outcome=decision.outcome,
        reason=decision.reason,
        rule=decision.rule,
        snapshot=decision.snapshot,
        decision=decision.decision,
        versions=decision.versions,
        created_at=decision.created_at,
        correlation_id=decision.correlation_id,
    )
