"""When dead letters ring: the one decision about operation alerts, reminded once a day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.services.dlq_alerts import REMIND
from ticketing.domain.operation_alerts import AlertState, Says, decide

START = datetime(2026, 3, 10, 13, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("looks", "says"),
    [
        # (minutes, number) each; the limit is 10.
        ([(0, 9)], [Says.NOTHING]),
        ([(0, 10)], [Says.FIRING]),
        ([(0, 10), (1, 500), (60, 500)], [Says.FIRING, Says.NOTHING, Says.NOTHING]),
        ([(0, 10), (1440, 10)], [Says.FIRING, Says.FIRING]),
        ([(0, 10), (1, 8), (2, 7)], [Says.FIRING, Says.NOTHING, Says.CLEARED]),
        # It comes again within the cooldown: told when the cooldown is over, if it still goes on.
        (
            [(0, 10), (1, 0), (2, 10), (4, 10), (5, 10)],
            [Says.FIRING, Says.CLEARED, Says.NOTHING, Says.NOTHING, Says.FIRING],
        ),
        # A firing that nobody was told of has no end that anybody wants to know.
        (
            [(0, 10), (1, 0), (2, 10), (3, 0)],
            [Says.FIRING, Says.CLEARED, Says.NOTHING, Says.NOTHING],
        ),
    ],
)
def test_an_alert_rings_once_and_says_when_it_is_over(
    looks: list[tuple[int, int]], says: list[Says]
) -> None:
    state, heard = None, []
    for minutes, value in looks:
        decision = decide(
            state, value=value, limit=10, now=START + timedelta(minutes=minutes), remind=REMIND
        )
        state = decision.state
        heard.append(decision.says)
    assert heard == says


def test_a_limit_of_one_clears_at_nothing() -> None:
    state = AlertState(firing=True, since=START, told_at=START)
    assert decide(state, value=1, limit=1, now=START, remind=REMIND).says is Says.NOTHING
    assert decide(state, value=0, limit=1, now=START, remind=REMIND).says is Says.CLEARED


@given(st.lists(st.integers(0, 20), max_size=40), st.integers(1, 15))
def test_every_clearing_follows_a_firing_and_the_cooldown_holds(
    values: list[int], limit: int
) -> None:
    state, told, last = None, False, None
    for minute, value in enumerate(values):
        now = START + timedelta(minutes=minute)
        decision = decide(state, value=value, limit=limit, now=now, remind=REMIND)
        state = decision.state
        if decision.says is Says.FIRING:
            assert last is None or now - last >= timedelta(minutes=5)
            told, last = True, now
        elif decision.says is Says.CLEARED:
            assert told
            told = False
