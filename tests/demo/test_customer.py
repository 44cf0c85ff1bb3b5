from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from demo.__main__ import offset_to_tuesday
from demo.customer import last_moment

TUESDAY_MORNING = datetime(2026, 3, 10, 13, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        ("03:10", datetime(2026, 3, 10, 6, 10, tzinfo=UTC)),
        ("10:00", TUESDAY_MORNING),
        ("22:00", datetime(2026, 3, 10, 1, 0, tzinfo=UTC)),
    ],
)
def test_a_time_of_day_is_its_last_moment(clock: str, expected: datetime) -> None:
    moment = last_moment(clock, now=TUESDAY_MORNING)

    assert moment == expected
    assert TUESDAY_MORNING - moment < timedelta(hours=24)


@pytest.mark.parametrize("day", range(7))
def test_the_demonstration_always_plays_on_a_tuesday_at_ten(day: int) -> None:
    now = datetime(2026, 11, 22 + day, 2, 30, tzinfo=UTC)

    moved = now + offset_to_tuesday(now)

    assert (moved.astimezone(UTC).hour, moved.minute) == (13, 0)
    assert (moved - timedelta(hours=3)).weekday() == 1
