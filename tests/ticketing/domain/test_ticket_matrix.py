"""Every transition in every status by every kind of person: one table, written down by hand."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.domain import ticket_moves, ticket_transitions
from ticketing.domain.enums import Control, Level, Priority, Role, Severity, TicketStatus
from ticketing.domain.ticket import (
    OPEN_STATUSES,
    SYSTEM,
    Actor,
    Change,
    InvalidTransitionError,
    NotAllowedError,
    QueueChoice,
    TicketState,
    Transition,
)
from ticketing.domain.ticket_events import FACTS, facts_of, from_to
from ticketing.domain.ticket_rules import Facts, violations
from ticketing.domain.ticket_tags import MAX_TAGS, InvalidTagError, tag_of
from ticketing.domain.ticket_waiting import unanswered_after

NOW = datetime(2026, 3, 10, 13, 0, tzinfo=UTC)
ANA, BIA, SOFIA = (uuid.UUID(int=number) for number in (1, 2, 4))
N1, N2, N3 = (uuid.UUID(int=number) for number in (11, 12, 13))
QUEUES = {
    N1: QueueChoice(N1, "n1", Level.N1),
    N2: QueueChoice(N2, "n2", Level.N2),
    N3: QueueChoice(N3, "n3", Level.N3),
}
PEOPLE = {
    "holder": Actor(ANA, Role.AGENT, frozenset({N2})),
    "colleague": Actor(BIA, Role.AGENT, frozenset({N2})),
    "outsider": Actor(uuid.UUID(int=3), Role.AGENT, frozenset({N3})),
    "supervisor": Actor(SOFIA, Role.SUPERVISOR),
    "operator": Actor(uuid.UUID(int=5), Role.OPERATOR, frozenset()),
    "system": SYSTEM,
}

Act = Callable[[TicketState, Actor], Change | None]


def _other(state: TicketState) -> TicketStatus:
    return TicketStatus.PENDING_CUSTOMER if state.status is TicketStatus.OPEN else TicketStatus.OPEN


ACTS: dict[Transition, Act] = {
    Transition.TAKE: ticket_transitions.take,
    Transition.REPLY: lambda state, actor: ticket_transitions.reply(state, actor, now=NOW),
    Transition.NOTE: ticket_transitions.note,
    Transition.ATTACH: lambda state, actor: ticket_transitions.attach(
        state, actor, attachment_id=uuid.UUID(int=9), media_type="text/plain", size=1
    ),
    Transition.TAG: lambda state, actor: ticket_transitions.tag(state, actor, add=["x"]),
    Transition.SET_STATUS: lambda state, actor: ticket_transitions.set_status(
        state, actor, status=_other(state), reason="x"
    ),
    Transition.ESCALATE: lambda state, actor: ticket_moves.escalate(
        state, actor, queue=QUEUES[N3], reason="x", now=NOW
    ),
    Transition.DE_ESCALATE: lambda state, actor: ticket_moves.de_escalate(
        state, actor, queue=QUEUES[N1], reason="x"
    ),
    Transition.REASSIGN: lambda state, actor: ticket_moves.reassign(
        state, actor, reason=None, severity=Severity.S1
    ),
    Transition.CHANGE_PRIORITY: lambda state, actor: ticket_transitions.change_priority(
        state, actor, priority=Priority.HIGH, reason=None
    ),
    Transition.RELEASE: lambda state, actor: ticket_moves.release(state, actor, reason="x"),
    Transition.RESOLVE: lambda state, actor: ticket_transitions.resolve(state, actor, now=NOW),
    Transition.CLOSE: lambda state, actor: ticket_transitions.close(state, actor, now=NOW),
    Transition.REOPEN: lambda state, actor: ticket_transitions.reopen(state, actor, reason="x"),
    Transition.RETURN_TO_BOT: lambda state, actor: ticket_transitions.return_to_bot(
        state, actor, now=NOW
    ),
}

_EVER = set(TicketStatus)
_OPEN = set(OPEN_STATUSES)
_HELD = _OPEN - {TicketStatus.NEW}
_RESOLVED = {TicketStatus.RESOLVED}
_NOT_CLOSED = _EVER - {TicketStatus.CLOSED}

WHEN: dict[Transition, set[TicketStatus]] = {
    Transition.TAKE: _HELD,
    Transition.REPLY: _HELD,
    Transition.NOTE: _EVER,
    Transition.ATTACH: _EVER,
    Transition.TAG: _NOT_CLOSED,
    Transition.SET_STATUS: _HELD,
    Transition.ESCALATE: _HELD,
    Transition.DE_ESCALATE: _HELD,
    Transition.REASSIGN: _HELD,
    Transition.CHANGE_PRIORITY: _HELD,
    Transition.RELEASE: _HELD,
    Transition.RESOLVE: _HELD,
    Transition.CLOSE: _RESOLVED,
    Transition.REOPEN: _RESOLVED,
    Transition.RETURN_TO_BOT: _HELD,
}
"""Of a ticket that somebody has: a new ticket has nobody, so NEW is looked at apart."""

_TEAM = {"holder", "colleague", "supervisor", "system"}
_HOLDER = {"holder", "supervisor", "system"}
_SUPERVISOR = {"supervisor", "system"}
WHO: dict[Transition, set[str]] = {
    Transition.TAKE: {"holder"},  # the others are told that somebody has it
    Transition.REPLY: _HOLDER,
    Transition.NOTE: _TEAM,
    Transition.ATTACH: _TEAM,
    Transition.TAG: _TEAM,
    Transition.SET_STATUS: _HOLDER,
    Transition.ESCALATE: _HOLDER,
    Transition.DE_ESCALATE: _HOLDER,
    Transition.REASSIGN: _SUPERVISOR,
    Transition.CHANGE_PRIORITY: _SUPERVISOR,
    Transition.RELEASE: _HOLDER,
    Transition.RESOLVE: _HOLDER,
    Transition.CLOSE: _SUPERVISOR,
    Transition.REOPEN: _HOLDER,
    Transition.RETURN_TO_BOT: _HOLDER,
}


def _held(status: TicketStatus) -> TicketState:
    over = status not in OPEN_STATUSES
    return TicketState(
        status=status,
        priority=Priority.NORMAL,
        severity=Severity.S3,
        level=Level.N2,
        queue_id=N2,
        queue_key="n2",
        agent_id=ANA,
        control=Control.BOT if over else Control.HUMAN,
        resolved_at=NOW if over else None,
        closed_at=NOW if status is TicketStatus.CLOSED else None,
    )


@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize("status", [item for item in TicketStatus if item is not TicketStatus.NEW])
@pytest.mark.parametrize("transition", Transition)
def test_a_transition_is_done_by_whom_and_when_the_table_says_and_else_refused(
    transition: Transition, status: TicketStatus, who: str
) -> None:
    expected = status in WHEN[transition] and who in WHO[transition]
    if expected:
        ACTS[transition](_held(status), PEOPLE[who])
        return
    with pytest.raises((NotAllowedError, InvalidTransitionError)) as caught:
        ACTS[transition](_held(status), PEOPLE[who])
    assert caught.value.transition is transition
    assert caught.value.expected


def test_the_tables_are_whole() -> None:
    assert set(ACTS) == set(WHEN) == set(WHO) == set(Transition)


NEW = replace(
    _held(TicketStatus.OPEN), status=TicketStatus.NEW, agent_id=None, control=Control.QUEUED
)


@pytest.mark.parametrize(
    ("transition", "admitted"),
    [
        (Transition.TAKE, True),
        (Transition.REPLY, False),  # the service takes it first
        (Transition.SET_STATUS, False),
        (Transition.RELEASE, False),
        (Transition.ESCALATE, True),
        (Transition.DE_ESCALATE, True),
        (Transition.RESOLVE, True),
        (Transition.RETURN_TO_BOT, True),
        (Transition.CLOSE, False),
        (Transition.REOPEN, False),
    ],
)
def test_a_new_ticket_admits_what_needs_no_agent(transition: Transition, admitted: bool) -> None:
    if admitted:
        assert ACTS[transition](NEW, PEOPLE["supervisor"]) is not None
    else:
        with pytest.raises(InvalidTransitionError):
            ACTS[transition](NEW, PEOPLE["supervisor"])


def _applied(state: TicketState, change: Change) -> TicketState:
    """As `ticket_work.apply` does it."""
    known = {name: value for name, value in change.fields.items() if hasattr(state, name)}
    if "tags" in known:
        known["tags"] = tuple(known["tags"])
    if "queue_id" in known:
        known["queue_key"] = QUEUES[known["queue_id"]].key
    control = change.control or state.control
    return replace(state, **known, control=control)


@given(
    script=st.lists(
        st.tuples(st.sampled_from(list(Transition)), st.sampled_from(sorted(PEOPLE))), max_size=30
    )
)
def test_no_sequence_of_transitions_leads_to_a_ticket_that_may_not_be(
    script: list[tuple[Transition, str]],
) -> None:
    state = NEW
    for transition, who in script:
        try:
            change = ACTS[transition](state, PEOPLE[who])
        except (InvalidTransitionError, NotAllowedError, InvalidTagError):
            continue
        if change is None:
            continue
        before, state = state, _applied(state, change)
        facts = Facts(
            status=state.status,
            has_agent=state.agent_id is not None,
            opened_at=NOW,
            first_response_at=state.first_response_at,
            resolved_at=state.resolved_at,
            closed_at=state.closed_at,
            tags=len(state.tags),
        )
        assert violations(facts) == ()
        told = from_to(before, state)
        assert {**facts_of(before), **_told(told)} == facts_of(state)
        if state.control is Control.HUMAN:
            assert state.agent_id is not None


def _told(data: dict[str, Any]) -> dict[str, Any]:
    return {name: data[f"to_{name}"] for name in FACTS if f"to_{name}" in data}


LATER = NOW + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("since", "kind", "data", "after"),
    [
        (None, "opened", {}, LATER),
        (NOW, "replied", {"first_response": True}, None),
        (NOW, "noted", {}, NOW),
        (NOW, "taken", {"to_agent": "x"}, NOW),
        (None, "customer_wrote", {"asks": True}, LATER),
        (NOW, "customer_wrote", {"asks": True}, NOW),
        (None, "customer_wrote", {"asks": False}, None),
        (NOW, "escalated", {"from_level": "N1", "to_level": "N2"}, LATER),
        (NOW, "escalated", {"from_level": "N1", "to_level": "N1"}, NOW),
        (None, "escalated", {"from_level": "N1", "to_level": "N2"}, None),
        (
            None,
            "escalated",
            {"from_level": "N1", "to_level": "N2", "to_status": "open"},
            LATER,
        ),
        (NOW, "status_changed", {"to_status": "pending_third_party"}, None),
        (None, "status_changed", {"to_status": "open"}, LATER),
        (NOW, "released", {}, NOW),
        (NOW, "resolved", {}, None),
        (None, "reopened", {}, LATER),
    ],
)
def test_since_when_a_customer_waits_follows_from_the_events(
    since: datetime | None, kind: str, data: dict[str, Any], after: datetime | None
) -> None:
    assert unanswered_after(since, kind=kind, data=data, at=LATER) == after


@pytest.mark.parametrize("status", [TicketStatus.PENDING_CUSTOMER, TicketStatus.OPEN])
def test_an_escalated_ticket_waits_for_us(status: TicketStatus) -> None:
    change = ACTS[Transition.ESCALATE](_held(status), PEOPLE["holder"])
    assert change is not None
    assert change.fields["status"] is TicketStatus.OPEN


@pytest.mark.parametrize(
    ("status", "reason"), [("pending_customer", None), ("pending_third_party", "")]
)
def test_waiting_without_a_reason_is_refused(status: str, reason: str | None) -> None:
    with pytest.raises(InvalidTransitionError, match="stops clocks"):
        ticket_transitions.set_status(
            _held(TicketStatus.OPEN),
            PEOPLE["holder"],
            status=TicketStatus(status),
            reason=reason,
        )


def test_closing_words_are_a_first_response_and_a_silent_end_is_none() -> None:
    state, ana = _held(TicketStatus.OPEN), PEOPLE["holder"]
    said = ticket_transitions.resolve(state, ana, now=NOW, with_words=True)
    silent = ticket_transitions.resolve(state, ana, now=NOW)
    assert said.fields["first_response_at"] == NOW
    assert said.data["first_response"] is True
    assert "first_response_at" not in silent.fields


@pytest.mark.parametrize(
    ("text", "tag"),
    [("VIP", "vip"), ("  Segunda  Via ", "segunda-via"), ("ação:2", "ação:2"), ("a_b.c", "a_b.c")],
)
def test_a_tag_is_written_one_way(text: str, tag: str) -> None:
    assert tag_of(text) == tag
    assert tag_of(tag) == tag


@pytest.mark.parametrize("text", ["", "  ", "<b>", "a--b", "x" * 41, "a,b", "-a", "\u202eabc"])
def test_what_is_no_tag_is_refused(text: str) -> None:
    with pytest.raises(InvalidTagError, match="tags: "):
        tag_of(text)


def test_tags_that_would_be_too_many_or_both_added_and_removed_are_refused() -> None:
    state, ana = _held(TicketStatus.OPEN), PEOPLE["holder"]
    with pytest.raises(InvalidTagError, match="at most 20"):
        ticket_transitions.tag(state, ana, add=[f"t{n}" for n in range(MAX_TAGS + 1)])
    with pytest.raises(InvalidTagError, match="at once"):
        ticket_transitions.tag(state, ana, add=["a"], remove=["A"])
