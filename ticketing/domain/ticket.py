"""The life of a ticket: who may do what to it, and what changes when they do.

Every transition takes the ticket's state, the actor and `now`, and answers with a `Change`: the
columns to write, the event to record and where the control of the conversation goes. It raises
`NotAllowedError` when the actor may never do it and `InvalidTransitionError` when the ticket is not
in a state that admits it; both say what was expected.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from ticketing.domain.enums import Control, Level, Priority, Role, Severity, TicketStatus
from ticketing.domain.permissions import PERMISSIONS_OF, Permission

LEVELS = tuple(Level)
PRIORITIES = tuple(Priority)

OPEN_STATUSES = (
    TicketStatus.NEW,
    TicketStatus.OPEN,
    TicketStatus.PENDING_CUSTOMER,
    TicketStatus.PENDING_THIRD_PARTY,
)
AFTER_REPLY = (
    TicketStatus.OPEN,
    TicketStatus.PENDING_CUSTOMER,
    TicketStatus.PENDING_THIRD_PARTY,
)
"""Statuses an agent may choose with a reply."""


class Transition(StrEnum):
    """What can be done to a ticket; the member is also the verb in messages and logs."""

    TAKE = "take"
    REPLY = "reply"
    NOTE = "note"
    ESCALATE = "escalate"
    DE_ESCALATE = "de_escalate"
    REASSIGN = "reassign"
    CHANGE_PRIORITY = "change_priority"
    RESOLVE = "resolve"
    CLOSE = "close"
    REOPEN = "reopen"
    RETURN_TO_BOT = "return_to_bot"


class Who(StrEnum):
    """Whom a transition belongs to, besides supervisors and admins, who may do all of them."""

    QUEUE = "an agent of the ticket's queue"
    HOLDER_OR_UNASSIGNED = "the ticket's agent, or an agent of its queue while it has none"
    HOLDER = "the ticket's agent"
    SUPERVISOR = "a supervisor"


PERMISSIONS: Mapping[Transition, Who] = {
    Transition.TAKE: Who.QUEUE,
    Transition.REPLY: Who.HOLDER_OR_UNASSIGNED,
    Transition.NOTE: Who.QUEUE,
    Transition.ESCALATE: Who.HOLDER_OR_UNASSIGNED,
    Transition.DE_ESCALATE: Who.HOLDER_OR_UNASSIGNED,
    Transition.REASSIGN: Who.SUPERVISOR,
    Transition.CHANGE_PRIORITY: Who.SUPERVISOR,
    Transition.RESOLVE: Who.HOLDER,
    Transition.CLOSE: Who.SUPERVISOR,
    Transition.REOPEN: Who.HOLDER,
    Transition.RETURN_TO_BOT: Who.HOLDER,
}


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. `agent_id` None is the system itself.

    Attributes:
        queue_ids: Queues the agent serves; None means all of them.
    """

    agent_id: uuid.UUID | None
    role: Role
    queue_ids: frozenset[uuid.UUID] | None = None

    @property
    def label(self) -> str:
        """The stored name of the actor: `agent:<uuid>` or `system`."""
        return "system" if self.agent_id is None else f"agent:{self.agent_id}"

    @property
    def supervises(self) -> bool:
        """Whether they may do everything to every ticket."""
        return Permission.TICKETS_SUPERVISE in PERMISSIONS_OF[self.role]

    def serves(self, queue_id: uuid.UUID) -> bool:
        """Whether tickets of this queue are theirs to see. Supervisors see all."""
        return self.supervises or self.queue_ids is None or queue_id in self.queue_ids


SYSTEM = Actor(agent_id=None, role=Role.ADMIN)


@dataclass(frozen=True, slots=True)
class TicketState:
    """What the transitions need to know of a ticket and its conversation."""

    status: TicketStatus
    priority: Priority
    severity: Severity
    level: Level
    queue_id: uuid.UUID
    queue_key: str
    agent_id: uuid.UUID | None
    control: Control
    first_response_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class QueueChoice:
    """A queue a ticket can go to."""

    id: uuid.UUID
    key: str
    level: Level


@dataclass(frozen=True, slots=True)
class SlaTarget:
    """First human response: how many minutes, and until when."""

    minutes: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """What a transition does.

    Attributes:
        kind: Kind of the ticket event.
        fields: Columns of the ticket and their new values.
        data: JSON of the event (from, to).
        reason: Why, in the words of the actor.
        control: Who shall have control of the conversation; None leaves it.
        ended_as: How the open handoff ends; None leaves it open.
    """

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None
    control: Control | None = None
    ended_as: str | None = None


class InvalidTransitionError(Exception):
    """The ticket is not in a state that admits this."""

    def __init__(self, transition: Transition, *, found: str, expected: str) -> None:
        self.transition = transition
        self.found = found
        self.expected = expected
        super().__init__(f"cannot {transition.value} the ticket: {found}; expected {expected}")


class AlreadyTakenError(InvalidTransitionError):
    """Somebody else has the ticket."""

    def __init__(self, agent_id: uuid.UUID) -> None:
        self.agent_id = agent_id
        super().__init__(
            Transition.TAKE,
            found="another agent has taken it",
            expected="a ticket without an agent (a supervisor can assign it)",
        )


class NotAllowedError(Exception):
    """This person may not do this to this ticket."""

    def __init__(self, transition: Transition, expected: str) -> None:
        self.transition = transition
        self.expected = expected
        super().__init__(f"{transition.value} is for {expected}")


def check_permission(state: TicketState, actor: Actor, transition: Transition) -> None:
    """Let the actor through or say for whom the transition is.

    Raises:
        NotAllowedError: naming whom it is for.
    """
    if actor.supervises:
        return
    who = PERMISSIONS[transition]
    holds = actor.agent_id is not None and state.agent_id == actor.agent_id
    serves = actor.serves(state.queue_id)
    allowed = {
        Who.QUEUE: serves or holds,
        Who.HOLDER_OR_UNASSIGNED: holds or (serves and state.agent_id is None),
        Who.HOLDER: holds,
        Who.SUPERVISOR: False,
    }[who]
    if not allowed:
        expected = who.value if who is Who.SUPERVISOR else f"{who.value}, or a supervisor"
        raise NotAllowedError(transition, expected)


def take(state: TicketState, actor: Actor) -> Change | None:
    """The actor answers the customer from now on. None when they already do.

    Raises:
        AlreadyTakenError: when another agent has it.
    """
    _admit(state, actor, Transition.TAKE)
    if state.agent_id == actor.agent_id and state.control is Control.HUMAN:
        return None
    if state.agent_id is not None and state.agent_id != actor.agent_id:
        raise AlreadyTakenError(state.agent_id)
    return Change(
        kind="taken",
        fields={"agent_id": actor.agent_id, "status": _worked_on(state)},
        data={"to_agent": str(actor.agent_id), "from_control": state.control.value},
        control=Control.HUMAN,
    )


def reply(
    state: TicketState,
    actor: Actor,
    *,
    now: datetime,
    status: TicketStatus = TicketStatus.OPEN,
) -> Change:
    """A person's public answer. Only this ever sets the first response.

    Args:
        state: The ticket, already taken.
        actor: The ticket's agent or a supervisor.
        now: When it was written.
        status: What the ticket waits for afterwards; one of `AFTER_REPLY`.
    """
    _admit(state, actor, Transition.REPLY)
    if state.control is not Control.HUMAN:
        raise InvalidTransitionError(
            Transition.REPLY,
            found=f"control is {state.control.value}",
            expected="control human (take the ticket first)",
        )
    if status not in AFTER_REPLY:
        raise InvalidTransitionError(
            Transition.REPLY,
            found=f"status {status.value} was asked for",
            expected="one of " + ", ".join(item.value for item in AFTER_REPLY),
        )
    fields: dict[str, Any] = {"status": status, "last_message_at": now}
    if state.first_response_at is None and actor.agent_id is not None:
        fields["first_response_at"] = now
    return Change(
        kind="replied", fields=fields, data={"first_response": "first_response_at" in fields}
    )


def note(state: TicketState, actor: Actor) -> Change:
    """An internal remark, in any status: what was learnt afterwards belongs to the ticket too."""
    check_permission(state, actor, Transition.NOTE)
    return Change(kind="noted")


def escalate(
    state: TicketState,
    actor: Actor,
    *,
    queue: QueueChoice,
    reason: str,
    now: datetime,
    priority: Priority | None = None,
    agent_id: uuid.UUID | None = None,
    sla: SlaTarget | None = None,
) -> Change:
    """Hand the ticket up to a higher level, or aside to another queue of the same level.

    It waits in the new queue without an agent, unless one is named. `sla` is the target under the
    new queue's calendar and the new priority, still counted from the opening.

    Raises:
        InvalidTransitionError: when the queue is the same or of a lower level.
    """
    _admit(state, actor, Transition.ESCALATE)
    if _rank(queue.level) < _rank(state.level) or queue.id == state.queue_id:
        raise InvalidTransitionError(
            Transition.ESCALATE,
            found=f"the ticket is in {state.queue_key} ({state.level.value}) "
            f"and {queue.key} ({queue.level.value}) was asked for",
            expected=f"another queue of level {state.level.value} or above",
        )
    fields = _moved(state, queue, agent_id)
    fields |= {"escalation_reason": reason, "escalated_at": now, **sla_fields(state, sla)}
    if priority is not None:
        fields["priority"] = priority
    return Change(
        kind="escalated",
        fields=fields,
        data=_from_to(state, queue, agent_id, priority),
        reason=reason,
        control=_control_for(agent_id),
    )


def de_escalate(
    state: TicketState,
    actor: Actor,
    *,
    queue: QueueChoice,
    reason: str,
    agent_id: uuid.UUID | None = None,
    sla: SlaTarget | None = None,
) -> Change:
    """Hand the ticket down to a lower level.

    Raises:
        InvalidTransitionError: when the queue is not of a lower level.
    """
    _admit(state, actor, Transition.DE_ESCALATE)
    if _rank(queue.level) >= _rank(state.level):
        raise InvalidTransitionError(
            Transition.DE_ESCALATE,
            found=f"the ticket is at {state.level.value} and {queue.level.value} was asked for",
            expected=f"a queue of a level below {state.level.value}",
        )
    return Change(
        kind="de_escalated",
        fields=_moved(state, queue, agent_id) | sla_fields(state, sla),
        data=_from_to(state, queue, agent_id, None),
        reason=reason,
        control=_control_for(agent_id),
    )


def reassign(
    state: TicketState,
    actor: Actor,
    *,
    reason: str | None,
    queue: QueueChoice | None = None,
    agent_id: uuid.UUID | None = None,
    severity: Severity | None = None,
    sla: SlaTarget | None = None,
) -> Change:
    """A supervisor moves the ticket to an agent or a queue, or corrects its severity.

    Raises:
        InvalidTransitionError: when nothing would change.
    """
    _admit(state, actor, Transition.REASSIGN)
    moves = queue is not None and queue.id != state.queue_id
    gives = agent_id is not None and agent_id != state.agent_id
    weighs = severity is not None and severity is not state.severity
    if not (moves or gives or weighs):
        raise InvalidTransitionError(
            Transition.REASSIGN,
            found="nothing would change",
            expected="another agent, queue or severity",
        )
    target = queue or QueueChoice(state.queue_id, state.queue_key, state.level)
    fields: dict[str, Any] = {}
    if moves or gives:
        fields |= _moved(state, target, agent_id)
    if moves:
        fields |= sla_fields(state, sla)
    data = _from_to(state, target, agent_id if moves or gives else state.agent_id, None)
    if severity is not None and weighs:
        fields["severity"] = severity
        data |= {"from_severity": state.severity.value, "to_severity": severity.value}
    return Change(
        kind="reassigned",
        fields=fields,
        data=data,
        reason=reason,
        control=_control_for(agent_id) if moves or gives else None,
    )


def change_priority(
    state: TicketState,
    actor: Actor,
    *,
    priority: Priority,
    reason: str | None,
    sla: SlaTarget | None,
) -> Change:
    """Another priority. The clock is not restarted: `sla` still counts from the opening.

    Args:
        state: The ticket.
        actor: A supervisor.
        priority: The new priority, different from the present one.
        reason: Why.
        sla: The target of the new priority; ignored when a person has answered already.
    """
    _admit(state, actor, Transition.CHANGE_PRIORITY)
    if priority is state.priority:
        raise InvalidTransitionError(
            Transition.CHANGE_PRIORITY,
            found=f"the priority is {priority.value} already",
            expected="another priority",
        )
    return Change(
        kind="priority_changed",
        fields={"priority": priority, **sla_fields(state, sla)},
        data={"from_priority": state.priority.value, "to_priority": priority.value},
        reason=reason,
    )


def sla_fields(state: TicketState, sla: SlaTarget | None) -> dict[str, Any]:
    """The SLA columns after the priority or the queue changed; none once a person has answered."""
    if sla is None or state.first_response_at is not None:
        return {}
    return {"sla_target_minutes": sla.minutes, "sla_expires_at": sla.expires_at}


def resolve(
    state: TicketState, actor: Actor, *, now: datetime, reason: str | None = None
) -> Change:
    """The matter is settled; the bot answers again."""
    _admit(state, actor, Transition.RESOLVE)
    return Change(
        kind="resolved",
        fields={"status": TicketStatus.RESOLVED, "resolved_at": now},
        data={"from_status": state.status.value},
        reason=reason,
        control=Control.BOT,
        ended_as="resolved",
    )


def return_to_bot(
    state: TicketState, actor: Actor, *, now: datetime, reason: str | None = None
) -> Change:
    """The bot can go on with this. The ticket ends as resolved, the handoff as returned."""
    _admit(state, actor, Transition.RETURN_TO_BOT)
    if state.control is Control.BOT:
        raise InvalidTransitionError(
            Transition.RETURN_TO_BOT,
            found="the bot has control already",
            expected="control queued or human",
        )
    return Change(
        kind="returned_to_bot",
        fields={"status": TicketStatus.RESOLVED, "resolved_at": now},
        data={"from_status": state.status.value},
        reason=reason,
        control=Control.BOT,
        ended_as="returned_to_bot",
    )


def close(state: TicketState, actor: Actor, *, now: datetime) -> Change:
    """No further work: a resolved ticket that can no longer be reopened."""
    check_permission(state, actor, Transition.CLOSE)
    if state.status is not TicketStatus.RESOLVED:
        raise InvalidTransitionError(
            Transition.CLOSE, found=f"its status is {state.status.value}", expected="resolved"
        )
    return Change(kind="closed", fields={"status": TicketStatus.CLOSED, "closed_at": now})


def reopen(state: TicketState, actor: Actor, *, reason: str) -> Change:
    """A resolved matter was not settled after all; the actor takes it up again.

    The first response stays as it was: reopening does not improve the figures.
    """
    check_permission(state, actor, Transition.REOPEN)
    if state.status is not TicketStatus.RESOLVED:
        raise InvalidTransitionError(
            Transition.REOPEN, found=f"its status is {state.status.value}", expected="resolved"
        )
    return Change(
        kind="reopened",
        fields={"status": TicketStatus.OPEN, "resolved_at": None, "agent_id": actor.agent_id},
        data={"to_agent": str(actor.agent_id)},
        reason=reason,
        control=Control.HUMAN,
    )


def released(state: TicketState, *, reason: str) -> Change:
    """The ticket's agent is gone: it waits in its queue again, clock and priority unchanged."""
    return Change(
        kind="released",
        fields={"agent_id": None},
        data={"from_agent": str(state.agent_id)},
        reason=reason,
        control=Control.QUEUED,
    )


def _admit(state: TicketState, actor: Actor, transition: Transition) -> None:
    check_permission(state, actor, transition)
    if state.status not in OPEN_STATUSES:
        raise InvalidTransitionError(
            transition,
            found=f"its status is {state.status.value}",
            expected="one of " + ", ".join(item.value for item in OPEN_STATUSES),
        )


def _rank(level: Level) -> int:
    return LEVELS.index(level)


def _worked_on(state: TicketState) -> TicketStatus:
    return TicketStatus.OPEN if state.status is TicketStatus.NEW else state.status


def _control_for(agent_id: uuid.UUID | None) -> Control:
    return Control.QUEUED if agent_id is None else Control.HUMAN


def _moved(state: TicketState, queue: QueueChoice, agent_id: uuid.UUID | None) -> dict[str, Any]:
    return {
        "queue_id": queue.id,
        "level": queue.level,
        "agent_id": agent_id,
        "status": state.status if agent_id is None else _worked_on(state),
    }


def _from_to(
    state: TicketState,
    queue: QueueChoice,
    agent_id: uuid.UUID | None,
    priority: Priority | None,
) -> dict[str, Any]:
    data: dict[str, Any] = {
        "from_level": state.level.value,
        "to_level": queue.level.value,
        "from_queue": state.queue_key,
        "to_queue": queue.key,
        "from_agent": str(state.agent_id) if state.agent_id else None,
        "to_agent": str(agent_id) if agent_id else None,
    }
    if priority is not None and priority is not state.priority:
        data |= {"from_priority": state.priority.value, "to_priority": priority.value}
    return data
