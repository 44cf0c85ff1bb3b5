"""Dead letters as rows: written where a notice is given up, closed where it is sent after all."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from kit.ids import new_id
from kit.json import storable, storable_text
from notifications.domain.contract import problems_of_row
from notifications.domain.dead_letters import (
    payload_hash,
    recipient_hash,
    redacted_context,
    redacted_detail,
)
from notifications.domain.failure import Failure
from notifications.domain.jobs import PAYLOAD_VERSION
from ticketing.db.notification_tables import DeadLetter, Notification
from ticketing.domain.enums import DeadLetterState


async def bury(
    session: AsyncSession,
    row: Notification,
    failure: Failure,
    *,
    reason: str,
    origin_queue: str,
    now: datetime,
    recipient_key: str = "",
) -> DeadLetter:
    """Make a notice a dead letter, in the transaction that gives it up.

    A notice has one entry for ever: when it dies again after a reprocessing, its entry is dead
    again with the new error. An entry that an operator discarded stays discarded.

    Args:
        session: The caller's transaction, which has the row locked.
        row: The notice.
        failure: Its last one.
        reason: `notifications.domain.dead_letters.Reason`.
        origin_queue: Which queue its job came from.
        now: When.
        recipient_key: The server's secret for `recipient_hash`; empty: no hash.
    """
    values = entry_values(row, recipient_key=recipient_key) | {
        "state": DeadLetterState.DEAD.value,
        "origin_queue": origin_queue,
        "reason": reason,
        "error_kind": failure.kind.value,
        "error_code": storable_text(failure.code),
        "http_status": failure.http_status,
        "detail": redacted_detail(storable_text(failure.detail)),
        "failed_at": now,
        "closed_at": None,
    }
    await session.flush()  # a row that was just made has to be there before its entry
    entry: DeadLetter | None = await session.scalar(
        insert(DeadLetter)
        .values(id=new_id(), first_failed_at=now, **values)
        .on_conflict_do_update(
            index_elements=["notification_id"],
            set_=values,
            where=DeadLetter.state != DeadLetterState.DISCARDED.value,
        )
        .returning(DeadLetter),
        execution_options={"populate_existing": True},
    )
    if entry is not None:
        return entry
    discarded = await session.scalars(
        select(DeadLetter).where(DeadLetter.notification_id == row.id)
    )
    return discarded.one()


def entry_values(row: Notification, *, recipient_key: str) -> dict[str, Any]:
    """The part of an entry that follows from its notice alone."""
    shown, hidden = redacted_context(row.context)
    payload = {
        "event": row.event,
        "ticket_number": shown.get("ticket_number"),
        "language": row.language,
        "context": shown,
        "hidden": list(hidden),
    }
    return {
        "notification_id": row.id,
        "job_name": row.job_name,
        "event": row.event,
        "attempts": row.attempts,
        "payload": storable(payload),
        "payload_hash": hash_of(row),
        "recipient_hash": recipient_hash(recipient_key, row.recipient),
        "ticket_id": row.ticket_id,
        "correlation_id": row.correlation_id,
        "reprocess_count": row.reprocess_count or 0,
    }


def hash_of(row: Notification) -> str:
    """The hash of what would be sent again."""
    return payload_hash(
        version=row.payload_version or 1,
        idempotency_key=row.idempotency_key,
        job_name=row.job_name,
        event=row.event,
        recipient=row.recipient,
        language=row.language,
        context=row.context,
    )


async def recovered(
    session: AsyncSession, notification_ids: Collection[uuid.UUID], *, now: datetime
) -> None:
    """Close the entries of notices that were sent after all; those without an entry are ignored.

    It also closes discarded ones: the provider took the notice, whatever was decided since.
    """
    if not notification_ids:
        return
    await session.execute(
        update(DeadLetter)
        .where(
            DeadLetter.notification_id.in_(list(notification_ids)),
            DeadLetter.state != DeadLetterState.RECOVERED.value,
        )
        .values(state=DeadLetterState.RECOVERED.value, closed_at=now)
    )


def validity_problem(row: Notification) -> str | None:
    """What is wrong with a notice's job name, event or payload; None when it can be sent.

    A job name of an older version lists those that are valid.
    """
    problems = problems_of_row(
        job_name=row.job_name,
        version=row.payload_version or PAYLOAD_VERSION,
        event=row.event,
        recipient=row.recipient,
        context=row.context,
    )
    return "; ".join(str(problem) for problem in problems) or None
