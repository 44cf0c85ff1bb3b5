"""What an outbox event tells about a ticket, and which notices it causes.

Payload version 1. Unknown keys are ignored, so that a newer producer may add some.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

TICKET_OPENED = "ticket.opened"
TICKET_ESCALATED = "ticket.escalated"
TICKET_PRIORITY_CHANGED = "ticket.priority_changed"
TICKET_ASSIGNED = "ticket.assigned"
SLA_WARNING = "sla.warning"
SLA_BREACHED = "sla.breached"

KNOWN_EVENTS = frozenset(
    (topic, 1)
    for topic in (
        TICKET_OPENED,
        TICKET_ESCALATED,
        TICKET_PRIORITY_CHANGED,
        TICKET_ASSIGNED,
        SLA_WARNING,
        SLA_BREACHED,
    )
)
"""(topic, version) that this code understands. Others wait in the outbox for a newer relay."""

HIGH_PRIORITIES = frozenset({"high", "urgent"})


class PolicyEvent(StrEnum):
    """An occasion to notify somebody; the keys of `policies.yml`."""

    TICKET_OPENED = "ticket-opened"
    TICKET_ESCALATION = "ticket-escalation"
    TICKET_PRIORITY_HIGH = "ticket-priority-high"
    TICKET_ASSIGNED = "ticket-assigned"
    SLA_ALERT = "sla-alert"
    NOTIFICATION_FAILED = "notification-failed"


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
            **({} if self.sla is None else self.sla.as_context()),
        }


class EventPayloadError(ValueError):
    """The payload of an outbox event lacks a field or has a wrong one."""

    def __init__(self, field: str, expected: str) -> None:
        self.field = field
        self.expected = expected
        super().__init__(f"payload.{field}: expected {expected}")


def ticket_facts(payload: Mapping[str, Any]) -> TicketFacts:
    """Read the payload of a ticket event.

    Raises:
        EventPayloadError: naming the first field that is missing or wrong.
    """
    queue_key = _text(payload, "queue_key")
    return TicketFacts(
        ticket_id=_uuid(payload, "ticket_id"),
        ticket_number=_number(payload, "ticket_number"),
        queue_key=queue_key,
        queue_name=_optional_text(payload, "queue_name") or queue_key,
        level=_text(payload, "level"),
        priority=_text(payload, "priority"),
        severity=_optional_text(payload, "severity"),
        reason=_optional_text(payload, "reason"),
        from_level=_optional_text(payload, "from_level"),
        holder_id=None if payload.get("agent_id") is None else _uuid(payload, "agent_id"),
        actor_id=_agent(payload.get("actor")),
        sla=_sla_facts(payload) if _THRESHOLD in payload else None,
    )


def _sla_facts(payload: Mapping[str, Any]) -> SlaFacts:
    threshold = _text(payload, _THRESHOLD)
    if threshold not in THRESHOLDS:
        raise EventPayloadError(_THRESHOLD, " or ".join(THRESHOLDS))
    field = "also"
    also = payload.get(field) or []
    if not isinstance(also, list) or not all(isinstance(other, Mapping) for other in also):
        raise EventPayloadError(field, "a list of promises")
    return SlaFacts(
        threshold=threshold,
        metric=_text(payload, "metric"),
        due_at=_moment(payload, "due_at"),
        time_zone=_optional_text(payload, "time_zone"),
        consumed_seconds=_number(payload, "consumed_seconds"),
        target_seconds=_number(payload, "target_seconds"),
        also=tuple(_text(other, "metric") for other in also),
        silenced=_number(payload, "silenced"),
    )


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
    if topic == TICKET_ESCALATED:
        return (PolicyEvent.TICKET_ESCALATION,)
    if topic == TICKET_PRIORITY_CHANGED:
        return (PolicyEvent.TICKET_PRIORITY_HIGH,) if high else ()
    if topic == TICKET_ASSIGNED:
        return (PolicyEvent.TICKET_ASSIGNED,)
    if topic in {SLA_WARNING, SLA_BREACHED}:
        if facts.sla is None:
            raise EventPayloadError(_THRESHOLD, " or ".join(THRESHOLDS))
        return (PolicyEvent.SLA_ALERT,)
    message = f"topic: {topic!r} is not known"
    raise ValueError(message)


def _text(payload: Mapping[str, Any], field: str) -> str:
    value = payload.get(field)
    if not isinstance(value, str) or not value:
        raise EventPayloadError(field, "a text that is not empty")
    return value


def _optional_text(payload: Mapping[str, Any], field: str) -> str | None:
    value = payload.get(field)
    if value is not None and not isinstance(value, str):
        raise EventPayloadError(field, "a text or null")
    return value or None


def _number(payload: Mapping[str, Any], field: str) -> int:
    value = payload.get(field)
    if not isinstance(value, int) or isinstance(value, bool):
        raise EventPayloadError(field, "a whole number")
    return value


def _moment(payload: Mapping[str, Any], field: str) -> datetime | None:
    value = _optional_text(payload, field)
    try:
        moment = None if value is None else datetime.fromisoformat(value)
    except ValueError as error:
        raise EventPayloadError(field, "a time in ISO 8601, or null") from error
    if moment is not None and moment.tzinfo is None:
        raise EventPayloadError(field, "a time with its offset from UTC")
    return moment


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
