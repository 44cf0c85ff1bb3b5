"""The work on a ticket: take, answer, note, wait, settle, take up again.

Every function takes the state and the actor and answers with what changes; see `ticket`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime

from ticketing.domain.enums import Control, Priority, TicketStatus
from ticketing.domain.ticket import (
    AFTER_REPLY,
    PENDING_STATUSES,
    Actor,
    AlreadyTakenError,
    Change,
    InvalidTransitionError,
    TicketState,
    Transition,
    admit,
    check_permission,
)
from ticketing.domain.ticket_tags import MAX_TAGS, InvalidTagError, tag_of


def take(state: TicketState, actor: Actor) -> Change | None:
    """The actor answers the customer from now on. None when they already do.

    Raises:
        AlreadyTakenError: when another agent has it.
    """
    admit(state, actor, Transition.TAKE)
    if actor.agent_id is None:
        raise InvalidTransitionError(
            Transition.TAKE, found="no person acts", expected="a person who answers from now on"
        )
    if state.agent_id == actor.agent_id and state.control is Control.HUMAN:
        return None
    if state.agent_id is not None and state.agent_id != actor.agent_id:
        raise AlreadyTakenError(state.agent_id)
    return Change(
        kind="taken",
        fields={"agent_id": actor.agent_id, "status": worked_on(state)},
        data={"from_control": state.control.value},
        control=Control.HUMAN,
    )


def reply(
    state: TicketState,
    actor: Actor,
    *,
    now: datetime,
    status: TicketStatus = TicketStatus.OPEN,
) -> Change:
    """A person's public answer. Only this, or closing words, ever sets the first response.

    Args:
        state: The ticket, already taken.
        actor: The ticket's agent or a supervisor.
        now: When it was written.
        status: What the ticket waits for afterwards; one of `AFTER_REPLY`.
    """
    admit(state, actor, Transition.REPLY)
    if state.control is not Control.HUMAN:
        raise InvalidTransitionError(
            Transition.REPLY,
            found=f"control is {state.control.value}",
            expected="control human (take the ticket first)",
        )
    _check_chosen(Transition.REPLY, status)
    first = _first_response(state, actor, now=now)
    return Change(
        kind="replied",
        fields={"status": status, "last_message_at": now, **first},
        data={"first_response": bool(first)},
    )


def note(state: TicketState, actor: Actor) -> Change:
    """An internal remark, in any status: what was learnt afterwards belongs to the ticket too."""
    check_permission(state, actor, Transition.NOTE)
    return Change(kind="noted")


def attach(
    state: TicketState, actor: Actor, *, attachment_id: uuid.UUID, media_type: str, size: int
) -> Change:
    """A file is put on the ticket, in any status. `size` in bytes."""
    check_permission(state, actor, Transition.ATTACH)
    return Change(
        kind="attached",
        data={"attachment_id": str(attachment_id), "media_type": media_type, "size": size},
    )


def customer_wrote(state: TicketState, *, message_id: uuid.UUID, sent_at: datetime) -> Change:
    """The customer wrote to people. A ticket that waited for them waits for us again.

    Args:
        state: A ticket that is not over.
        message_id: What they wrote.
        sent_at: When they wrote it, by the provider's clock.
    """
    woken = state.status is TicketStatus.PENDING_CUSTOMER
    return Change(
        kind="customer_wrote",
        fields={"status": TicketStatus.OPEN} if woken else {},
        data={"message_id": str(message_id), "sent_at": sent_at.isoformat()},
    )


def set_status(
    state: TicketState, actor: Actor, *, status: TicketStatus, reason: str | None = None
) -> Change:
    """Wait for somebody, or go on, without writing to the customer.

    Waiting stops clocks, so it has to be explained; going on does not.

    Args:
        state: The ticket, which an agent has.
        actor: The ticket's agent or a supervisor.
        status: One of `AFTER_REPLY`.
        reason: For whom or what we wait.

    Raises:
        InvalidTransitionError: when it would change nothing, lacks its reason, or nobody has the
            ticket.
    """
    admit(state, actor, Transition.SET_STATUS)
    _check_chosen(Transition.SET_STATUS, status)
    if state.agent_id is None:
        raise InvalidTransitionError(
            Transition.SET_STATUS,
            found="nobody has the ticket",
            expected="a ticket that an agent has taken",
        )
    if status is state.status:
        raise InvalidTransitionError(
            Transition.SET_STATUS,
            found=f"its status is {status.value} already",
            expected="another status",
        )
    if status in PENDING_STATUSES and not reason:
        raise InvalidTransitionError(
            Transition.SET_STATUS,
            found="no reason was given",
            expected=f"a reason, because {status.value} stops clocks",
        )
    return Change(kind="status_changed", fields={"status": status}, reason=reason)


def change_priority(
    state: TicketState, actor: Actor, *, priority: Priority, reason: str | None
) -> Change:
    """Another priority than the present one. Its clocks keep the time they have used up."""
    admit(state, actor, Transition.CHANGE_PRIORITY)
    if priority is state.priority:
        raise InvalidTransitionError(
            Transition.CHANGE_PRIORITY,
            found=f"the priority is {priority.value} already",
            expected="another priority",
        )
    return Change(
        kind="priority_changed",
        fields={"priority": priority},
        reason=reason,
    )


def tag(
    state: TicketState, actor: Actor, *, add: Iterable[str] = (), remove: Iterable[str] = ()
) -> Change | None:
    """Put tags on the ticket and take tags off. None when it has them as wanted already.

    A resolved ticket may still be tagged, for reports; a closed one may not.

    Raises:
        InvalidTagError: naming the first wrong tag, or when there would be too many.
    """
    check_permission(state, actor, Transition.TAG)
    if state.status is TicketStatus.CLOSED:
        raise InvalidTransitionError(
            Transition.TAG, found="it is closed", expected="a ticket that is not closed"
        )
    added, removed = {tag_of(item) for item in add}, {tag_of(item) for item in remove}
    both = sorted(added & removed)
    if both:
        message = f"{both[0]!r} is to be added and removed at once"
        raise InvalidTagError(message)
    present = set(state.tags)
    after = (present | added) - removed
    if after == present:
        return None
    if len(after) > MAX_TAGS:
        message = f"there would be {len(after)}; expected at most {MAX_TAGS}"
        raise InvalidTagError(message)
    return Change(
        kind="tagged",
        fields={"tags": sorted(after)},
        data={"added": sorted(after - present), "removed": sorted(present - after)},
    )


def resolve(
    state: TicketState,
    actor: Actor,
    *,
    now: datetime,
    reason: str | None = None,
    with_words: bool = False,
) -> Change:
    """The matter is settled; the bot answers again.

    Args:
        state: The ticket.
        actor: The ticket's agent or a supervisor.
        now: When.
        reason: Why.
        with_words: Whether the actor writes closing words to the customer: they are a person's
            public answer, so they can be the first one.
    """
    admit(state, actor, Transition.RESOLVE)
    first = _first_response(state, actor, now=now) if with_words else {}
    return Change(
        kind="resolved",
        fields={"status": TicketStatus.RESOLVED, "resolved_at": now, **first},
        data={"first_response": bool(first)},
        reason=reason,
        control=Control.BOT,
        ended_as="resolved",
    )


def return_to_bot(
    state: TicketState, actor: Actor, *, now: datetime, reason: str | None = None
) -> Change:
    """The bot can go on with this. The ticket ends as resolved, the handoff as returned."""
    admit(state, actor, Transition.RETURN_TO_BOT)
    if state.control is Control.BOT:
        raise InvalidTransitionError(
            Transition.RETURN_TO_BOT,
            found="the bot has control already",
            expected="control queued or human",
        )
    return Change(
        kind="returned_to_bot",
        fields={"status": TicketStatus.RESOLVED, "resolved_at": now},
        reason=reason,
        control=Control.BOT,
        ended_as="returned_to_bot",
    )


def close(state: TicketState, actor: Actor, *, now: datetime) -> Change:
    """No further work: a resolved ticket that can no longer be reopened."""
    check_permission(state, actor, Transition.CLOSE)
    _check_resolved(state, Transition.CLOSE)
    return Change(kind="closed", fields={"status": TicketStatus.CLOSED, "closed_at": now})


def reopen(state: TicketState, actor: Actor, *, reason: str) -> Change:
    """A resolved matter was not settled after all; the actor takes it up again, or it waits.

    The first response stays as it was: reopening does not improve the figures.
    """
    check_permission(state, actor, Transition.REOPEN)
    _check_resolved(state, Transition.REOPEN)
    return Change(
        kind="reopened",
        fields={"status": TicketStatus.OPEN, "resolved_at": None, "agent_id": actor.agent_id},
        reason=reason,
        control=Control.QUEUED if actor.agent_id is None else Control.HUMAN,
    )


def worked_on(state: TicketState) -> TicketStatus:
    """The status once somebody has the ticket: it is new no longer."""
    return TicketStatus.OPEN if state.status is TicketStatus.NEW else state.status


def _first_response(state: TicketState, actor: Actor, *, now: datetime) -> dict[str, datetime]:
    if state.first_response_at is not None or actor.agent_id is None:
        return {}
    return {"first_response_at": now}


def _check_chosen(transition: Transition, status: TicketStatus) -> None:
    if status not in AFTER_REPLY:
        raise InvalidTransitionError(
            transition,
            found=f"status {status.value} was asked for",
            expected="one of " + ", ".join(item.value for item in AFTER_REPLY),
        )


def _check_resolved(state: TicketState, transition: Transition) -> None:
    if state.status is not TicketStatus.RESOLVED:
        raise InvalidTransitionError(
            transition, found=f"its status is {state.status.value}", expected="resolved"
        )
