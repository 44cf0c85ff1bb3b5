"""Carry outbox events to notifications: the loop body of the scheduler's relay job."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import OperationalError

from kit.clock import Clock
from notifications.domain.jobs import Job
from notifications.domain.policies import Policies
from notifications.services.fan_out import fan_out, unknown_events, waiting_events
from notifications.services.ports import JobQueue, QueueUnavailableError
from notifications.services.recipients import AdminContact
from notifications.services.sweep import enqueue_or_unmark, unmark
from ticketing.db.engine import Database

log = structlog.get_logger()

BATCH = 100

HOLD_BACK = timedelta(minutes=1)
"""How long an event that cannot be read stands aside, so that it neither blocks nor floods."""


@dataclass(slots=True)
class Relay:
    """Publishes waiting outbox events, oldest first.

    Events of unknown topic or version wait in the outbox and are reported by `report_unknown`. An
    event whose payload is wrong waits too and is tried again every `HOLD_BACK`; that memory is only
    a brake and may be lost.
    """

    db: Database
    queue: JobQueue
    clock: Clock
    policies: Policies
    admin: AdminContact
    _held: dict[uuid.UUID, datetime] = field(default_factory=dict)

    async def run(self) -> int:
        """Publish all that waits; how many events.

        Raises:
            QueueUnavailableError: when Redis is away. All the rows are written all the same, and
                the sweep puts their jobs in the queue when it is back.
            OperationalError: when the database is away.
        """
        published = 0
        queue_error: QueueUnavailableError | None = None
        while batch := await self._next_batch():
            for event_id in batch:
                jobs = await self._fan_out(event_id)
                if jobs is None:
                    continue
                published += 1
                if jobs and queue_error is not None:
                    await unmark(self.db, jobs)
                elif jobs:
                    try:
                        await enqueue_or_unmark(self.db, self.queue, jobs)
                    except QueueUnavailableError as error:
                        queue_error = error
        if queue_error is not None:
            raise queue_error
        return published

    async def report_unknown(self) -> None:
        """Log, per topic and version, how many events nobody here understands."""
        async with self.db.transaction() as session:
            unknown = await unknown_events(session)
        for topic, version, count in unknown:
            log.error(
                "outbox.unknown_event",
                topic=topic,
                version=version,
                count=count,
                hint="kept in the outbox; a newer scheduler may know it",
            )

    async def _next_batch(self) -> tuple[uuid.UUID, ...]:
        now = self.clock.now()
        self._held = {key: until for key, until in self._held.items() if until > now}
        async with self.db.transaction() as session:
            return await waiting_events(session, limit=BATCH, without=tuple(self._held))

    async def _fan_out(self, event_id: uuid.UUID) -> tuple[Job, ...] | None:
        """The jobs of an event, or None when it stands aside."""
        now = self.clock.now()
        try:
            jobs = await fan_out(
                self.db, event_id, policies=self.policies, admin=self.admin, now=now
            )
        except OperationalError:
            raise
        except Exception as error:  # one bad event must not hold up the others
            self._held[event_id] = now + HOLD_BACK
            log.exception(
                "outbox.event_refused", event_id=str(event_id), error_type=type(error).__name__
            )
            return None
        # When another relay has it locked it is still unpublished: do not meet it again at once.
        self._held[event_id] = now + timedelta(seconds=1)
        return jobs
