from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ticketing.domain.reception import GAP, LONGEST_HOLD, LOOK_AGAIN, Reception, held_until

NOW = datetime(2026, 3, 10, 13, 0, tzinfo=UTC)
WAIT = timedelta(seconds=45)
S = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("since", "seen", "made", "held"),
    [
        pytest.param(60 * S, S, 60 * S, None, id="received throughout the wait"),
        pytest.param(45 * S, S, 60 * S, None, id="for exactly the wait"),
        pytest.param(44 * S, S, 60 * S, NOW + S, id="one second is missing"),
        pytest.param(0 * S, 0 * S, 60 * S, NOW + WAIT, id="a web process has just begun"),
        pytest.param(600 * S, GAP, 60 * S, None, id="a late beat"),
        pytest.param(600 * S, GAP + S, 60 * S, NOW + LOOK_AGAIN, id="nobody receives"),
        pytest.param(-3000 * S, -3600 * S, 60 * S, NOW + LOOK_AGAIN, id="seen by a clock ahead"),
        pytest.param(0 * S, 0 * S, LONGEST_HOLD, NOW + WAIT, id="the last moment it is held"),
        pytest.param(0 * S, 0 * S, LONGEST_HOLD + S, None, id="held for long enough"),
        pytest.param(9000 * S, 3600 * S, LONGEST_HOLD + S, None, id="nobody receives for long"),
    ],
)
def test_it_waits_for_as_long_as_a_status_could_come(
    since: timedelta, seen: timedelta, made: timedelta, held: Any
) -> None:
    reception = Reception(since=NOW - since, seen_at=NOW - seen)

    assert held_until(reception, made_at=NOW - made, wait=WAIT, now=NOW) == held


def test_where_no_web_process_ever_ran_nothing_is_waited_for() -> None:
    assert held_until(None, made_at=NOW, wait=WAIT, now=NOW) is None
