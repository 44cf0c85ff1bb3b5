"""What the services need from outside: a queue of jobs and senders."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from notifications.domain.failure import Failure
from notifications.domain.jobs import Job, JobName
from ticketing.domain.enums import DeliveryGuarantee


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
    urgent: bool = False
    deferrals: int = 0
    """Earlier claims that spent no attempt."""
    life: int = 0
    """How many times it was reprocessed; with `attempt` and `deferrals` it names one claim."""
    guarantee: DeliveryGuarantee = DeliveryGuarantee.AT_LEAST_ONCE
    expires_at: datetime | None = None
    was_unknown: bool = False
    """An earlier attempt may have been taken."""
    claimed_at: datetime | None = None

    @property
    def fence(self) -> int:
        """Grows with every claim of one life, also with those that spent no attempt."""
        return self.attempt + self.deferrals


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


@dataclass(frozen=True, slots=True)
class Passage:
    """Whether a notice may leave now.

    Attributes:
        allowed: It may.
        probe: It may, as the one that finds out whether the provider works again.
        wait: When not allowed: how long until it is worth asking again.
        reason: When not allowed: `breaker_open`, `slowed`, `recipient_slowed`.
        generation: The breaker's life in which it was let through; belongs into the `Outcome`, so
            that what began before a change does not bear on what came after it.
    """

    allowed: bool
    probe: bool = False
    wait: timedelta = timedelta()
    reason: str = ""
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one send; `failure` is None when the provider took it."""

    recipient: str
    failure: Failure | None
    probe: bool = False
    generation: int = 0
    """Of the passage; 0: not known, then it counts."""


class Gate(Protocol):
    """Breakers and pauses, shared by all processes: who may send now.

    No method raises for a store that is away: a local memory takes its place then.
    """

    async def admit(self, job_name: JobName, recipients: Sequence[str]) -> Sequence[Passage]:
        """One answer for each recipient, in order. Of a half-open breaker one alone may pass."""
        ...

    async def report(self, job_name: JobName, outcomes: Sequence[Outcome]) -> None:
        """Tell what came of sends, in the order they ended."""
        ...

    async def closed_for(self, job_names: Sequence[JobName]) -> Mapping[JobName, timedelta]:
        """Job names by which nothing may leave now, with the time until one may.

        For whoever puts jobs in the queue: it leaves these out. Takes no probe.
        """
        ...


class Reconciler(Protocol):
    """Finds out at the provider whether a notice of unknown outcome was taken (SMS)."""

    async def look_up(self, outgoing: Outgoing, *, now: datetime) -> Accepted | None:
        """What the provider took, or None when it took nothing.

        Raises:
            SendFailedError: when the provider could not be asked.
        """
        ...
