"""The only reader of the wall clock.

Everything else takes `now` as an argument or a `Clock` from its wiring.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Something that tells the time."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock, moved by a fixed offset.

    The offset is for demonstrations and training: with it a Sunday can be played as a Tuesday.
    It is zero in operation (`ponte doctor` says so when it is not).
    """

    def __init__(self, offset: timedelta = timedelta()) -> None:
        self._offset = offset

    def now(self) -> datetime:
        """The present moment, aware, in UTC, moved by the offset."""
        return datetime.now(UTC) + self._offset  # noqa: TID251 - this is the one place


class FakeClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        """The moment the test has set."""
        return self._now

    def advance(self, by: timedelta) -> None:
        """Move forward (or back, with a negative `by`)."""
        self._now += by

    def set(self, to: datetime) -> None:
        """Jump to a moment."""
        self._now = to
