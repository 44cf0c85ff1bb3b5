"""Working time against an oracle that looks at every minute, and what must hold of any calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from handoff.business_hours import (
    Calendar,
    CalendarNeverOpensError,
    Interval,
    add_working_time,
    is_open,
    next_opening,
    working_time_between,
)

MINUTE = timedelta(minutes=1)

# A zone, and a day near which its clocks change (or, for Kolkata, never do).
PLACES = (
    ("America/Sao_Paulo", date(2018, 2, 17)),  # back at midnight: 23:00 comes twice
    ("America/Sao_Paulo", date(2018, 11, 3)),  # forward at midnight: there is no 00:00
    ("America/Sao_Paulo", date(2026, 3, 10)),  # no summer time any more
    ("Europe/Lisbon", date(2026, 3, 28)),
    ("Europe/Lisbon", date(2026, 10, 24)),
    ("Asia/Kolkata", date(2026, 3, 28)),  # half an hour off
    ("Pacific/Apia", date(2011, 12, 28)),  # 30 December was left out
    ("America/New_York", date(2026, 10, 31)),
)

# Opening and closing at times that no clock change here touches; shifts may run over one.
_OPENINGS = st.integers(6 * 4, 19 * 4)


def _clock_time(quarters: int) -> time:
    return time(quarters // 4 % 24, quarters % 4 * 15)


@st.composite
def day_hours(draw: st.DrawFn) -> tuple[Interval, ...]:
    kind = draw(st.sampled_from(("closed", "office", "lunch", "night", "always", "day and night")))
    first = draw(_OPENINGS)
    office = (_clock_time(first), _clock_time(first + draw(st.integers(1, 12))))
    night = (time(22, 30), time(5, 15))
    return {
        "closed": (),
        "office": (office,),
        "lunch": ((time(8), time(12)), (time(13), time(18))),
        "night": (night,),
        "always": ((time(0), time(0)),),
        "day and night": ((time(5), time(14)), night),
    }[kind]


@st.composite
def places(draw: st.DrawFn) -> tuple[Calendar, datetime]:
    """A calendar, and a moment a day or two before something odd in its zone."""
    zone_name, near = draw(st.sampled_from(PLACES))
    days = [near + timedelta(days=number) for number in range(6)]
    calendar = Calendar(
        name="some",
        time_zone=zone_name,
        weekly={day: draw(day_hours()) for day in range(7)},
        holidays=frozenset(draw(st.sets(st.sampled_from(days), max_size=2))),
        special_days={
            day: draw(day_hours()) for day in draw(st.sets(st.sampled_from(days), max_size=2))
        },
    )
    start = datetime.combine(near, time(0), tzinfo=UTC) + draw(st.integers(0, 24 * 60)) * MINUTE
    return calendar, start


def open_minutes(calendar: Calendar, start: datetime, count: int) -> list[bool]:
    """Minute by minute, by what a clock on the wall shows; knows nothing of windows."""
    zone = ZoneInfo(calendar.time_zone)
    shown = []
    for number in range(-2 * 24 * 60, count):  # two days before, to know the day before the first
        local = (start + number * MINUTE).astimezone(zone)
        shown.append((local.date(), local.time()))
    day_before = {
        later: earlier
        for (earlier, _), (later, _) in pairwise(shown)
        if later > earlier  # the evening of a clock change may come twice
    }
    result = []
    for day, at in shown[2 * 24 * 60 :]:
        today = calendar.intervals_on(day)
        yesterday = calendar.intervals_on(day_before[day]) if day in day_before else ()
        result.append(
            any(
                opens <= at < closes or (closes <= opens and at >= opens) for opens, closes in today
            )
            or any(closes <= opens and at < closes for opens, closes in yesterday)
        )
    return result


@given(place=places(), minutes=st.integers(0, 5 * 24 * 60))
@settings(max_examples=150, deadline=None)
def test_working_time_is_the_number_of_open_minutes(
    place: tuple[Calendar, datetime], minutes: int
) -> None:
    calendar, start = place
    expected = sum(open_minutes(calendar, start, minutes))
    assert working_time_between(calendar, start, start + minutes * MINUTE) == expected * MINUTE


@given(place=places(), wanted=st.integers(1, 30 * 60))
@settings(max_examples=100, deadline=None)
def test_the_due_time_is_where_the_open_minutes_have_been_counted(
    place: tuple[Calendar, datetime], wanted: int
) -> None:
    calendar, start = place
    count = 0
    for number, is_working in enumerate(open_minutes(calendar, start, 6 * 24 * 60)):
        count += is_working
        if count == wanted:
            assert add_working_time(calendar, start, wanted * MINUTE) == (
                start + (number + 1) * MINUTE
            )
            return


@given(place=places(), minutes=st.integers(0, 3 * 24 * 60))
@settings(max_examples=60, deadline=None)
def test_open_is_what_the_oracle_calls_open(place: tuple[Calendar, datetime], minutes: int) -> None:
    calendar, start = place
    moment = start + minutes * MINUTE
    assert is_open(calendar, moment) is open_minutes(calendar, moment, 1)[0]


_SPANS = st.timedeltas(timedelta(), timedelta(days=40))


@given(place=places(), first=_SPANS, second=_SPANS)
@settings(max_examples=150, deadline=None)
def test_the_parts_of_a_stretch_add_up_to_the_whole(
    place: tuple[Calendar, datetime], first: timedelta, second: timedelta
) -> None:
    calendar, start = place
    middle, end = start + first, start + first + second
    whole = working_time_between(calendar, start, end)
    assert whole == (
        working_time_between(calendar, start, middle) + working_time_between(calendar, middle, end)
    )
    assert timedelta() <= whole <= first + second


@given(place=places(), duration=st.timedeltas(timedelta(), timedelta(days=20)), more=_SPANS)
@settings(max_examples=150, deadline=None)
def test_adding_working_time_is_undone_by_counting_it_and_never_goes_back(
    place: tuple[Calendar, datetime], duration: timedelta, more: timedelta
) -> None:
    calendar, start = place
    try:
        due = add_working_time(calendar, start, duration)
    except CalendarNeverOpensError:
        assert not any(calendar.weekly.values())
        return
    assert working_time_between(calendar, start, due) == duration
    # The earliest such moment: a moment before it, less had passed.
    if duration:
        before = due - timedelta(microseconds=1)
        assert working_time_between(calendar, start, before) < duration
    try:
        assert add_working_time(calendar, start + more, duration) >= due
        assert add_working_time(calendar, start, duration + more) >= due
    except CalendarNeverOpensError:
        assert not any(calendar.weekly.values())


@given(place=places())
@settings(max_examples=60, deadline=None)
def test_the_next_opening_is_open_and_nothing_before_it_is(
    place: tuple[Calendar, datetime],
) -> None:
    calendar, start = place
    try:
        opening = next_opening(calendar, start)
    except CalendarNeverOpensError:
        return
    assert is_open(calendar, opening)
    assert working_time_between(calendar, start, opening) == timedelta()


@pytest.mark.parametrize(("zone_name", "near"), PLACES)
def test_a_calendar_that_never_closes_counts_every_second(zone_name: str, near: date) -> None:
    always = Calendar("always", zone_name, dict.fromkeys(range(7), ((time(0), time(0)),)))
    start = datetime.combine(near, time(7, 13), tzinfo=UTC)
    assert working_time_between(always, start, start + timedelta(days=9)) == timedelta(days=9)


@example(duration=timedelta(hours=24 * 365 * 3))
@given(duration=st.timedeltas(timedelta(days=100), timedelta(days=1_200)))
@settings(max_examples=20, deadline=None)
def test_a_target_of_years_has_a_due_time(duration: timedelta) -> None:
    office = Calendar(
        "office", "America/Sao_Paulo", dict.fromkeys(range(5), ((time(9), time(17)),))
    )
    start = datetime(2026, 3, 10, 13, tzinfo=UTC)
    due = add_working_time(office, start, duration)
    assert working_time_between(office, start, due) == duration
