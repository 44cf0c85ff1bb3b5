"""The breaker of one job name: stops asking a provider that fails, and finds out when it is back.

    closed --5 failures in a row, or the account refused--> open --60 s, or 10 min--> half-open
    half-open: one single probe; it succeeds: closed; it fails: open again

The same rules run as `notifications/shared_state/gate.lua` in Redis, for all processes together; a
test drives both side by side. Times are whole milliseconds there, so keep to them here too.
Docs: docs/decisions/0012-breaker.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from notifications.domain.failure import Consequence, Failure, FailureKind

FAILURES_TO_OPEN = 5
"""Failures in a row, as required: one or two happen, five have one cause."""

OPEN_FOR = timedelta(seconds=60)
"""Until a probe, as required."""

STOPPED_FOR = timedelta(minutes=10)
"""Until a probe when the account is refused: a person has to mend it, and refused requests look
bad to a provider."""

PROBE_LEASE = timedelta(seconds=120)
"""How long a probe keeps its place. A send ends after 90 s at most, and its result may wait a
little until it is told; beyond this the process died, and another one may try."""

PROBE_POLL = timedelta(seconds=5)
"""When the others ask again while a probe is under way: it takes a second as a rule."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

_RECIPIENTS_FAULT = frozenset(
    {
        Consequence.SLOW_RECIPIENT,
        Consequence.STRIKE_RECIPIENT,
        Consequence.DISABLE_RECIPIENT,
        Consequence.OPT_OUT_RECIPIENT,
    }
)


NEVER_ASKED = frozenset({"unknown_outcome", "no_sender"})
"""Codes of ours for which no provider was asked."""


class BreakerState(StrEnum):
    """Whether notices of a job name may leave."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


class Verdict(StrEnum):
    """What one send says about the provider."""

    SUCCESS = "success"
    FAILURE = "failure"
    STOPPED = "stopped"
    """The account is refused."""
    NEUTRAL = "neutral"
    """It answers; whatever it refused is no fault of its own."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """The breaker of one job name.

    Attributes:
        state: See `BreakerState`.
        failures: Failures in a row while closed; those that opened it while it is not.
        generation: Grows with every change of state; 0: never opened, or forgotten.
        until: Open: when a probe may leave. Half-open: when its place is free again.
        pause: How far ahead `until` was set; see `time_left`.
        changed_at: When the state changed last.
        code: Code of the failure that opened it.
    """

    state: BreakerState = BreakerState.CLOSED
    failures: int = 0
    generation: int = 0
    until: datetime = EPOCH
    pause: timedelta = timedelta()
    changed_at: datetime = EPOCH
    code: str = ""

    def waits(self, now: datetime) -> timedelta:
        """How long until a notice may leave; zero: now (as the probe, when not closed)."""
        if self.state is BreakerState.CLOSED:
            return timedelta()
        left = time_left(self.until, self.pause, now)
        return min(left, PROBE_POLL) if self.state is BreakerState.HALF_OPEN else left


CLOSED = Breaker()


def time_left(until: datetime, length: timedelta, now: datetime) -> timedelta:
    """How long a wait that was `length` long goes on; zero when it is over.

    One that lies further ahead than it ever was is over too: the clock was set back, and nobody
    shall wait for hours because of that.
    """
    left = until - now
    return left if timedelta() < left <= length else timedelta()


def verdict_of(failure: Failure | None) -> Verdict:
    """What a send says about the provider; `failure` is None when it was taken.

    An outcome that nobody knows (a time-out) is a failure of the provider. Limits are not: the
    pauses see to them. Nor is what is wrong with the recipient or the notice. A fault of our own
    code in the middle of a send (`internal_error`) counts: after five of them a new release is what
    is broken, and notices that wait lose no attempts to it.
    """
    if failure is None:
        return Verdict.SUCCESS
    if failure.code in NEVER_ASKED:
        return Verdict.NEUTRAL
    if failure.kind is FailureKind.STOP_CHANNEL:
        return Verdict.STOPPED
    is_failure = failure.kind in {FailureKind.TRANSIENT, FailureKind.UNKNOWN}
    if is_failure and failure.consequence not in _RECIPIENTS_FAULT:
        return Verdict.FAILURE
    return Verdict.NEUTRAL


def take_probe(breaker: Breaker, now: datetime) -> Breaker:
    """The breaker after a probe was let through; only when it `waits` no longer."""
    return replace(
        breaker,
        state=BreakerState.HALF_OPEN,
        generation=_next_generation(breaker, now),
        until=now + PROBE_LEASE,
        pause=PROBE_LEASE,
        changed_at=now,
    )


def settle(
    breaker: Breaker, verdict: Verdict, *, probe: bool, generation: int, code: str, now: datetime
) -> Breaker:
    """The breaker after the outcome of one send; the same one when it does not count.

    Args:
        breaker: Before.
        verdict: What the send says.
        probe: It was let through as the probe.
        generation: The breaker's generation when it was let through; 0: not known.
        code: The failure's code, for whoever is told.
        now: When.
    """
    if generation not in {0, breaker.generation}:
        return breaker  # it began before the state changed: it says nothing about now
    if breaker.state is BreakerState.HALF_OPEN:
        return _probed(breaker, verdict, code, now) if probe else breaker
    if breaker.state is BreakerState.OPEN or verdict is Verdict.NEUTRAL:
        return breaker
    if verdict is Verdict.SUCCESS:
        return replace(breaker, failures=0)
    failures = breaker.failures + 1
    if verdict is Verdict.STOPPED or failures >= FAILURES_TO_OPEN:
        return _open(breaker, verdict, failures, code, now)
    return replace(breaker, failures=failures)


def _probed(breaker: Breaker, verdict: Verdict, code: str, now: datetime) -> Breaker:
    if verdict in {Verdict.FAILURE, Verdict.STOPPED}:
        return _open(breaker, verdict, breaker.failures, code, now)
    # Whatever else it said, the provider answers again.
    generation = _next_generation(breaker, now)
    return Breaker(generation=generation, changed_at=now)


def _open(breaker: Breaker, verdict: Verdict, failures: int, code: str, now: datetime) -> Breaker:
    pause = STOPPED_FOR if verdict is Verdict.STOPPED else OPEN_FOR
    return Breaker(
        state=BreakerState.OPEN,
        failures=failures,
        generation=_next_generation(breaker, now),
        until=now + pause,
        pause=pause,
        changed_at=now,
        code=code,
    )


def _next_generation(breaker: Breaker, now: datetime) -> int:
    """From the time, so that a breaker that was forgotten does not count the same ones again."""
    return max(breaker.generation + 1, (now - EPOCH) // _MILLISECOND)
