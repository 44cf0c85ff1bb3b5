"""One piece of work on a ticket: lock, ask the domain, write the change and what follows from it.

Rows are locked in one order everywhere: the conversation first, then its ticket. The handoff is
only ever written under the conversation's lock.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import structlog
from sqlalchemy import Integer, select
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.tables import Conversation, Handoff, Queue, Ticket, TicketEvent
from ticketing.domain.enums import (
    Control,
    HandoffState,
    Level,
    Priority,
    Severity,
    TicketStatus,
)
from ticketing.domain.ticket import Actor, Change, TicketState
from ticketing.domain.ticket_events import from_to
from ticketing.domain.ticket_waiting import unanswered_after
from ticketing.services import audit_tickets, control, routing_marks, sla_follow
from ticketing.services.outbox import add_event

log = structlog.get_logger()

ESCALATED_TOPIC = "ticket.escalated"
PRIORITY_CHANGED_TOPIC = "ticket.priority_changed"
ASSIGNED_TOPIC = "ticket.assigned"

_SINCE_SHOWN = 20
"""Events named in a conflict: who comes back after more than that reads the ticket anyway."""


class TicketNotFoundError(Exception):
    """No ticket has this id."""

    def __init__(self, ticket_id: uuid.UUID) -> None:
        self.ticket_id = ticket_id
        super().__init__(f"ticket {ticket_id} does not exist")


@dataclass(frozen=True, slots=True)
class Since:
    """One thing that happened to a ticket after the caller read it."""

    kind: str
    actor: str
    at: datetime
    version: int


class VersionConflictError(Exception):
    """The ticket has changed since the caller read it.

    Attributes:
        expected: The version that the caller read.
        present: The version that it is at.
        since: What happened in between, the oldest first; at most the last 20 events.
    """

    def __init__(self, *, expected: int, present: int, since: tuple[Since, ...] = ()) -> None:
        self.expected = expected
        self.present = present
        self.since = since
        what = ", ".join(f"{event.kind} by {event.actor}" for event in since)
        super().__init__(
            f"the ticket has changed: expected version {expected}, it is at {present}"
            f"{f' ({what})' if what else ''}; read it again and repeat if it still makes sense"
        )


@dataclass(slots=True)
class Work:
    """A ticket with its conversation, both locked until the transaction ends."""

    session: AsyncSession
    conversation: Conversation
    ticket: Ticket
    queue: Queue
    handoff: Handoff | None
    actor: Actor
    now: datetime
    correlation_id: str

    @property
    def state(self) -> TicketState:
        """What the domain needs to know of it."""
        return state_of(self.ticket, queue=self.queue, conversation=self.conversation)


def state_of(ticket: Ticket, *, queue: Queue, conversation: Conversation) -> TicketState:
    """What the domain needs to know of a ticket, from its rows."""
    return TicketState(
        status=TicketStatus(ticket.status),
        priority=Priority(ticket.priority),
        severity=Severity(ticket.severity),
        level=Level(ticket.level),
        queue_id=ticket.queue_id,
        queue_key=queue.key,
        agent_id=ticket.agent_id,
        control=Control(conversation.control),
        tags=tuple(ticket.tags),
        first_response_at=ticket.first_response_at,
        resolved_at=ticket.resolved_at,
        closed_at=ticket.closed_at,
    )


async def lock_ticket(
    session: AsyncSession,
    ticket_id: uuid.UUID,
    *,
    actor: Actor,
    now: datetime,
    correlation_id: str,
) -> Work:
    """Lock a ticket and its conversation.

    Raises:
        TicketNotFoundError: when there is no such ticket.
    """
    # A ticket never changes its conversation, so this may be read without a lock.
    conversation_id = await session.scalar(
        select(Ticket.conversation_id).where(Ticket.id == ticket_id)
    )
    if conversation_id is None:
        raise TicketNotFoundError(ticket_id)
    conversation = await control.lock_conversation(session, conversation_id)
    row = (
        await session.execute(
            select(Ticket, Queue)
            .join(Queue, Queue.id == Ticket.queue_id)
            .where(Ticket.id == ticket_id)
            .with_for_update(of=Ticket)
        )
    ).one()
    handoff = await session.scalar(
        select(Handoff).where(Handoff.ticket_id == ticket_id, Handoff.ended_at.is_(None))
    )
    return Work(
        session=session,
        conversation=conversation,
        ticket=row.Ticket,
        queue=row.Queue,
        handoff=handoff,
        actor=actor,
        now=not_before(row.Ticket, now),
        correlation_id=correlation_id,
    )


def not_before(ticket: Ticket, now: datetime) -> datetime:
    """The time of the next change: clocks of two processes differ, a history never goes back."""
    return max(now, ticket.updated_at)


async def check_version(work: Work, expected: int | None) -> None:
    """Refuse to work on something that has changed since it was read.

    Raises:
        VersionConflictError: when the versions differ; None skips the check.
    """
    present = work.ticket.version
    if expected is not None and expected != present:
        since = await events_since(work.session, work.ticket.id, version=expected)
        raise VersionConflictError(expected=expected, present=present, since=since)


async def events_since(
    session: AsyncSession, ticket_id: uuid.UUID, *, version: int
) -> tuple[Since, ...]:
    """What changed the ticket after a version, the oldest first; at most the last 20 events."""
    left = TicketEvent.data["version"].astext.cast(Integer)
    found = await session.execute(
        select(TicketEvent.kind, TicketEvent.actor, TicketEvent.at, left)
        .where(TicketEvent.ticket_id == ticket_id, left > version)
        .order_by(TicketEvent.seq.desc())
        .limit(_SINCE_SHOWN)
    )
    return tuple(Since(*row) for row in reversed(found.all()))


async def apply(work: Work, change: Change, *, data: dict[str, Any] | None = None) -> TicketEvent:
    """Write a change: ticket, control of the conversation, handoff, event and log line."""
    before = work.state
    for name, value in change.fields.items():
        setattr(work.ticket, name, value.value if isinstance(value, StrEnum) else value)
    if change.fields:
        work.ticket.version += 1
    if "queue_id" in change.fields:
        work.queue = await work.session.get_one(Queue, work.ticket.queue_id)
        work.ticket.team_id = work.queue.team_id
    work.ticket.updated_at = work.now
    work.ticket.reopened += change.kind == "reopened"
    _move_control(work, change)
    if routing_marks.keep(
        work.ticket,
        work.conversation,
        change,
        queue=work.queue.key,
        queue_before=before.queue_key,
        now=work.now,
    ):
        await routing_marks.wake(work.session)
    event = TicketEvent(
        ticket_id=work.ticket.id,
        kind=change.kind,
        actor=work.actor.label,
        reason=change.reason,
        data={
            **change.data,
            **from_to(before, work.state),
            **(data or {}),
            **left_behind(work.conversation, work.ticket),
        },
        at=work.now,
        correlation_id=work.correlation_id,
    )
    work.session.add(event)
    work.ticket.unanswered_since = unanswered_after(
        work.ticket.unanswered_since, kind=event.kind, data=event.data, at=event.at
    )
    await work.session.flush()
    await sla_follow.follow(work.session, work.ticket.id, now=work.now)
    await audit_tickets.record_event(work.session, event)
    log.info(
        "ticket.changed",
        action=change.kind,
        ticket_id=str(work.ticket.id),
        ticket_number=work.ticket.number,
        conversation_id=str(work.conversation.id),
        agent_id=None if work.actor.agent_id is None else str(work.actor.agent_id),
        level_from=change.data.get("from_level"),
        level_to=change.data.get("to_level"),
        queue=work.queue.key,
        status=work.ticket.status,
        priority=work.ticket.priority,
        version=work.ticket.version,
        epoch=work.conversation.control_epoch,
        correlation_id=work.correlation_id,
    )
    return event


def left_behind(conversation: Conversation, ticket: Ticket) -> dict[str, Any]:
    """What an event leaves; with it a replay knows the order of events and turns."""
    return {
        "control": conversation.control,
        "control_epoch": conversation.control_epoch,
        "status": ticket.status,
        "version": ticket.version,
    }


def _move_control(work: Work, change: Change) -> None:
    present = Control(work.conversation.control)
    if change.control is Control.HUMAN:
        control.take(work.conversation)
        _accept(work)
    elif change.control is Control.QUEUED:
        if present is Control.BOT:
            control.queue(work.conversation)
        else:
            control.requeue(work.conversation)
        _wait_again(work)
    elif change.control is Control.BOT and present is not Control.BOT:
        control.return_to_bot(work.conversation)
    if change.ended_as is not None and work.handoff is not None:
        work.handoff.state = HandoffState.ENDED.value
        work.handoff.ended_at = work.now
        work.handoff.ended_as = change.ended_as


def _accept(work: Work) -> None:
    """Somebody has it. `accepted_at` stays the first time: the customer's wait ended then."""
    handoff = work.handoff
    if handoff is None:
        return
    handoff.state = HandoffState.ACCEPTED.value
    handoff.accepted_at = handoff.accepted_at or work.now
    handoff.control_epoch = work.conversation.control_epoch
    _follow_ticket(work, handoff)


def _wait_again(work: Work) -> None:
    handoff = work.handoff
    if handoff is None:
        return
    handoff.state = HandoffState.QUEUED.value
    handoff.queued_at = work.now
    handoff.control_epoch = work.conversation.control_epoch
    _follow_ticket(work, handoff)


def _follow_ticket(work: Work, handoff: Handoff) -> None:
    if handoff.to_level != work.ticket.level:
        handoff.from_level = handoff.to_level
        handoff.to_level = work.ticket.level
    handoff.queue_id = work.ticket.queue_id


async def tell_outside(work: Work, event: TicketEvent, *, topic: str) -> None:
    """Write the outbox event of a change that was applied, payload version 1."""
    await add_event(
        work.session,
        topic=topic,
        payload={
            **ticket_payload(work),
            "from_level": event.data.get("from_level"),
            "from_queue_key": event.data.get("from_queue"),
            "from_priority": event.data.get("from_priority"),
            "reason_text": event.reason,
        },
        now=work.now,
        correlation_id=work.correlation_id,
    )


def ticket_payload(work: Work) -> dict[str, Any]:
    """What every outbox event says of a ticket as it is now, payload version 1."""
    ticket, handoff = work.ticket, work.handoff
    return {
        "ticket_id": str(ticket.id),
        "ticket_number": ticket.number,
        "conversation_id": str(ticket.conversation_id),
        "queue_key": work.queue.key,
        "queue_name": work.queue.name,
        "level": ticket.level,
        "priority": ticket.priority,
        "severity": ticket.severity,
        "reason": handoff.reason if handoff is not None else None,
        "rule": handoff.rule if handoff is not None else None,
        "language": ticket.language,
        "opened_at": ticket.opened_at.isoformat(),
        "agent_id": None if ticket.agent_id is None else str(ticket.agent_id),
        "actor": work.actor.label,
    }
