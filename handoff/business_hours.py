"""When a team works: open or closed, next opening, and time counted in working hours.

All arithmetic is done in UTC, so a day with 23 or 25 hours counts what really passed. A wall time
that the clock skips is read with the offset before the gap (RFC 5545, section 3.3.5); one that
comes twice opens at its first and closes at its second occurrence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo

Interval = tuple[time, time]
"""Opening and closing wall time. A closing at or before the opening is on the next day, so
(22:00, 06:00) is a night shift and (00:00, 00:00) a whole day."""

Window = tuple[datetime, datetime]

MAX_CLOSED_DAYS = 731  # two years without an opening: no real calendar, rather a mistake in it
MAX_OPEN_DAYS = 400  # a calendar open for longer than a year counts as one that never closes

_ONE_DAY = timedelta(days=1)
_NOON = time(12)
_VERSION_LENGTH = 8
_DAYS_KEPT = 16_384  # working days of a dozen calendars over the years that open tickets span


class CalendarNeverOpensError(ValueError):
    """The calendar has no opening in the two years after the moment asked for."""

    def __init__(self, calendar: str, after: datetime) -> None:
        self.calendar = calendar
        self.after = after
        super().__init__(
            f"calendar {calendar!r} does not open within {MAX_CLOSED_DAYS} days "
            f"after {after.isoformat()}",
        )


@dataclass(frozen=True, slots=True)
class Calendar:
    """The working hours of one team.

    Attributes:
        name: As the policy names it.
        time_zone: IANA name; wall times below are in it.
        weekly: Weekday (0 = Monday) to its intervals; a missing day is closed.
        holidays: Dates on which no interval begins. A night shift that began the evening before
            runs to its end.
        special_days: Dates with hours of their own (none: closed); they win over both.
    """

    name: str
    time_zone: str
    weekly: Mapping[int, tuple[Interval, ...]]
    holidays: frozenset[date] = frozenset()
    special_days: Mapping[date, tuple[Interval, ...]] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """Short hash of all hours and dates; stored with every decision that looked at them."""
        content = [
            self.time_zone,
            sorted((day, _spelled(spans)) for day, spans in self.weekly.items()),
            sorted(day.isoformat() for day in self.holidays),
            sorted((day.isoformat(), _spelled(spans)) for day, spans in self.special_days.items()),
        ]
        digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
        return digest[:_VERSION_LENGTH]

    def intervals_on(self, day: date) -> tuple[Interval, ...]:
        """The intervals that begin on a local date."""
        if day in self.special_days:
            return self.special_days[day]
        if day in self.holidays:
            return ()
        return self.weekly.get(day.weekday(), ())


def is_open(calendar: Calendar, at: datetime) -> bool:
    """Whether the team works at that moment. Opening is inside, closing (18:00:00) is outside."""
    moment = _utc(at)
    for opens, closes in _windows(calendar, moment, days=2):
        if opens > moment:
            return False
        if moment < closes:
            return True
    return False


def next_opening(calendar: Calendar, at: datetime) -> datetime:
    """The first moment from `at` on at which the team works, in UTC; `at` itself when open.

    Raises:
        CalendarNeverOpensError: Nothing opens within two years.
    """
    moment = _utc(at)
    for opens, closes in _windows(calendar, moment, days=MAX_CLOSED_DAYS):
        if moment < closes:
            return max(opens, moment)
    raise CalendarNeverOpensError(calendar.name, moment)


def next_closing(calendar: Calendar, at: datetime) -> datetime | None:
    """The first moment from `at` on at which the team does not work, in UTC.

    `at` itself when closed; None when the calendar stays open for more than a year (24/7).
    """
    moment = _utc(at)
    end = moment
    for opens, closes in _windows(calendar, moment, days=MAX_OPEN_DAYS):
        if opens > end:
            return end
        end = max(end, closes)
    return end if end - moment < (MAX_OPEN_DAYS - 1) * _ONE_DAY else None


def add_working_time(calendar: Calendar, start: datetime, duration: timedelta) -> datetime:
    """The earliest moment by which `duration` of working time has passed since `start`, in UTC.

    A duration that ends with the day ends at closing time, not at the next opening. Zero gives
    `start` back.

    Raises:
        CalendarNeverOpensError: The calendar has no (further) working hours.
        ValueError: The duration is negative, or `start` has no zone.
    """
    if duration < timedelta():
        message = f"duration: got {duration}; expected zero or more"
        raise ValueError(message)
    moment, remaining = _utc(start), duration
    while remaining:
        opens = next_opening(calendar, moment)
        moment, remaining = _work_from(calendar, opens, remaining)
    return moment


def working_time_between(calendar: Calendar, start: datetime, end: datetime) -> timedelta:
    """Working time from `start` to `end`; zero when `end` is not after `start`."""
    begins, ends = _utc(start), _utc(end)
    total = timedelta()
    counted_to = begins  # windows of an overnight shift and of the next day may overlap
    for opens, closes in _windows(calendar, begins, days=(ends - begins).days + 3):
        if opens >= ends:
            break
        worked_to = min(closes, ends)
        total += max(worked_to - max(opens, counted_to), timedelta())
        counted_to = max(counted_to, worked_to)
    return total


def _work_from(
    calendar: Calendar,
    opening: datetime,
    remaining: timedelta,
) -> tuple[datetime, timedelta]:
    """Use up working time from an open moment on: where it got to and what is still left."""
    moment = opening
    for opens, closes in _windows(calendar, opening, days=MAX_OPEN_DAYS):
        begins = max(opens, moment)
        if closes <= begins:
            continue
        if closes - begins >= remaining:
            return begins + remaining, timedelta()
        remaining -= closes - begins
        moment = closes
    return moment, remaining


def _windows(calendar: Calendar, start: datetime, *, days: int) -> Iterator[Window]:
    """Opening windows in UTC by opening time, from the day before `start` for so many days.

    The day before is there because of its night shift. Windows may overlap. Stops at the ends of
    the supported years instead of raising.
    """
    zone_name = calendar.time_zone
    try:
        day = start.astimezone(ZoneInfo(zone_name)).date() - _ONE_DAY
        for _ in range(days + 2):
            if intervals := calendar.intervals_on(day):
                yield from _windows_of_day(intervals, day, zone_name)
            day += _ONE_DAY
    except OverflowError:  # before year 1 or after year 9999
        return


@lru_cache(maxsize=_DAYS_KEPT)
def _windows_of_day(
    intervals: tuple[Interval, ...], day: date, zone_name: str
) -> tuple[Window, ...]:
    """What a day's hours are in UTC; kept, because every clock asks about the same days."""
    zone = ZoneInfo(zone_name)
    if not _exists(day, zone):
        return ()
    windows: list[Window] = []
    for opening, closing in intervals:
        last_day = day if closing > opening else day + _ONE_DAY
        opens = datetime.combine(day, opening, tzinfo=zone).astimezone(timezone.utc)
        closing_times = (
            datetime.combine(last_day, closing.replace(fold=fold), tzinfo=zone) for fold in (0, 1)
        )
        closes = max(wall.astimezone(timezone.utc) for wall in closing_times)
        if closes > opens:
            windows.append((opens, closes))
    return tuple(sorted(windows))


def _exists(day: date, zone: ZoneInfo) -> bool:
    """Whether the zone had this date at all (Samoa had no 30 December 2011)."""
    noon = datetime.combine(day, _NOON, tzinfo=zone)
    return noon.astimezone(timezone.utc).astimezone(zone).date() == day


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None or moment.utcoffset() is None:
        message = "got a time without a zone; expected an aware datetime"
        raise ValueError(message)
    try:
        return moment.astimezone(timezone.utc)
    except OverflowError:  # within a day of year 1 or 9999: the offset changes nothing that counts
        return moment.replace(tzinfo=timezone.utc)


def _spelled(intervals: tuple[Interval, ...]) -> list[str]:
    return [f"{opens.isoformat()}-{closes.isoformat()}" for opens, closes in intervals]
