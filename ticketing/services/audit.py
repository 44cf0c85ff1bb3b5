"""Write down who did what, in the transaction that did it; read it again."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from kit.ids import new_id
from kit.json import storable, storable_text
from ticketing.db.audit_tables import AuditEntry, AuditSeal, AuditWaiting
from ticketing.domain.audit_chain import without_personal

LONGEST_TEXT = 200  # characters of actor, action, subject; they are ids and enums
MOST_ENTRIES = 200


async def record(
    session: AsyncSession,
    *,
    actor: str,
    action: str,
    subject: str,
    data: Mapping[str, Any],
    now: datetime,
    correlation_id: str,
) -> None:
    """Add an entry to the audit log; it is there if, and only if, the caller's transaction commits.

    It takes no lock and waits for nobody: the entry gets its place in the chain afterwards. Twice
    is two entries, so call it where the act itself happens once.

    Args:
        session: The transaction of the act.
        actor: `agent:<uuid>` (`Actor.label`), `token:<uuid>`, `system`, `cli` or `bot`.
        action: `thing.done`, such as `agent.disabled`, `login.failed`, `contact.erased`.
        subject: `kind:id`, such as `agent:<uuid>`, `ticket:<uuid>`; `kind:none` without one.
        data: Ids, enums, counts; never a person's words, name, number or address. What looks like
            one is replaced.
        now: When.
        correlation_id: Of the request or job.
    """
    entry_id = new_id()
    await session.execute(
        insert(AuditEntry).values(
            id=entry_id,
            at=now,
            actor=_short(actor),
            action=_short(action),
            subject=_short(without_personal(subject)),
            data=storable(without_personal(dict(data))),
            correlation_id=_short(correlation_id),
        )
    )
    await session.execute(insert(AuditWaiting).values(entry_id=entry_id))


@dataclass(frozen=True, slots=True)
class AuditView:
    """An entry as people read it; `seq` is None until it is sealed."""

    id: uuid.UUID
    seq: int | None
    at: datetime
    actor: str
    action: str
    subject: str
    data: dict[str, Any]
    correlation_id: str


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Entries, the newest first, and the cursor of the next page."""

    entries: tuple[AuditView, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What to list; None: everything. `action` may end in `.*`."""

    actor: str | None = None
    action: str | None = None
    subject: str | None = None
    correlation_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def list_entries(
    session: AsyncSession, wanted: AuditFilter, *, cursor: str | None = None, limit: int = 50
) -> AuditPage:
    """A page of the log, the newest first.

    Args:
        session: A transaction.
        wanted: The filter.
        cursor: `next_cursor` of the page before.
        limit: Most entries, up to 200.

    Raises:
        ValueError: when the cursor is not one of ours.
    """
    limit = max(1, min(limit, MOST_ENTRIES))
    rows = (
        select(AuditEntry, AuditSeal.seq)
        .outerjoin(AuditSeal, AuditSeal.entry_id == AuditEntry.id)
        .order_by(AuditEntry.id.desc())
        .limit(limit + 1)
    )
    if cursor is not None:
        rows = rows.where(AuditEntry.id < _cursor(cursor))
    for name in ("actor", "subject", "correlation_id"):
        value = getattr(wanted, name)
        if value is not None:
            rows = rows.where(getattr(AuditEntry, name) == value)
    if wanted.action is not None and wanted.action.endswith(".*"):
        start = wanted.action.removesuffix("*")
        rows = rows.where(AuditEntry.action.startswith(start, autoescape=True))
    elif wanted.action is not None:
        rows = rows.where(AuditEntry.action == wanted.action)
    if wanted.since is not None:
        rows = rows.where(AuditEntry.at >= wanted.since)
    if wanted.until is not None:
        rows = rows.where(AuditEntry.at < wanted.until)
    found = (await session.execute(rows)).all()
    page = found[:limit]
    return AuditPage(
        entries=tuple(
            AuditView(
                id=entry.id,
                seq=seq,
                at=entry.at,
                actor=entry.actor,
                action=entry.action,
                subject=entry.subject,
                data=entry.data,
                correlation_id=entry.correlation_id,
            )
            for entry, seq in page
        ),
        next_cursor=str(page[-1][0].id) if len(found) > limit else None,
    )


def _cursor(value: str) -> uuid.UUID:
    try:
        return uuid.UUID(value)
    except ValueError as error:
        message = f"cursor: expected next_cursor of a page, got {value[:40]!r}"
        raise ValueError(message) from error


def _short(value: str) -> str:
    return storable_text(value)[:LONGEST_TEXT]
