"""Pauses a provider asks for: of a whole job name (429, 130429), or of one recipient (131056).

The same rules run as `notifications/shared_state/gate.lua` in Redis; a test drives both side by
side. Times are whole milliseconds there, so keep to them here too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from notifications.domain.breaker import EPOCH, time_left
from notifications.domain.failure import Consequence, Failure, FailureKind

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=10)
"""A job name's own pauses: 5 s, and twice as long each time the limit is met again."""

LONGEST_ASKED = timedelta(minutes=2)
"""A provider's `Retry-After` is believed so far, as required."""

FORGET_AFTER = timedelta(minutes=10)
"""So long after a pause has ended the next one is a first one again."""

RAMP_REFILL = timedelta(seconds=5)
"""After a pause one notice leaves; when its result does not come by then (it failed otherwise, its
process died), one more."""

RAMP_GROWTH = 2
"""Each success lets two more leave: 1, 2, 4, 8, ..."""

RAMP_MOST = 32
"""So many may have been let through beyond those that succeeded."""

RAMP_DONE = 32
"""Successes after which the job name runs free again."""

RAMP_POLL = timedelta(seconds=1)
"""When the others ask again while it ramps up."""

RECIPIENT_BASE = 4
LONGEST_STEP = 4
"""Meta asks to wait 4^X seconds, X from 0, one more with each refusal; 4^4 s are four minutes."""


@dataclass(frozen=True, slots=True)
class Pause:
    """The pause of a job name.

    Attributes:
        until: Nothing leaves before.
        length: How far ahead `until` was set.
        step: Pauses that followed each other.
        ramping: It carefully begins again.
        allowance: While ramping: how many may leave now.
        granted_at: While ramping: when one was let through last.
        passed: While ramping: how many succeeded.
    """

    until: datetime = EPOCH
    length: timedelta = timedelta()
    step: int = 0
    ramping: bool = False
    allowance: int = 0
    granted_at: datetime = EPOCH
    passed: int = 0

    def waits(self, now: datetime) -> timedelta:
        """How long until a notice may leave; zero: now."""
        left = time_left(self.until, self.length, now)
        if left:
            return left
        return timedelta() if self._may_leave(now) else RAMP_POLL

    def _may_leave(self, now: datetime) -> bool:
        idle = not timedelta() <= now - self.granted_at < RAMP_REFILL
        return not self.ramping or self.allowance > 0 or idle


NO_PAUSE = Pause()


@dataclass(frozen=True, slots=True)
class RecipientPause:
    """The pause of one recipient on one job name."""

    until: datetime = EPOCH
    length: timedelta = timedelta()
    step: int = -1

    def waits(self, now: datetime) -> timedelta:
        """How long until a notice may leave to this one; zero: now."""
        return time_left(self.until, self.length, now)


NO_RECIPIENT_PAUSE = RecipientPause()


def slows_number(failure: Failure | None) -> bool:
    """Whether nothing more may leave by this job name for a while."""
    if failure is None or failure.consequence is Consequence.SLOW_RECIPIENT:
        return False
    # A limit that the table knows nothing more of is taken for one of the whole number.
    is_limit = failure.kind is FailureKind.RATE_LIMITED
    return is_limit or failure.consequence is Consequence.SLOW_NUMBER


def slows_recipient(failure: Failure | None) -> bool:
    """Whether nothing more may leave to this recipient for a while."""
    return failure is not None and failure.consequence is Consequence.SLOW_RECIPIENT


def asked_pause(failure: Failure) -> timedelta:
    """The pause that the provider, or our table, asks for, within bounds."""
    asked = max(failure.retry_after or timedelta(), timedelta())
    return min(asked, LONGEST_PAUSE if failure.wait_is_ours else LONGEST_ASKED)


def slow(pause: Pause, asked: timedelta, now: datetime) -> Pause:
    """The job name's pause after the provider met us with a limit."""
    pause = remembered(pause, now)
    if time_left(pause.until, pause.length, now):
        # A send that was under way when the pause began: the same limit, not a new one.
        left = max(pause.until, now + asked)
        return replace(pause, until=left, length=max(left - now, pause.length))
    own: timedelta = min(FIRST_PAUSE * (1 << min(pause.step, 10)), LONGEST_PAUSE)
    length = max(own, asked)
    return Pause(until=now + length, length=length, step=pause.step + 1, ramping=True, allowance=1)


def grant(pause: Pause, now: datetime) -> Pause:
    """The pause after one notice was let through; only when it `waits` no longer."""
    if not pause.ramping:
        return pause
    # An empty allowance is filled up by time, see `RAMP_REFILL`.
    left = max(pause.allowance, 1) - 1
    return replace(pause, allowance=left, granted_at=now)


def passed(pause: Pause, now: datetime) -> Pause:
    """The pause after a notice was answered without a limit."""
    if not pause.ramping or time_left(pause.until, pause.length, now):
        return pause
    count = pause.passed + 1
    if count >= RAMP_DONE:
        return replace(pause, ramping=False, allowance=0, passed=0)
    return replace(pause, passed=count, allowance=min(pause.allowance + RAMP_GROWTH, RAMP_MOST))


def remembered(pause: Pause, now: datetime) -> Pause:
    """The pause, or none when it is long over."""
    return NO_PAUSE if now >= pause.until + FORGET_AFTER else pause


def slow_recipient(pause: RecipientPause, asked: timedelta, now: datetime) -> RecipientPause:
    """The recipient's pause after the provider asked for one."""
    if now >= pause.until + FORGET_AFTER:
        pause = NO_RECIPIENT_PAUSE
    if time_left(pause.until, pause.length, now):
        left = max(pause.until, now + asked)
        return replace(pause, until=left, length=max(left - now, pause.length))
    step = min(pause.step + 1, LONGEST_STEP)
    length = max(timedelta(seconds=RECIPIENT_BASE**step), asked)
    return RecipientPause(until=now + length, length=length, step=step)
