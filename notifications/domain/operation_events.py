"""What an outbox event tells about the system itself: a breaker, a backlog, dead letters, the bot.

Payload version 1, all keys optional but `source` and `subject`; unknown keys are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from notifications.domain.jobs import Channel
from notifications.domain.occasions import PolicyEvent
from notifications.domain.payload import (
    EventPayloadError,
    moment,
    optional_number,
    optional_text,
    text,
)

OCCASION_OF_TOPIC = {
    "breaker.opened": PolicyEvent.BREAKER_ALERT,
    "breaker.closed": PolicyEvent.BREAKER_ALERT,
    "backlog.high": PolicyEvent.BACKLOG_ALERT,
    "backlog.old": PolicyEvent.BACKLOG_ALERT,
    "backlog.cleared": PolicyEvent.BACKLOG_ALERT,
    "queue.away": PolicyEvent.BACKLOG_ALERT,
    "queue.back": PolicyEvent.BACKLOG_ALERT,
    "dlq.threshold": PolicyEvent.DLQ_ALERT,
    "dlq.growth": PolicyEvent.DLQ_ALERT,
    "dlq.cleared": PolicyEvent.DLQ_ALERT,
    "dlq.discarded": PolicyEvent.DLQ_ALERT,
    "bot.unavailable": PolicyEvent.BOT_ALERT,
    "bot.recovered": PolicyEvent.BOT_ALERT,
    "training.gate_refused": PolicyEvent.TRAINING_GATE,
}
"""Topic to the occasion it is."""


@dataclass(frozen=True, slots=True)
class OperationFacts:
    """The part of an event that notices show.

    Attributes:
        alert: The topic.
        subject: What it is about: a job name, a queue, a model.
        avoid_channel: The channel that must not carry this alert, because it is what is broken.
        values: The rest, as JSON.
    """

    alert: str
    subject: str
    avoid_channel: Channel | None
    values: Mapping[str, Any]

    def as_context(self) -> dict[str, Any]:
        """The facts as JSON, to be stored on the notification."""
        return {"alert": self.alert, "subject": self.subject, **self.values}


def operation_facts(topic: str, payload: Mapping[str, Any]) -> OperationFacts:
    """Read the payload of an event about the system.

    Raises:
        EventPayloadError: naming the first field that is missing or wrong.
    """
    text(payload, "source")
    numbers = {
        name: value
        for name in ("count", "threshold", "seconds", "minutes")
        if (value := optional_number(payload, name)) is not None
    }
    since: datetime | None = moment(payload, "since")
    values: dict[str, Any] = {**numbers}
    if (code := optional_text(payload, "code")) is not None:
        values["code"] = code
    if since is not None:
        values["since"] = since.isoformat()
    return OperationFacts(topic, text(payload, "subject"), _channel(payload), values)


def _channel(payload: Mapping[str, Any]) -> Channel | None:
    name = optional_text(payload, "avoid_channel")
    try:
        return None if name is None else Channel(name)
    except ValueError as error:
        allowed = ", ".join(channel.value for channel in Channel)
        field = "avoid_channel"
        raise EventPayloadError(field, f"one of {allowed}") from error
