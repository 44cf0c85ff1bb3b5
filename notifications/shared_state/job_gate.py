"""The gate of one job name, breaker and pauses, in memory; `gate.lua` is the same in Redis.

No I/O and no clock: `LocalGate` keeps one of these for each job name, `SharedGate` asks Redis.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from notifications.domain import breaker as breakers
from notifications.domain import pauses
from notifications.domain.breaker import Breaker, BreakerState, Verdict, verdict_of
from notifications.domain.pauses import NO_RECIPIENT_PAUSE, Pause, RecipientPause
from notifications.services.ports import Outcome, Passage

BREAKER_OPEN = "breaker_open"
SLOWED = "slowed"
RECIPIENT_SLOWED = "recipient_slowed"

MOST_RECIPIENTS = 10_000
"""Paused recipients that are remembered in memory; beyond it those whose pause is over go."""


@dataclass(frozen=True, slots=True)
class Signal:
    """What one send says to the gate.

    Attributes:
        key: The recipient, as a keyed hash.
        verdict: What it says about the provider.
        effect: `number` or `recipient`: which of them pauses; empty: none.
        asked: How long the provider asks to pause.
        code: Code of the failure.
        probe: It was let through as the probe.
        generation: The breaker's generation then; 0: not known.
    """

    key: str
    verdict: Verdict
    effect: str = ""
    asked: timedelta = timedelta()
    code: str = ""
    probe: bool = False
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """The breaker went from one state to another."""

    before: BreakerState
    after: BreakerState


def signal_of(outcome: Outcome, key: str) -> Signal:
    """What the outcome says to the gate."""
    failure = outcome.failure
    effect = ""
    if pauses.slows_recipient(failure):
        effect = "recipient"
    elif pauses.slows_number(failure):
        effect = "number"
    return Signal(
        key=key,
        verdict=verdict_of(failure),
        effect=effect,
        asked=_whole(pauses.asked_pause(failure)) if failure is not None else timedelta(),
        code=failure.code if failure is not None else "",
        probe=outcome.probe,
        generation=outcome.generation,
    )


@dataclass(slots=True)
class JobGate:
    """See the module's text."""

    breaker: Breaker = breakers.CLOSED
    pause: Pause = pauses.NO_PAUSE
    recipients: dict[str, RecipientPause] = field(default_factory=dict)

    def admit(self, keys: Sequence[str], now: datetime) -> list[Passage]:
        """One answer for each recipient, in order; see `Gate.admit`."""
        return [self._admit_one(key, now) for key in keys]

    def _admit_one(self, key: str, now: datetime) -> Passage:
        own = self.recipients.get(key, NO_RECIPIENT_PAUSE).waits(now)
        if own:
            return Passage(allowed=False, wait=own, reason=RECIPIENT_SLOWED)
        wait, reason = self.waits(now)
        if wait:
            return Passage(allowed=False, wait=wait, reason=reason)
        self.pause = pauses.grant(self.pause, now)
        if self.breaker.state is BreakerState.CLOSED:
            return Passage(allowed=True, generation=self.breaker.generation)
        self.breaker = breakers.take_probe(self.breaker, now)
        return Passage(allowed=True, probe=True, generation=self.breaker.generation)

    def waits(self, now: datetime) -> tuple[timedelta, str]:
        """How long until anything may leave, and what holds it; zero: now."""
        shut = self.breaker.waits(now)
        if shut:
            return shut, BREAKER_OPEN
        slowed = self.pause.waits(now)
        return slowed, SLOWED if slowed else ""

    def report(self, signals: Iterable[Signal], now: datetime) -> list[Change]:
        """Take in what came of sends; the changes of the breaker, in order."""
        changes = []
        for signal in signals:
            before = self.breaker.state
            self.breaker = breakers.settle(
                self.breaker,
                signal.verdict,
                probe=signal.probe,
                generation=signal.generation,
                code=signal.code,
                now=now,
            )
            if self.breaker.state is not before:
                changes.append(Change(before, self.breaker.state))
            self._pace(signal, now)
        return changes

    def _pace(self, signal: Signal, now: datetime) -> None:
        if signal.effect == "number":
            self.pause = pauses.slow(self.pause, signal.asked, now)
        elif signal.effect == "recipient":
            self._slow_recipient(signal, now)
        elif signal.verdict in {Verdict.SUCCESS, Verdict.NEUTRAL}:
            self.pause = pauses.passed(self.pause, now)
        if signal.verdict is Verdict.SUCCESS:
            self.recipients.pop(signal.key, None)

    def _slow_recipient(self, signal: Signal, now: datetime) -> None:
        if len(self.recipients) >= MOST_RECIPIENTS:
            live = {key: kept for key, kept in self.recipients.items() if kept.waits(now)}
            self.recipients = live if len(live) < MOST_RECIPIENTS else {}
        kept = self.recipients.get(signal.key, NO_RECIPIENT_PAUSE)
        self.recipients[signal.key] = pauses.slow_recipient(kept, signal.asked, now)


def _whole(length: timedelta) -> timedelta:
    """In whole milliseconds, rounded up: nobody comes before the provider said."""
    millisecond = timedelta(milliseconds=1)
    return -(-length // millisecond) * millisecond
