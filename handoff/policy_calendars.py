"""The `calendars` section of the policy file."""

from __future__ import annotations

import calendar
import difflib
import itertools
import re
from collections.abc import Callable, Collection, Iterable
from datetime import date, time
from zoneinfo import available_timezones

from handoff.business_hours import Calendar, Interval
from handoff.policy_nodes import Node, Reader, expected_names

HolidayDates = Callable[[str, str | None, int], Collection[date]]
"""(country, subdivision or None, year) to the public holidays of that year.

Raises LookupError, with a message for the designer, for a region it does not know."""

HOLIDAY_YEARS = range(2020, 2051)
"""Years whose holidays a calendar knows: back far enough for a backtest, ahead for any SLA."""

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_INTERVAL = re.compile(r"([01]\d|2[0-3]):([0-5]\d)\s*-\s*([01]\d|2[0-4]):([0-5]\d)")
_EVERY_YEAR = re.compile(r"(\d\d)-(\d\d)")
_LEAP_YEAR = 2024  # for checking a day and month that come every year
_INTERVAL_HELP = 'expected hours such as "08:00-12:00"'


def read_calendars(
    node: Node,
    reader: Reader,
    holiday_dates: HolidayDates | None,
) -> dict[str, Calendar]:
    """All calendars of the file by name."""
    return {
        name: _read_calendar(name, entry, reader, holiday_dates)
        for name, entry in reader.entries(node).items()
    }


def _read_calendar(
    name: str,
    node: Node,
    reader: Reader,
    holiday_dates: HolidayDates | None,
) -> Calendar:
    section = reader.section(
        node,
        required=("time_zone", "weekly"),
        optional=("holidays", "closed", "special_days"),
    )
    holidays: set[date] = set()
    if "holidays" in section:
        holidays |= _read_region(section["holidays"], reader, holiday_dates)
    if "closed" in section:
        holidays |= _read_dates(section["closed"], reader)
    weekly = _read_weekly(section["weekly"], reader) if "weekly" in section else {}
    special = _read_special(section["special_days"], reader) if "special_days" in section else {}
    if "weekly" in section and not any(weekly.values()):
        reader.wrong(section["weekly"], "the calendar never opens; expected hours on some day")
    return Calendar(
        name=name,
        time_zone=_read_zone(section["time_zone"], reader) if "time_zone" in section else "UTC",
        weekly=weekly,
        holidays=frozenset(holidays),
        special_days=special,
    )


def _read_zone(node: Node, reader: Reader) -> str:
    zone = reader.text(node)
    if not zone or zone in available_timezones():
        return zone or "UTC"
    near = difflib.get_close_matches(zone, sorted(available_timezones()), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    reader.wrong(node, f"unknown time zone {zone!r}; expected an IANA name{hint}")
    return "UTC"


def _read_region(
    node: Node,
    reader: Reader,
    holiday_dates: HolidayDates | None,
) -> set[date]:
    section = reader.section(node, required=("country",), optional=("subdivision",))
    if "country" not in section:
        return set()
    country = reader.text(section["country"])
    subdivision = reader.text(section["subdivision"]) if "subdivision" in section else None
    if holiday_dates is None:
        reader.wrong(
            node,
            "public holidays need a source; expected the caller to pass holiday_dates",
        )
        return set()
    try:
        dates = [holiday_dates(country, subdivision, year) for year in HOLIDAY_YEARS]
    except LookupError as err:
        reader.wrong(node, str(err.args[0]) if err.args else "unknown country or subdivision")
        return set()
    return {day for year_dates in dates for day in year_dates}


def _read_weekly(node: Node, reader: Reader) -> dict[int, tuple[Interval, ...]]:
    weekly: dict[int, tuple[Interval, ...]] = {}
    for key, entry in reader.entries(node).items():
        days = _weekdays(key)
        if not days:
            help_text = expected_names(key, (*WEEKDAYS, "mon-fri"))
            reader.wrong(entry, f"unknown day {key!r}{help_text}")
            continue
        intervals = _read_intervals(entry, reader)
        for day in days:
            if day in weekly:
                reader.wrong(entry, f"{WEEKDAYS[day]} is given twice; expected each day once")
            weekly[day] = intervals
    return dict(sorted(weekly.items()))


def _weekdays(key: str) -> tuple[int, ...]:
    """Numbers of "sat", "mon-fri" or "sat-mon"; empty when the key is neither."""
    first, dash, last = (part.strip() for part in key.casefold().partition("-"))
    if first not in WEEKDAYS or (dash and last not in WEEKDAYS):
        return ()
    start = WEEKDAYS.index(first)
    if not dash:
        return (start,)
    count = (WEEKDAYS.index(last) - start) % len(WEEKDAYS) + 1
    return tuple((start + offset) % len(WEEKDAYS) for offset in range(count))


def _read_intervals(node: Node, reader: Reader) -> tuple[Interval, ...]:
    """Hours of one day; an empty list is a closed day."""
    spans = reader.names(node, may_be_empty=True)
    intervals: list[Interval] = []
    for span in spans:
        found = _INTERVAL.fullmatch(span)
        interval = found and _interval(*(int(part) for part in found.groups()))
        if interval is None:
            reader.wrong(node, f"got {span!r}; {_INTERVAL_HELP}")
        else:
            intervals.append(interval)
    intervals.sort()
    for earlier, later in itertools.pairwise(intervals):
        if earlier[1] > later[0] or earlier[1] <= earlier[0]:
            reader.wrong(node, f"hours overlap at {later[0]:%H:%M}; expected them one by one")
    return tuple(intervals)


def _interval(opens_hour: int, opens_minute: int, hour: int, minute: int) -> Interval | None:
    is_midnight = hour == 24  # noqa: PLR2004 - 24:00 is how people write the end of the day
    if is_midnight and minute:
        return None
    closes = time(0) if is_midnight else time(hour, minute)
    return time(opens_hour, opens_minute), closes


def _read_special(node: Node, reader: Reader) -> dict[date, tuple[Interval, ...]]:
    special: dict[date, tuple[Interval, ...]] = {}
    for key, entry in reader.entries(node).items():
        intervals = _read_intervals(entry, reader)
        for day in _dates(key, entry, reader):
            special[day] = intervals
    return special


def _read_dates(node: Node, reader: Reader) -> set[date]:
    return {
        day
        for item in reader.items(node)
        for text in (reader.text(item),)
        if text
        for day in _dates(text, item, reader)
    }


def _dates(text: str, node: Node, reader: Reader) -> Iterable[date]:
    """The date "2027-02-08", or "01-25" in each year that has it."""
    every_year = _EVERY_YEAR.fullmatch(text)
    try:
        if every_year is None:
            return (date.fromisoformat(text),)
        month, day = (int(part) for part in every_year.groups())
        date(_LEAP_YEAR, month, day)
    except ValueError:
        reader.wrong(node, f"got {text!r}; expected a date such as 2027-02-08, or 01-25 (any year)")
        return ()
    return tuple(_in_each_year(month, day))


def _in_each_year(month: int, day: int) -> Iterable[date]:
    is_leap_day = (month, day) == (2, 29)
    return (
        date(year, month, day) for year in HOLIDAY_YEARS if not is_leap_day or calendar.isleap(year)
    )
