"""Hand a conversation over: ticket, handoff, event and outbox in one transaction, once."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.business_hours import Calendar, CalendarNeverOpensError, add_working_time
from handoff.decision import Decision
from handoff.policy import HandoffPolicy
from handoff.snapshot import ConversationSnapshot
from kit.ids import new_id
from ticketing.db.tables import (
    Contact,
    Conversation,
    Handoff,
    Message,
    Queue,
    Ticket,
    TicketEvent,
)
from ticketing.domain.enums import Control, HandoffState, TicketStatus
from ticketing.domain.ticket import OPEN_STATUSES, TicketState
from ticketing.domain.ticket_events import from_to
from ticketing.services import audit_tickets, control, routing_marks, sla_follow, ticket_search
from ticketing.services.outbox import add_event
from ticketing.services.ticket_work import left_behind, not_before, state_of

log = structlog.get_logger()

OPENED_TOPIC = "ticket.opened"
_OPEN = [status.value for status in OPEN_STATUSES]


@dataclass(frozen=True, slots=True)
class Opened:
    """The handoff of a turn, made now or found.

    `mine` is False when the conversation was already handed over by something else: then this
    turn's message belongs to that ticket and nothing new was opened.
    """

    ticket_id: uuid.UUID
    ticket_number: int
    handoff_id: uuid.UUID
    mine: bool


class NotAHandoffError(ValueError):
    """The decision says that nobody takes over."""


async def open_handoff(
    session: AsyncSession,
    *,
    snapshot: ConversationSnapshot,
    decision: Decision,
    decision_id: uuid.UUID,
    policy: HandoffPolicy,
    now: datetime,
    correlation_id: str,
) -> Opened:
    """Open the ticket that a decision asks for, idempotent on the turn.

    Raises:
        NotAHandoffError: when the decision's outcome is not a handoff.
        ConversationNotFoundError: when there is no such conversation.
    """
    if not decision.is_handoff or decision.queue is None or decision.level is None:
        message = f"decision of turn {decision.turn_id}: outcome is {decision.outcome}"
        raise NotAHandoffError(message)
    turn_id = uuid.UUID(decision.turn_id)
    conversation = await control.lock_conversation(session, uuid.UUID(snapshot.conversation_id))
    existing = await _existing(session, conversation, turn_id=turn_id)
    if existing is not None:
        return existing
    queue = await queue_named(session, decision.queue, policy=policy)
    present = await _present(session, conversation)
    if present is not None:
        now = not_before(present.ticket, now)
    ticket = await _ticket(
        session,
        conversation,
        present=present,
        queue=queue,
        decision=decision,
        subject=subject_of(snapshot, policy),
        policy=policy,
        now=now,
        correlation_id=correlation_id,
    )
    if conversation.control == Control.BOT.value:
        control.queue(conversation)
    handoff = Handoff(
        id=new_id(),
        conversation_id=conversation.id,
        ticket_id=ticket.id,
        turn_id=turn_id,
        decision_id=decision_id,
        control_epoch=conversation.control_epoch,
        state=HandoffState.QUEUED.value,
        reason=decision.reason,
        rule=decision.rule_version,
        evidence=_evidence(snapshot, decision),
        from_level=None,
        to_level=decision.level,
        queue_id=queue.id,
        skills=list(decision.skills),
        requested_at=decision.decided_at,
        queued_at=now,
    )
    session.add(handoff)
    # Everything the customer wrote while the bot had control is the agent's to read.
    await session.execute(
        update(Message)
        .where(Message.conversation_id == conversation.id, Message.ticket_id.is_(None))
        .values(ticket_id=ticket.id)
    )
    await ticket_search.index_tickets(session, [ticket.id])
    await routing_marks.wake(session)
    await _tell(
        session,
        ticket,
        handoff,
        conversation=conversation,
        before=None if present is None else present.state,
        queue=queue,
        now=now,
        correlation_id=correlation_id,
    )
    await sla_follow.follow(session, ticket.id, now=now)
    log.info(
        "handoff.opened",
        ticket_number=ticket.number,
        handoff_id=str(handoff.id),
        conversation_id=str(conversation.id),
        reason=decision.reason,
        rule=decision.rule_version,
        level_to=decision.level,
        queue=decision.queue,
    )
    return Opened(ticket.id, ticket.number, handoff.id, mine=True)


async def _existing(
    session: AsyncSession, conversation: Conversation, *, turn_id: uuid.UUID
) -> Opened | None:
    found = (
        await session.execute(
            select(Handoff, Ticket.number)
            .join(Ticket, Ticket.id == Handoff.ticket_id)
            .where(
                Handoff.conversation_id == conversation.id,
                (Handoff.turn_id == turn_id) | Handoff.ended_at.is_(None),
            )
            .order_by((Handoff.turn_id == turn_id).desc().nulls_last())
            .limit(1)
        )
    ).first()
    if found is None:
        return None
    handoff, number = found
    return Opened(handoff.ticket_id, number, handoff.id, mine=handoff.turn_id == turn_id)


async def queue_named(session: AsyncSession, key: str, *, policy: HandoffPolicy) -> Queue:
    """The queue's row, made from the policy when it is asked for the first time."""
    found: Queue | None = await session.scalar(select(Queue).where(Queue.key == key))
    if found is not None:
        return found
    described = policy.queues.get(key)
    if described is None:
        # Decided under a policy that had this queue, carried out under one that has not: the
        # process that decided wrote the row before, so this only happens to a database by hand.
        log.warning("handoff.queue_unknown", queue=key)
        key = policy.defaults.queue
        described = policy.queues[key]
    await session.execute(
        insert(Queue)
        .values(id=new_id(), key=key, name=described.names["pt"], level=described.level)
        .on_conflict_do_nothing(index_elements=["key"])
    )
    made: Queue | None = await session.scalar(select(Queue).where(Queue.key == key))
    if made is None:
        message = f"queue {key} is not there right after making it"
        raise LookupError(message)
    return made


async def sync_queues(session: AsyncSession, *, policy: HandoffPolicy) -> None:
    """Make the table of queues say what the policy says; done when a process starts."""
    for key, queue in policy.queues.items():
        statement = insert(Queue).values(
            id=new_id(), key=key, name=queue.names["pt"], level=queue.level
        )
        await session.execute(
            statement.on_conflict_do_update(
                index_elements=["key"],
                set_={"name": statement.excluded.name, "level": statement.excluded.level},
            )
        )


@dataclass(frozen=True, slots=True)
class _Present:
    """The conversation's open ticket, locked, and what it was before this handoff."""

    ticket: Ticket
    state: TicketState


async def _present(session: AsyncSession, conversation: Conversation) -> _Present | None:
    row = (
        await session.execute(
            select(Ticket, Queue)
            .join(Queue, Queue.id == Ticket.queue_id)
            .where(Ticket.conversation_id == conversation.id, Ticket.status.in_(_OPEN))
            .with_for_update(of=Ticket)
        )
    ).one_or_none()
    if row is None:
        return None
    state = state_of(row.Ticket, queue=row.Queue, conversation=conversation)
    return _Present(row.Ticket, state)


async def _ticket(
    session: AsyncSession,
    conversation: Conversation,
    *,
    present: _Present | None,
    queue: Queue,
    decision: Decision,
    subject: str,
    policy: HandoffPolicy,
    now: datetime,
    correlation_id: str,
) -> Ticket:
    """A new ticket, or the conversation's open one moved to where the decision wants it."""
    found = None if present is None else present.ticket
    if found is None:
        contact = await session.get(Contact, conversation.contact_id)
        found = Ticket(
            id=new_id(),
            conversation_id=conversation.id,
            contact_id=conversation.contact_id,
            company_id=contact.company_id if contact else None,
            channel=conversation.channel,
            subject=subject,
            status=TicketStatus.NEW.value,
            opened_at=now,
            last_message_at=conversation.last_message_at,
            correlation_id=correlation_id,
            tags=[],
            version=1,
            vip=contact is not None and contact.vip,
        )
        session.add(found)
    else:
        found.version += 1
    found.updated_at = now
    found.unanswered_since = now
    found.queue_id = queue.id
    found.team_id = queue.team_id
    found.priority = str(decision.priority)
    found.severity = str(decision.severity)
    found.level = str(decision.level)
    found.skills = list(decision.skills)
    found.language = conversation.language
    found.escalation_reason = decision.reason
    found.escalated_at = now
    found.sla_target_minutes = decision.sla_target_minutes
    found.sla_expires_at = sla_expiry(
        _calendar_of(queue.key, policy), now=now, minutes=decision.sla_target_minutes
    )
    await session.flush()
    await session.refresh(found, ["number"])
    return found


def _calendar_of(key: str, policy: HandoffPolicy) -> Calendar:
    """The queue's calendar; the default queue's when the decision is older than the policy."""
    return policy.calendar_of(key if key in policy.queues else policy.defaults.queue)


def sla_expiry(calendar: Calendar, *, now: datetime, minutes: int | None) -> datetime | None:
    """When the target is used up, counting the queue's working time only."""
    if minutes is None:
        return None
    try:
        return add_working_time(calendar, now, timedelta(minutes=minutes))
    except CalendarNeverOpensError:
        return None


def subject_of(snapshot: ConversationSnapshot, policy: HandoffPolicy) -> str:
    """A line for the list of tickets: what the bot believes it is about."""
    intent = snapshot.top_intent
    if intent is None or intent not in policy.intents:
        return "Atendimento"
    return policy.intent_title(intent, language="pt")


def _evidence(snapshot: ConversationSnapshot, decision: Decision) -> dict[str, Any]:
    return {
        "intent": snapshot.top_intent,
        "confidence": round(snapshot.confidence, 4),
        "margin": round(snapshot.margin, 4),
        "ranking": [[intent, round(score, 4)] for intent, score in snapshot.ranking[:3]],
        "entities": {name: list(values) for name, values in snapshot.entities.items()},
        "language": snapshot.language,
        "failures": snapshot.failures,
        "keywords": list(snapshot.keywords),
        "hours_open": decision.hours_open,
        "suppressed": list(decision.suppressed),
    }


async def _tell(
    session: AsyncSession,
    ticket: Ticket,
    handoff: Handoff,
    *,
    conversation: Conversation,
    before: TicketState | None,
    queue: Queue,
    now: datetime,
    correlation_id: str,
) -> None:
    facts = {
        "queue_key": queue.key,
        "level": ticket.level,
        "priority": ticket.priority,
        "severity": ticket.severity,
        "reason": handoff.reason,
        "rule": handoff.rule,
    }
    event = TicketEvent(
        ticket_id=ticket.id,
        kind="opened",
        actor="bot",
        reason=handoff.reason,
        data={
            **facts,
            "handoff_id": str(handoff.id),
            "decision_id": str(handoff.decision_id),
            **from_to(before, state_of(ticket, queue=queue, conversation=conversation)),
            **left_behind(conversation, ticket),
        },
        at=now,
        correlation_id=correlation_id,
    )
    session.add(event)
    await audit_tickets.record_event(session, event)
    await add_event(
        session,
        topic=OPENED_TOPIC,
        payload={
            **facts,
            "ticket_id": str(ticket.id),
            "ticket_number": ticket.number,
            "conversation_id": str(ticket.conversation_id),
            "queue_name": queue.name,
            "language": ticket.language,
            "opened_at": ticket.opened_at.isoformat(),
        },
        now=now,
        correlation_id=correlation_id,
    )
