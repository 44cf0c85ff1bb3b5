"""When the dead letters are an alert: too many of them, or too many new ones; as data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

COOLDOWN = timedelta(minutes=5)
"""Between two tellings of the same alert: one that comes and goes is not told every minute."""

REMIND = timedelta(hours=24)
"""An alert that goes on is told again once a day: dead letters are never removed by themselves."""

CLEAR_BELOW = 0.8
"""It clears below four fifths of its limit, so that a number that swings around it does not ring
every minute."""


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
        told_at: When somebody was told last; None: never.
        told: Whether the present firing was told; only then its end is.
    """

    firing: bool
    since: datetime
    told_at: datetime | None
    told: bool


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
    remind: timedelta = REMIND,
) -> Decision:
    """What follows from the number seen now.

    Args:
        before: What was remembered; None at the first look.
        value: Dead letters there are, or that came within the window.
        limit: It fires at this number and above.
        now: When it was seen.
        cooldown: Least time between two tellings.
        remind: Told again after so long while it goes on.
    """
    state = before or AlertState(firing=False, since=now, told_at=None, told=False)
    if not state.firing:
        if value < limit:
            return Decision(state, Says.NOTHING)
        state = AlertState(firing=True, since=now, told_at=state.told_at, told=False)
    elif value < max(1, limit * CLEAR_BELOW):
        said = Says.CLEARED if state.told else Says.NOTHING
        # Being told of the end is no telling of the alert: the cooldown counts from its firing.
        return Decision(
            AlertState(firing=False, since=now, told_at=state.told_at, told=False), said
        )
    wait = remind if state.told else cooldown
    if state.told_at is not None and now - state.told_at < wait:
        return Decision(state, Says.NOTHING)
    return Decision(AlertState(firing=True, since=state.since, told_at=now, told=True), Says.FIRING)
