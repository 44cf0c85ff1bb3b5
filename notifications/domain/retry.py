"""When to try again after a failed attempt, as data.

The exponential delay with full jitter is that of
https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from notifications.domain.failure import Failure, FailureKind
from notifications.domain.jobs import Channel

RETRY_AFTER_CAP = timedelta(minutes=2)
"""A provider may not keep a notice waiting for longer than this (requirement D2)."""


@dataclass(frozen=True, slots=True)
class RetryIn:
    """Try again when this much time has passed."""

    delay: timedelta


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No further attempt, and why: `permanent` or `attempts_exhausted`."""

    reason: str


RetryPlan = RetryIn | GiveUp


@dataclass(frozen=True, slots=True)
class RetryPreset:
    """How a kind of failure is retried.

    The ceiling of the nth delay is `base * 2 ** (n - 1)`, at most `cap`; the delay is drawn between
    nothing and the ceiling, or is the ceiling itself when `fixed`.
    """

    name: str
    base: timedelta
    cap: timedelta
    max_attempts: int
    fixed: bool = False


TRANSIENT = RetryPreset(
    "transient",
    base=timedelta(seconds=5),
    cap=timedelta(minutes=30),
    # About 50 minutes on average and 100 at most: long enough for the greylisting of a mail server
    # (5 to 60 minutes), short enough that an alert is not stale when it arrives.
    max_attempts=12,
)
RATE_LIMIT = RetryPreset(
    "rate_limit",
    base=timedelta(seconds=5),
    cap=timedelta(minutes=10),
    # A limit clears by itself, so it may cost more attempts than a fault.
    max_attempts=16,
)
CHANNEL_STOPPED = RetryPreset(
    "channel_stopped",
    base=timedelta(minutes=10),
    cap=timedelta(minutes=10),
    # Six hours for a person to mend the credentials before the notice is given up.
    max_attempts=36,
    fixed=True,
)
UNKNOWN_OUTCOME = RetryPreset(
    "unknown_outcome",
    # The status webhook of a WhatsApp message comes within seconds; a minute without one says that
    # the message was not taken.
    base=timedelta(seconds=60),
    cap=timedelta(seconds=60),
    max_attempts=5,
    fixed=True,
)


def preset_for(failure: Failure, *, channel: Channel | None) -> RetryPreset:
    """The preset for a failure on a channel.

    An e-mail of unknown outcome is simply repeated: its Message-ID stays the same, so mailboxes
    that know it drop the second copy. WhatsApp has no such id, so it first waits for a status.
    """
    match failure.kind:
        case FailureKind.RATE_LIMITED:
            return RATE_LIMIT
        case FailureKind.STOP_CHANNEL:
            return CHANNEL_STOPPED
        case FailureKind.UNKNOWN if channel is not Channel.EMAIL:
            return UNKNOWN_OUTCOME
        case FailureKind.TRANSIENT | FailureKind.PERMANENT | FailureKind.UNKNOWN:
            return TRANSIENT


def plan_retry(attempt: int, failure: Failure, *, preset: RetryPreset, jitter: float) -> RetryPlan:
    """What follows after attempt number `attempt` failed.

    Args:
        attempt: how many attempts were made, this one included; from 1.
        failure: why it failed. `permanent` is never tried again.
        preset: see `preset_for`.
        jitter: a number drawn by the caller, from 0 to 1.

    Raises:
        ValueError: when `attempt` or `jitter` is out of range.
    """
    if attempt < 1:
        message = f"attempt: expected 1 or more, got {attempt}"
        raise ValueError(message)
    if not 0 <= jitter <= 1:
        message = f"jitter: expected 0 to 1, got {jitter}"
        raise ValueError(message)
    if failure.kind is FailureKind.PERMANENT:
        return GiveUp("permanent")
    if attempt >= preset.max_attempts:
        return GiveUp("attempts_exhausted")
    if failure.retry_after is not None:
        asked = max(failure.retry_after, timedelta())
        # The jitter comes on top: coming back before the time asked for earns another refusal.
        return RetryIn(min(asked + jitter * preset.base, RETRY_AFTER_CAP))
    # Beyond 2**20 every preset has reached its cap; the bound keeps the number small.
    ceiling = min(preset.base * 2 ** min(attempt - 1, 20), preset.cap)
    return RetryIn(ceiling if preset.fixed else ceiling * jitter)
