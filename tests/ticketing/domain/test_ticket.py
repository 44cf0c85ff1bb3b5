from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ticketing.domain import ticket_moves, ticket_transitions
from ticketing.domain.enums import Control, Level, Priority, Role, Severity, TicketStatus
from ticketing.domain.ticket import (
    PERMISSIONS,
    SYSTEM,
    Actor,
    AlreadyTakenError,
    InvalidTransitionError,
    NotAllowedError,
    QueueChoice,
    TicketState,
    Transition,
    check_permission,
)

NOW = datetime(2026, 3, 10, 13, 0, tzinfo=UTC)
ANA, BIA = uuid.UUID(int=1), uuid.UUID(int=2)
N1, N1B, N2 = uuid.UUID(int=11), uuid.UUID(int=12), uuid.UUID(int=13)
SUPPORT = QueueChoice(N1, "n1_support", Level.N1)
SPANISH = QueueChoice(N1B, "n1_spanish", Level.N1)
TECHNICAL = QueueChoice(N2, "n2_technical", Level.N2)
ana = Actor(ANA, Role.AGENT, frozenset({N1}))
bia = Actor(BIA, Role.AGENT, frozenset({N1}))
outsider = Actor(uuid.UUID(int=3), Role.AGENT, frozenset({N2}))
sofia = Actor(uuid.UUID(int=4), Role.SUPERVISOR)

WAITING = TicketState(
    status=TicketStatus.NEW,
    priority=Priority.NORMAL,
    severity=Severity.S3,
    level=Level.N1,
    queue_id=N1,
    queue_key="n1_support",
    agent_id=None,
    control=Control.QUEUED,
)
HELD = replace(WAITING, status=TicketStatus.OPEN, agent_id=ANA, control=Control.HUMAN)
RESOLVED = replace(HELD, status=TicketStatus.RESOLVED, control=Control.BOT)
ENDED = (TicketStatus.RESOLVED, TicketStatus.CLOSED)


def test_taking_a_waiting_ticket_gives_it_to_the_agent_and_control_to_a_person() -> None:
    change = ticket_transitions.take(WAITING, ana)
    assert change is not None
    assert change.fields == {"agent_id": ANA, "status": TicketStatus.OPEN}
    assert change.control is Control.HUMAN


def test_taking_ones_own_ticket_again_changes_nothing() -> None:
    assert ticket_transitions.take(HELD, ana) is None


def test_a_ticket_assigned_but_not_yet_controlled_can_be_taken_by_its_agent() -> None:
    change = ticket_transitions.take(replace(HELD, control=Control.QUEUED), ana)
    assert change is not None
    assert change.control is Control.HUMAN


@pytest.mark.parametrize("late", [bia, sofia])
def test_a_taken_ticket_is_refused_to_everybody_else(late: Actor) -> None:
    with pytest.raises(AlreadyTakenError, match="another agent has taken it"):
        ticket_transitions.take(HELD, late)


def test_the_first_human_reply_sets_the_first_response_and_the_second_does_not() -> None:
    first = ticket_transitions.reply(HELD, ana, now=NOW)
    assert first.fields["first_response_at"] == NOW
    later = ticket_transitions.reply(
        replace(HELD, first_response_at=NOW), ana, now=NOW + timedelta(hours=1)
    )
    assert "first_response_at" not in later.fields


def test_the_systems_own_words_are_no_first_response() -> None:
    assert "first_response_at" not in ticket_transitions.reply(HELD, SYSTEM, now=NOW).fields


@pytest.mark.parametrize("control", [Control.BOT, Control.QUEUED])
def test_nobody_replies_while_a_person_has_no_control(control: Control) -> None:
    with pytest.raises(InvalidTransitionError, match="expected control human"):
        ticket_transitions.reply(replace(HELD, control=control), ana, now=NOW)


@pytest.mark.parametrize("status", [TicketStatus.NEW, *ENDED])
def test_a_reply_cannot_choose_a_status_that_is_none_of_waiting(status: TicketStatus) -> None:
    with pytest.raises(InvalidTransitionError, match="one of open, pending_customer"):
        ticket_transitions.reply(HELD, ana, now=NOW, status=status)


def test_escalating_moves_up_frees_the_agent_and_queues_the_conversation() -> None:
    change = ticket_moves.escalate(HELD, ana, queue=TECHNICAL, reason="servidor", now=NOW)
    assert change.fields["level"] is Level.N2
    assert change.fields["agent_id"] is None
    assert change.fields["escalated_at"] == NOW
    assert change.control is Control.QUEUED
    assert change.data["from_queue"] == "n1_support"
    assert change.data["to_queue"] == "n2_technical"


def test_escalating_to_a_named_agent_keeps_a_person_in_control() -> None:
    change = ticket_moves.escalate(HELD, ana, queue=TECHNICAL, reason="x", now=NOW, agent_id=BIA)
    assert change.fields["agent_id"] == BIA
    assert change.control is Control.HUMAN


def test_a_ticket_may_go_aside_to_another_queue_of_its_level() -> None:
    change = ticket_moves.escalate(HELD, ana, queue=SPANISH, reason="español", now=NOW)
    assert change.fields["queue_id"] == N1B


@pytest.mark.parametrize(
    ("state", "queue"),
    [(HELD, SUPPORT), (replace(HELD, level=Level.N2, queue_id=N2), SUPPORT)],
    ids=["the same queue", "a lower level"],
)
def test_escalating_nowhere_or_down_is_refused(state: TicketState, queue: QueueChoice) -> None:
    actor = replace(ana, queue_ids=None)
    with pytest.raises(InvalidTransitionError, match="expected another queue of level"):
        ticket_moves.escalate(state, actor, queue=queue, reason="x", now=NOW)


@pytest.mark.parametrize("queue", [TECHNICAL, SPANISH])
def test_de_escalating_up_or_aside_is_refused(queue: QueueChoice) -> None:
    with pytest.raises(InvalidTransitionError, match="a level below N1"):
        ticket_moves.de_escalate(HELD, ana, queue=queue, reason="x")


def test_the_same_priority_again_is_refused() -> None:
    with pytest.raises(InvalidTransitionError, match="normal already"):
        ticket_transitions.change_priority(HELD, sofia, priority=Priority.NORMAL, reason=None)


def test_reassigning_to_what_is_there_already_is_refused() -> None:
    with pytest.raises(InvalidTransitionError, match="nothing would change"):
        ticket_moves.reassign(HELD, sofia, reason=None, queue=SUPPORT, agent_id=ANA)


def test_correcting_the_severity_moves_nobody() -> None:
    change = ticket_moves.reassign(HELD, sofia, reason=None, severity=Severity.S1)
    assert change.fields == {"severity": Severity.S1}
    assert change.control is None


@pytest.mark.parametrize("end", [ticket_transitions.resolve, ticket_transitions.return_to_bot])
def test_ending_gives_the_bot_control_and_ends_the_handoff(end: Any) -> None:
    change = end(HELD, ana, now=NOW)
    assert change.fields == {"status": TicketStatus.RESOLVED, "resolved_at": NOW}
    assert change.control is Control.BOT
    assert change.ended_as in {"resolved", "returned_to_bot"}


def test_what_the_bot_has_cannot_be_returned_to_it() -> None:
    with pytest.raises(InvalidTransitionError, match="has control already"):
        ticket_transitions.return_to_bot(replace(HELD, control=Control.BOT), ana, now=NOW)


def test_reopening_keeps_the_first_response_and_clears_the_resolution() -> None:
    change = ticket_transitions.reopen(
        replace(RESOLVED, first_response_at=NOW), ana, reason="voltou"
    )
    assert change.fields == {
        "status": TicketStatus.OPEN,
        "resolved_at": None,
        "agent_id": ANA,
    }


@pytest.mark.parametrize("status", [TicketStatus.NEW, TicketStatus.OPEN, TicketStatus.CLOSED])
def test_only_a_resolved_ticket_is_reopened_or_closed(status: TicketStatus) -> None:
    state = replace(HELD, status=status)
    with pytest.raises(InvalidTransitionError, match="expected resolved"):
        ticket_transitions.reopen(state, ana, reason="x")
    with pytest.raises(InvalidTransitionError, match="expected resolved"):
        ticket_transitions.close(state, sofia, now=NOW)


ACTS = {
    Transition.TAKE: ticket_transitions.take,
    Transition.REPLY: lambda state, actor: ticket_transitions.reply(state, actor, now=NOW),
    Transition.ESCALATE: lambda state, actor: ticket_moves.escalate(
        state, actor, queue=TECHNICAL, reason="x", now=NOW
    ),
    Transition.RESOLVE: lambda state, actor: ticket_transitions.resolve(state, actor, now=NOW),
    Transition.RETURN_TO_BOT: lambda state, actor: ticket_transitions.return_to_bot(
        state, actor, now=NOW
    ),
    Transition.CHANGE_PRIORITY: lambda state, actor: ticket_transitions.change_priority(
        state, actor, priority=Priority.HIGH, reason=None
    ),
}


@pytest.mark.parametrize("status", ENDED)
@pytest.mark.parametrize("transition", ACTS)
def test_nothing_is_done_to_a_ticket_that_is_over(
    transition: Transition, status: TicketStatus
) -> None:
    state = replace(HELD, status=status)
    with pytest.raises(InvalidTransitionError, match=f"its status is {status.value}"):
        ACTS[transition](state, replace(sofia, agent_id=ANA))


@pytest.mark.parametrize("status", list(TicketStatus))
def test_a_note_may_be_written_in_any_status(status: TicketStatus) -> None:
    assert ticket_transitions.note(replace(HELD, status=status), ana).kind == "noted"


EVERYTHING = set(Transition)
OF_THE_QUEUE = {Transition.TAKE, Transition.NOTE, Transition.ATTACH, Transition.TAG}
OF_THE_HOLDER = EVERYTHING - {Transition.REASSIGN, Transition.CHANGE_PRIORITY, Transition.CLOSE}
WHILE_FREE = OF_THE_QUEUE | {Transition.REPLY, Transition.ESCALATE, Transition.DE_ESCALATE}


@pytest.mark.parametrize(
    ("state", "actor", "allowed"),
    [
        (WAITING, ana, WHILE_FREE),
        (WAITING, outsider, set()),
        (WAITING, sofia, EVERYTHING),
        (HELD, ana, OF_THE_HOLDER),
        (HELD, bia, OF_THE_QUEUE),
        (HELD, outsider, set()),
        (HELD, sofia, EVERYTHING),
        (replace(HELD, queue_id=N2), ana, OF_THE_HOLDER),
        (HELD, replace(bia, queue_ids=None), OF_THE_QUEUE),
    ],
    ids=[
        "waiting, of the queue",
        "waiting, of another queue",
        "waiting, supervisor",
        "held by them",
        "held by a colleague",
        "held, of another queue",
        "held, supervisor",
        "held by them in a foreign queue",
        "held, serves all queues",
    ],
)
def test_everybody_may_do_exactly_their_part(
    state: TicketState, actor: Actor, allowed: set[Transition]
) -> None:
    done = set()
    for transition in Transition:
        try:
            check_permission(state, actor, transition)
        except NotAllowedError:
            continue
        done.add(transition)
    assert done == allowed


def test_a_refusal_says_for_whom_it_is() -> None:
    with pytest.raises(NotAllowedError, match="reply is for the ticket's agent"):
        check_permission(HELD, bia, Transition.REPLY)


def test_every_transition_has_its_permission() -> None:
    assert set(PERMISSIONS) == set(Transition)
