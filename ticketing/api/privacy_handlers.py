"""Contacts, their data, and the audit log over the API."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from ticketing.api.calls import Answer, Call, Download
from ticketing.http.privacy_schemas import AuditQuery, ContactBody, ContactQuery, EraseBody
from ticketing.services import (
    audit,
    contact_erasure,
    contact_export,
    contact_hold,
    contact_records,
    privacy_jobs,
)
from ticketing.services.person_stores import table_stores


@dataclass(frozen=True, slots=True)
class StoreCount:
    """How much of a person a table holds."""

    store: str
    count: int


@dataclass(frozen=True, slots=True)
class ErasurePreview:
    """What an erasure would change in the database, and what is in the way of it.

    Rasa's memory, Redis and files are erased too; `ponte contacts erase` counts them.
    """

    contact_id: uuid.UUID
    counts: tuple[StoreCount, ...]
    refused: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PrivacyJobView:
    """An export or erasure; `done` counts per store."""

    id: uuid.UUID
    kind: str
    contact_id: uuid.UUID
    state: str
    requested_by: str
    requested_at: datetime
    due_at: datetime
    finished_at: datetime | None
    attempts: int
    error: str | None
    done: tuple[StoreCount, ...]


@dataclass(frozen=True, slots=True)
class HoldView:
    """Whether a legal hold is on, and whether this request changed that."""

    contact_id: uuid.UUID
    held: bool
    changed: bool


async def list_contacts(call: Call) -> Answer:
    """GET /contacts."""
    query: ContactQuery = call.query
    async with call.desk.deps.db.transaction() as session:
        page = await contact_records.list_contacts(
            session, wanted=query.q, vip=query.vip, cursor=query.cursor, limit=query.limit
        )
    return Answer(page)


async def get_contact(call: Call) -> Answer:
    """GET /contacts/{contact_id}."""
    async with call.desk.deps.db.transaction() as session:
        return Answer(await contact_records.get_contact(session, call.ids["contact_id"]))


async def change_contact(call: Call) -> Answer:
    """POST /contacts/{contact_id}."""
    body: ContactBody = call.body
    deps = call.desk.deps
    async with deps.db.transaction() as session:
        done = await contact_records.change_contact(
            session,
            call.ids["contact_id"],
            body.model_dump(exclude_unset=True),
            actor=call.actor.label,
            now=deps.clock.now(),
            correlation_id=call.correlation_id,
        )
    return Answer(done)


async def preview_erasure(call: Call) -> Answer:
    """GET /contacts/{contact_id}/erasure."""
    deps = call.desk.deps
    plan = await contact_erasure.plan(
        deps.db, table_stores(deps.db), call.ids["contact_id"], now=deps.clock.now()
    )
    return Answer(ErasurePreview(plan.contact_id, _counts(plan.counts), plan.refused))


async def erase_contact(call: Call) -> Answer:
    """POST /contacts/{contact_id}/erase."""
    body: EraseBody = call.body
    deps = call.desk.deps
    if not deps.privacy_key:
        message = "PONTE_PRIVACY_KEY is not set, so nobody can be erased"
        raise contact_erasure.ErasureUnavailableError(message)
    job_id = await contact_erasure.begin(
        deps.db,
        call.ids["contact_id"],
        key=deps.privacy_key,
        requested_by=call.actor.label,
        now=deps.clock.now(),
        correlation_id=call.correlation_id,
        force=body.force,
    )
    return await _job(call, job_id)


async def export_contact(call: Call) -> Answer:
    """POST /contacts/{contact_id}/export."""
    deps = call.desk.deps
    job_id = await contact_export.ask(
        deps.db,
        call.ids["contact_id"],
        requested_by=call.actor.label,
        now=deps.clock.now(),
        correlation_id=call.correlation_id,
    )
    return await _job(call, job_id)


async def get_privacy_job(call: Call) -> Answer:
    """GET /privacy-jobs/{job_id}."""
    return await _job(call, call.ids["job_id"])


async def download_export(call: Call) -> Answer:
    """GET /privacy-jobs/{job_id}/file."""
    deps = call.desk.deps
    async with deps.db.transaction() as session:
        found = await contact_export.fetch(
            session,
            call.ids["job_id"],
            actor=call.actor.label,
            now=deps.clock.now(),
            correlation_id=call.correlation_id,
        )
    headers = {
        "Content-Disposition": f'attachment; filename="dados-{found.contact_id}.zip"',
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return Answer(None, download=Download(found.content, "application/zip", headers))


async def hold_contact(call: Call) -> Answer:
    """POST /contacts/{contact_id}/hold."""
    return await _hold(call, reason=call.body.reason)


async def release_contact(call: Call) -> Answer:
    """POST /contacts/{contact_id}/release."""
    return await _hold(call, reason=None)


async def list_audit(call: Call) -> Answer:
    """GET /audit."""
    query: AuditQuery = call.query
    wanted = audit.AuditFilter(
        actor=query.actor,
        action=query.action,
        subject=query.subject,
        correlation_id=query.correlation_id,
        since=query.since,
        until=query.until,
    )
    cursor = None if query.cursor is None else str(query.cursor)
    async with call.desk.deps.db.transaction() as session:
        return Answer(await audit.list_entries(session, wanted, cursor=cursor, limit=query.limit))


async def _hold(call: Call, *, reason: str | None) -> Answer:
    deps, contact_id = call.desk.deps, call.ids["contact_id"]
    async with deps.db.transaction() as session:
        changed = await contact_hold.set_hold(
            session,
            contact_id,
            reason=reason,
            actor=call.actor.label,
            now=deps.clock.now(),
            correlation_id=call.correlation_id,
        )
    return Answer(HoldView(contact_id, held=reason is not None, changed=changed))


async def _job(call: Call, job_id: uuid.UUID) -> Answer:
    async with call.desk.deps.db.transaction() as session:
        job = await privacy_jobs.get_job(session, job_id)
    return Answer(
        PrivacyJobView(
            id=job.id,
            kind=job.kind,
            contact_id=job.contact_id,
            state=job.state,
            requested_by=job.requested_by,
            requested_at=job.requested_at,
            due_at=job.due_at,
            finished_at=job.finished_at,
            attempts=job.attempts,
            error=job.error,
            done=_counts(job.progress),
        )
    )


def _counts(counts: dict[str, int]) -> tuple[StoreCount, ...]:
    return tuple(StoreCount(store, count) for store, count in counts.items())
