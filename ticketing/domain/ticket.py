"""What a ticket is, who may do what to it, and what a change of it is.

The changes themselves stand beside this: `ticket_transitions` for the work on a ticket,
`ticket_moves` for where it goes. Each is a function of the ticket's state and the actor, and
answers with a `Change`: the columns to write, the event to record and where the control of the
conversation goes. It raises `NotAllowedError` when the actor may never do it and
`InvalidTransitionError` when the ticket is not in a state that admits it; both say what was
expected. What every event keeps: `ticket_events`; what no ticket may ever be: `ticket_rules`.
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
PENDING_STATUSES = (TicketStatus.PENDING_CUSTOMER, TicketStatus.PENDING_THIRD_PARTY)
"""The next step is not ours: we wait for somebody else."""
AFTER_REPLY = (TicketStatus.OPEN, *PENDING_STATUSES)
"""Statuses an agent may choose, with a reply or without."""


class Transition(StrEnum):
    """What can be done to a ticket; the member is also the verb in messages and logs."""

    TAKE = "take"
    REPLY = "reply"
    NOTE = "note"
    ATTACH = "attach"
    TAG = "tag"
    SET_STATUS = "set_status"
    ESCALATE = "escalate"
    DE_ESCALATE = "de_escalate"
    REASSIGN = "reassign"
    CHANGE_PRIORITY = "change_priority"
    RELEASE = "release"
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
    Transition.ATTACH: Who.QUEUE,
    Transition.TAG: Who.QUEUE,
    Transition.SET_STATUS: Who.HOLDER,
    Transition.ESCALATE: Who.HOLDER_OR_UNASSIGNED,
    Transition.DE_ESCALATE: Who.HOLDER_OR_UNASSIGNED,
    Transition.REASSIGN: Who.SUPERVISOR,
    Transition.CHANGE_PRIORITY: Who.SUPERVISOR,
    Transition.RELEASE: Who.HOLDER,
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
        supervised_ids: Queues of the teams a supervisor is limited to; None means no limit.
        scopes: What the API token in their hand may at most; None when it is no token.
        name: Who acts when it is no agent.
    """

    agent_id: uuid.UUID | None
    role: Role
    queue_ids: frozenset[uuid.UUID] | None = None
    supervised_ids: frozenset[uuid.UUID] | None = None
    scopes: frozenset[Permission] | None = None
    name: str = "system"

    @property
    def label(self) -> str:
        """The stored name of the actor: `agent:<uuid>`, `system` or `customer`."""
        return self.name if self.agent_id is None else f"agent:{self.agent_id}"

    @property
    def permissions(self) -> frozenset[Permission]:
        """What their role gives, and no more than the token's scopes."""
        of_role = PERMISSIONS_OF[self.role]
        return of_role if self.scopes is None else of_role & self.scopes

    @property
    def supervises(self) -> bool:
        """Whether they may do everything to the tickets they supervise."""
        return Permission.TICKETS_SUPERVISE in self.permissions

    @property
    def supervises_all(self) -> bool:
        """Whether they supervise every queue."""
        return self.supervises and self.supervised_ids is None

    def supervises_queue(self, queue_id: uuid.UUID) -> bool:
        """Whether they may do everything to the tickets of this queue."""
        limit = self.supervised_ids
        return self.supervises and (limit is None or queue_id in limit)

    def serves(self, queue_id: uuid.UUID) -> bool:
        """Whether tickets of this queue are theirs to see: served, or supervised."""
        if self.supervises_queue(queue_id):
            return True
        return self.queue_ids is None or queue_id in self.queue_ids


SYSTEM = Actor(agent_id=None, role=Role.ADMIN)

CUSTOMER = Actor(agent_id=None, role=Role.AGENT, queue_ids=frozenset(), name="customer")
"""Who wrote to us; may do nothing to a ticket but write."""


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
    tags: tuple[str, ...] = ()
    first_response_at: datetime | None = None
    resolved_at: datetime | None = None
    closed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class QueueChoice:
    """A queue a ticket can go to."""

    id: uuid.UUID
    key: str
    level: Level


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
    if actor.supervises_queue(state.queue_id):
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


def admit(state: TicketState, actor: Actor, transition: Transition) -> None:
    """Let the actor through to a ticket that is not over.

    Raises:
        NotAllowedError: naming whom the transition is for.
        InvalidTransitionError: when the ticket is resolved or closed.
    """
    check_permission(state, actor, transition)
    if state.status not in OPEN_STATUSES:
        raise InvalidTransitionError(
            transition,
            found=f"its status is {state.status.value}",
            expected="one of " + ", ".join(item.value for item in OPEN_STATUSES),
        )
