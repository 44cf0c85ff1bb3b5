"""Which tickets go to a higher level by rule, and why.

A rule never moves a ticket down, never beyond N3, and never twice for the same occasion. It does
nothing while a person is just working on the ticket.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ticketing.domain.enums import Level, Priority, Severity, SlaMetric, SlaThreshold
from ticketing.domain.ticket import LEVELS


@dataclass(frozen=True, slots=True)
class Alert:
    """A clock of the ticket that passed a threshold while at its present level."""

    id: uuid.UUID
    metric: SlaMetric
    threshold: SlaThreshold


@dataclass(frozen=True, slots=True)
class EscalationFacts:
    """What rules may know about a ticket.

    Attributes:
        level: Its level.
        queue: Key of its queue.
        priority: How soon.
        severity: How much harm.
        vip: Whether the contact is marked as VIP.
        unanswered_since: Since when the customer waits at this level; None: they do not.
        waited: The working time of the queue since then: nights and holidays are no wait.
        reopened: How many times it was reopened.
        worked_at: When a person last did something to it.
        alerts: What its clocks said.
    """

    level: Level
    queue: str
    priority: Priority
    severity: Severity
    vip: bool
    unanswered_since: datetime | None = None
    waited: timedelta = timedelta()
    reopened: int = 0
    worked_at: datetime | None = None
    alerts: tuple[Alert, ...] = ()


@dataclass(frozen=True, slots=True)
class Trigger:
    """What makes a rule fire; exactly one part is set.

    Attributes:
        unanswered: The customer has waited so long, in working time of the queue.
        alert: A clock of one of these metrics passed this threshold.
        metrics: Of `alert`; empty means all.
        reopened: The ticket was reopened so many times.
    """

    unanswered: timedelta | None = None
    alert: SlaThreshold | None = None
    metrics: frozenset[SlaMetric] = frozenset()
    reopened: int | None = None


@dataclass(frozen=True, slots=True)
class EscalationRule:
    """One rule; empty filters admit everything.

    Attributes:
        name: Its key in the file.
        trigger: What makes it fire.
        levels: Levels it is for.
        queues: Queues it is for.
        priorities: Priorities it is for.
        severities: Severities it is for.
        vip: True or False: only for such contacts; None: for all.
        to: Queue of each level the ticket comes from; where it goes.
        priority: At least this priority afterwards; None leaves it.
        even_if_worked_on: Whether it fires although a person is just working on it.
    """

    name: str
    trigger: Trigger
    levels: frozenset[Level] = frozenset({Level.N1, Level.N2})
    queues: frozenset[str] = frozenset()
    priorities: frozenset[Priority] = frozenset()
    severities: frozenset[Severity] = frozenset()
    vip: bool | None = None
    to: Mapping[str, str] = field(default_factory=dict)
    priority: Priority | None = None
    even_if_worked_on: bool = False


@dataclass(frozen=True, slots=True)
class EscalationRules:
    """The rules in order; the first that fires decides.

    Attributes:
        rules: In order.
        ladder: Queue to the queue above it, for rules without an own `to`.
        worked_on_within: For so long after a person's act they count as working on it.
        version: Hash of the file.
    """

    rules: tuple[EscalationRule, ...] = ()
    ladder: Mapping[str, str] = field(default_factory=dict)
    worked_on_within: timedelta = timedelta(minutes=10)
    version: str = "none"

    @property
    def shortest_wait(self) -> timedelta | None:
        """The least waiting time that any rule asks for; None when none does."""
        waits = [rule.trigger.unanswered for rule in self.rules if rule.trigger.unanswered]
        return min(waits, default=None)

    @property
    def least_reopened(self) -> int | None:
        """The least number of reopenings that any rule asks for; None when none does."""
        counts = [rule.trigger.reopened for rule in self.rules if rule.trigger.reopened]
        return min(counts, default=None)


@dataclass(frozen=True, slots=True)
class Firing:
    """A rule that wants a ticket moved.

    Attributes:
        rule: Which.
        occasion: What it fires for; with rule and ticket it is unique.
        queue: Where the ticket goes.
        facts: Why, as JSON for the event: ids, counts, times.
    """

    rule: EscalationRule
    occasion: str
    queue: str
    facts: Mapping[str, Any]


def first_firing(
    rules: EscalationRules,
    facts: EscalationFacts,
    *,
    fired: frozenset[tuple[str, str]],
    now: datetime,
) -> Firing | None:
    """The first rule that wants the ticket moved now; None when none does.

    Args:
        rules: In force.
        facts: Of the ticket.
        fired: (rule, occasion) that moved this ticket before.
        now: The present moment.
    """
    if facts.level is LEVELS[-1]:
        return None
    worked_on = facts.worked_at is not None and now < facts.worked_at + rules.worked_on_within
    for rule in rules.rules:
        if not _is_for(rule, facts) or (worked_on and not rule.even_if_worked_on):
            continue
        queue = rule.to.get(facts.queue) or rules.ladder.get(facts.queue)
        if queue is None:
            continue
        for occasion, why in _occasions(rule.trigger, facts):
            if (rule.name, occasion) not in fired:
                return Firing(rule, occasion, queue, why)
    return None


def _is_for(rule: EscalationRule, facts: EscalationFacts) -> bool:
    return (
        facts.level in rule.levels
        and (not rule.queues or facts.queue in rule.queues)
        and (not rule.priorities or facts.priority in rule.priorities)
        and (not rule.severities or facts.severity in rule.severities)
        and rule.vip in {None, facts.vip}
    )


def _occasions(trigger: Trigger, facts: EscalationFacts) -> list[tuple[str, dict[str, Any]]]:
    """What the trigger sees, each with a name that is the same at every look."""
    since = facts.unanswered_since
    if trigger.unanswered is not None:
        if since is None or facts.waited < trigger.unanswered:
            return []
        waited = int(facts.waited.total_seconds())
        why = {"unanswered_since": since.isoformat(), "waited_seconds": waited}
        return [(f"unanswered:{facts.level.value}:{since.isoformat()}", why)]
    if trigger.reopened is not None:
        if facts.reopened < trigger.reopened:
            return []
        return [(f"reopened:{facts.reopened}", {"reopened": facts.reopened})]
    return [
        (
            f"alert:{alert.id}",
            {"alert_id": str(alert.id), "metric": alert.metric.value},
        )
        for alert in facts.alerts
        if alert.threshold is trigger.alert
        and (not trigger.metrics or alert.metric in trigger.metrics)
    ]
