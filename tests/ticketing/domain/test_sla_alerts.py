"""What is said about clocks: each threshold once, the graver thing, and not too often."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.domain.enums import ClockState, SlaMetric, SlaState, SlaThreshold
from ticketing.domain.sla_alerts import (
    DueClock,
    EarlierAlert,
    Hold,
    Silence,
    Verdict,
    decide,
    judge,
)

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
COOLDOWN = timedelta(minutes=15)
WARNING, BREACH = SlaThreshold.WARNING, SlaThreshold.BREACH


def a_clock(**changes: object) -> DueClock:
    """A first response that is to be warned about at 12:07 and due at 12:10."""
    clock = DueClock(
        clock_id=uuid.UUID(int=1),
        metric=SlaMetric.FIRST_RESPONSE,
        cycle=1,
        state=ClockState.RUNNING,
        due_at=NOON + 10 * MINUTE,
        warn_at=NOON + 7 * MINUTE,
    )
    return replace(clock, **changes)  # type: ignore[arg-type]


def passed(verdict: Verdict) -> list[tuple[SlaThreshold, Silence | None]]:
    return [(alert.threshold, alert.silence) for alert in verdict.alerts]


@pytest.mark.parametrize(
    ("clock", "minute", "said", "again", "hold"),
    [
        (a_clock(), 6, [], 7, Hold.NOT_YET),
        (a_clock(), 7, [WARNING], 10, None),
        (a_clock(), 9, [WARNING], 10, None),
        (a_clock(), 10, [WARNING, BREACH], None, None),
        (a_clock(said=frozenset({WARNING})), 9, [], 10, Hold.NOT_YET),
        (a_clock(said=frozenset({WARNING})), 10, [BREACH], None, None),
        (a_clock(said=frozenset({WARNING, BREACH})), 99, [], None, Hold.SAID),
        (a_clock(said=frozenset({BREACH})), 99, [], None, Hold.SAID),
        (a_clock(warn_at=None), 9, [], 10, Hold.NOT_YET),
        (a_clock(warn_at=None), 10, [BREACH], None, None),
        (a_clock(due_at=None), 7, [WARNING], None, None),
        (a_clock(due_at=None, warn_at=None), 99, [], None, Hold.NOT_YET),
        (a_clock(state=ClockState.PAUSED), 99, [], None, Hold.PAUSED),
        (a_clock(state=ClockState.MET, is_over=True), 99, [], None, Hold.OVER),
        (a_clock(state=ClockState.CANCELLED, is_over=True), 99, [], None, Hold.OVER),
        # Kept late, before anybody looked: the matter is settled.
        (a_clock(state=ClockState.BREACHED, is_over=True), 99, [], None, Hold.OVER),
        # Following the history has seen the breach first; it has still to be told.
        (
            a_clock(state=ClockState.BREACHED, breached_at=NOON + 10 * MINUTE, due_at=None),
            11,
            [WARNING, BREACH],
            None,
            None,
        ),
        # The clock of this machine went back behind a breach that is stored.
        (
            a_clock(state=ClockState.BREACHED, breached_at=NOON + 10 * MINUTE),
            5,
            [],
            7,
            Hold.NOT_YET,
        ),
    ],
)
def test_a_clock_is_judged_by_what_it_has_passed(
    clock: DueClock, minute: int, said: list[SlaThreshold], again: int | None, hold: Hold | None
) -> None:
    found = judge(clock, now=NOON + minute * MINUTE)

    assert [threshold for threshold, _ in found.passed] == said
    assert found.next_check_at == (None if again is None else NOON + again * MINUTE)
    assert found.hold is hold


def test_a_ticket_that_is_over_is_left_in_peace_until_its_clocks_have_followed() -> None:
    found = judge(a_clock(), now=NOON + 99 * MINUTE, ticket_is_over=True)

    assert (found.passed, found.hold) == ((), Hold.TICKET_OVER)
    assert found.next_check_at == NOON + 7 * MINUTE


def test_after_a_downtime_both_are_stored_and_only_the_breach_is_told() -> None:
    verdict = decide([a_clock()], now=NOON + 60 * MINUTE, cooldown=COOLDOWN)

    assert passed(verdict) == [(BREACH, None), (WARNING, Silence.BREACH_TOLD)]
    assert [message.lead.threshold for message in verdict.messages] == [BREACH]
    assert [alert.passed_at for alert in verdict.alerts] == [NOON + 10 * MINUTE, NOON + 7 * MINUTE]


def test_clocks_of_one_ticket_that_pass_together_make_one_message() -> None:
    clocks = [
        a_clock(clock_id=uuid.UUID(int=2), metric=SlaMetric.TOTAL_RESOLUTION),
        a_clock(clock_id=uuid.UUID(int=3), metric=SlaMetric.RESOLUTION),
    ]

    (message,) = decide(clocks, now=NOON + 10 * MINUTE, cooldown=COOLDOWN).messages

    assert message.lead.clock.metric is SlaMetric.RESOLUTION
    assert [alert.clock.metric for alert in message.also] == [SlaMetric.TOTAL_RESOLUTION]


def test_a_breach_of_one_clock_does_not_silence_the_warning_of_another() -> None:
    late = a_clock(said=frozenset({WARNING}))
    other = a_clock(
        clock_id=uuid.UUID(int=2), metric=SlaMetric.RESOLUTION, due_at=NOON + 60 * MINUTE
    )

    verdict = decide([late, other], now=NOON + 10 * MINUTE, cooldown=COOLDOWN)

    assert [message.lead.threshold for message in verdict.messages] == [BREACH, WARNING]


@pytest.mark.parametrize(
    ("earlier_at", "threshold", "silence"),
    [
        (-14, BREACH, Silence.COOLDOWN),
        (-15, BREACH, None),
        (-14, WARNING, None),
        (+14, BREACH, Silence.COOLDOWN),  # the clock went back a little
        (+60, BREACH, None),  # it went back by an hour
    ],
)
def test_the_same_is_not_told_again_within_the_cooldown(
    earlier_at: int, threshold: SlaThreshold, silence: Silence | None
) -> None:
    now = NOON + 10 * MINUTE
    earlier = [EarlierAlert(threshold, now + earlier_at * MINUTE, None)]

    verdict = decide([a_clock(said=frozenset({WARNING}))], earlier, now=now, cooldown=COOLDOWN)

    assert passed(verdict) == [(BREACH, silence)]
    assert bool(verdict.messages) is (silence is None)


def test_the_next_message_says_how_many_were_stored_in_silence() -> None:
    now = NOON + 60 * MINUTE
    earlier = [
        EarlierAlert(BREACH, now - 50 * MINUTE, Silence.COOLDOWN),  # told with the next one
        EarlierAlert(BREACH, now - 40 * MINUTE, None),
        EarlierAlert(BREACH, now - 35 * MINUTE, Silence.COOLDOWN),
        EarlierAlert(BREACH, now - 30 * MINUTE, Silence.COOLDOWN),
        EarlierAlert(WARNING, now - 30 * MINUTE, Silence.COOLDOWN),
        EarlierAlert(BREACH, now - 30 * MINUTE, Silence.BREACH_TOLD),
    ]

    (message,) = decide([a_clock()], earlier, now=now, cooldown=COOLDOWN).messages

    assert message.silenced == 2


@pytest.mark.parametrize(
    ("before", "minute", "metric", "after"),
    [
        (SlaState.OK, 6, SlaMetric.RESOLUTION, SlaState.OK),
        (SlaState.OK, 7, SlaMetric.RESOLUTION, SlaState.WARNING),
        (SlaState.OK, 10, SlaMetric.RESOLUTION, SlaState.BREACHED),
        (SlaState.BREACHED, 7, SlaMetric.RESOLUTION, SlaState.BREACHED),
        (SlaState.OK, 10, SlaMetric.LEVEL, SlaState.OK),
    ],
)
def test_an_alert_makes_the_ticket_graver_and_never_better(
    before: SlaState, minute: int, metric: SlaMetric, after: SlaState
) -> None:
    verdict = decide([a_clock(metric=metric)], now=NOON + minute * MINUTE, cooldown=COOLDOWN)

    assert verdict.state_after(before) is after


clocks = st.builds(
    lambda number, warn, due, state: a_clock(
        clock_id=uuid.UUID(int=number),
        warn_at=NOON + min(warn, due) * MINUTE,
        due_at=NOON + due * MINUTE,
        state=state,
    ),
    number=st.integers(1, 4),
    warn=st.integers(0, 60),
    due=st.integers(0, 60),
    state=st.sampled_from([ClockState.RUNNING, ClockState.RUNNING, ClockState.PAUSED]),
)


@given(
    clocks=st.lists(clocks, min_size=1, max_size=4, unique_by=lambda clock: clock.clock_id),
    sweeps=st.lists(st.integers(-60, 120), max_size=12),
    cooldown=st.integers(0, 30),
)
def test_each_threshold_is_stored_once_if_it_is_passed_while_the_clock_runs(
    clocks: list[DueClock], sweeps: list[int], cooldown: int
) -> None:
    """Sweeps at any times, also back in time, against what a simple look at the clocks expects."""
    stored: dict[tuple[uuid.UUID, SlaThreshold], Silence | None] = {}
    earlier: list[EarlierAlert] = []
    told = 0
    for minute in sweeps:
        now = NOON + minute * MINUTE
        said = [
            replace(
                clock,
                said=frozenset(kind for key, kind in stored if key == clock.clock_id),
            )
            for clock in clocks
        ]
        verdict = decide(said, earlier, now=now, cooldown=cooldown * MINUTE)
        for alert in verdict.alerts:
            key = (alert.clock.clock_id, alert.threshold)
            assert key not in stored, "stored twice"
            assert alert.passed_at <= now, "told before its time"
            stored[key] = alert.silence
            earlier.append(EarlierAlert(alert.threshold, now, alert.silence))
        for judgement in verdict.judgements:
            again = judgement.next_check_at
            assert again is None or again > now, "it would be looked at for ever"
        told += len(verdict.messages)
        assert len(verdict.messages) <= 2, "at most one message for each threshold"

    latest = max(sweeps, default=-61)
    for clock in clocks:
        runs = clock.state is ClockState.RUNNING
        for threshold, at in ((WARNING, clock.warn_at), (BREACH, clock.due_at)):
            assert at is not None
            is_stored = (clock.clock_id, threshold) in stored
            assert is_stored is (runs and at <= NOON + latest * MINUTE)
    # Whatever was kept silent, the ticket's first breach was told.
    breaches = [kind for (_, threshold), kind in stored.items() if threshold is BREACH]
    assert not breaches or None in breaches
    assert told <= len(stored)
