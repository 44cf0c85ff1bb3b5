"""Put due notifications in the queue: first tries, retries, and what a lost Redis or worker left.

This is what makes Redis an accelerator: every job can be made again from the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ARRAY, DateTime, Integer, Row, String, TextClause, bindparam, text, update

from notifications.domain.jobs import Job, JobName
from notifications.domain.suspects import SUSPECT_GROUP
from notifications.services.ports import Gate, JobQueue, QueueUnavailableError
from ticketing.db.engine import Database
from ticketing.db.tables import Notification

log = structlog.get_logger()

LOST_AFTER = timedelta(seconds=30)
"""A job that nobody claimed by then, with an empty queue, is lost: a worker takes milliseconds."""

LOST_AFTER_BACKLOG = timedelta(minutes=10)
"""The same while the queue still holds jobs: it may be among them, and a copy would only add to the
backlog. Beyond this it is put in again anyway; a second copy finds nothing to do."""

BATCH = 500
"""Rows in one transaction; it goes on while full batches come."""

WITHOUT_LIMIT = 1_000_000_000
"""More rows than one sweep will ever put in."""

FIRST_AFTER_CLOSED = 10
"""Rows of a job name that are put in by the first sweep after it was closed. It doubles with every
sweep: one of them is the probe, and the others would only be turned back."""


async def sweep(
    db: Database,
    queue: JobQueue,
    *,
    now: datetime,
    limits: Mapping[JobName, int] | None = None,
    batch: int = BATCH,
) -> int:
    """Put due notifications in the queue, urgent ones first, then the longest waiting; how many.

    Rows are marked before their jobs are put in. When the queue does not answer the mark is taken
    back, when the process dies it grows old: either way a later sweep comes back to them. Two
    sweeps at once share the rows (SKIP LOCKED).

    Args:
        db: Where the rows are.
        queue: Where jobs go.
        now: When.
        limits: How many of a job name at most; one that is not named: all.
        batch: Rows in one transaction.

    Raises:
        QueueUnavailableError: when the queue does not answer.
    """
    backlog = await queue.waiting() > 0
    left: dict[JobName, int] = dict.fromkeys(JobName, WITHOUT_LIMIT) | dict(limits or {})
    done = 0
    for urgent in (True, False):
        done += await _sweep_due(db, queue, now=now, urgent=urgent, left=left, batch=batch)
    done += len(await _put_in(db, queue, _SUSPECTS, {"now": now, "batch": SUSPECT_GROUP}))
    closed = [name.value for name, limit in left.items() if limit == 0]
    lost_before = now - (LOST_AFTER_BACKLOG if backlog else LOST_AFTER)
    values = {"now": now, "batch": batch, "lost_before": lost_before, "closed": closed}
    count = batch
    while count == batch:
        count = len(await _put_in(db, queue, _QUEUED, values, again=True))
        done += count
    return done


async def _sweep_due(
    db: Database,
    queue: JobQueue,
    *,
    now: datetime,
    urgent: bool,
    left: dict[JobName, int],
    batch: int,
) -> int:
    """Put in what is due, of every job name that has not reached its limit."""
    going = set(left)
    done = 0
    while going:
        sizes = {name: min(batch, left[name]) for name in going}
        values = {
            "now": now,
            "urgent": urgent,
            "job_names": [name.value for name in sizes],
            "sizes": list(sizes.values()),
        }
        counts = Counter(row.job_name for row in await _put_in(db, queue, _DUE, values))
        for name, size in sizes.items():
            count = counts[name.value]
            done += count
            left[name] -= count
            if count < size or size == 0:
                going.discard(name)
    return done


async def _put_in(
    db: Database,
    queue: JobQueue,
    statement: TextClause,
    values: dict[str, Any],
    *,
    again: bool = False,
) -> Sequence[Row[Any]]:
    async with db.transaction() as session:
        rows = (await session.execute(statement, values)).all()
    if not rows:
        return ()
    if again:
        log.warning("notification.enqueued_again", count=len(rows))
    # RETURNING has no order of its own.
    rows = sorted(rows, key=_order)
    await enqueue_or_unmark(
        db,
        queue,
        [
            Job(
                row.job_name,
                row.id,
                row.correlation_id,
                urgent=row.urgent,
                # After one death they may share a message with each other: the claim sees to it
                # that they go in groups, and puts them in as few transactions.
                alone=row.lost_workers > 1,
            )
            for row in rows
        ],
    )
    return rows


def _order(row: Row[Any]) -> tuple[bool, bool, Any, Any]:
    return not row.urgent, row.next_attempt_at is not None, row.next_attempt_at, row.id


async def enqueue_or_unmark(db: Database, queue: JobQueue, jobs: Sequence[Job]) -> None:
    """Put jobs in the queue; when it does not answer, let the next sweep try at once.

    Raises:
        QueueUnavailableError: when the queue does not answer.
    """
    try:
        await queue.enqueue(jobs)
    except QueueUnavailableError:
        await unmark(db, jobs)
        raise


async def unmark(db: Database, jobs: Sequence[Job]) -> None:
    """Say of rows that they are not in the queue, so that the next sweep puts them in."""
    async with db.transaction() as session:
        await session.execute(
            update(Notification)
            .where(Notification.id.in_([job.notification_id for job in jobs]))
            .values(enqueued_at=None)
        )


@dataclass(slots=True)
class Sweep:
    """The sweep of one process: it leaves out what the gate holds, and comes back with care."""

    db: Database
    queue: JobQueue
    gate: Gate | None = None
    _careful: dict[JobName, int] = field(default_factory=dict)

    async def run(self, *, now: datetime) -> int:
        """One sweep; see `sweep`.

        Raises:
            QueueUnavailableError: when the queue does not answer.
        """
        closed: Collection[JobName] = ()
        if self.gate is not None:
            closed = (await self.gate.closed_for(tuple(JobName))).keys()
        limits = dict.fromkeys(closed, 0)
        for job_name, limit in list(self._careful.items()):
            if job_name not in limits:
                limits[job_name] = limit
                self._careful[job_name] = limit * 2
                if limit > BATCH:
                    del self._careful[job_name]
        self._careful.update(dict.fromkeys(closed, FIRST_AFTER_CLOSED))
        return await sweep(self.db, self.queue, now=now, limits=limits)


_MARK = """
    UPDATE notifications AS n SET enqueued_at = :now
    FROM due WHERE n.id = due.id
    RETURNING n.id, n.job_name, n.correlation_id, n.urgent, n.lost_workers, n.next_attempt_at
"""
_NOW = bindparam("now", type_=DateTime(timezone=True))

# States are written out: partial indexes are used only where the condition is seen. Each job name
# is looked up by itself, so that the rows of one that is closed are not even read.
_DUE = text(
    f"""
    WITH way AS (
      SELECT * FROM unnest(:job_names, :sizes) AS way(job_name, size)
    ), due AS (
      SELECT picked.id FROM way CROSS JOIN LATERAL (
        SELECT id FROM notifications
        WHERE state IN ('pending', 'unknown') AND digest_id IS NULL AND enqueued_at IS NULL
          AND lost_workers = 0 AND job_name = way.job_name AND urgent = :urgent
          AND next_attempt_at <= :now
        ORDER BY next_attempt_at LIMIT way.size FOR UPDATE SKIP LOCKED
      ) AS picked
    ) {_MARK}
    """  # noqa: S608 - no values in it
).bindparams(
    _NOW,
    bindparam("job_names", type_=ARRAY(String())),
    bindparam("sizes", type_=ARRAY(Integer())),
)
# Few: at most what dead workers had. Those that died once come first, see `domain.suspects`.
_SUSPECTS = text(
    f"""
    WITH due AS (
      SELECT id FROM notifications
      WHERE state IN ('pending', 'unknown') AND digest_id IS NULL AND enqueued_at IS NULL
        AND lost_workers > 0 AND next_attempt_at <= :now
      ORDER BY lost_workers, next_attempt_at LIMIT :batch FOR UPDATE SKIP LOCKED
    ) {_MARK}
    """  # noqa: S608 - no values in it
).bindparams(_NOW)
_QUEUED = text(
    f"""
    WITH due AS (
      SELECT id FROM notifications
      WHERE state IN ('pending', 'unknown') AND digest_id IS NULL
        AND enqueued_at <= :lost_before AND next_attempt_at <= :now
        AND NOT (job_name = ANY(:closed))
      ORDER BY enqueued_at LIMIT :batch FOR UPDATE SKIP LOCKED
    ) {_MARK}
    """  # noqa: S608 - no values in it
).bindparams(
    _NOW,
    bindparam("lost_before", type_=DateTime(timezone=True)),
    bindparam("closed", type_=ARRAY(String())),
)
