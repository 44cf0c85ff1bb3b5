"""Shifts in a time zone: night shifts, days off, summer time, and when work is given on."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from ticketing.domain.routing.shifts import (
    SHIFT_GRACE,
    InvalidShiftError,
    ShiftPlan,
    in_shift,
    make_plan,
    shift_ends,
    shift_is_over,
)

SAO_PAULO, LISBON = ZoneInfo("America/Sao_Paulo"), ZoneInfo("Europe/Lisbon")


def plan(**weekly: list[str]) -> ShiftPlan:
    return make_plan(time_zone="America/Sao_Paulo", weekly=weekly)


@pytest.mark.parametrize(
    ("at", "works"),
    [
        (datetime(2026, 3, 10, 8, 59, 59, tzinfo=SAO_PAULO), False),
        (datetime(2026, 3, 10, 9, 0, tzinfo=SAO_PAULO), True),
        (datetime(2026, 3, 10, 12, 30, tzinfo=SAO_PAULO), False),
        (datetime(2026, 3, 10, 18, 0, tzinfo=SAO_PAULO), False),
        (datetime(2026, 3, 11, 23, 0, tzinfo=SAO_PAULO), True),
        (datetime(2026, 3, 12, 5, 59, tzinfo=SAO_PAULO), True),
        (datetime(2026, 3, 12, 6, 0, tzinfo=SAO_PAULO), False),
    ],
)
def test_hours_of_a_week_with_a_break_and_a_night(at: datetime, works: bool) -> None:
    assert in_shift(plan(tue=["09:00-12:00", "13:00-18:00"], wed=["22:00-06:00"]), at) is works


def test_who_has_no_plan_works_whenever_they_say_so() -> None:
    assert in_shift(None, datetime(2026, 1, 1, tzinfo=UTC))


def test_on_a_day_off_no_shift_begins_but_the_night_before_runs_to_its_end() -> None:
    made = make_plan(
        time_zone="America/Sao_Paulo",
        weekly={"tue": ["22:00-06:00"], "wed": ["09:00-18:00"]},
        days_off=[date(2026, 3, 11)],
    )
    assert in_shift(made, datetime(2026, 3, 11, 5, 0, tzinfo=SAO_PAULO))
    assert not in_shift(made, datetime(2026, 3, 11, 10, 0, tzinfo=SAO_PAULO))


def test_the_hours_stay_on_the_wall_clock_when_summer_time_begins() -> None:
    made = make_plan(
        time_zone="Europe/Lisbon", weekly={"sun": ["00:00-08:00"], "mon": ["08:00-16:00"]}
    )
    # In the night to Sunday, 2026-03-29, the clock goes from 01:00 to 02:00.
    ends = shift_ends(made, datetime(2026, 3, 29, 0, 30, tzinfo=LISBON))
    assert ends == datetime(2026, 3, 29, 8, 0, tzinfo=LISBON)
    assert ends is not None
    assert ends - datetime(2026, 3, 29, 0, 0, tzinfo=LISBON).astimezone(UTC) == timedelta(hours=7)
    assert in_shift(made, datetime(2026, 3, 30, 8, 0, tzinfo=LISBON))


def test_work_is_given_on_after_the_grace_unless_it_was_begun_off_shift() -> None:
    made = plan(tue=["09:00-18:00"])
    end = datetime(2026, 3, 10, 18, 0, tzinfo=SAO_PAULO)
    begun = end - timedelta(hours=1)
    assert not shift_is_over(made, since=begun, now=end)
    assert not shift_is_over(made, since=begun, now=end + SHIFT_GRACE - timedelta(seconds=1))
    assert shift_is_over(made, since=begun, now=end + SHIFT_GRACE)
    assert not shift_is_over(made, since=end + timedelta(minutes=5), now=end + timedelta(hours=3))
    assert not shift_is_over(None, since=begun, now=end + timedelta(days=9))


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"time_zone": "Mars/Base", "weekly": {}}, "time_zone"),
        ({"time_zone": "../etc/passwd", "weekly": {}}, "time_zone"),
        ({"time_zone": "UTC", "weekly": {"monday": []}}, "weekly"),
        ({"time_zone": "UTC", "weekly": {"mon": ["9-18"]}}, "weekly.mon"),
        ({"time_zone": "UTC", "weekly": {"mon": ["09:00-24:30"]}}, "weekly.mon"),
        ({"time_zone": "UTC", "weekly": {"mon": ["09:00-12:00", "11:00-18:00"]}}, "weekly.mon"),
        ({"time_zone": "UTC", "weekly": {"mon": ["13:00-18:00", "09:00-12:00"]}}, "weekly.mon"),
        ({"time_zone": "UTC", "weekly": {"mon": ["22:00-06:00", "07:00-08:00"]}}, "weekly.mon"),
        ({"time_zone": "UTC", "weekly": {"mon": [f"0{n}:00-0{n}:30" for n in range(5)]}},
         "weekly.mon"),
        ({"time_zone": "UTC", "weekly": {}, "days_off": [date(2026, 1, 1)] * 401}, "days_off"),
    ],
)  # fmt: skip
def test_a_plan_that_cannot_be_is_refused_by_its_field(
    values: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidShiftError) as refused:
        make_plan(**values)  # type: ignore[arg-type]
    assert refused.value.field == field


def test_a_whole_day_and_midnight_can_be_written() -> None:
    made = plan(tue=["00:00-24:00"], wed=["18:00-24:00"])
    assert in_shift(made, datetime(2026, 3, 10, 23, 59, tzinfo=SAO_PAULO))
    assert in_shift(made, datetime(2026, 3, 11, 23, 59, tzinfo=SAO_PAULO))
    assert not in_shift(made, datetime(2026, 3, 12, 0, 0, tzinfo=SAO_PAULO))
