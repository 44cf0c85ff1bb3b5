"""When somebody does not want to be disturbed, in their own wall time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_LONGEST_SEARCH = 8
"""Periods that may touch one another around a change of the clock; two were ever seen."""


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From one time of day to another, over midnight when `end` is the earlier one.

    Equal times are no quiet hours: a whole day of them would be "never", which is what turning a
    channel off is for.
    """

    start: time
    end: time


def quiet_until(now: datetime, *, quiet: QuietHours, zone: ZoneInfo) -> datetime | None:
    """The end of the quiet hours that `now` lies in, in UTC; None when it lies in none.

    Where clocks change: a time that does not exist is the moment of the change. A time that comes
    twice begins quiet hours the first time and ends them the second, so nobody is woken in between.

    Args:
        now: An aware time.
        quiet: The hours, as the clock on the wall shows them.
        zone: Whose wall.
    """
    if quiet.start == quiet.end:
        return None
    moment = now.astimezone(UTC)
    until: datetime | None = None
    for _ in range(_LONGEST_SEARCH):
        end = _end_of_period(moment, quiet, zone)
        if end is None:
            break
        # The next quiet hours may begin where these end: 02:10 to 02:05 on a night without 02:00.
        until = moment = end
    return until


def _end_of_period(moment: datetime, quiet: QuietHours, zone: ZoneInfo) -> datetime | None:
    today = moment.astimezone(zone).date()
    # Two days back: some zones once left out a whole day.
    for day in (today - 2 * _DAY, today - _DAY, today):
        begin = _instant(day, quiet.start, zone, last=False)
        end_day = day if quiet.start < quiet.end else day + _DAY
        end = _instant(end_day, quiet.end, zone, last=True)
        if begin <= moment < end:
            return end
    return None


def _instant(day: date, clock: time, zone: ZoneInfo, *, last: bool) -> datetime:
    """When the wall shows this, in UTC: the first or last of two times, or the change itself."""
    first = datetime.combine(day, clock, tzinfo=zone).replace(fold=0)
    second = first.replace(fold=1)
    early, late = first.astimezone(UTC), second.astimezone(UTC)
    if early <= late:  # equal on ordinary days
        return late if last else early
    # The wall never shows it. `late` is before the change and `early` after it: find it between.
    before, after = late, early
    offset_before = before.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + (after - before) / 2
        if middle.astimezone(zone).utcoffset() == offset_before:
            before = middle
        else:
            after = middle
    # Clocks change on whole seconds, and the search ends within one.
    return after.replace(microsecond=0)
