from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff.business_hours import (
    Calendar,
    CalendarNeverOpensError,
    add_working_time,
    is_open,
    next_closing,
    next_opening,
    working_time_between,
)

SAO_PAULO = ZoneInfo("America/Sao_Paulo")
NEW_YORK = ZoneInfo("America/New_York")
OFFICE = ((time(8), time(12)), (time(13), time(18)))
SATURDAY = ((time(9), time(13)),)

BUSINESS = Calendar(
    name="business",
    time_zone="America/Sao_Paulo",
    weekly={**dict.fromkeys(range(5), OFFICE), 5: SATURDAY},
    holidays=frozenset({date(2026, 11, 20), date(2026, 12, 25)}),
    special_days={date(2026, 12, 24): ((time(8), time(12)),)},
)
NIGHT = Calendar(
    name="night",
    time_zone="America/Sao_Paulo",
    weekly=dict.fromkeys(range(5), ((time(22), time(6)),)),
    holidays=frozenset({date(2026, 11, 20)}),
)
ALWAYS = Calendar(
    name="always",
    time_zone="America/Sao_Paulo",
    weekly=dict.fromkeys(range(7), ((time(0), time(0)),)),
)
NEVER = Calendar(name="never", time_zone="America/Sao_Paulo", weekly={})


def at(text: str, zone: ZoneInfo = SAO_PAULO) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


@pytest.mark.parametrize(
    ("calendar", "moment", "expected"),
    [
        (BUSINESS, "2026-11-24T07:59:59", False),
        (BUSINESS, "2026-11-24T08:00:00", True),
        (BUSINESS, "2026-11-24T11:59:59", True),
        (BUSINESS, "2026-11-24T12:00:00", False),
        (BUSINESS, "2026-11-24T12:59:59", False),
        (BUSINESS, "2026-11-24T13:00:00", True),
        (BUSINESS, "2026-11-24T17:59:59", True),
        (BUSINESS, "2026-11-24T17:59:59.999999", True),
        (BUSINESS, "2026-11-24T18:00:00", False),
        (BUSINESS, "2026-11-28T12:59:59", True),
        (BUSINESS, "2026-11-28T13:00:00", False),
        (BUSINESS, "2026-11-29T10:00:00", False),
        (BUSINESS, "2026-11-20T10:00:00", False),
        (BUSINESS, "2026-12-24T11:00:00", True),
        (BUSINESS, "2026-12-24T14:00:00", False),
        (NIGHT, "2026-11-23T21:59:59", False),
        (NIGHT, "2026-11-23T22:00:00", True),
        (NIGHT, "2026-11-24T05:59:59", True),
        (NIGHT, "2026-11-24T06:00:00", False),
        (NIGHT, "2026-11-20T03:00:00", True),  # began on Thursday, before the holiday
        (NIGHT, "2026-11-20T23:00:00", False),  # would begin on the holiday
        (NIGHT, "2026-11-28T05:00:00", True),  # Friday's night runs into Saturday
        (ALWAYS, "2026-11-29T03:17:00", True),
        (NEVER, "2026-11-24T10:00:00", False),
    ],
)
def test_is_open(calendar: Calendar, moment: str, *, expected: bool) -> None:
    assert is_open(calendar, at(moment)) is expected


@pytest.mark.parametrize(
    ("calendar", "moment", "expected"),
    [
        (BUSINESS, "2026-11-24T10:15:00", "2026-11-24T10:15:00"),
        (BUSINESS, "2026-11-24T12:30:00", "2026-11-24T13:00:00"),
        (BUSINESS, "2026-11-24T18:00:00", "2026-11-25T08:00:00"),
        (BUSINESS, "2026-11-19T18:00:00", "2026-11-21T09:00:00"),  # over the holiday
        (BUSINESS, "2026-11-28T13:00:00", "2026-11-30T08:00:00"),  # over Sunday
        (BUSINESS, "2026-12-24T12:00:00", "2026-12-26T09:00:00"),  # short day, then Christmas
        (NIGHT, "2026-11-24T10:00:00", "2026-11-24T22:00:00"),
        (ALWAYS, "2026-11-29T03:17:00", "2026-11-29T03:17:00"),
    ],
)
def test_next_opening(calendar: Calendar, moment: str, expected: str) -> None:
    assert next_opening(calendar, at(moment)) == at(expected)


@pytest.mark.parametrize(
    ("calendar", "moment", "expected"),
    [
        (BUSINESS, "2026-11-24T10:15:00", "2026-11-24T12:00:00"),
        (BUSINESS, "2026-11-24T12:30:00", "2026-11-24T12:30:00"),
        (NIGHT, "2026-11-23T23:00:00", "2026-11-24T06:00:00"),
        (NEVER, "2026-11-24T10:00:00", "2026-11-24T10:00:00"),
    ],
)
def test_next_closing(calendar: Calendar, moment: str, expected: str) -> None:
    assert next_closing(calendar, at(moment)) == at(expected)


def test_a_calendar_without_an_end_has_no_next_closing() -> None:
    assert next_closing(ALWAYS, at("2026-11-24T10:00:00")) is None


def test_a_calendar_that_never_opens_says_so_instead_of_searching_for_ever() -> None:
    with pytest.raises(CalendarNeverOpensError, match="'never' does not open within 731 days"):
        next_opening(NEVER, at("2026-11-24T10:00:00"))
    with pytest.raises(CalendarNeverOpensError):
        add_working_time(NEVER, at("2026-11-24T10:00:00"), timedelta(minutes=1))
    assert working_time_between(NEVER, at("2026-11-01T00:00"), at("2027-11-01T00:00")) == (
        timedelta()
    )


def test_an_opening_on_a_special_day_alone_is_found() -> None:
    fair = Calendar("fair", "UTC", {}, special_days={date(2027, 5, 1): ((time(9), time(10)),)})

    assert next_opening(fair, datetime(2026, 1, 1, tzinfo=UTC)) == datetime(
        2027, 5, 1, 9, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("calendar", "start", "hours", "expected"),
    [
        (BUSINESS, "2026-11-24T10:00:00", 0, "2026-11-24T10:00:00"),
        (BUSINESS, "2026-11-24T03:00:00", 0, "2026-11-24T03:00:00"),
        (BUSINESS, "2026-11-24T10:00:00", 2, "2026-11-24T12:00:00"),  # ends at closing time
        (BUSINESS, "2026-11-24T10:00:00", 3, "2026-11-24T14:00:00"),  # over lunch
        (BUSINESS, "2026-11-24T17:30:00", 1, "2026-11-25T08:30:00"),
        (BUSINESS, "2026-11-19T17:00:00", 2, "2026-11-21T10:00:00"),  # over the holiday
        (BUSINESS, "2026-11-24T20:00:00", 9, "2026-11-25T18:00:00"),
        (NIGHT, "2026-11-23T23:00:00", 8, "2026-11-24T23:00:00"),
        (ALWAYS, "2026-11-23T23:00:00", 10_000, "2028-01-14T15:00:00"),
    ],
)
def test_add_working_time(calendar: Calendar, start: str, hours: int, expected: str) -> None:
    assert add_working_time(calendar, at(start), timedelta(hours=hours)) == at(expected)


def test_a_negative_duration_is_refused() -> None:
    with pytest.raises(ValueError, match="expected zero or more"):
        add_working_time(BUSINESS, at("2026-11-24T10:00:00"), timedelta(seconds=-1))


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        ("2026-11-24T10:00:00", "2026-11-24T14:00:00", 3),
        ("2026-11-24T14:00:00", "2026-11-24T10:00:00", 0),
        ("2026-11-24T10:00:00", "2026-11-24T10:00:00", 0),
        ("2026-11-19T17:00:00", "2026-11-21T10:00:00", 2),
        ("2026-11-22T00:00:00", "2026-11-29T00:00:00", 49),
    ],
)
def test_working_time_between(start: str, end: str, hours: int) -> None:
    assert working_time_between(BUSINESS, at(start), at(end)) == timedelta(hours=hours)


def test_overlapping_night_and_day_shifts_are_counted_once() -> None:
    both = Calendar(
        "both",
        "UTC",
        dict.fromkeys(range(7), ((time(6), time(14)), (time(22), time(7)))),
    )
    start = datetime(2026, 11, 24, 22, tzinfo=UTC)

    assert working_time_between(both, start, start + timedelta(hours=16)) == timedelta(hours=16)
    assert next_closing(both, start) == datetime(2026, 11, 25, 14, tzinfo=UTC)
    assert add_working_time(both, start, timedelta(hours=16)) == start + timedelta(hours=16)


class TestDaylightSaving:
    """Clocks change on 2026-03-08 and 2026-11-01 at 02:00 in New York."""

    ROUND_THE_CLOCK = Calendar(
        "always",
        "America/New_York",
        dict.fromkeys(range(7), ((time(0), time(0)),)),
    )
    NIGHT = Calendar(
        "night",
        "America/New_York",
        dict.fromkeys(range(7), ((time(22), time(6)),)),
    )

    @pytest.mark.parametrize(("day", "hours"), [((3, 8), 23), ((11, 1), 25), ((6, 1), 24)])
    def test_a_day_has_the_hours_that_really_pass(self, day: tuple[int, int], hours: int) -> None:
        midnight = datetime(2026, *day, tzinfo=NEW_YORK)
        next_midnight = datetime.combine(midnight.date() + timedelta(1), time(0), tzinfo=NEW_YORK)

        worked = working_time_between(self.ROUND_THE_CLOCK, midnight, next_midnight)

        assert worked == timedelta(hours=hours)

    @pytest.mark.parametrize(
        ("evening", "morning", "hours"),
        [((3, 7), (3, 8), 7), ((10, 31), (11, 1), 9)],
    )
    def test_a_night_shift_is_an_hour_shorter_or_longer(
        self,
        evening: tuple[int, int],
        morning: tuple[int, int],
        hours: int,
    ) -> None:
        start = datetime(2026, *evening, 22, tzinfo=NEW_YORK)
        end = datetime(2026, *morning, 6, tzinfo=NEW_YORK)

        assert working_time_between(self.NIGHT, start, end) == timedelta(hours=hours)
        assert add_working_time(self.NIGHT, start, timedelta(hours=hours)) == end

    def test_hours_in_the_repeated_hour_stay_open_through_both(self) -> None:
        early = Calendar("early", "America/New_York", {6: ((time(1), time(1, 30)),)})
        first = datetime(2026, 11, 1, 1, 15, tzinfo=NEW_YORK)

        assert is_open(early, first)
        assert is_open(early, first.replace(fold=1))
        assert working_time_between(
            early, first - timedelta(hours=2), first + timedelta(hours=4)
        ) == timedelta(minutes=90)

    def test_an_opening_in_the_skipped_hour_happens_after_it(self) -> None:
        early = Calendar("early", "America/New_York", {6: ((time(2, 30), time(5)),)})

        opening = next_opening(early, datetime(2026, 3, 8, 0, 0, tzinfo=NEW_YORK))

        assert opening == datetime(2026, 3, 8, 3, 30, tzinfo=NEW_YORK)

    def test_a_clock_that_jumps_at_midnight_leaves_no_hole_between_the_days(self) -> None:
        """São Paulo had no 00:00 to 01:00 on 2018-11-04."""
        before = datetime(2018, 11, 3, 23, 59, 59, tzinfo=SAO_PAULO).astimezone(UTC)

        assert all(is_open(ALWAYS, before + timedelta(seconds=step)) for step in range(3))
        assert next_closing(ALWAYS, before) is None

    def test_a_date_that_never_was_has_no_hours(self) -> None:
        """Samoa went from 29 to 31 December 2011."""
        samoa = Calendar("samoa", "Pacific/Apia", {4: OFFICE, 5: SATURDAY})
        start = datetime(2011, 12, 29, 0, tzinfo=ZoneInfo("Pacific/Apia"))

        assert working_time_between(samoa, start, start + timedelta(days=3)) == timedelta(hours=4)


def test_a_time_without_a_zone_is_refused() -> None:
    naive = datetime(2026, 11, 24, 10)  # noqa: DTZ001 - that is the point

    for question in (is_open, next_opening, next_closing):
        with pytest.raises(ValueError, match="expected an aware datetime"):
            question(BUSINESS, naive)


@pytest.mark.parametrize(
    "moment",
    [datetime.min, datetime.max],  # noqa: DTZ901 - the test gives them several zones
)
def test_the_ends_of_the_calendar_do_not_overflow(moment: datetime) -> None:
    for offset in (-12, 0, 14):
        edge = moment.replace(tzinfo=timezone(timedelta(hours=offset)))
        is_open(BUSINESS, edge)
        next_closing(ALWAYS, edge)
        working_time_between(BUSINESS, edge, edge)


def test_the_version_of_a_calendar_changes_with_its_hours_and_dates_only() -> None:
    same = Calendar("other name", BUSINESS.time_zone, BUSINESS.weekly, BUSINESS.holidays)
    without_special = Calendar("x", BUSINESS.time_zone, BUSINESS.weekly, BUSINESS.holidays)
    more_holidays = Calendar("x", BUSINESS.time_zone, BUSINESS.weekly)

    assert same.version == without_special.version
    assert len({BUSINESS.version, same.version, more_holidays.version}) == 3


MOMENTS = st.datetimes(
    min_value=datetime(2018, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(2028, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
DURATIONS = st.timedeltas(min_value=timedelta(), max_value=timedelta(hours=200))
CALENDARS = st.sampled_from(
    [BUSINESS, NIGHT, ALWAYS, TestDaylightSaving.NIGHT, TestDaylightSaving.ROUND_THE_CLOCK],
)


@given(CALENDARS, MOMENTS, DURATIONS)
def test_the_time_added_is_the_time_that_passes(
    calendar: Calendar,
    start: datetime,
    duration: timedelta,
) -> None:
    end = add_working_time(calendar, start, duration)

    assert end >= start
    assert working_time_between(calendar, start, end) == duration


@given(CALENDARS, MOMENTS, DURATIONS, DURATIONS)
def test_adding_in_two_steps_ends_where_adding_at_once_does(
    calendar: Calendar,
    start: datetime,
    first: timedelta,
    second: timedelta,
) -> None:
    halfway = add_working_time(calendar, start, first)

    in_steps = add_working_time(calendar, halfway, second)

    assert in_steps == add_working_time(calendar, start, first + second)


@given(CALENDARS, MOMENTS, DURATIONS, DURATIONS)
def test_working_time_of_parts_sums_to_the_whole_and_never_shrinks(
    calendar: Calendar,
    start: datetime,
    first: timedelta,
    second: timedelta,
) -> None:
    middle, end = start + first, start + first + second
    whole = working_time_between(calendar, start, end)

    left = working_time_between(calendar, start, middle)
    right = working_time_between(calendar, middle, end)

    assert left + right == whole
    assert timedelta() <= left <= whole <= end - start


@given(CALENDARS, MOMENTS)
def test_the_next_opening_is_open_and_nothing_before_it_is(
    calendar: Calendar,
    moment: datetime,
) -> None:
    opening = next_opening(calendar, moment)

    assert is_open(calendar, opening)
    assert working_time_between(calendar, moment, opening) == timedelta()
    closing = next_closing(calendar, opening)
    assert closing is None or (closing > opening and not is_open(calendar, closing))
