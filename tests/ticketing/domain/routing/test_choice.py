"""Who gets a ticket: hard filters, ranking, relaxation, and what holds of every choice."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.domain.enums import Level, PresenceState
from ticketing.domain.routing.choice import (
    Candidate,
    Needs,
    Refusal,
    Relaxation,
    choose_agent,
    refusals_of,
)

NOW = datetime(2026, 3, 10, 13, 0, tzinfo=UTC)
QUEUE, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)
HOUR = timedelta(hours=1)


def person(number: int, **values: Any) -> Candidate:
    usual = Candidate(
        agent_id=uuid.UUID(int=number),
        presence=PresenceState.ONLINE,
        capacity=4,
        load=0,
        languages=frozenset({"pt"}),
    )
    return replace(usual, **values)


NEEDS = Needs(queue_id=QUEUE, level=Level.N1)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"active": False}, Refusal.DISABLED),
        ({"on_duty": False}, Refusal.OFF_DUTY),
        ({"presence": PresenceState.OFFLINE}, Refusal.OFFLINE),
        ({"presence": PresenceState.AWAY}, Refusal.AWAY),
        ({"presence": PresenceState.BUSY}, Refusal.BUSY),
        ({"in_shift": False}, Refusal.OUT_OF_SHIFT),
        ({"load": 4}, Refusal.FULL),
        ({"load": 5}, Refusal.FULL),
        ({"queues": frozenset({OTHER})}, Refusal.QUEUE),
        ({"levels": frozenset({Level.N2})}, Refusal.LEVEL),
        ({"languages": frozenset({"es"})}, Refusal.LANGUAGE),
    ],
)
def test_one_lack_is_enough_and_is_named(values: dict[str, Any], reason: Refusal) -> None:
    choice = choose_agent(NEEDS, [person(1, **values)], now=NOW)
    assert choice.agent_id is None
    assert choice.verdicts[0].refusals == (reason,)


def test_every_skill_is_needed_but_who_was_appointed_has_the_queues_own() -> None:
    needs = replace(
        NEEDS, skills=frozenset({"billing", "vip"}), queue_skills=frozenset({"billing"})
    )
    assert refusals_of(needs, person(1, skills=frozenset({"vip"})), now=NOW) == (Refusal.SKILL,)
    appointed = person(1, skills=frozenset({"vip"}), queues=frozenset({QUEUE}))
    assert refusals_of(needs, appointed, now=NOW) == ()
    assert refusals_of(needs, replace(appointed, skills=frozenset()), now=NOW) == (Refusal.SKILL,)


def test_who_just_lost_it_is_left_out_until_the_time_has_run_out() -> None:
    needs = replace(NEEDS, excluded={uuid.UUID(int=1): NOW + HOUR})
    people = [person(1), person(2, load=3)]
    assert choose_agent(needs, people, now=NOW).agent_id == uuid.UUID(int=2)
    assert choose_agent(needs, people, now=NOW + HOUR).agent_id == uuid.UUID(int=1)


@pytest.mark.parametrize(
    ("people", "winner"),
    [
        ([person(1, load=1), person(2)], 2),  # the emptier one
        ([person(1, load=2, capacity=4), person(2, load=2, capacity=8)], 2),  # by share
        ([person(1, last_assigned_at=NOW), person(2, last_assigned_at=NOW - HOUR)], 2),
        ([person(1, last_assigned_at=NOW), person(2)], 2),  # never assigned is idle longest
        ([person(2), person(1)], 1),  # else the id
    ],
)
def test_ranking(people: list[Candidate], winner: int) -> None:
    assert choose_agent(NEEDS, people, now=NOW).agent_id == uuid.UUID(int=winner)


def test_the_preferred_agent_comes_first_when_there_is_room_and_never_otherwise() -> None:
    needs = replace(NEEDS, preferred=(uuid.UUID(int=3), uuid.UUID(int=2)))
    people = [person(1), person(2, load=1), person(3, load=3)]
    assert choose_agent(needs, people, now=NOW).agent_id == uuid.UUID(int=3)
    people[2] = person(3, load=4)
    assert choose_agent(needs, people, now=NOW).agent_id == uuid.UUID(int=2)


def test_steps_are_taken_one_by_one_and_only_as_far_as_needed() -> None:
    needs = replace(NEEDS, skills=frozenset({"fraud"}), language="es")
    people = [person(1), person(2, languages=frozenset({"es"}))]
    steps = (Relaxation.LANGUAGE, Relaxation.SKILL, Relaxation.LEVEL)
    choice = choose_agent(needs, people, now=NOW, relax=steps)
    assert choice.relaxed == (Relaxation.LANGUAGE, Relaxation.SKILL)
    assert choice.verdicts[0].waived == (Refusal.SKILL, Refusal.LANGUAGE)
    skilled = [*people, person(3, skills=frozenset({"fraud"}))]
    choice = choose_agent(needs, skilled, now=NOW, relax=steps)
    assert (choice.agent_id, choice.relaxed) == (uuid.UUID(int=3), (Relaxation.LANGUAGE,))


def test_busy_or_full_is_somebody_soon_and_away_is_not() -> None:
    for values in ({"load": 4}, {"presence": PresenceState.BUSY}):
        assert choose_agent(NEEDS, [person(1, **values)], now=NOW).somebody_soon
    for values in ({"presence": PresenceState.AWAY}, {"load": 4, "in_shift": False}):
        assert not choose_agent(NEEDS, [person(1, **values)], now=NOW).somebody_soon
    assert not choose_agent(NEEDS, [], now=NOW).somebody_soon


# -- what holds of every choice ----------------------------------------------------------------

ids = st.integers(1, 6).map(lambda number: uuid.UUID(int=number))
skills = st.frozensets(st.sampled_from(["billing", "fraud"]))
candidates = st.builds(
    Candidate,
    agent_id=ids,
    presence=st.sampled_from(PresenceState),
    capacity=st.integers(1, 3),
    load=st.integers(0, 4),
    in_shift=st.booleans(),
    queues=st.none() | st.frozensets(st.sampled_from([QUEUE, OTHER])),
    levels=st.frozensets(st.sampled_from(Level)),
    skills=skills,
    languages=st.frozensets(st.sampled_from(["pt", "es"])),
    last_assigned_at=st.none() | st.sampled_from([NOW, NOW - HOUR]),
    active=st.booleans(),
    on_duty=st.booleans(),
)
some_people = st.lists(candidates, max_size=6, unique_by=lambda item: item.agent_id)
some_needs = st.builds(
    Needs,
    queue_id=st.just(QUEUE),
    level=st.sampled_from(Level),
    skills=skills,
    queue_skills=st.just(frozenset[str]()),
    language=st.sampled_from(["pt", "es"]),
    preferred=st.lists(ids, max_size=2, unique=True).map(tuple),
    excluded=st.dictionaries(ids, st.sampled_from([NOW - HOUR, NOW + HOUR]), max_size=2),
)
some_steps = st.lists(st.sampled_from(Relaxation), unique=True, max_size=4)


@given(some_needs, some_people, some_steps)
def test_never_somebody_who_fails_a_filter_that_was_not_left_out(
    needs: Needs, people: list[Candidate], steps: list[Relaxation]
) -> None:
    choice = choose_agent(needs, people, now=NOW, relax=steps)
    refused = {item.agent_id: set(refusals_of(needs, item, now=NOW)) for item in people}
    waived = {step.waives for step in choice.relaxed}
    assert len(choice.verdicts) == len(people), "everybody is explained"
    for verdict in choice.verdicts:
        if verdict.rank is None:
            assert verdict.refusals
            assert set(verdict.refusals) == refused[verdict.agent_id]
        else:
            assert refused[verdict.agent_id] <= waived
    if choice.agent_id is None:
        allowed = {step.waives for step in steps}
        assert all(reasons - allowed for reasons in refused.values())
    elif choice.relaxed:
        before = {step.waives for step in choice.relaxed[:-1]}
        assert all(reasons - before for reasons in refused.values()), "one step less was too few"


@given(some_needs, st.data(), some_people, some_steps)
def test_the_order_in_which_people_are_listed_does_not_matter(
    needs: Needs, data: st.DataObject, people: list[Candidate], steps: list[Relaxation]
) -> None:
    shuffled = data.draw(st.permutations(people))
    assert choose_agent(needs, people, now=NOW, relax=steps) == choose_agent(
        needs, shuffled, now=NOW, relax=steps
    )


@given(some_needs, some_people)
def test_who_is_chosen_stays_chosen_with_less_to_do_or_others_with_more(
    needs: Needs, people: list[Candidate]
) -> None:
    chosen = choose_agent(needs, people, now=NOW).agent_id
    if chosen is None:
        return
    for item in people:
        change = -1 if item.agent_id == chosen else 1
        eased = replace(item, load=max(item.load + change, 0))
        changed = [eased if other is item else other for other in people]
        assert choose_agent(needs, changed, now=NOW).agent_id == chosen
