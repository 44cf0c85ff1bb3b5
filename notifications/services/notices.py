"""Write notifications as rows: the only way they are made.

With their cause, channel and recipient a row exists once, however often and by how many it is
tried.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from kit.ids import new_id
from kit.json import dumps
from notifications.domain.digest import digest_key
from notifications.domain.jobs import JOB_OF_CHANNEL, PAYLOAD_VERSION, Channel, Job
from notifications.domain.recipients import Notice
from notifications.services.digests import gather_digests
from notifications.services.wake import wake_sweep
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
    if windows:
        kept = await gather_digests(session, rows, windows=windows, now=now)
        _respect_quiet_hours(rows, [notice for _, notice in made], now=now)
        rows = kept
    new = await _insert(session, rows)
    if any(row["enqueued_at"] is None for row in rows if row["id"] in new):
        await wake_sweep(session)
    return tuple(
        Job(row["job_name"], row["id"], row["correlation_id"], urgent=row["urgent"])
        for row in rows
        if row["id"] in new and row["digest_id"] is None and row["next_attempt_at"] <= now
    )


def _respect_quiet_hours(
    rows: Sequence[dict[str, Any]], notices: Sequence[Notice], *, now: datetime
) -> None:
    """What its digest holds until the quiet hours have begun leaves after them."""
    for row, notice in zip(rows, notices, strict=True):
        if row["digest_id"] is None and row["next_attempt_at"] > now:
            later = notice.put_off(row["next_attempt_at"])
            row["expires_at"] += later - row["next_attempt_at"]
            row["next_attempt_at"] = later


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
        "context": context | _own(notice),
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


_NOT_INHERITED = frozenset({"acknowledge", "form", "digest"})
"""Of the context of a notice that another one is about: how that one was sent."""


def _own(notice: Notice) -> dict[str, Any]:
    """What the context says of this notice itself, beside the facts it tells."""
    own = {"nobody_on_duty": notice.nobody_on_duty}
    if notice.acknowledge and notice.channel is Channel.WHATSAPP:
        own["acknowledge"] = True
    return own


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


# One text for every number of rows: it is put together and planned once. Columns that are not named
# have their default in the database, or none.
_INSERT = text(
    """
    INSERT INTO notifications (
      id, idempotency_key, payload_version, job_name, event, recipient, language, context,
      ticket_id, urgent, guarantee, state, attempts, next_attempt_at, enqueued_at, expires_at,
      digest_key, digest_id, created_at, correlation_id
    )
    SELECT
      id, idempotency_key, payload_version, job_name, event, recipient, language, context,
      ticket_id, urgent, guarantee, state, attempts, next_attempt_at, enqueued_at, expires_at,
      digest_key, digest_id, created_at, correlation_id
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS row(
      id uuid, idempotency_key text, payload_version smallint, job_name text, event text,
      recipient text, language text, context jsonb, ticket_id uuid, urgent boolean, guarantee text,
      state text, attempts integer, next_attempt_at timestamptz, enqueued_at timestamptz,
      expires_at timestamptz, digest_key text, digest_id uuid, created_at timestamptz,
      correlation_id text
    )
    ON CONFLICT (idempotency_key) DO NOTHING
    RETURNING id
    """
)
