"""Whether somebody is there: said by themselves, kept alive by a lease."""

from __future__ import annotations

from datetime import datetime, timedelta

from ticketing.domain.enums import PresenceState

LONGEST_LEASE = timedelta(hours=24)
"""A program may say for how long it is there without a sign; longer than a day is forgotten."""

PRESENT = frozenset({PresenceState.ONLINE, PresenceState.BUSY, PresenceState.AWAY})
"""States that keep one's chats. Only `online` gets new ones."""


def in_force(state: PresenceState, *, expires_at: datetime | None, now: datetime) -> PresenceState:
    """The state that counts now: a lease that ran out means offline."""
    if state is PresenceState.OFFLINE or expires_at is None or expires_at <= now:
        return PresenceState.OFFLINE
    return state


def lease_end(state: PresenceState, *, lease: timedelta, now: datetime) -> datetime | None:
    """Until when a state holds without a further sign; None for offline, which needs none."""
    return None if state is PresenceState.OFFLINE else now + lease
