"""What is promised: policies with targets, the calendars they count in, and since when."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta

from handoff.business_hours import Calendar
from ticketing.domain.enums import SlaMetric, TicketStatus
from ticketing.domain.sla.history import Situation

ALWAYS = "always"
"""Name of the calendar that never closes; built in where `handoff.yml` has none of this name."""

AROUND_THE_CLOCK = Calendar(
    name=ALWAYS, time_zone="UTC", weekly=dict.fromkeys(range(7), ((time(0), time(0)),))
)

PAUSING = (TicketStatus.PENDING_CUSTOMER, TicketStatus.PENDING_THIRD_PARTY)
"""Statuses in which a clock may stand still."""


_BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Match:
    """When a policy holds: every condition that is given must hold.

    Attributes:
        fields: Field of the situation to the values that fit.
        vip: Whether the contact must be, or must not be, a VIP.
        tags: One of them must be on the ticket.
    """

    fields: Mapping[str, frozenset[str]] = field(default_factory=dict)
    vip: bool | None = None
    tags: frozenset[str] = frozenset()

    def fits(self, situation: Situation) -> bool:
        """Whether a ticket in this situation is meant."""
        if self.vip is not None and situation.vip is not self.vip:
            return False
        if self.tags and not self.tags & situation.tags:
            return False
        return all(getattr(situation, name) in allowed for name, allowed in self.fields.items())

    @property
    def fits_all(self) -> bool:
        """Whether no condition is given."""
        return not self.fields and self.vip is None and not self.tags


@dataclass(frozen=True, slots=True)
class Target:
    """The promise for one metric.

    Attributes:
        durations: Working time by priority, or by level for the metric `level`. A key that is
            missing is no promise.
        calendar: Name of the calendar it counts in; None: the queue's.
        pause_on: Statuses in which the clock stands still.
        warning: Share of the target after which somebody is warned; None: the general one.
    """

    durations: Mapping[str, timedelta]
    calendar: str | None = None
    pause_on: frozenset[TicketStatus] = frozenset()
    warning: float | None = None


@dataclass(frozen=True, slots=True)
class SlaPolicy:
    """Targets for the tickets it fits."""

    id: str
    when: Match
    targets: Mapping[SlaMetric, Target]


@dataclass(frozen=True, slots=True)
class Promise:
    """A target as it holds for one ticket in one situation."""

    policy: str
    """id@version."""
    calendar: Calendar
    calendar_name: str
    """name@version."""
    duration: timedelta
    pause_on: frozenset[TicketStatus]
    warning: float


@dataclass(frozen=True, slots=True)
class SlaRules:
    """Everything `evaluate` needs besides the history.

    Attributes:
        name: For people.
        version: Short hash of the policies and of the promised numbers.
        policies: In order; the first that fits wins. A ticket that none fits has no clocks.
        calendars: By name, `always` among them.
        queue_calendars: Queue key to the name of its calendar.
        default_calendar: For a queue that is not known any more.
        warning: Share of a target after which somebody is warned.
        calendar_names: Name to name@version, worked out once: it hashes every holiday.
    """

    name: str
    version: str
    policies: tuple[SlaPolicy, ...]
    calendars: Mapping[str, Calendar]
    queue_calendars: Mapping[str, str]
    default_calendar: str = ALWAYS
    warning: float = 0.7
    calendar_names: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = {name: f"{name}@{found.version}" for name, found in self.calendars.items()}
        object.__setattr__(self, "calendar_names", names)

    def policy_for(self, situation: Situation) -> SlaPolicy | None:
        """The first policy that fits."""
        return next((found for found in self.policies if found.when.fits(situation)), None)

    def promise(self, metric: SlaMetric, situation: Situation) -> Promise | None:
        """What is promised; None when nothing is."""
        policy = self.policy_for(situation)
        target = policy.targets.get(metric) if policy is not None else None
        if policy is None or target is None:
            return None
        by = situation.level if metric is SlaMetric.LEVEL else situation.priority
        duration = target.durations.get(by)
        if duration is None:
            return None
        name = target.calendar or self.queue_calendars.get(situation.queue, self.default_calendar)
        return Promise(
            policy=f"{policy.id}@{self.version}",
            calendar=self.calendars[name],
            calendar_name=self.calendar_names[name],
            duration=duration,
            pause_on=target.pause_on,
            warning=self.warning if target.warning is None else target.warning,
        )


@dataclass(frozen=True, slots=True)
class InForce:
    """Rules and the moment they came into force."""

    since: datetime
    rules: SlaRules


@dataclass(frozen=True, slots=True)
class Timeline:
    """Which rules held when: a promise is measured by what it said at the time.

    Attributes:
        periods: In time order, at least one. The first also holds for all time before it.
    """

    periods: tuple[InForce, ...]

    @classmethod
    def of(cls, rules: SlaRules) -> Timeline:
        """The same rules at all times."""
        return cls((InForce(_BEGINNING, rules),))

    @property
    def latest(self) -> SlaRules:
        """The rules of the last period."""
        return self.periods[-1].rules

    def between(self, begins: datetime, ends: datetime | None) -> Sequence[InForce]:
        """The rules that held in a stretch of time; the first begins where the stretch does."""
        changes = [period.since for period in self.periods[1:]]
        first = bisect_right(changes, begins)
        found = [InForce(begins, self.periods[first].rules)]
        for period in self.periods[first + 1 :]:
            if ends is not None and period.since >= ends:
                break
            found.append(period)
        return found
