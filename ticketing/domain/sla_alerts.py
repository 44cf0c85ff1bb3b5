"""What there is to say about clocks whose time has come: pure decisions of the SLA monitor.

A threshold that a clock passes while it runs becomes an alert, stored once for ever; whether
somebody is told of it depends on what was told about the same ticket shortly before.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from ticketing.domain.enums import ClockState, SlaMetric, SlaState, SlaThreshold

_METRICS = list(SlaMetric)
_ZERO = timedelta()


class Hold(StrEnum):
    """Why nothing is said about a clock now."""

    OVER = "over"
    """The promise was kept, or does not hold any more."""
    PAUSED = "paused"
    TICKET_OVER = "ticket_over"
    """The ticket is resolved or closed and its clocks have not followed yet."""
    SAID = "said"
    """All that there is to say has been stored before."""
    NOT_YET = "not_yet"


class Silence(StrEnum):
    """Why nobody is told of an alert that is stored."""

    COOLDOWN = "cooldown"
    """The same was told about the ticket shortly before."""
    BREACH_TOLD = "breach_told"
    """The clock is late already: a warning comes too late, the breach is told."""


@dataclass(frozen=True, slots=True)
class DueClock:
    """A clock as its row says.

    Attributes:
        clock_id: Its row.
        metric: What it measures.
        cycle: Its number among those of the metric.
        state: Of the clock.
        due_at: When the target is used up; None while that is not known.
        warn_at: When the warning threshold is passed.
        breached_at: Set when following the ticket's history has seen the breach first.
        is_over: Kept or void.
        said: Thresholds that have been stored for it.
    """

    clock_id: uuid.UUID
    metric: SlaMetric
    cycle: int
    state: ClockState
    due_at: datetime | None
    warn_at: datetime | None
    breached_at: datetime | None = None
    is_over: bool = False
    said: frozenset[SlaThreshold] = frozenset()


@dataclass(frozen=True, slots=True)
class EarlierAlert:
    """An alert of the same ticket that is stored."""

    threshold: SlaThreshold
    detected_at: datetime
    silence: Silence | None


@dataclass(frozen=True, slots=True)
class Alert:
    """A threshold that a clock passed; told unless there is a reason for silence."""

    clock: DueClock
    threshold: SlaThreshold
    passed_at: datetime
    silence: Silence | None = None

    @property
    def told(self) -> bool:
        """Whether somebody is told."""
        return self.silence is None


@dataclass(frozen=True, slots=True)
class Message:
    """What is told about one ticket: the first alert, what passed with it, what was left unsaid.

    Attributes:
        lead: The alert that passed first; of several at once, by the order of the metrics.
        also: Other clocks of the ticket that passed the same threshold.
        silenced: How many alerts were stored in silence since this was told last.
    """

    lead: Alert
    also: tuple[Alert, ...]
    silenced: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """One clock: what it passed, when to look again (None: never), and why nothing is said."""

    clock: DueClock
    passed: tuple[tuple[SlaThreshold, datetime], ...]
    next_check_at: datetime | None
    hold: Hold | None

    @property
    def breached_at(self) -> datetime | None:
        """The due time that passed, when it did."""
        return dict(self.passed).get(SlaThreshold.BREACH)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One ticket: what is stored, what is told, and how it stands with its promises now."""

    judgements: tuple[Judgement, ...]
    alerts: tuple[Alert, ...]
    messages: tuple[Message, ...]

    def state_after(self, state: SlaState) -> SlaState:
        """The ticket's state: an alert can only make it graver.

        A stay at a level is a matter between teams (`ticketing.domain.sla.summary`).
        """
        promised = [alert for alert in self.alerts if alert.clock.metric is not SlaMetric.LEVEL]
        passed = {alert.threshold for alert in promised}
        if SlaThreshold.BREACH in passed or state is SlaState.BREACHED:
            return SlaState.BREACHED
        return SlaState.WARNING if SlaThreshold.WARNING in passed else state


def judge(clock: DueClock, *, now: datetime, ticket_is_over: bool = False) -> Judgement:
    """What a clock has passed and nobody has stored yet.

    A clock that went back says nothing again and takes nothing back: what is stored stays, and a
    time that lies ahead now is waited for.
    """
    hold = _hold(clock, ticket_is_over=ticket_is_over)
    if hold is not None:
        # A ticket that is over waits for its clocks to follow; the others never need a look.
        again = _first_time(clock) if hold is Hold.TICKET_OVER else None
        return Judgement(clock, (), again, hold)
    due_at = clock.breached_at or clock.due_at
    late = due_at is not None and due_at <= now
    warned = clock.warn_at is not None and clock.warn_at <= now
    passed: list[tuple[SlaThreshold, datetime]] = []
    if warned and clock.warn_at is not None and SlaThreshold.WARNING not in clock.said:
        passed.append((SlaThreshold.WARNING, clock.warn_at))
    if late and due_at is not None:
        passed.append((SlaThreshold.BREACH, due_at))
    warning_is_past = warned or SlaThreshold.WARNING in clock.said
    ahead = [due_at] if warning_is_past else [clock.warn_at, due_at]
    again = None if late else min((at for at in ahead if at is not None), default=None)
    return Judgement(clock, tuple(passed), again, None if passed else Hold.NOT_YET)


def decide(
    clocks: Iterable[DueClock],
    earlier: Sequence[EarlierAlert] = (),
    *,
    now: datetime,
    cooldown: timedelta,
    ticket_is_over: bool = False,
) -> Verdict:
    """What is stored and told about one ticket.

    Of several clocks that pass the same threshold together one message tells all. Within the
    cooldown after a message the next alerts of the same threshold are stored in silence, and the
    message after that says how many they were.

    Args:
        clocks: The ticket's clocks whose time has come; others do no harm.
        earlier: Its alerts that are stored.
        now: The present.
        cooldown: How long the same is not told again.
        ticket_is_over: It is resolved or closed.
    """
    judgements = tuple(judge(clock, now=now, ticket_is_over=ticket_is_over) for clock in clocks)
    alerts: list[Alert] = []
    messages: list[Message] = []
    for threshold in (SlaThreshold.BREACH, SlaThreshold.WARNING):
        found = _found(judgements, threshold)
        if _is_within(cooldown, earlier, threshold, now=now):
            found = [_silent(alert, Silence.COOLDOWN) for alert in found]
        alerts += found
        told = [alert for alert in found if alert.told]
        if told:
            messages.append(Message(told[0], tuple(told[1:]), _silenced(earlier, threshold)))
    return Verdict(judgements, tuple(alerts), tuple(messages))


def _hold(clock: DueClock, *, ticket_is_over: bool) -> Hold | None:
    if clock.is_over or clock.state in {ClockState.MET, ClockState.CANCELLED}:
        return Hold.OVER
    if clock.state is ClockState.PAUSED:
        return Hold.PAUSED
    if SlaThreshold.BREACH in clock.said:
        return Hold.SAID
    return Hold.TICKET_OVER if ticket_is_over else None


def _first_time(clock: DueClock) -> datetime | None:
    times = (clock.warn_at, clock.breached_at or clock.due_at)
    return min((at for at in times if at is not None), default=None)


def _found(judgements: Iterable[Judgement], threshold: SlaThreshold) -> list[Alert]:
    """The alerts of one threshold, in the order in which they passed."""
    alerts = [
        Alert(
            judgement.clock,
            threshold,
            passed_at,
            Silence.BREACH_TOLD
            if threshold is SlaThreshold.WARNING and judgement.breached_at is not None
            else None,
        )
        for judgement in judgements
        for kind, passed_at in judgement.passed
        if kind is threshold
    ]
    return sorted(alerts, key=_order)


def _order(alert: Alert) -> tuple[datetime, int, int]:
    return alert.passed_at, _METRICS.index(alert.clock.metric), alert.clock.cycle


def _silent(alert: Alert, silence: Silence) -> Alert:
    return Alert(alert.clock, alert.threshold, alert.passed_at, alert.silence or silence)


def _last_told(earlier: Iterable[EarlierAlert], threshold: SlaThreshold) -> datetime | None:
    times = (
        alert.detected_at
        for alert in earlier
        if alert.threshold is threshold and alert.silence is None
    )
    return max(times, default=None)


def _is_within(
    cooldown: timedelta,
    earlier: Iterable[EarlierAlert],
    threshold: SlaThreshold,
    *,
    now: datetime,
) -> bool:
    """Whether the same was told less than a cooldown ago.

    A message from the far future was told before the clock went back: it silences nobody.
    """
    last = _last_told(earlier, threshold)
    return last is not None and abs(now - last) < cooldown and cooldown > _ZERO


def _silenced(earlier: Sequence[EarlierAlert], threshold: SlaThreshold) -> int:
    """Alerts that the cooldown kept silent since the last message."""
    last = _last_told(earlier, threshold)
    return sum(
        alert.threshold is threshold
        and alert.silence is Silence.COOLDOWN
        and (last is None or alert.detected_at >= last)
        for alert in earlier
    )
