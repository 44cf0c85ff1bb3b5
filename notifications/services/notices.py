"""Write notifications as rows: the only way they are made.

With their cause, channel and recipient a row exists once, however often and by how many it is
tried.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from kit.ids import new_id
from kit.json import dumps
from notifications.domain.digest import AtOnce, Follow, Lead, digest_key, joined, place_of
from notifications.domain.jobs import JOB_OF_CHANNEL, PAYLOAD_VERSION, Job
from notifications.domain.recipients import Notice
from notifications.services.wake import wake_sweep
from ticketing.db.tables import Notification
from ticketing.domain.enums import DeliveryState


@dataclass(frozen=True, slots=True)
class Cause:
    """Why notices are made, the same for all of one happening.

    Attributes:
        key: With channel and recipient it makes a row exist once.
        context: What the texts are made of; `source` says who says so.
        ticket_id: The ticket they are about, if any.
        correlation_id: Follows the cause.
    """

    key: str
    context: dict[str, Any]
    ticket_id: uuid.UUID | None
    correlation_id: str


async def insert_notices(
    session: AsyncSession,
    notices: Sequence[Notice],
    *,
    key: str,
    context: dict[str, Any],
    ticket_id: uuid.UUID | None,
    now: datetime,
    correlation_id: str,
    enqueued_at: datetime | None,
) -> tuple[Job, ...]:
    """Insert rows that are not there yet; a job for each new one that is due.

    Args:
        session: the caller's transaction.
        notices: what to make.
        key: the cause; with channel and recipient it makes a row exist once.
        context: what the texts are made of.
        ticket_id: the ticket they are about, if any.
        now: time of creation.
        correlation_id: follows the cause.
        enqueued_at: `now` when the caller puts the jobs in the queue after the commit, None to
            leave that to the sweep, which is woken.
    """
    cause = Cause(key, context, ticket_id, correlation_id)
    made = [(cause, notice) for notice in notices]
    return await insert_all(session, made, now=now, enqueued_at=enqueued_at)


async def insert_all(
    session: AsyncSession,
    made: Sequence[tuple[Cause, Notice]],
    *,
    now: datetime,
    enqueued_at: datetime | None,
) -> tuple[Job, ...]:
    """Insert the rows of several causes in one statement; see `insert_notices`."""
    rows = [_row(cause, notice, now=now, enqueued_at=enqueued_at) for cause, notice in made]
    windows = {
        row["digest_key"]: notice.digest
        for row, (_, notice) in zip(rows, made, strict=True)
        if notice.digest is not None
    }
    await _lock_digests(session, sorted(windows))
    alone = [row for row in rows if row["digest_key"] is None]
    new = await _insert(session, alone)
    for row in rows:
        if row["digest_key"] is not None:
            await _insert_in_digest(session, row, windows[row["digest_key"]], now, new)
    if any(row["enqueued_at"] is None for row in rows if row["id"] in new):
        await wake_sweep(session)
    return tuple(
        Job(row["job_name"], row["id"], row["correlation_id"], urgent=row["urgent"])
        for row in rows
        if row["id"] in new and row["digest_id"] is None and row["next_attempt_at"] <= now
    )


def _row(
    cause: Cause, notice: Notice, *, now: datetime, enqueued_at: datetime | None
) -> dict[str, Any]:
    context = {name: value for name, value in cause.context.items() if name not in _NOT_INHERITED}
    channel, recipient = notice.channel.value, notice.recipient
    held = notice.not_before is not None and notice.not_before > now
    begins = notice.not_before if notice.not_before is not None else now
    return {
        "id": new_id(),
        "idempotency_key": f"{cause.key}:{channel}:{recipient}",
        "payload_version": PAYLOAD_VERSION,
        "job_name": JOB_OF_CHANNEL[notice.channel].value,
        "event": notice.event.value,
        "recipient": recipient,
        "language": notice.language,
        "context": context | {"nobody_on_duty": notice.nobody_on_duty},
        "ticket_id": cause.ticket_id,
        "urgent": notice.urgent,
        "guarantee": notice.guarantee.value,
        "state": DeliveryState.PENDING.value,
        "attempts": 0,
        "next_attempt_at": begins,
        # What is held is put in by the sweep, when its time has come.
        "enqueued_at": None if held else enqueued_at,
        # A notice that waited for the morning is of use as long as one of the morning.
        "expires_at": begins + notice.expires,
        "digest_key": None
        if notice.digest is None
        else digest_key(notice.event.value, channel, recipient),
        "digest_id": None,
        "created_at": now,
        "correlation_id": cause.correlation_id,
    }


_NOT_INHERITED = frozenset({"form", "digest"})
"""Of the context of a notice that another one is about: how that one was sent."""


async def _insert(session: AsyncSession, rows: Sequence[dict[str, Any]]) -> set[uuid.UUID]:
    """Ids of the rows that were not there yet."""
    if not rows:
        return set()
    values = {"rows": dumps([_as_json(row) for row in rows])}
    return set((await session.execute(_INSERT, values)).scalars())


def _as_json(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat()
        if isinstance(value, datetime)
        else str(value)
        if isinstance(value, uuid.UUID)
        else value
        for name, value in row.items()
    }


async def _lock_digests(session: AsyncSession, keys: Sequence[str]) -> None:
    """One maker of a digest at a time: two would each see that nothing was told yet."""
    for key in keys:  # sorted, so that two with the same keys do not wait for each other
        await session.execute(_LOCK, {"key": key})


async def _insert_in_digest(
    session: AsyncSession,
    row: dict[str, Any],
    window: timedelta,
    now: datetime,
    new: set[uuid.UUID],
) -> None:
    leader = await session.scalar(
        select(Notification)
        .where(
            Notification.digest_key == row["digest_key"],
            Notification.state == DeliveryState.PENDING.value,
            Notification.digest_id.is_(None),
            Notification.claimed_at.is_(None),
            Notification.next_attempt_at > now,
            Notification.attempts == 0,
        )
        .order_by(Notification.created_at)
        .limit(1)
        # A claim that comes at this moment is faster: then the next one leads.
        .with_for_update(skip_locked=True)
    )
    since = now - window - LONGEST_HELD
    last_told = await session.scalar(_LAST_TOLD, {"key": row["digest_key"], "since": since})
    place = place_of(last_told=last_told, leader_waits=leader is not None, window=window, now=now)
    match place:
        case AtOnce():
            pass
        case Lead(until):
            row["next_attempt_at"] = max(until, row["next_attempt_at"])
            row["enqueued_at"] = None
        case Follow():
            row["digest_id"] = None if leader is None else leader.id
            row["enqueued_at"] = None
    inserted = await _insert(session, [row])
    new |= inserted
    if inserted and leader is not None and row["digest_id"] is not None:
        leader.context = joined(leader.context, row["context"])
        leader.urgent = leader.urgent or row["urgent"]
        await session.flush()


LONGEST_HELD = timedelta(days=1)
"""A notice goes out at most so long after it was made, as far as digests look back: quiet hours."""

_COLUMNS = {
    "id": "uuid",
    "idempotency_key": "text",
    "payload_version": "smallint",
    "job_name": "text",
    "event": "text",
    "recipient": "text",
    "language": "text",
    "context": "jsonb",
    "ticket_id": "uuid",
    "urgent": "boolean",
    "guarantee": "text",
    "state": "text",
    "attempts": "integer",
    "next_attempt_at": "timestamptz",
    "enqueued_at": "timestamptz",
    "expires_at": "timestamptz",
    "digest_key": "text",
    "digest_id": "uuid",
    "created_at": "timestamptz",
    "correlation_id": "text",
}
"""Columns that `_row` fills; the others have their defaults in the database."""

# One text and one value for any number of rows: a list of VALUES is put together, and planned,
# anew each time, which costs ten times the writing of the rows.
_INSERT = text(
    f"""
    INSERT INTO notifications ({", ".join(_COLUMNS)})
    SELECT {", ".join(_COLUMNS)} FROM jsonb_to_recordset(CAST(:rows AS jsonb))
      AS made({", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())})
    ON CONFLICT (idempotency_key) DO NOTHING RETURNING id
    """  # noqa: S608 - no values in it
)
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")
_LAST_TOLD = text(
    """
    SELECT max(coalesce(finished_at, claimed_at, next_attempt_at, created_at)) FROM notifications
    WHERE digest_key = :key AND digest_id IS NULL
      AND created_at > :since
    """
)
