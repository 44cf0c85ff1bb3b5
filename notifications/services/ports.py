"""What the services need from outside: a queue of jobs and senders."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from notifications.domain.jobs import Job


class QueueUnavailableError(Exception):
    """The queue (Redis) does not answer. Nothing is lost: the rows wait."""


class JobQueue(Protocol):
    """Where jobs are put for the workers; only an accelerator, the rows are the truth."""

    async def enqueue(self, jobs: Sequence[Job]) -> None:
        """Put jobs in, at least once each.

        Raises:
            QueueUnavailableError: when the queue does not answer; some may have been put in.
            InvalidJobNameError: when a job has no known name; then none was put in.
        """
        ...

    async def waiting(self) -> int:
        """How many jobs no worker has fetched yet.

        Raises:
            QueueUnavailableError: when the queue does not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A claimed notification, as a sender sees it."""

    notification_id: uuid.UUID
    attempt: int
    """From 1, this one included."""
    recipient: str
    language: str
    event: str
    context: Mapping[str, Any]
    created_at: datetime
    correlation_id: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took the notice. `form` says how it was sent (WhatsApp: text or template)."""

    provider_id: str | None
    form: str | None = None


class Sender(Protocol):
    """Sends one notice once on one channel."""

    async def send(self, outgoing: Outgoing, *, now: datetime) -> Accepted:
        """Send it.

        Raises:
            SendFailedError: when it was refused, or when nobody knows.
        """
        ...
