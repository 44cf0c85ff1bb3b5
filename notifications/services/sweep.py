"""Put due notifications in the queue: first tries, retries, and what a lost Redis or worker left.

This is what makes Redis an accelerator: every job can be made again from the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, and_, or_, select, update

from notifications.domain.jobs import Job
from notifications.services.deliver import WAITING
from notifications.services.ports import JobQueue, QueueUnavailableError
from ticketing.db.engine import Database
from ticketing.db.tables import Notification
from ticketing.domain.enums import DeliveryState

log = structlog.get_logger()

LOST_AFTER = timedelta(seconds=30)
"""A job that nobody claimed by then, with an empty queue, is lost: a worker takes milliseconds."""

LOST_AFTER_BACKLOG = timedelta(minutes=10)
"""The same while the queue still holds jobs: it may be among them, and a copy would only add to the
backlog. Beyond this it is put in again anyway; a second copy finds nothing to do."""

BATCH = 200


async def sweep(db: Database, queue: JobQueue, *, now: datetime, limit: int = BATCH) -> int:
    """Put due notifications in the queue; how many.

    Rows are marked before their jobs are put in. When the queue does not answer the mark is taken
    back, when the process dies it grows old: either way a later sweep comes back to them. Two
    sweeps at once share the rows (SKIP LOCKED).

    Raises:
        QueueUnavailableError: when the queue does not answer.
    """
    backlog = await queue.waiting() > 0
    lost_before = now - (LOST_AFTER_BACKLOG if backlog else LOST_AFTER)
    async with db.transaction() as session:
        rows = (
            await session.scalars(
                select(Notification)
                .where(_is_due(now), _is_not_queued(lost_before))
                .order_by(Notification.next_attempt_at.nulls_first(), Notification.id)
                .limit(limit)
                .with_for_update(skip_locked=True)
            )
        ).all()
        jobs = []
        for row in rows:
            if row.enqueued_at is not None or row.state == DeliveryState.SENDING.value:
                log.warning(
                    "notification.enqueued_again",
                    notification_id=str(row.id),
                    state=row.state,
                    attempts=row.attempts,
                    correlation_id=row.correlation_id,
                )
            row.enqueued_at = now
            urgent = bool(row.context.get("urgent"))
            jobs.append(Job(row.job_name, row.id, row.correlation_id, urgent=urgent))
    if jobs:
        await enqueue_or_unmark(db, queue, jobs)
    return len(jobs)


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


def _is_due(now: datetime) -> ColumnElement[bool]:
    return or_(
        and_(
            Notification.state.in_(WAITING),
            or_(Notification.next_attempt_at.is_(None), Notification.next_attempt_at <= now),
        ),
        and_(Notification.state == DeliveryState.SENDING.value, Notification.lease_until <= now),
    )


def _is_not_queued(lost_before: datetime) -> ColumnElement[bool]:
    return or_(Notification.enqueued_at.is_(None), Notification.enqueued_at <= lost_before)
