"""From a history to the stretches that are measured: when each clock begins, stops and ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from ticketing.domain.enums import SlaMetric
from ticketing.domain.sla.history import Happening, HappeningKind, History

K = HappeningKind


@dataclass(slots=True)
class Span:
    """One cycle of one metric.

    Attributes:
        metric: What is measured.
        cycle: Its number among those of the metric, from 1.
        begins: First moment that counts.
        met_at: When the promise was kept.
        cancelled_at: When it became void.
        reason: Why it became void.
        gaps: Stretches that do not count because the ticket was resolved.
    """

    metric: SlaMetric
    cycle: int
    begins: datetime
    met_at: datetime | None = None
    cancelled_at: datetime | None = None
    reason: str | None = None
    gaps: list[tuple[datetime, datetime]] = field(default_factory=list)

    @property
    def ends(self) -> datetime | None:
        """When it was over; None while it goes on."""
        return self.met_at or self.cancelled_at

    def meet(self, at: datetime) -> None:
        """The promise is kept; nothing happens to one that is over."""
        if self.ends is None:
            self.met_at = max(at, self.begins)

    def cancel(self, at: datetime, reason: str) -> None:
        """It is void; nothing happens to one that is over."""
        if self.ends is None:
            self.cancelled_at, self.reason = max(at, self.begins), reason

    def resume(self, at: datetime) -> None:
        """It goes on with the time it had used up."""
        if self.ends is not None:
            self.gaps.append((self.ends, max(at, self.ends)))
        self.met_at = self.cancelled_at = self.reason = None


@dataclass(slots=True)
class _Follower:
    """Follows a history and opens, ends and resumes spans."""

    level: str
    spans: list[Span] = field(default_factory=list)
    responded: bool = False

    def open(self, metric: SlaMetric, at: datetime) -> None:
        cycle = 1 + sum(span.metric is metric for span in self.spans)
        self.spans.append(Span(metric, cycle, at))

    def last(self, metric: SlaMetric) -> Span | None:
        return next((span for span in reversed(self.spans) if span.metric is metric), None)

    def begin(self, at: datetime) -> None:
        for metric in (
            SlaMetric.FIRST_RESPONSE,
            SlaMetric.RESOLUTION,
            SlaMetric.TOTAL_RESOLUTION,
            SlaMetric.LEVEL,
        ):
            self.open(metric, at)

    def follow(self, happening: Happening) -> None:
        # The words of a step count before what the step does: a reply that also resolves answers.
        if happening.person_wrote:
            self._answered(happening.at)
        if happening.kind is K.CUSTOMER_WROTE:
            self._wrote(happening)
        self._level(happening)
        ended_as = _CANCELS.get(happening.kind)
        if happening.kind is K.RESOLVED:
            self._resolved(happening.at)
        elif ended_as is not None:
            self._cancel_all(happening.at, ended_as)
        elif happening.kind is K.REOPENED:
            self._reopened(happening.at)

    def _answered(self, at: datetime) -> None:
        self.responded = True
        for metric in (SlaMetric.FIRST_RESPONSE, SlaMetric.NEXT_RESPONSE):
            span = self.last(metric)
            if span is not None:
                span.meet(at)

    def _wrote(self, happening: Happening) -> None:
        latest = self.last(SlaMetric.NEXT_RESPONSE)
        is_waiting = latest is not None and latest.ends is None
        if not happening.asks or not self.responded or is_waiting:
            return
        opened_at = self.spans[0].begins
        self.open(SlaMetric.NEXT_RESPONSE, max(happening.written_at or happening.at, opened_at))

    def _level(self, happening: Happening) -> None:
        level = happening.changes.get("level", self.level)
        if level == self.level:
            return
        self.level = level
        stay = self.last(SlaMetric.LEVEL)
        if stay is not None and stay.ends is None:
            stay.meet(happening.at)
            self.open(SlaMetric.LEVEL, happening.at)

    def _resolved(self, at: datetime) -> None:
        for metric in (SlaMetric.RESOLUTION, SlaMetric.TOTAL_RESOLUTION, SlaMetric.LEVEL):
            span = self.last(metric)
            if span is not None:
                span.meet(at)
        self._cancel_all(at, "resolved")

    def _cancel_all(self, at: datetime, reason: str) -> None:
        for span in self.spans:
            span.cancel(at, reason)

    def _reopened(self, at: datetime) -> None:
        """What was kept stays kept, but for the total; what had become void is due again."""
        for metric in (
            SlaMetric.FIRST_RESPONSE,
            SlaMetric.NEXT_RESPONSE,
            SlaMetric.RESOLUTION,
        ):
            span = self.last(metric)
            if span is not None and span.cancelled_at is not None:
                span.resume(at)
        total = self.last(SlaMetric.TOTAL_RESOLUTION)
        if total is not None:
            total.resume(at)
        stay = self.last(SlaMetric.LEVEL)
        if stay is not None and stay.ends is not None:
            self.open(SlaMetric.LEVEL, at)


_CANCELS = {K.RETURNED_TO_BOT: "returned_to_bot", K.CLOSED: "closed", K.MERGED: "merged"}


def spans_of(history: History) -> list[Span]:
    """Every span of a history, whose happenings must be in order; none before an opening."""
    opening = next((item for item in history.happenings if item.kind is K.OPENED), None)
    if opening is None:
        return []
    follower = _Follower(history.opened_in.level)
    follower.begin(opening.at)
    for happening in history.happenings:
        if happening.kind is not K.OPENED:
            follower.follow(happening)
    return follower.spans
