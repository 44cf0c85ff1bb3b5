"""What an outbox event tells about a ticket, and which notices it causes.

Payload version 1. Unknown keys are ignored, so that a newer producer may add some.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from notifications.domain.occasions import PolicyEvent
from notifications.domain.operation_events import OCCASION_OF_TOPIC
from notifications.domain.payload import (
    EventPayloadError,
    moment,
    number,
    optional_number,
    optional_text,
    text,
)

__all__ = ["EventPayloadError", "PolicyEvent"]

TICKET_OPENED = "ticket.opened"
TICKET_ESCALATED = "ticket.escalated"
TICKET_PRIORITY_CHANGED = "ticket.priority_changed"
TICKET_ASSIGNED = "ticket.assigned"
SLA_WARNING = "sla.warning"
SLA_BREACHED = "sla.breached"
CSAT_LOW = "csat.low"
MESSAGE_UNDELIVERED = "message.undelivered"

TICKET_TOPICS = (
    TICKET_OPENED,
    TICKET_ESCALATED,
    TICKET_PRIORITY_CHANGED,
    TICKET_ASSIGNED,
    SLA_WARNING,
    SLA_BREACHED,
    CSAT_LOW,
    MESSAGE_UNDELIVERED,
)
KNOWN_EVENTS = frozenset((topic, 1) for topic in (*TICKET_TOPICS, *OCCASION_OF_TOPIC))
"""(topic, version) that this code understands. Others wait in the outbox for a newer relay."""

HIGH_PRIORITIES = frozenset({"high", "urgent"})


THRESHOLDS = ("warning", "breach")
_THRESHOLD = "threshold"


@dataclass(frozen=True, slots=True)
class SlaFacts:
    """Which promise is in danger or broken.

    Attributes:
        threshold: `warning` or `breach`.
        metric: What was promised, such as `first_response`.
        due_at: When the time is or was up; None when that is not known.
        time_zone: IANA name of the zone people read it in; None: UTC.
        consumed_seconds: Working time used up when the threshold was passed.
        target_seconds: Working time that was promised.
        also: Other promises of the ticket that passed the same threshold.
        silenced: Alerts that nobody was told of since the one before.
    """

    threshold: str
    metric: str
    due_at: datetime | None
    time_zone: str | None
    consumed_seconds: int
    target_seconds: int
    also: tuple[str, ...]
    silenced: int

    def as_context(self) -> dict[str, Any]:
        """The facts as JSON, to be stored on the notification."""
        return {
            "threshold": self.threshold,
            "metric": self.metric,
            "due_at": None if self.due_at is None else self.due_at.isoformat(),
            "time_zone": self.time_zone,
            "consumed_seconds": self.consumed_seconds,
            "target_seconds": self.target_seconds,
            "also": list(self.also),
            "silenced": self.silenced,
        }


@dataclass(frozen=True, slots=True)
class TicketFacts:
    """The part of an event that notices may show. No name, phone or words of the customer.

    `holder_id` is the agent who has the ticket, `actor_id` the one who did it; they decide who is
    told and are not shown.
    """

    ticket_id: uuid.UUID
    ticket_number: int
    queue_key: str
    queue_name: str
    level: str
    priority: str
    severity: str | None
    reason: str | None
    from_level: str | None
    holder_id: uuid.UUID | None = None
    actor_id: uuid.UUID | None = None
    sla: SlaFacts | None = None
    score: int | None = None
    """What a customer gave, 1 to 5 (`csat.low`)."""

    def as_context(self) -> dict[str, Any]:
        """The facts as JSON, to be stored on the notification."""
        return {
            "ticket_id": str(self.ticket_id),
            "ticket_number": self.ticket_number,
            "queue_key": self.queue_key,
            "queue_name": self.queue_name,
            "level": self.level,
            "priority": self.priority,
            "severity": self.severity,
            "reason": self.reason,
            "from_level": self.from_level,
            **({} if self.score is None else {"score": self.score}),
            **({} if self.sla is None else self.sla.as_context()),
        }


def ticket_facts(payload: Mapping[str, Any]) -> TicketFacts:
    """Read the payload of a ticket event.

    Raises:
        EventPayloadError: naming the first field that is missing or wrong.
    """
    queue_key = text(payload, "queue_key")
    return TicketFacts(
        ticket_id=_uuid(payload, "ticket_id"),
        ticket_number=number(payload, "ticket_number"),
        queue_key=queue_key,
        queue_name=optional_text(payload, "queue_name") or queue_key,
        level=text(payload, "level"),
        priority=text(payload, "priority"),
        severity=optional_text(payload, "severity"),
        reason=optional_text(payload, "reason"),
        from_level=optional_text(payload, "from_level"),
        holder_id=None if payload.get("agent_id") is None else _uuid(payload, "agent_id"),
        actor_id=_agent(payload.get("actor")),
        sla=_sla_facts(payload) if _THRESHOLD in payload else None,
        score=optional_number(payload, "score"),
    )


def _sla_facts(payload: Mapping[str, Any]) -> SlaFacts:
    threshold = text(payload, _THRESHOLD)
    if threshold not in THRESHOLDS:
        raise EventPayloadError(_THRESHOLD, " or ".join(THRESHOLDS))
    field = "also"
    also = payload.get(field) or []
    if not isinstance(also, list) or not all(isinstance(other, Mapping) for other in also):
        raise EventPayloadError(field, "a list of promises")
    return SlaFacts(
        threshold=threshold,
        metric=text(payload, "metric"),
        due_at=moment(payload, "due_at"),
        time_zone=optional_text(payload, "time_zone"),
        consumed_seconds=number(payload, "consumed_seconds"),
        target_seconds=number(payload, "target_seconds"),
        also=tuple(text(other, "metric") for other in also),
        silenced=number(payload, "silenced"),
    )


_ONE_OCCASION = {
    TICKET_ESCALATED: PolicyEvent.TICKET_ESCALATION,
    TICKET_ASSIGNED: PolicyEvent.TICKET_ASSIGNED,
    CSAT_LOW: PolicyEvent.CSAT_LOW,
    MESSAGE_UNDELIVERED: PolicyEvent.MESSAGE_UNDELIVERED,
}


def policy_events(topic: str, facts: TicketFacts) -> tuple[PolicyEvent, ...]:
    """The occasions an event is, the weightiest first.

    Nobody gets two notices on one channel for one event, so a recipient of several occasions is
    told the first. A priority that falls is no occasion.

    Raises:
        ValueError: when the topic is not one of `KNOWN_EVENTS`.
        EventPayloadError: when an alert does not say which threshold was passed.
    """
    high = facts.priority in HIGH_PRIORITIES
    if topic == TICKET_OPENED:
        opened = (PolicyEvent.TICKET_OPENED,)
        return (PolicyEvent.TICKET_PRIORITY_HIGH, *opened) if high else opened
    if topic == TICKET_PRIORITY_CHANGED:
        return (PolicyEvent.TICKET_PRIORITY_HIGH,) if high else ()
    if topic in _ONE_OCCASION:
        return (_ONE_OCCASION[topic],)
    if topic in {SLA_WARNING, SLA_BREACHED}:
        if facts.sla is None:
            raise EventPayloadError(_THRESHOLD, " or ".join(THRESHOLDS))
        return (PolicyEvent.SLA_ALERT,)
    message = f"topic: {topic!r} is not known"
    raise ValueError(message)


def _agent(actor: object) -> uuid.UUID | None:
    """The person behind `agent:<uuid>`; nobody behind `system`, `bot` or anything newer."""
    kind, _, value = actor.partition(":") if isinstance(actor, str) else ("", "", "")
    try:
        return uuid.UUID(value) if kind == "agent" else None
    except ValueError:
        return None


def _uuid(payload: Mapping[str, Any], field: str) -> uuid.UUID:
    value = payload.get(field)
    try:
        return uuid.UUID(value if isinstance(value, str) else "")
    except ValueError as error:
        raise EventPayloadError(field, "a UUID") from error
