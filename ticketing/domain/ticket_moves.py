"""Where a ticket goes: up and down the levels, to another queue or agent, back to its queue.

Every function takes the state and the actor and answers with what changes; see `ticket`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ticketing.domain.enums import Control, Level, Priority, Severity, TicketStatus
from ticketing.domain.ticket import (
    LEVELS,
    PENDING_STATUSES,
    Actor,
    Change,
    InvalidTransitionError,
    QueueChoice,
    TicketState,
    Transition,
    admit,
)
from ticketing.domain.ticket_transitions import worked_on


def escalate(
    state: TicketState,
    actor: Actor,
    *,
    queue: QueueChoice,
    reason: str,
    now: datetime,
    priority: Priority | None = None,
    agent_id: uuid.UUID | None = None,
    data: Mapping[str, Any] | None = None,
) -> Change:
    """Hand the ticket up to a higher level, or aside to another queue of the same level.

    It waits in the new queue without an agent, unless one is named, and it waits for us: a ticket
    that was pending is open again. `data` goes into the event (a rule says which it is).

    Raises:
        InvalidTransitionError: when the queue is the same or of a lower level.
    """
    admit(state, actor, Transition.ESCALATE)
    if rank(queue.level) < rank(state.level) or queue.id == state.queue_id:
        raise InvalidTransitionError(
            Transition.ESCALATE,
            found=f"the ticket is in {state.queue_key} ({state.level.value}) "
            f"and {queue.key} ({queue.level.value}) was asked for",
            expected=f"another queue of level {state.level.value} or above",
        )
    fields = _moved(state, queue, agent_id) | {"status": _awake(state, agent_id)}
    fields |= {"escalation_reason": reason, "escalated_at": now}
    if priority is not None:
        fields["priority"] = priority
    return Change(
        kind="escalated",
        fields=fields,
        data={**_route(state, queue, agent_id), **(data or {})},
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
) -> Change:
    """Hand the ticket down to a lower level, where it waits for us.

    Raises:
        InvalidTransitionError: when the queue is not of a lower level.
    """
    admit(state, actor, Transition.DE_ESCALATE)
    if rank(queue.level) >= rank(state.level):
        raise InvalidTransitionError(
            Transition.DE_ESCALATE,
            found=f"the ticket is at {state.level.value} and {queue.level.value} was asked for",
            expected=f"a queue of a level below {state.level.value}",
        )
    return Change(
        kind="de_escalated",
        fields=_moved(state, queue, agent_id) | {"status": _awake(state, agent_id)},
        data=_route(state, queue, agent_id),
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
) -> Change:
    """A supervisor moves the ticket to an agent or a queue, or corrects its severity.

    Raises:
        InvalidTransitionError: when nothing would change.
    """
    admit(state, actor, Transition.REASSIGN)
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
    if weighs:
        fields["severity"] = severity
    return Change(
        kind="reassigned",
        fields=fields,
        data=_route(state, target, agent_id if moves or gives else state.agent_id),
        reason=reason,
        control=_control_for(agent_id) if moves or gives else None,
    )


def release(state: TicketState, actor: Actor, *, reason: str) -> Change:
    """The ticket's agent gives it back to its queue.

    Raises:
        InvalidTransitionError: when nobody has it.
    """
    admit(state, actor, Transition.RELEASE)
    if state.agent_id is None:
        raise InvalidTransitionError(
            Transition.RELEASE, found="nobody has it", expected="a ticket that an agent has"
        )
    return released(state, reason=reason)


def released(state: TicketState, *, reason: str) -> Change:
    """The ticket's agent is gone: it waits in its queue again, clock and priority unchanged."""
    return Change(
        kind="released",
        fields={"agent_id": None},
        data={"from_agent": str(state.agent_id) if state.agent_id else None},
        reason=reason,
        control=Control.QUEUED,
    )


def rank(level: Level) -> int:
    """How high a level is."""
    return LEVELS.index(level)


def _awake(state: TicketState, agent_id: uuid.UUID | None) -> TicketStatus:
    """A move asks somebody to act, so the ticket waits for nobody else any more."""
    if state.status in PENDING_STATUSES or agent_id is not None:
        return TicketStatus.OPEN
    return state.status


def _control_for(agent_id: uuid.UUID | None) -> Control:
    return Control.QUEUED if agent_id is None else Control.HUMAN


def _moved(state: TicketState, queue: QueueChoice, agent_id: uuid.UUID | None) -> dict[str, Any]:
    return {
        "queue_id": queue.id,
        "level": queue.level,
        "agent_id": agent_id,
        "status": state.status if agent_id is None else worked_on(state),
    }


def _route(
    state: TicketState, queue: QueueChoice, agent_id: uuid.UUID | None
) -> dict[str, str | None]:
    """From where to where; of these three kinds of event it says so also where nothing changed."""
    return {
        "from_level": state.level.value,
        "to_level": queue.level.value,
        "from_queue": state.queue_key,
        "to_queue": queue.key,
        "from_agent": str(state.agent_id) if state.agent_id else None,
        "to_agent": str(agent_id) if agent_id else None,
    }
