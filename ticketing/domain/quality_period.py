"""The weeks whose tickets are reviewed: ISO weeks of one time zone, such as 2026-W11."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_NAME = re.compile(r"(\d{4})-W(\d{2})")
_WEEK = timedelta(days=7)


class PeriodError(ValueError):
    """The text names no week."""

    def __init__(self, text: str) -> None:
        self.field = "period"
        super().__init__(f"period: got {text!r}; expected an ISO week such as 2026-W11")


@dataclass(frozen=True, slots=True)
class Period:
    """One week.

    Attributes:
        name: ISO year and week, such as 2026-W11.
        starts_at: Monday 0:00 of its time zone, in UTC.
        ends_at: The Monday after, in UTC; not part of it. In a week in which clocks are changed
            the two are not 168 hours apart.
    """

    name: str
    starts_at: datetime
    ends_at: datetime


def period_named(name: str, *, zone: ZoneInfo) -> Period:
    """The week of this name.

    Raises:
        PeriodError: it names none.
    """
    match = _NAME.fullmatch(name)
    try:
        if match is None:
            raise PeriodError(name)
        return _starting(date.fromisocalendar(int(match[1]), int(match[2]), 1), zone)
    except (ValueError, OverflowError) as error:
        raise PeriodError(name) from error


def period_of(moment: datetime, *, zone: ZoneInfo) -> Period:
    """The week a moment lies in."""
    day = moment.astimezone(zone).date()
    return _starting(day - timedelta(days=day.weekday()), zone)


def complete_periods(
    now: datetime, *, zone: ZoneInfo, settled: timedelta, count: int
) -> list[Period]:
    """The last weeks that are over, oldest first.

    Args:
        now: The present moment.
        zone: Time zone of the weeks.
        settled: How long after its end a week counts as over: what was under way must be stored.
        count: How many.
    """
    monday = period_of(now - settled, zone=zone).starts_at.astimezone(zone).date()
    return [_starting(monday - _WEEK * back, zone) for back in range(count, 0, -1)]


def _starting(monday: date, zone: ZoneInfo) -> Period:
    year, week, _ = monday.isocalendar()
    starts, ends = (
        datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
        for day in (monday, monday + _WEEK)
    )
    return Period(f"{year:04d}-W{week:02d}", starts, ends)
