"""When to try again after a failed attempt, as data.

The exponential delay with full jitter is that of
https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from notifications.domain.failure import Consequence, Failure, FailureKind
from notifications.domain.jobs import Channel

RETRY_AFTER_CAP = timedelta(minutes=2)
"""A provider may not keep a notice waiting for longer than this (requirement D2)."""

LONGEST_OWN_WAIT = timedelta(days=1)
"""Cap on the waits of our own table of codes: beyond a day nothing is an alert any more."""

MAX_DEFERRALS = 1000
"""A notice without an end of its own is not put off for ever: with a minute between two claims this
is most of a day, in which a person had all the time to mend what stands in the way."""

STATUS_WAIT = timedelta(seconds=45)
"""How long a notice of unknown outcome waits for the provider to tell. Statuses come within
seconds; the same wait as for messages to customers (`PONTE_UNKNOWN_RESEND_SECONDS`)."""

TELLS_AFTERWARDS = frozenset({Channel.WHATSAPP, Channel.SMS})
"""Channels whose provider reports afterwards what became of a message. On the others a repeat
replaces the first copy: the same Message-ID, the same collapse key."""


@dataclass(frozen=True, slots=True)
class RetryIn:
    """Try again when this much time has passed.

    Attributes:
        delay: How long to wait.
        spends: Whether the attempt that failed counts. It does not when it says nothing about the
            notice: the provider was busy, or our account was refused.
    """

    delay: timedelta
    spends: bool = True


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No further attempt, and why: `permanent`, `attempts_exhausted` or `expired`."""

    reason: str


RetryPlan = RetryIn | GiveUp


@dataclass(frozen=True, slots=True)
class RetryPreset:
    """How a kind of failure is retried.

    The ceiling of the nth delay is `base * factor ** (n - 1)`, at most `cap`; the delay is drawn
    between nothing and the ceiling. When `fixed` it is the ceiling, and up to `spread` more.

    Attributes:
        name: For a person to read.
        base: Ceiling of the first delay.
        cap: Ceiling of all of them.
        max_attempts: After so many the notice is given up.
        factor: Growth from one delay to the next.
        fixed: No delay is below its ceiling.
        spread: What may be added to a fixed delay, so that not all come back at once.
        spends: Whether a failure of this kind spends an attempt. When it does not, the delays grow
            with the number of deferrals, and `MAX_DEFERRALS` takes the place of `max_attempts`.
    """

    name: str
    base: timedelta
    cap: timedelta
    max_attempts: int
    factor: int = 2
    fixed: bool = False
    spread: timedelta = timedelta()
    spends: bool = True


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
    max_attempts=16,
    spends=False,
)
PAIR_LIMIT = RetryPreset(
    "pair_limit",
    # Meta asks for 4^X seconds after the Xth refusal for one recipient (131056), X from 0.
    base=timedelta(seconds=1),
    cap=timedelta(hours=1),
    max_attempts=16,
    factor=4,
    fixed=True,
    spread=timedelta(seconds=1),
    spends=False,
)
CHANNEL_STOPPED = RetryPreset(
    "channel_stopped",
    # The breaker, which opens at once, keeps the notices away from the provider; a minute is how
    # late they may notice that a person has mended the account.
    base=timedelta(minutes=1),
    cap=timedelta(minutes=1),
    max_attempts=36,
    fixed=True,
    spread=timedelta(minutes=1),
    spends=False,
)
UNKNOWN_OUTCOME = RetryPreset(
    "unknown_outcome",
    base=STATUS_WAIT,
    cap=STATUS_WAIT,
    max_attempts=5,
    factor=1,
    fixed=True,
)


def waits_for_status(channel: Channel | None, *, at_most_once: bool) -> bool:
    """Whether a notice that may have been sent waits before anything else is done about it."""
    return at_most_once or channel in TELLS_AFTERWARDS


def preset_for(
    failure: Failure, *, channel: Channel | None, at_most_once: bool = False
) -> RetryPreset:
    """The preset for a failure on a channel.

    An e-mail or push of unknown outcome is simply repeated: its Message-ID or collapse key stays
    the same, so that the second copy replaces the first. WhatsApp and SMS have no such id, and a
    notice that may go out once only has to wait on every channel.
    """
    match failure.kind:
        case FailureKind.RATE_LIMITED:
            slow = failure.consequence is Consequence.SLOW_RECIPIENT
            return PAIR_LIMIT if slow else RATE_LIMIT
        case FailureKind.STOP_CHANNEL:
            return CHANNEL_STOPPED
        case FailureKind.UNKNOWN if waits_for_status(channel, at_most_once=at_most_once):
            return UNKNOWN_OUTCOME
        case FailureKind.TRANSIENT | FailureKind.PERMANENT | FailureKind.UNKNOWN:
            return TRANSIENT


def plan_retry(
    attempt: int, failure: Failure, *, preset: RetryPreset, jitter: float, deferrals: int = 0
) -> RetryPlan:
    """What follows after attempt number `attempt` failed.

    Args:
        attempt: how many attempts were made, this one included; from 1.
        failure: why it failed. `permanent` is never tried again.
        preset: see `preset_for`.
        jitter: a number drawn by the caller, from 0 to 1.
        deferrals: how many claims spent no attempt, this one not included.

    Raises:
        ValueError: when `attempt`, `jitter` or `deferrals` is out of range.
    """
    _check(attempt, jitter, deferrals)
    if failure.kind is FailureKind.PERMANENT:
        return GiveUp("permanent")
    if _is_exhausted(attempt, deferrals, failure, preset):
        return GiveUp("attempts_exhausted")
    ceiling = _ceiling(attempt if preset.spends else deferrals + 1, preset)
    if failure.retry_after is not None:
        asked = max(failure.retry_after, timedelta())
        longest = LONGEST_OWN_WAIT if failure.wait_is_ours else RETRY_AFTER_CAP
        # What is drawn comes on top: coming back before the time asked for earns another refusal.
        return RetryIn(min(asked + ceiling * jitter, longest), preset.spends)
    drawn = ceiling + preset.spread * jitter if preset.fixed else ceiling * jitter
    return RetryIn(drawn, preset.spends)


def _check(attempt: int, jitter: float, deferrals: int) -> None:
    if attempt < 1:
        message = f"attempt: expected 1 or more, got {attempt}"
        raise ValueError(message)
    if not 0 <= jitter <= 1:
        message = f"jitter: expected 0 to 1, got {jitter}"
        raise ValueError(message)
    if deferrals < 0:
        message = f"deferrals: expected 0 or more, got {deferrals}"
        raise ValueError(message)


def _is_exhausted(attempt: int, deferrals: int, failure: Failure, preset: RetryPreset) -> bool:
    allowed = preset.max_attempts
    if failure.attempts_allowed is not None:
        allowed = min(allowed, max(failure.attempts_allowed, 1))
    if attempt >= allowed and (preset.spends or failure.attempts_allowed is not None):
        return True
    return not preset.spends and deferrals >= MAX_DEFERRALS


def _ceiling(turn: int, preset: RetryPreset) -> timedelta:
    # Beyond factor**20 every preset has reached its cap; the bound keeps the number small.
    growth: int = preset.factor ** min(turn - 1, 20)
    return min(preset.base * growth, preset.cap)
