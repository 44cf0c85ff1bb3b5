"""When an agent works: weekly hours in a time zone, and days off."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from handoff.business_hours import Calendar, Interval, is_open, next_closing, working_time_between

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MAX_INTERVALS = 4  # a day; more is a mistake rather than a shift
MAX_DAYS_OFF = 400
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]|24):([0-5]\d)")
_MIDNIGHT_AFTER = "24:00"
_A_DAY = 24 * 60

SHIFT_GRACE = timedelta(minutes=15)
"""After the end of a shift people finish what they are at; then their chats are given on."""


class InvalidShiftError(ValueError):
    """A shift plan that cannot be; names the field."""

    def __init__(self, problem: str, *, field: str, allowed: Sequence[str] = ()) -> None:
        self.field = field
        self.allowed = list(allowed)
        super().__init__(f"{field}: {problem}")


@dataclass(frozen=True, slots=True)
class ShiftPlan:
    """When somebody works.

    Attributes:
        time_zone: IANA name.
        weekly: Day (`mon` ... `sun`) to intervals such as `09:00-18:00`; an end at or before the
            beginning is on the next day, `24:00` is midnight.
        days_off: Dates on which no shift begins.
    """

    time_zone: str
    weekly: Mapping[str, tuple[str, ...]]
    days_off: frozenset[date] = frozenset()

    def calendar(self) -> Calendar:
        """The plan as a calendar, which knows about summer time."""
        return Calendar(
            name="shift",
            time_zone=self.time_zone,
            weekly={
                DAYS.index(day): tuple(_interval(text, field=f"weekly.{day}") for text in spans)
                for day, spans in self.weekly.items()
            },
            holidays=self.days_off,
        )


def make_plan(
    *, time_zone: str, weekly: Mapping[str, Sequence[str]], days_off: Sequence[date] = ()
) -> ShiftPlan:
    """A checked plan.

    Raises:
        InvalidShiftError: naming the field and what was expected.
    """
    _check_zone(time_zone)
    for day, spans in weekly.items():
        if day not in DAYS:
            problem = f"unknown day {day!r}; expected one of {', '.join(DAYS)}"
            raise InvalidShiftError(problem, field="weekly", allowed=DAYS)
        _check_day(day, spans)
    if len(days_off) > MAX_DAYS_OFF:
        problem = f"{len(days_off)} dates; expected at most {MAX_DAYS_OFF}"
        raise InvalidShiftError(problem, field="days_off")
    return ShiftPlan(
        time_zone=time_zone,
        weekly={day: tuple(weekly[day]) for day in DAYS if weekly.get(day)},
        days_off=frozenset(days_off),
    )


def in_shift(plan: ShiftPlan | None, at: datetime) -> bool:
    """Whether they work at that moment; somebody without a plan always may."""
    return plan is None or is_open(plan.calendar(), at)


def shift_ends(plan: ShiftPlan | None, at: datetime) -> datetime | None:
    """When the present shift ends; None when they are in none, or have no plan."""
    if plan is None or not in_shift(plan, at):
        return None
    return next_closing(plan.calendar(), at)


def shift_is_over(plan: ShiftPlan | None, *, since: datetime, now: datetime) -> bool:
    """Whether work that was begun at `since` should be given on because the shift has ended.

    Not within `SHIFT_GRACE` of the end, and not when it was begun outside of any shift: who takes a
    ticket in their free time keeps it.
    """
    if plan is None or in_shift(plan, now) or in_shift(plan, now - SHIFT_GRACE):
        return False
    return working_time_between(plan.calendar(), since, now) > timedelta(0)


def _check_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        problem = f"{name!r} is no time zone; expected a name such as America/Sao_Paulo"
        raise InvalidShiftError(problem, field="time_zone") from error


def _check_day(day: str, spans: Sequence[str]) -> None:
    field = f"weekly.{day}"
    if len(spans) > MAX_INTERVALS:
        problem = f"{len(spans)} intervals; expected at most {MAX_INTERVALS}"
        raise InvalidShiftError(problem, field=field)
    last_end = 0
    for text in spans:
        opens, closes = _interval(text, field=field)
        begins, ends = _minutes(opens), _minutes(closes)
        if ends <= begins:
            ends += _A_DAY
        if begins < last_end:
            problem = f"{text} begins before the one before it ends; expected them in order"
            raise InvalidShiftError(problem, field=field)
        last_end = ends


def _interval(text: str, *, field: str) -> Interval:
    found = _HOURS.fullmatch(text)
    if found is None or (found[3] == "24" and found[4] != "00"):
        problem = f"got {text!r}; expected hours such as 09:00-18:00"
        raise InvalidShiftError(problem, field=field)
    closes = time(0) if text.endswith(_MIDNIGHT_AFTER) else time(int(found[3]), int(found[4]))
    return (time(int(found[1]), int(found[2])), closes)


def _minutes(moment: time) -> int:
    return moment.hour * 60 + moment.minute
