from __future__ import annotations

from datetime import UTC, datetime, timedelta

from kit.clock import FakeClock, SystemClock


class TestSystemClock:
    def test_is_aware_and_in_utc(self) -> None:
        assert SystemClock().now().utcoffset() == timedelta()

    def test_is_moved_by_its_offset(self) -> None:
        ahead = SystemClock(timedelta(days=400)).now()

        assert timedelta(days=399) < ahead - SystemClock().now() < timedelta(days=401)


def test_a_fake_clock_stands_still_until_it_is_moved() -> None:
    clock = FakeClock(datetime(2026, 3, 10, tzinfo=UTC))
    clock.advance(timedelta(minutes=5))

    assert clock.now() == clock.now() == datetime(2026, 3, 10, 0, 5, tzinfo=UTC)
