"""What an outbox event tells about a ticket, and which notices it causes.

Payload version 1. Unknown keys are ignored, so that a newer producer may add some.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

TICKET_OPENED = "ticket.opened"
TICKET_ESCALATED = "ticket.escalated"
TICKET_PRIORITY_CHANGED = "ticket.priority_changed"

KNOWN_EVENTS = frozenset({(TICKET_OPENED, 1), (TICKET_ESCALATED, 1), (TICKET_PRIORITY_CHANGED, 1)})
"""(topic, version) that this code understands. Others wait in the outbox for a newer relay."""

HIGH_PRIORITIES = frozenset({"high", "urgent"})


class PolicyEvent(StrEnum):
    """An occasion to notify somebody; the keys of `policies.yml`."""

    TICKET_OPENED = "ticket-opened"
    TICKET_ESCALATION = "ticket-escalation"
    TICKET_PRIORITY_HIGH = "ticket-priority-high"
    NOTIFICATION_FAILED = "notification-failed"


@dataclass(frozen=True, slots=True)
class TicketFacts:
    """The part of an event that notices may show. No name, phone or words of the customer."""

    ticket_id: uuid.UUID
    ticket_number: int
    queue_key: str
    queue_name: str
    level: str
    priority: str
    severity: str | None
    reason: str | None
    from_level: str | None

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
    )


def policy_events(topic: str, facts: TicketFacts) -> tuple[PolicyEvent, ...]:
    """The occasions an event is, the weightiest first.

    Nobody gets two notices on one channel for one event, so a recipient of several occasions is
    told the first. A priority that falls is no occasion.

    Raises:
        ValueError: when the topic is not one of `KNOWN_EVENTS`.
    """
    high = facts.priority in HIGH_PRIORITIES
    if topic == TICKET_OPENED:
        opened = (PolicyEvent.TICKET_OPENED,)
        return (PolicyEvent.TICKET_PRIORITY_HIGH, *opened) if high else opened
    if topic == TICKET_ESCALATED:
        return (PolicyEvent.TICKET_ESCALATION,)
    if topic == TICKET_PRIORITY_CHANGED:
        return (PolicyEvent.TICKET_PRIORITY_HIGH,) if high else ()
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


def _uuid(payload: Mapping[str, Any], field: str) -> uuid.UUID:
    value = payload.get(field)
    try:
        return uuid.UUID(value if isinstance(value, str) else "")
    except ValueError as error:
        raise EventPayloadError(field, "a UUID") from error
