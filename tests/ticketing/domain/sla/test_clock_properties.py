"""What holds of any history, and clocks against an oracle that counts minute by minute."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from handoff.business_hours import is_open
from tests.ticketing.domain.sla.worlds import (
    HOUR,
    MINUTE,
    PRIORITIES,
    RULES,
    T0,
    K,
    Story,
    make_rules,
)
from ticketing.domain.enums import ClockState, SlaMetric, SlaThreshold, TicketStatus
from ticketing.domain.sla.clocks import Clock, evaluate
from ticketing.domain.sla.history import History, Situation
from ticketing.domain.sla.rules import InForce, Timeline

STATUSES = (
    TicketStatus.OPEN,
    TicketStatus.PENDING_CUSTOMER,
    TicketStatus.PENDING_THIRD_PARTY,
)
QUEUES = ("day", "risk", "night")


@st.composite
def stories(draw: st.DrawFn, *, ends: bool = True) -> Story:
    """A ticket of a day or two with up to twelve happenings, some of them at one moment."""
    start = T0 + draw(st.integers(-12 * 60, 12 * 60)) * MINUTE
    story = Story(start, queue=draw(st.sampled_from(QUEUES)), priority=draw(_PRIORITY))
    moment, is_over = 0, False
    for _ in range(draw(st.integers(0, 12))):
        moment += draw(st.sampled_from((0, 1, 7, 30, 90, 240, 600)))
        if is_over:
            is_over = draw(st.booleans())
            if is_over:
                break
            story.reopened(moment)
            continue
        kind = draw(
            st.sampled_from(("reply", "wrote", "thanks", "status", "field", "level", "end"))
        )
        if kind == "reply":
            story.replied(moment, draw(st.sampled_from(STATUSES)))
        elif kind in {"wrote", "thanks"}:
            late = draw(st.sampled_from((0, 0, 3, 45)))
            story.wrote(moment, asks=kind == "wrote", written_at=story.at(max(0, moment - late)))
        elif kind == "status":
            story.tell(moment, status=draw(st.sampled_from(STATUSES)))
        elif kind == "field":
            story.tell(moment, priority=draw(_PRIORITY), queue=draw(st.sampled_from(QUEUES)))
        elif kind == "level":
            story.tell(moment, level=draw(st.sampled_from(("N1", "N2", "N3"))))
        elif ends:
            story.tell(
                moment,
                draw(st.sampled_from((K.RESOLVED, K.RESOLVED, K.RETURNED_TO_BOT))),
                status=TicketStatus.RESOLVED,
            )
            is_over = True
    return story


_PRIORITY = st.sampled_from(PRIORITIES)
_LATER = st.integers(0, 3_000)


def last_moment(story: Story) -> int:
    return int((story.happenings[-1].at - story.start) / MINUTE)


@given(story=stories(), later=_LATER, seed=st.integers())
@settings(max_examples=150, deadline=None)
def test_the_order_in_which_happenings_are_given_does_not_matter(
    story: Story, later: int, seed: int
) -> None:
    shuffled = list(story.happenings)
    random.Random(seed).shuffle(shuffled)
    now = story.at(last_moment(story) + later)
    assert evaluate(History(story.opened_in, tuple(shuffled)), RULES, now) == evaluate(
        story.history, RULES, now
    )


@given(story=stories(), later=_LATER, seed=st.integers())
@settings(max_examples=100, deadline=None)
def test_entries_that_share_a_place_and_a_time_give_the_same_in_any_order(
    story: Story, later: int, seed: int
) -> None:
    together = [replace(one, seq=int((one.at - story.start) / MINUTE)) for one in story.happenings]
    shuffled = list(together)
    random.Random(seed).shuffle(shuffled)
    now = story.at(last_moment(story) + later)
    assert evaluate(History(story.opened_in, tuple(shuffled)), RULES, now) == evaluate(
        History(story.opened_in, tuple(together)), RULES, now
    )


@given(story=stories(), later=_LATER)
@settings(max_examples=200, deadline=None)
def test_every_clock_is_consistent_with_itself(story: Story, later: int) -> None:
    now = story.at(last_moment(story) + later)
    for clock in evaluate(story.history, RULES, now):
        _check(clock)
        if clock.goes_on and clock.state is not ClockState.PAUSED and clock.breached_at is None:
            assert clock.due_at is None or clock.due_at > now
        assert clock.breached_at is None or clock.breached_at <= now


def _check(clock: Clock) -> None:
    assert sum((part.worked for part in clock.stretches), timedelta()) == clock.consumed
    for part in clock.stretches:
        assert timedelta() <= part.worked <= part.ends - part.begins
        assert part.running or not part.worked
    for one, other in zip(clock.stretches, clock.stretches[1:], strict=False):
        assert one.ends == other.begins
    assert (clock.state is ClockState.BREACHED) == (clock.breached_at is not None)
    assert (clock.state is ClockState.PAUSED) == (clock.paused_at is not None)
    assert clock.state is not ClockState.MET or clock.met_at is not None
    assert clock.goes_on or clock.next_check() is None
    if clock.breached_at is not None:
        assert clock.due_at == clock.breached_at
        assert clock.warn_at is not None
        assert clock.warn_at <= clock.breached_at
    if clock.due_at is not None and clock.warn_at is not None:
        assert clock.warn_at <= clock.due_at


@given(story=stories(), first=_LATER, second=_LATER)
@settings(max_examples=150, deadline=None)
def test_time_only_adds_and_what_is_settled_stays(story: Story, first: int, second: int) -> None:
    end = last_moment(story)
    earlier, later = story.clocks(end + first), story.clocks(end + first + second)
    assert earlier.keys() == later.keys()
    for key, before in earlier.items():
        after = later[key]
        assert after.consumed >= before.consumed
        assert (after.met_at, after.ended_at) == (before.met_at, before.ended_at)
        if before.breached_at is not None:
            assert after.breached_at == before.breached_at
        elif before.due_at is not None and before.goes_on:
            assert after.due_at == before.due_at
        if not before.goes_on:
            assert after == before


@given(story=stories(ends=False), later=_LATER, length=st.integers(1, 600))
@settings(max_examples=150, deadline=None)
def test_a_pause_never_makes_a_clock_due_earlier_nor_uses_up_more(
    story: Story, later: int, length: int
) -> None:
    end = last_moment(story)
    plain = Story(story.start)
    plain.opened_in, plain.happenings = story.opened_in, list(story.happenings)
    plain.tell(end, status=TicketStatus.OPEN)
    paused = Story(story.start)
    paused.opened_in, paused.happenings = story.opened_in, list(story.happenings)
    paused.tell(end, status=TicketStatus.PENDING_THIRD_PARTY)
    paused.tell(end + length, status=TicketStatus.OPEN)
    without, with_pause = plain.clocks(end + length + later), paused.clocks(end + length + later)
    assert without.keys() == with_pause.keys()
    for key, clock in without.items():
        assert with_pause[key].consumed <= clock.consumed
        other = with_pause[key]
        if clock.due_at is not None and other.due_at is not None:
            assert other.due_at >= clock.due_at


@given(story=stories(), later=_LATER, cuts=st.lists(st.integers(0, 3_000), max_size=4))
@settings(max_examples=100, deadline=None)
def test_rules_that_are_put_in_force_again_unchanged_change_nothing(
    story: Story, later: int, cuts: list[int]
) -> None:
    now = story.at(last_moment(story) + later)
    periods = [InForce(story.start - HOUR, RULES)]
    periods += [InForce(story.at(cut), RULES) for cut in sorted(set(cuts))]
    cut_up = evaluate(story.history, Timeline(tuple(periods)), now)
    whole = evaluate(story.history, RULES, now)
    assert [replace(clock, stretches=()) for clock in cut_up] == [
        replace(clock, stretches=()) for clock in whole
    ]


@given(story=stories(), later=st.integers(0, 1_500))
@settings(max_examples=60, deadline=None)
def test_resolution_and_first_response_are_what_counting_minutes_gives(
    story: Story, later: int
) -> None:
    end = last_moment(story) + later
    clocks = story.clocks(end)
    for metric in (SlaMetric.FIRST_RESPONSE, SlaMetric.TOTAL_RESOLUTION):
        clock = clocks[metric.value, 1]
        consumed, breached = _counted(story, metric, end)
        assert clock.consumed == consumed * MINUTE
        assert clock.breached_at == (None if breached is None else story.at(breached))


def _counted(story: Story, metric: SlaMetric, end: int) -> tuple[int, int | None]:
    """Minutes used up and the minute of the breach; by looking at each minute by itself."""
    consumed, breached = 0, None
    for minute in range(end + 1):
        situation, is_over, is_answered = _seen_at(story, minute)
        if is_answered and metric is SlaMetric.FIRST_RESPONSE:
            break
        promise = RULES.promise(metric, situation)
        assert promise is not None
        stands = is_over or situation.status in promise.pause_on
        if not stands and breached is None and consumed >= promise.duration / MINUTE:
            breached = minute
        if minute == end:
            break
        if not stands and is_open(promise.calendar, story.at(minute)):
            consumed += 1
            if breached is None and consumed >= promise.duration / MINUTE:
                breached = minute + 1
    return consumed, breached


def _seen_at(story: Story, minute: int) -> tuple[Situation, bool, bool]:
    """The situation at a minute, whether the ticket is over, and whether a person has answered."""
    situation, is_over, is_answered = story.opened_in, False, False
    in_force = story.start
    for happening in story.happenings[1:]:
        in_force = max(in_force, happening.written_at or happening.at)
        if in_force > story.at(minute):
            break
        situation = replace(situation, **dict(happening.changes))
        is_answered = is_answered or happening.person_wrote
        if happening.kind in {K.RESOLVED, K.RETURNED_TO_BOT}:
            is_over = True
        if happening.kind is K.REOPENED:
            is_over = False
    return situation, is_over, is_answered


@given(story=stories(), later=_LATER)
@settings(max_examples=60, deadline=None)
def test_a_lower_threshold_warns_no_later(story: Story, later: int) -> None:
    now = story.at(last_moment(story) + later)
    early, late = (evaluate(story.history, make_rules(warning=at), now) for at in (0.3, 0.9))
    for one, other in zip(early, late, strict=True):
        if one.warn_at is not None and other.warn_at is not None:
            assert one.warn_at <= other.warn_at
        told = frozenset({SlaThreshold.WARNING})
        assert one.next_check(told) == other.next_check(told)
