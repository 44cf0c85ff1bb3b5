"""Alerts about the system itself: when one fires, when it is told, when it is over; as data.

An alert fires at its limit and is over below four fifths of it, so that a number that swings around
the limit does not ring every minute. Between two tellings of the same alert lies its cooldown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

COOLDOWN = timedelta(minutes=5)
"""Least time between two tellings of the same alert, as required."""

LONGEST_REMINDER = timedelta(hours=1)
"""An alert that goes on is told again after 5, 10, 20, 40 minutes, then every hour."""

CLEAR_BELOW = 0.8
"""Share of the limit below which an alert is over."""

FLAP = timedelta(minutes=5)
"""Something that breaks again within this time after it was mended counts as not mended: its end
is told when it has held for so long."""


class Says(StrEnum):
    """What is told now."""

    NOTHING = "nothing"
    FIRING = "firing"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True)
class AlertState:
    """What is remembered of an alert.

    Attributes:
        firing: It fires now.
        since: When it began to, or ended.
        told_at: When its firing was told last; None: never.
        value: What was seen last. Of a breaker: how often it opened without holding in between.
    """

    firing: bool
    since: datetime
    told_at: datetime | None
    value: int = 0

    @property
    def told(self) -> bool:
        """Whether the present firing was told; only then its end is."""
        return self.firing and self.told_at is not None and self.told_at >= self.since


@dataclass(frozen=True, slots=True)
class Decision:
    """The state afterwards, and what is told."""

    state: AlertState
    says: Says


def decide(
    before: AlertState | None,
    *,
    value: int,
    limit: int,
    now: datetime,
    cooldown: timedelta = COOLDOWN,
    remind: timedelta | None = None,
) -> Decision:
    """What follows from the number seen now.

    Args:
        before: What was remembered; None at the first look.
        value: What was seen, such as notices that wait.
        limit: It fires at this number and above.
        now: When it was seen.
        cooldown: Least time between two tellings.
        remind: Told again after so long while it goes on; None: sooner at first, see
            `LONGEST_REMINDER`.
    """
    state = replace(before or AlertState(firing=False, since=now, told_at=None), value=value)
    if not state.firing:
        if value < limit:
            return Decision(state, Says.NOTHING)
        state = replace(state, firing=True, since=now)
    elif value < max(1, limit * CLEAR_BELOW):
        return Decision(_over(state, now), Says.CLEARED if state.told else Says.NOTHING)
    if state.told_at is not None:
        wait = _pause(state, state.told_at, cooldown, remind)
        if timedelta() <= now - state.told_at < wait:
            return Decision(state, Says.NOTHING)
    return Decision(replace(state, told_at=now), Says.FIRING)


def _pause(
    state: AlertState, told_at: datetime, cooldown: timedelta, remind: timedelta | None
) -> timedelta:
    if remind is not None:
        return max(remind, cooldown) if state.told else cooldown
    # So long as it had gone on when it was told last: twice as long each time.
    return min(max(told_at - state.since, cooldown), max(LONGEST_REMINDER, cooldown))


def broke(before: AlertState | None, *, at: datetime, now: datetime) -> Decision:
    """Something that either works or does not stopped working: a breaker opened.

    Args:
        before: What was remembered.
        at: When it broke; news that is older than what is known changes nothing.
        now: When somebody says so.
    """
    if before is None:
        return Decision(AlertState(firing=True, since=at, told_at=now, value=1), Says.FIRING)
    if before.firing or at < before.since:
        return Decision(before, Says.NOTHING)
    again = before.value > 0 and at - before.since < FLAP
    state = AlertState(firing=True, since=at, told_at=now, value=before.value + 1 if again else 1)
    return Decision(state, Says.FIRING)


def mended(
    before: AlertState | None, *, at: datetime, now: datetime, seen_at: datetime | None = None
) -> Decision:
    """It works again. Call it again while it does: an end that must hold first is told later.

    Args:
        before: What was remembered.
        at: Since when it works, as far as known.
        now: When somebody says so.
        seen_at: When it was seen to work; None: at `at`. What was seen before it broke is no news.
    """
    if before is None:
        state = AlertState(firing=False, since=at, told_at=None)
        return Decision(state, Says.NOTHING)
    if not before.firing or (seen_at or at) < before.since:
        return Decision(before, Says.NOTHING)
    at = max(at, before.since)
    if before.value > 1 and now - at < FLAP:
        return Decision(before, Says.NOTHING)
    return Decision(_over(before, at), Says.CLEARED)


def _over(state: AlertState, at: datetime) -> AlertState:
    return replace(state, firing=False, since=at)
