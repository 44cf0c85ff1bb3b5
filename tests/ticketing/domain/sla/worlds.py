"""Rules, calendars and histories for the tests of SLA clocks."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from handoff.business_hours import Calendar
from ticketing.domain.enums import SlaMetric, TicketStatus
from ticketing.domain.sla.clocks import Clock, evaluate
from ticketing.domain.sla.history import Happening, HappeningKind, History, Situation
from ticketing.domain.sla.rules import (
    ALWAYS,
    AROUND_THE_CLOCK,
    PAUSING,
    Match,
    SlaPolicy,
    SlaRules,
    Target,
    Timeline,
)

K = HappeningKind
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
T0 = datetime(2026, 3, 10, 13, 0, tzinfo=UTC)  # Tuesday, 10:00 in Sao Paulo

OFFICE = Calendar(
    "office",
    "America/Sao_Paulo",
    {**dict.fromkeys(range(5), ((time(8), time(12)), (time(13), time(18))))},
    holidays=frozenset({date(2026, 4, 21)}),
)
NIGHT = Calendar("night", "America/Sao_Paulo", dict.fromkeys(range(5), ((time(22), time(6)),)))
CLOSED = Calendar("closed", "America/Sao_Paulo", {})
PRIORITIES = ("low", "normal", "high", "urgent")
QUEUES = {"day": "office", "risk": ALWAYS, "night": "night", "gone": "closed"}


def by_priority(*minutes: int) -> dict[str, timedelta]:
    return {key: count * MINUTE for key, count in zip(PRIORITIES, minutes, strict=True)}


DEFAULT_TARGETS = {
    SlaMetric.FIRST_RESPONSE: Target(by_priority(480, 240, 60, 15)),
    SlaMetric.NEXT_RESPONSE: Target(
        by_priority(480, 240, 60, 30), pause_on=frozenset({TicketStatus.PENDING_CUSTOMER})
    ),
    SlaMetric.RESOLUTION: Target(by_priority(2700, 1620, 540, 240), pause_on=frozenset(PAUSING)),
    SlaMetric.TOTAL_RESOLUTION: Target(
        by_priority(4860, 2700, 1080, 480), pause_on=frozenset(PAUSING)
    ),
    SlaMetric.LEVEL: Target(
        {"N1": 540 * MINUTE, "N2": 1620 * MINUTE, "N3": 2700 * MINUTE}, pause_on=frozenset(PAUSING)
    ),
}


def make_rules(
    targets: dict[SlaMetric, Target] | None = None, *policies: SlaPolicy, **more: Any
) -> SlaRules:
    found = policies or (SlaPolicy("standard", Match(), targets or DEFAULT_TARGETS),)
    return SlaRules(
        **{
            "name": "test",
            "version": "v1",
            "policies": found,
            "calendars": {
                ALWAYS: AROUND_THE_CLOCK,
                "office": OFFICE,
                "night": NIGHT,
                "closed": CLOSED,
            },
            "queue_calendars": QUEUES,
            **more,
        }
    )


RULES = make_rules()

SITUATION = Situation(
    status=TicketStatus.NEW, priority="normal", severity="S3", level="N1", queue="risk"
)


class Story:
    """A history told in steps; minutes count from the opening."""

    def __init__(self, start: datetime = T0, **situation: Any) -> None:
        self.start = start
        values = {name: getattr(SITUATION, name) for name in Situation.__slots__}
        self.opened_in = Situation(**{**values, **situation})
        self.happenings = [Happening(K.OPENED, start, 0)]

    def at(self, minutes: float) -> datetime:
        return self.start + minutes * MINUTE

    def tell(self, minutes: float, kind: K = K.CHANGED, **more: Any) -> Story:
        changes = {name: more.pop(name) for name in list(more) if name in Situation.__slots__}
        self.happenings.append(
            Happening(kind, self.at(minutes), len(self.happenings), changes, **more)
        )
        return self

    def replied(self, minutes: float, status: TicketStatus = TicketStatus.OPEN) -> Story:
        return self.tell(minutes, status=status, person_wrote=True)

    def wrote(self, minutes: float, **more: Any) -> Story:
        return self.tell(minutes, K.CUSTOMER_WROTE, status=TicketStatus.OPEN, **more)

    def pending(self, minutes: float, status: str = "pending_customer") -> Story:
        return self.tell(minutes, status=TicketStatus(status))

    def resumed(self, minutes: float) -> Story:
        return self.tell(minutes, status=TicketStatus.OPEN)

    def resolved(self, minutes: float, **more: Any) -> Story:
        return self.tell(minutes, K.RESOLVED, status=TicketStatus.RESOLVED, **more)

    def reopened(self, minutes: float) -> Story:
        return self.tell(minutes, K.REOPENED, status=TicketStatus.OPEN)

    @property
    def history(self) -> History:
        return History(self.opened_in, tuple(self.happenings))

    def clocks(
        self, minutes: float, rules: SlaRules | Timeline = RULES
    ) -> dict[tuple[str, int], Clock]:
        found = evaluate(self.history, rules, self.at(minutes))
        return {(clock.metric.value, clock.cycle): clock for clock in found}

    def clock(
        self,
        metric: str,
        minutes: float,
        *,
        cycle: int = 1,
        rules: SlaRules | Timeline = RULES,
    ) -> Clock:
        return self.clocks(minutes, rules)[metric, cycle]
