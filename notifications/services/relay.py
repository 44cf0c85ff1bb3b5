"""Carry outbox events to notifications: the loop body of the scheduler's relay job."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import OperationalError

from kit.clock import Clock
from notifications.domain.jobs import Channel
from notifications.domain.policies import Policies
from notifications.services.fan_out import (
    EVERY_CHANNEL,
    FannedOut,
    fan_out_all,
    unknown_events,
    waiting_events,
)
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
    channels: frozenset[Channel] = EVERY_CHANNEL
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
            done = await self._fan_out(batch)
            published += len(done.published)
            if not done.jobs:
                continue
            if queue_error is not None:
                await unmark(self.db, done.jobs)
                continue
            try:
                await enqueue_or_unmark(self.db, self.queue, done.jobs)
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
        # A clock that was set back must not hold them for longer.
        self._held = {
            key: until
            for key, until in self._held.items()
            if timedelta() < until - now <= HOLD_BACK
        }
        async with self.db.transaction() as session:
            return await waiting_events(session, limit=BATCH, without=tuple(self._held))

    async def _fan_out(self, batch: Sequence[uuid.UUID]) -> FannedOut:
        """What came of the events; those that make trouble stand aside."""
        try:
            done = await self._all(batch)
        except OperationalError:
            raise
        except Exception:
            # One of them, and nobody knows which: each by itself, so that it alone stands aside.
            if len(batch) == 1:
                self._stand_aside(batch[0], "the batch failed")
                return FannedOut()
            log.exception("outbox.batch_failed", count=len(batch))
            parts = [await self._fan_out([event_id]) for event_id in batch]
            return FannedOut(
                tuple(job for part in parts for job in part.jobs),
                tuple(event_id for part in parts for event_id in part.published),
            )
        for event_id, error in done.refused.items():
            self._stand_aside(event_id, str(error))
        now = self.clock.now()
        for event_id in set(batch).difference(done.published):
            # When another relay has it locked it is still unpublished: do not meet it again at
            # once.
            self._held.setdefault(event_id, now + timedelta(seconds=1))
        return done

    async def _all(self, batch: Sequence[uuid.UUID]) -> FannedOut:
        return await fan_out_all(
            self.db,
            batch,
            policies=self.policies,
            admin=self.admin,
            now=self.clock.now(),
            channels=self.channels,
        )

    def _stand_aside(self, event_id: uuid.UUID, problem: str) -> None:
        self._held[event_id] = self.clock.now() + HOLD_BACK
        log.error("outbox.event_refused", event_id=str(event_id), reason=problem)
