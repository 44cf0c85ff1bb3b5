"""When an alert about the system is told, again and no more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.domain.operation_alerts import (
    FLAP,
    AlertState,
    Says,
    broke,
    decide,
    mended,
)

START = datetime(2026, 3, 10, 13, 0, tzinfo=UTC)
COOLDOWN = timedelta(minutes=5)
LIMIT = 10


def play(steps: list[tuple[float, int]], limit: int = LIMIT) -> list[tuple[float, str]]:
    """What is told at which minute, when these numbers are seen at these minutes."""
    state, told = None, []
    for minute, value in steps:
        now = START + timedelta(minutes=minute)
        decision = decide(state, value=value, limit=limit, now=now)
        state = decision.state
        if decision.says is not Says.NOTHING:
            told.append((minute, decision.says.value))
    return told


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([(0, 0), (1, 9)], []),
        ([(0, 10)], [(0, "firing")]),
        ([(0, 9), (1, 10), (2, 11)], [(1, "firing")]),
        # it is over below 8
        ([(0, 10), (1, 9), (2, 8), (3, 7)], [(0, "firing"), (3, "cleared")]),
        # around the limit it rings once
        ([(0, 10), (1, 9), (2, 10), (3, 9), (4, 10)], [(0, "firing")]),
        # again within the cooldown: when it is over, if it still fires
        ([(0, 10), (1, 0), (2, 10), (3, 0), (6, 0)], [(0, "firing"), (1, "cleared")]),
        (
            [(0, 10), (1, 0), (2, 10), (4, 10), (5, 10), (6, 0)],
            [(0, "firing"), (1, "cleared"), (5, "firing"), (6, "cleared")],
        ),
        # it goes on: after 5, 10, 20, 40 minutes, then every hour
        (
            [(float(minute), 50) for minute in range(210)],
            [(float(at), "firing") for at in (0, 5, 10, 20, 40, 80, 140, 200)],
        ),
    ],
)
def test_a_number_over_time(steps: list[tuple[float, int]], told: list[tuple[float, str]]) -> None:
    assert play(steps) == told


def test_a_limit_of_one_clears_at_none() -> None:
    assert play([(0, 1), (1, 1), (2, 0)], limit=1) == [(0, "firing"), (2, "cleared")]


@given(st.lists(st.tuples(st.floats(0.1, 30, allow_nan=False), st.integers(0, 20)), max_size=60))
def test_the_promises_hold_whatever_is_seen(looks: list[tuple[float, int]]) -> None:
    state: AlertState | None = None
    now, told_at, high_since, is_told = START, None, None, False
    for minutes, value in looks:
        now += timedelta(minutes=minutes)
        decision = decide(state, value=value, limit=LIMIT, now=now)
        state = decision.state
        high_since = (high_since or now) if value >= LIMIT else None
        if decision.says is Says.FIRING:
            assert value >= 8
            assert told_at is None or now - told_at >= COOLDOWN  # never twice within it
            told_at, is_told = now, True
        elif decision.says is Says.CLEARED:
            assert is_told
            assert value < 8
            is_told = False
        # Always told when it fires, at the first look after the cooldown.
        if high_since is not None and (told_at is None or now - told_at >= timedelta(hours=1)):
            assert is_told
        if value < 8:
            assert not state.firing
        if value >= LIMIT:
            assert state.firing


@given(st.lists(st.tuples(st.floats(0.01, 10, allow_nan=False), st.booleans()), max_size=80))
def test_something_that_breaks_and_works_again(looks: list[tuple[float, bool]]) -> None:
    state: AlertState | None = None
    now, since_ok, story = START, START, []
    for minutes, works in looks:
        now += timedelta(minutes=minutes)
        before = state.firing if state is not None else False
        if works:
            decision = mended(state, at=since_ok or now, now=now, seen_at=now)
            since_ok = since_ok or now
        else:
            decision = broke(state, at=now, now=now)
            since_ok = None
            assert decision.state.firing
            # Who was told that it works is told that it does not.
            assert before or decision.says is Says.FIRING
        state = decision.state
        if decision.says is not Says.NOTHING:
            story.append((now, decision.says))
        if works and since_ok is not None and now - since_ok >= FLAP:
            assert not state.firing
    # By turns, and three of them never lie within the time in which it may flap.
    assert [says for _, says in story] == [
        Says.FIRING if number % 2 == 0 else Says.CLEARED for number in range(len(story))
    ]
    times = [at for at, says in story if says is Says.FIRING]
    assert all(third - first >= FLAP for first, third in zip(times, times[2:], strict=False))


@pytest.mark.parametrize(
    ("before", "at", "says"),
    [
        (None, 0, Says.FIRING),
        (AlertState(False, START, None, 0), 1, Says.FIRING),
        (AlertState(False, START, START, 1), 1, Says.FIRING),
        (AlertState(True, START, START, 1), 1, Says.NOTHING),
        (AlertState(False, START, START, 1), -1, Says.NOTHING),  # old news
    ],
)
def test_it_broke(before: AlertState | None, at: float, says: Says) -> None:
    moment = START + timedelta(minutes=at)
    assert broke(before, at=moment, now=moment).says is says


@pytest.mark.parametrize(
    ("before", "at", "seen", "says"),
    [
        (None, 0, 0, Says.NOTHING),
        (AlertState(False, START, START, 1), 1, 1, Says.NOTHING),
        (AlertState(True, START, START, 1), 1, 1, Says.CLEARED),
        (AlertState(True, START, START, 1), -1, -1, Says.NOTHING),  # old news
        (AlertState(True, START, START, 1), -9, 1, Says.CLEARED),  # since when is not known
        (AlertState(True, START, START, 2), 1, 2, Says.NOTHING),  # it has to hold
        (AlertState(True, START, START, 2), 1, 6, Says.CLEARED),
        (AlertState(True, START, START, 2), -9, 6, Says.CLEARED),
    ],
)
def test_it_works_again(before: AlertState | None, at: float, seen: float, says: Says) -> None:
    moment, now = START + timedelta(minutes=at), START + timedelta(minutes=seen)
    assert mended(before, at=moment, now=now, seen_at=now).says is says
