"""Clocks: how much of each promise is used up, when it is due, kept, broken or void."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from handoff.business_hours import (
    CalendarNeverOpensError,
    add_working_time,
    working_time_between,
)
from ticketing.domain.enums import ClockState, SlaMetric, SlaThreshold
from ticketing.domain.sla.history import History, Phase, in_order, phases
from ticketing.domain.sla.rules import Promise, SlaRules, Timeline
from ticketing.domain.sla.spans import Span, spans_of

RUNNING = "running"
RESOLVED = "resolved"
NO_TARGET = "no_target"
NEVER_OPENS = "calendar_never_opens"

_ZERO = timedelta()


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a clock's life in which nothing changed.

    Attributes:
        begins: First moment.
        ends: Where the next one begins; the present for the last one of a clock that goes on.
        reason: `running`, or why it stood still: a status, `resolved` or `no_target`.
        worked: Working time that counted.
        target: The target at that time; None without one.
        calendar: name@version; empty without a target.
        policy: id@version; empty without a target.
    """

    begins: datetime
    ends: datetime
    reason: str
    worked: timedelta
    target: timedelta | None
    calendar: str
    policy: str

    @property
    def running(self) -> bool:
        """Whether working time counted."""
        return self.reason == RUNNING

    def goes_over_into(self, later: Stretch) -> bool:
        """Whether nothing that counts changed between them: a new tag, say, is no new stretch."""
        return self.ends == later.begins and (
            (self.reason, self.target, self.calendar, self.policy)
            == (later.reason, later.target, later.calendar, later.policy)
        )


@dataclass(frozen=True, slots=True)
class Clock:
    """One promise about one ticket, as it stands.

    Attributes:
        metric: What is measured.
        cycle: Its number among those of the metric, from 1.
        state: A broken promise stays broken, also when it is kept later.
        policy: id@version of the latest target.
        calendar: name@version it counts in.
        target: Working time that was promised.
        consumed: Working time used up.
        started_at: When it began.
        paused_at: Since when it stands still.
        due_at: When the target is or was used up; None while paused or when that never comes.
        warn_at: When the warning threshold is or was passed; None like `due_at`.
        met_at: When the promise was kept, also if late.
        breached_at: The due time that passed.
        ended_at: When the clock was over: kept or void.
        reason: Why it is void, or why there is no due time.
        stretches: What adds up to `consumed`.
    """

    metric: SlaMetric
    cycle: int
    state: ClockState
    policy: str
    calendar: str
    target: timedelta
    consumed: timedelta
    started_at: datetime
    paused_at: datetime | None = None
    due_at: datetime | None = None
    warn_at: datetime | None = None
    met_at: datetime | None = None
    breached_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str | None = None
    stretches: tuple[Stretch, ...] = ()

    @property
    def goes_on(self) -> bool:
        """Whether it is neither kept nor void."""
        return self.ended_at is None

    def next_check(self, told: frozenset[SlaThreshold] = frozenset()) -> datetime | None:
        """The next moment at which somebody has to be told something; may lie in the past.

        Nothing is said of a clock that is over or stands still, nor twice, nor a warning after the
        breach.
        """
        if not self.goes_on or self.state is ClockState.PAUSED or SlaThreshold.BREACH in told:
            return None
        warn_at = None if SlaThreshold.WARNING in told else self.warn_at
        return min((at for at in (warn_at, self.due_at) if at is not None), default=None)


def evaluate(history: History, rules: SlaRules | Timeline, now: datetime) -> tuple[Clock, ...]:
    """Every clock of a ticket, by metric and cycle.

    The order in which the happenings are given does not matter. `now` is taken to be no earlier
    than the last of them.

    Args:
        history: What happened.
        rules: What was promised, or what was promised when.
        now: The present moment.
    """
    timeline = rules if isinstance(rules, Timeline) else Timeline.of(rules)
    ordered = replace(history, happenings=in_order(history.happenings))
    if not ordered.happenings:
        return ()
    present = max(now, ordered.happenings[-1].at)
    situations = phases(ordered)
    measured = (_Meter(span).measure(situations, timeline, present) for span in spans_of(ordered))
    found = [clock for clock in measured if clock is not None]
    metrics = list(SlaMetric)
    return tuple(sorted(found, key=lambda clock: (metrics.index(clock.metric), clock.cycle)))


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a span with one promise; `ends` None: it goes on."""

    begins: datetime
    ends: datetime | None
    stands_still: str | None
    promise: Promise | None


@dataclass(slots=True)
class _Meter:
    """Adds up one span."""

    span: Span
    consumed: timedelta = _ZERO
    due_at: datetime | None = None
    warn_at: datetime | None = None
    breached_at: datetime | None = None
    warned: bool = False
    never_opens: bool = False
    broken: Promise | None = None
    promise: Promise | None = None
    stretches: list[Stretch] = field(default_factory=list)

    def measure(
        self, situations: tuple[Phase, ...], timeline: Timeline, now: datetime
    ) -> Clock | None:
        present = max(now, self.span.begins)
        for piece in _pieces(self.span, situations, timeline):
            if piece.begins > present:
                break  # rules that come into force later
            self._add(piece, present)
        return self._clock()

    def _add(self, piece: _Piece, now: datetime) -> None:
        ends = now if piece.ends is None else min(piece.ends, now)
        promise = piece.promise
        self.promise = promise or self.promise
        if self.breached_at is None:
            self.due_at = None
        if not self.warned:
            self.warn_at = None
        worked = _ZERO
        reason = piece.stands_still or (NO_TARGET if promise is None else RUNNING)
        if promise is not None and reason == RUNNING:
            self._look_ahead(piece.begins, ends, promise)
            worked = working_time_between(promise.calendar, piece.begins, ends)
            self.consumed += worked
        stretch = Stretch(
            begins=piece.begins,
            ends=ends,
            reason=reason,
            worked=worked,
            target=None if promise is None else promise.duration,
            calendar="" if promise is None else promise.calendar_name,
            policy="" if promise is None else promise.policy,
        )
        if self.stretches and self.stretches[-1].goes_over_into(stretch):
            self.stretches[-1] = replace(
                self.stretches[-1], ends=ends, worked=self.stretches[-1].worked + worked
            )
        elif stretch.begins < stretch.ends or piece.ends is None or not self.stretches:
            self.stretches.append(stretch)

    def _look_ahead(self, begins: datetime, ends: datetime, promise: Promise) -> None:
        """When the target and the warning are reached if nothing else happens."""
        if self.breached_at is None:
            self.due_at = self._reached(begins, promise, promise.duration)
            self.never_opens = self.due_at is None
            if self.due_at is not None and self.due_at <= ends:
                self.breached_at, self.broken = self.due_at, promise
        if not self.warned:
            share = promise.duration * promise.warning
            warn_at = self._reached(begins, promise, share)
            if warn_at is not None and self.due_at is not None:
                warn_at = min(warn_at, self.due_at)
            self.warn_at = warn_at
            self.warned = warn_at is not None and warn_at <= ends

    def _reached(self, begins: datetime, promise: Promise, amount: timedelta) -> datetime | None:
        """When so much is used up; at once if it is already (the target has become shorter)."""
        try:
            return add_working_time(promise.calendar, begins, max(amount - self.consumed, _ZERO))
        except CalendarNeverOpensError:
            return None

    def _clock(self) -> Clock | None:
        promise = self.broken or self.promise
        if promise is None or not self.stretches:
            return None
        span, last = self.span, self.stretches[-1]
        has_target = last.target is not None or last.reason == RESOLVED
        void_since = None if has_target else self._since(lambda stretch: stretch.target is None)
        cancelled_at = span.cancelled_at or (None if span.met_at else void_since)
        ended_at = span.met_at or cancelled_at
        paused_at = None
        if ended_at is None and not last.running:
            paused_at = self._since(lambda stretch: not stretch.running)
        state = self._state(ended_at, paused_at)
        return Clock(
            metric=span.metric,
            cycle=span.cycle,
            state=state,
            policy=promise.policy,
            calendar=promise.calendar_name,
            target=promise.duration,
            consumed=self.consumed,
            started_at=span.begins,
            paused_at=paused_at if state is ClockState.PAUSED else None,
            due_at=self.due_at,
            warn_at=self.warn_at,
            met_at=span.met_at,
            breached_at=self.breached_at,
            ended_at=ended_at,
            reason=self._reason(cancelled_at),
            stretches=tuple(self.stretches),
        )

    def _state(self, ended_at: datetime | None, paused_at: datetime | None) -> ClockState:
        if self.breached_at is not None:
            return ClockState.BREACHED
        if self.span.met_at is not None:
            return ClockState.MET
        if ended_at is not None:
            return ClockState.CANCELLED
        return ClockState.RUNNING if paused_at is None else ClockState.PAUSED

    def _reason(self, cancelled_at: datetime | None) -> str | None:
        if cancelled_at is not None:
            return self.span.reason or NO_TARGET
        return NEVER_OPENS if self.never_opens and self.span.met_at is None else None

    def _since(self, is_so: Callable[[Stretch], bool]) -> datetime:
        """Where the last unbroken run of such stretches began."""
        same = itertools.takewhile(is_so, reversed(self.stretches))
        return min((stretch.begins for stretch in same), default=self.stretches[-1].begins)


def _pieces(span: Span, situations: tuple[Phase, ...], timeline: Timeline) -> Iterator[_Piece]:
    """The span cut wherever the situation, the rules or a gap begins or ends."""
    for phase in situations:
        begins = max(phase.begins, span.begins)
        ends = _earlier(phase.ends, span.ends)
        if ends is not None and ends < begins:
            continue
        if phase.ends is not None and phase.ends <= begins:
            continue
        periods = timeline.between(begins, ends)
        for number, period in enumerate(periods):
            until = periods[number + 1].since if number + 1 < len(periods) else ends
            promise = period.rules.promise(span.metric, phase.situation)
            status = phase.situation.status
            pauses = promise is not None and status in promise.pause_on
            for opens, closes, in_gap in _cut(period.since, until, span.gaps):
                still = RESOLVED if in_gap else (status.value if pauses else None)
                yield _Piece(opens, closes, still, promise)
        if ends is not None and span.ends == ends:
            return


def _cut(
    begins: datetime, ends: datetime | None, gaps: list[tuple[datetime, datetime]]
) -> Iterator[tuple[datetime, datetime | None, bool]]:
    moment = begins
    for opens, closes in gaps:
        if closes <= moment or (ends is not None and opens >= ends):
            continue
        if opens > moment:
            yield moment, opens, False
        until = closes if ends is None else min(closes, ends)
        yield max(opens, moment), until, True
        moment = until
    if ends is None or moment < ends or begins == ends:
        yield moment, ends, False


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return one or other
    return min(one, other)
