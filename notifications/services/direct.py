"""Deliver without the queue: when Redis is away, workers take due rows from the database itself.

The claim is the same, so a job that comes back with Redis finds nothing to do. It is slower and
asks the database once a second, so it begins only when Redis has been away for a while.

The same is done at all times for rows that have long been due and that nobody put in the queue:
Redis answers and takes nothing (its memory is full), or no scheduler is left.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import structlog
from sqlalchemy import ARRAY, DateTime, String, TextClause, bindparam, text
from sqlalchemy.exc import SQLAlchemyError

from kit.clock import Clock
from notifications.domain.jobs import JobName
from notifications.services.ports import Gate, JobQueue, QueueUnavailableError
from ticketing.db.engine import Database

log = structlog.get_logger()

AFTER = timedelta(seconds=15)
"""How long Redis must be away: a restart takes a few seconds and is nobody's reason to change."""

LOOK_EVERY = timedelta(seconds=1)
LOOK_AT_LEISURE = timedelta(seconds=5)
"""How often Redis is asked while it answers."""

AT_ONCE = timedelta(milliseconds=20)
"""Between two batches: what is due and cannot be claimed shall not be asked for in a tight loop."""

BATCH = 50
"""Rows of one job name at a time: small, so that several processes share them."""


class DeliversMany(Protocol):
    """`Deliverer` in operation."""

    async def deliver_many(self, ids: Sequence[uuid.UUID], job_name: JobName) -> None:
        """Make one attempt for each notification that is due."""
        ...


@dataclass(slots=True)
class DirectMode:
    """Watches the queue in one worker process and takes its place while it is away."""

    db: Database
    queue: JobQueue
    deliverer: DeliversMany
    clock: Clock
    gate: Gate | None = None
    after: timedelta = AFTER
    look_every: timedelta = LOOK_EVERY
    look_at_leisure: timedelta = LOOK_AT_LEISURE

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until `stop` is set."""
        loop = asyncio.get_running_loop()
        away_since: float | None = None
        direct = False
        while not stop.is_set():
            if await self._answers():
                if direct:
                    log.info("worker.direct_mode_over")
                away_since, direct = None, False
            else:
                away_since = away_since if away_since is not None else loop.time()
                if not direct and loop.time() - away_since >= self.after.total_seconds():
                    direct = True
                    log.warning("worker.direct_mode", seconds=round(loop.time() - away_since))
            pause = self.look_at_leisure if away_since is None else self.look_every
            if (direct or away_since is None) and await self._deliver_due(stranded=not direct):
                pause = AT_ONCE  # there may be more
            try:
                async with asyncio.timeout(pause.total_seconds()):
                    await stop.wait()
            except TimeoutError:
                pass

    async def _answers(self) -> bool:
        try:
            await self.queue.waiting()
        except QueueUnavailableError:
            return False
        return True

    async def _deliver_due(self, *, stranded: bool) -> bool:
        """Deliver one batch of each job name; whether there was anything."""
        try:
            return await self.deliver_due(stranded=stranded)
        except (SQLAlchemyError, OSError) as error:
            log.warning("worker.direct_mode_failed", error_type=type(error).__name__)
            return False

    async def deliver_due(self, *, stranded: bool = False) -> bool:
        """Deliver what is due, one batch of each job name; whether there was anything.

        Args:
            stranded: Only what has been due for a while without anybody putting it in the queue.

        Raises:
            SQLAlchemyError: when the database does not answer.
        """
        closed = {} if self.gate is None else await self.gate.closed_for(tuple(JobName))
        names = [name.value for name in JobName if name not in closed]
        due_by = self.clock.now() - (self.after if stranded else timedelta())
        values = {"now": due_by, "job_names": names, "batch": BATCH}
        async with self.db.transaction() as session:
            rows = (await session.execute(_STRANDED if stranded else _DUE, values)).all()
        if stranded and rows:
            log.warning("worker.took_stranded", count=len(rows))
        due: dict[JobName, list[uuid.UUID]] = defaultdict(list)
        for row in rows:
            due[JobName(row.job_name)].append(row.id)
        await asyncio.gather(
            *(self.deliverer.deliver_many(ids, job_name) for job_name, ids in due.items())
        )
        return bool(rows)


def _statement(where: str) -> TextClause:
    statement = text(
        f"""
    SELECT picked.id, picked.job_name FROM unnest(:job_names) AS way(job_name)
    CROSS JOIN LATERAL (
      SELECT id, job_name FROM notifications
      WHERE state IN ('pending', 'unknown') AND digest_id IS NULL
        AND job_name = way.job_name AND next_attempt_at <= :now AND {where}
      ORDER BY urgent DESC, next_attempt_at LIMIT :batch FOR UPDATE SKIP LOCKED
    ) AS picked
    """  # noqa: S608 - no values in it
    )
    return statement.bindparams(
        bindparam("now", type_=DateTime(timezone=True)),
        bindparam("job_names", type_=ARRAY(String())),
    )


_DUE = _statement("true")  # what waits in the Redis that is away is due as well
_STRANDED = _statement("enqueued_at IS NULL")
