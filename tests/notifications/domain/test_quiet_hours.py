from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from notifications.domain.quiet_hours import QuietHours, quiet_until

SAO_PAULO = "America/Sao_Paulo"
NEW_YORK = "America/New_York"
"""2026: 8 March, 02:00 becomes 03:00; 1 November, 02:00 becomes 01:00."""


def until(now: str, start: str, end: str, zone: str = SAO_PAULO) -> str | None:
    """`now` and the answer as the wall shows them; a trailing `*` is the second of two times."""
    place = ZoneInfo(zone)
    moment = datetime.fromisoformat(now.rstrip("*")).replace(tzinfo=place, fold=now.endswith("*"))
    quiet = QuietHours(time.fromisoformat(start), time.fromisoformat(end))
    found = quiet_until(moment, quiet=quiet, zone=place)
    if found is None:
        return None
    assert found.tzinfo is UTC
    local = found.astimezone(place)
    return f"{local:%Y-%m-%d %H:%M}" + ("*" if local.fold else "")


@pytest.mark.parametrize(
    ("now", "start", "end", "expected"),
    [
        ("2026-03-10 12:00", "22:00", "07:00", None),
        ("2026-03-10 21:59", "22:00", "07:00", None),
        ("2026-03-10 22:00", "22:00", "07:00", "2026-03-11 07:00"),
        ("2026-03-10 23:59", "22:00", "07:00", "2026-03-11 07:00"),
        ("2026-03-11 00:00", "22:00", "07:00", "2026-03-11 07:00"),
        ("2026-03-11 06:59", "22:00", "07:00", "2026-03-11 07:00"),
        ("2026-03-11 07:00", "22:00", "07:00", None),
        ("2026-03-10 13:00", "12:00", "14:00", "2026-03-10 14:00"),
        ("2026-03-10 14:00", "12:00", "14:00", None),
        ("2026-03-10 23:00", "22:00", "00:00", "2026-03-11 00:00"),
        ("2026-03-11 00:00", "22:00", "00:00", None),
        ("2026-03-10 00:00", "00:00", "06:00", "2026-03-10 06:00"),
        ("2026-03-10 12:00", "12:00", "12:00", None),
        ("2026-03-10 00:00", "00:00", "00:00", None),
        ("2026-12-31 23:30", "22:00", "07:00", "2027-01-01 07:00"),
    ],
)
def test_quiet_hours_end_when_the_wall_says_so(
    now: Any, start: Any, end: Any, expected: Any
) -> None:
    assert until(now, start, end) == expected


@pytest.mark.parametrize(
    ("now", "start", "end", "expected"),
    [
        # A night without 02:00 to 03:00.
        ("2026-03-07 23:00", "22:00", "07:00", "2026-03-08 07:00"),
        ("2026-03-08 01:30", "01:00", "02:30", "2026-03-08 03:00"),
        ("2026-03-08 03:00", "01:00", "02:30", None),
        ("2026-03-08 03:00", "02:30", "04:00", "2026-03-08 04:00"),
        ("2026-03-08 03:00", "02:10", "02:50", None),
        ("2026-03-08 01:30", "02:10", "02:05", "2026-03-09 02:05"),
        # A night with two times 01:30.
        ("2026-10-31 23:00", "22:00", "07:00", "2026-11-01 07:00"),
        ("2026-11-01 01:10", "22:00", "01:30", "2026-11-01 01:30*"),
        ("2026-11-01 01:45", "22:00", "01:30", "2026-11-01 01:30*"),
        ("2026-11-01 01:30*", "22:00", "01:30", None),
        ("2026-11-01 01:40", "01:30", "05:00", "2026-11-01 05:00"),
        ("2026-11-01 01:10*", "01:30", "05:00", "2026-11-01 05:00"),
        ("2026-11-01 01:10", "01:30", "05:00", None),
        ("2026-11-01 01:50", "01:40", "01:20", "2026-11-02 01:20"),
    ],
)
def test_nobody_is_woken_where_the_clock_changes(
    now: Any, start: Any, end: Any, expected: Any
) -> None:
    assert until(now, start, end, NEW_YORK) == expected


def test_a_day_that_never_was_joins_two_nights() -> None:
    # Samoa left out 30 December 2011: both its times are the midnight before the 31st.
    found = until("2011-12-29 23:00", "22:00", "07:00", "Pacific/Apia")

    assert found == "2011-12-31 07:00"


ZONES = st.sampled_from(
    [SAO_PAULO, NEW_YORK, "Australia/Lord_Howe", "Pacific/Apia", "Europe/Lisbon", "UTC"]
)
TIMES = st.times().map(lambda t: t.replace(microsecond=0))
MOMENTS = st.datetimes(
    # Hypothesis wants its bounds without a zone and puts `timezones` to them.
    datetime(2010, 1, 1),  # noqa: DTZ001
    datetime(2030, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


@given(MOMENTS, TIMES, TIMES, ZONES)
def test_the_answer_is_outside_the_quiet_hours_and_never_before_now(
    now: datetime, start: time, end: time, zone: str
) -> None:
    place, quiet = ZoneInfo(zone), QuietHours(start, end)
    found = quiet_until(now, quiet=quiet, zone=place)
    if found is None:
        assert not on_the_wall(now, quiet, place)
        return
    assert found > now
    assert found - now <= timedelta(hours=50)
    assert not on_the_wall(found, quiet, place)
    assert quiet_until(found, quiet=quiet, zone=place) is None


@given(MOMENTS, TIMES, TIMES, ZONES)
def test_what_the_wall_calls_quiet_is_quiet(
    now: datetime, start: time, end: time, zone: str
) -> None:
    place, quiet = ZoneInfo(zone), QuietHours(start, end)
    assume(on_the_wall(now, quiet, place))

    assert quiet_until(now, quiet=quiet, zone=place) is not None


def on_the_wall(moment: datetime, quiet: QuietHours, zone: ZoneInfo) -> bool:
    """Whether the clock on the wall shows a time within the hours."""
    clock = moment.astimezone(zone).time()
    if quiet.start == quiet.end:
        return False
    if quiet.start < quiet.end:
        return quiet.start <= clock < quiet.end
    return clock >= quiet.start or clock < quiet.end
