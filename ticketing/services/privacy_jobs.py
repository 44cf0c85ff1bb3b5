"""Exports and erasures as rows: asked for here, run and finished by whoever holds the lease.

The row is all a job needs to go on after the death of a process: the person's identities while it
runs, and per store how much was done. Every step may run twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.engine import Database
from ticketing.db.privacy_tables import PrivacyJob
from ticketing.domain.privacy import JobKind, JobState, Person
from ticketing.services.due import has_come_in

LEASE = timedelta(minutes=5)
"""A store of one person takes seconds; a process that died is followed after this."""

FIRST_RETRY = timedelta(seconds=30)
LONGEST_RETRY = timedelta(hours=1)
MOST_EXPORT_ATTEMPTS = 10
"""An export may be asked for again; an erasure is never given up."""

_ENDED = (JobState.DONE.value, JobState.FAILED.value)


class PrivacyJobNotFoundError(Exception):
    """No export or erasure has this id."""


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as people see it; the person is not in it."""

    id: uuid.UUID
    kind: str
    contact_id: uuid.UUID
    state: str
    requested_by: str
    requested_at: datetime
    progress: dict[str, int]
    due_at: datetime
    attempts: int
    error: str | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job that this process works on now."""

    id: uuid.UUID
    kind: JobKind
    person: Person
    cutoff: datetime
    second_look: bool
    requested_by: str
    correlation_id: str


def view_of(job: PrivacyJob) -> JobView:
    """The row for people."""
    return JobView(
        id=job.id,
        kind=job.kind,
        contact_id=job.contact_id,
        state=job.state,
        requested_by=job.requested_by,
        requested_at=job.requested_at,
        progress=dict(job.progress),
        due_at=job.due_at,
        attempts=job.attempts,
        error=job.error,
        finished_at=job.finished_at,
    )


async def running_job(
    session: AsyncSession, contact_id: uuid.UUID, kind: JobKind
) -> PrivacyJob | None:
    """The contact's job of this kind that has not ended."""
    return await session.scalar(
        select(PrivacyJob).where(
            PrivacyJob.contact_id == contact_id,
            PrivacyJob.kind == kind.value,
            PrivacyJob.state.not_in(_ENDED),
        )
    )


async def get_job(session: AsyncSession, job_id: uuid.UUID) -> JobView:
    """A job.

    Raises:
        PrivacyJobNotFoundError: no job has this id.
    """
    job = await session.get(PrivacyJob, job_id)
    if job is None:
        message = f"no export or erasure with id {job_id}"
        raise PrivacyJobNotFoundError(message)
    return view_of(job)


async def add_job(
    session: AsyncSession,
    kind: JobKind,
    person: Person,
    *,
    requested_by: str,
    now: datetime,
    correlation_id: str,
) -> PrivacyJob:
    """A new job, due at once; the caller has looked for a running one under the contact's lock."""
    job = PrivacyJob(
        kind=kind.value,
        contact_id=person.contact_id,
        state=JobState.PENDING.value,
        requested_by=requested_by,
        requested_at=now,
        cutoff=now,
        person=person.as_json(),
        progress={},
        due_at=now,
        attempts=0,
        correlation_id=correlation_id,
    )
    session.add(job)
    await session.flush()
    return job


async def due_jobs(db: Database, *, now: datetime, limit: int = 20) -> list[uuid.UUID]:
    """Jobs whose time has come and that nobody works on."""
    async with db.transaction() as session:
        found = await session.scalars(
            select(PrivacyJob.id)
            .where(PrivacyJob.state.not_in(_ENDED), PrivacyJob.due_at <= now, _free(now))
            .order_by(PrivacyJob.due_at)
            .limit(limit)
        )
        return list(found)


async def claim(db: Database, job_id: uuid.UUID, *, now: datetime) -> Claimed | None:
    """Take a job; None when it has ended, is not due, or another process has it."""
    async with db.transaction() as session:
        job = await session.scalar(
            select(PrivacyJob)
            .where(
                PrivacyJob.id == job_id,
                PrivacyJob.state.not_in(_ENDED),
                PrivacyJob.due_at <= now,
                _free(now),
            )
            .with_for_update(skip_locked=True)
        )
        if job is None:
            return None
        job.lease_until = now + LEASE
        job.attempts += 1
        second = job.state == JobState.SETTLING.value
        if not second:
            job.state = JobState.RUNNING.value
        return Claimed(
            id=job.id,
            kind=JobKind(job.kind),
            person=Person.from_json(job.person),
            cutoff=job.cutoff,
            second_look=second,
            requested_by=job.requested_by,
            correlation_id=job.correlation_id,
        )


async def note_progress(
    db: Database, job_id: uuid.UUID, store: str, count: int, *, now: datetime
) -> None:
    """Add to what was done in a store, and keep the lease."""
    async with db.transaction() as session:
        job = await session.get_one(PrivacyJob, job_id, with_for_update=True)
        job.progress = {**job.progress, store: job.progress.get(store, 0) + count}
        job.lease_until = now + LEASE


async def put_off(db: Database, job_id: uuid.UUID, *, error: str, now: datetime) -> JobState:
    """A store failed: try again later, an export only so often."""
    async with db.transaction() as session:
        job = await session.get_one(PrivacyJob, job_id, with_for_update=True)
        job.error = error
        job.lease_until = None
        pause = min(FIRST_RETRY * (1 << min(job.attempts - 1, 10)), LONGEST_RETRY)
        job.due_at = now + pause
        if job.kind == JobKind.EXPORT.value and job.attempts >= MOST_EXPORT_ATTEMPTS:
            end(job, JobState.FAILED, now=now)
        return JobState(job.state)


async def settle(session: AsyncSession, job_id: uuid.UUID, *, until: datetime) -> None:
    """An erasure went over everything once; look again then."""
    await session.execute(
        update(PrivacyJob)
        .where(PrivacyJob.id == job_id)
        .values(
            state=JobState.SETTLING.value, due_at=until, lease_until=None, attempts=0, error=None
        )
    )


def end(job: PrivacyJob, state: JobState, *, now: datetime) -> None:
    """Finish a job; it forgets the person."""
    job.state = state.value
    job.finished_at = now
    job.lease_until = None
    job.person = {}


def _free(now: datetime) -> Any:
    return or_(PrivacyJob.lease_until.is_(None), has_come_in(PrivacyJob.lease_until, now=now))


def total(progress: Mapping[str, int]) -> int:
    """How much was done in all stores."""
    return sum(progress.values())
