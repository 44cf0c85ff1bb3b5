"""Dead letters and their notices, locked together; and the two things that can become of them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from notifications.domain.dead_letters import Refusal
from ticketing.db.notification_tables import DeadLetter, Notification
from ticketing.domain.enums import DeadLetterState, DeliveryState


async def lock_entries(
    session: AsyncSession, ids: Sequence[uuid.UUID]
) -> tuple[list[tuple[DeadLetter, Notification | None]], dict[uuid.UUID, Refusal]]:
    """The entries that nobody else works on, with their notices; why the others are left out.

    Notices are locked before their entries, as everywhere (a result of an attempt does the same).
    """
    of_these = select(DeadLetter.notification_id).where(DeadLetter.id.in_(ids))
    notices = {
        row.id: row
        for row in await session.scalars(
            select(Notification)
            .where(Notification.id.in_(of_these))
            .order_by(Notification.id)
            .with_for_update(skip_locked=True)
        )
    }
    entries = (
        await session.scalars(
            select(DeadLetter)
            .where(
                DeadLetter.id.in_(ids),
                DeadLetter.state == DeadLetterState.DEAD.value,
                DeadLetter.notification_id.is_(None) | DeadLetter.notification_id.in_(notices),
            )
            .order_by(DeadLetter.failed_at, DeadLetter.id)
            .with_for_update(skip_locked=True)
        )
    ).all()
    taken = {entry.id for entry in entries}
    missing = [entry_id for entry_id in ids if entry_id not in taken]
    still_dead = set(
        await session.scalars(
            select(DeadLetter.id).where(
                DeadLetter.id.in_(missing), DeadLetter.state == DeadLetterState.DEAD.value
            )
        )
        if missing
        else ()
    )
    missed = {
        entry_id: Refusal.BUSY if entry_id in still_dead else Refusal.NOT_DEAD
        for entry_id in missing
    }
    pairs = [
        (entry, None if entry.notification_id is None else notices[entry.notification_id])
        for entry in entries
    ]
    return pairs, missed


def discard_entry(entry: DeadLetter, action_id: uuid.UUID, now: datetime) -> None:
    """Put a locked entry away; its notice stays failed."""
    entry.state = DeadLetterState.DISCARDED.value
    entry.last_action_id = action_id
    entry.closed_at = now


def revive(
    entry: DeadLetter, row: Notification, action_id: uuid.UUID, *, due: datetime, now: datetime
) -> None:
    """The same row with the same idempotency key begins a new life.

    `reprocess_count` and `attempts` together fence: a late result of the life before does not
    count for this one.
    """
    row.state = DeliveryState.PENDING.value
    row.attempts = 0
    row.deferrals = 0
    row.lost_workers = 0
    row.reprocess_count += 1
    row.next_attempt_at = due
    row.enqueued_at = None
    row.claimed_at = None
    row.claimed_by = None
    row.lease_until = None
    row.finished_at = None
    # Told on its own: the notice in whose words it was told before has failed as well.
    row.digest_id = None
    row.digest_key = None
    if row.expires_at is not None and row.expires_at <= now:
        row.expires_at = None  # an operator said that it is of use all the same
    entry.state = DeadLetterState.REPROCESSING.value
    entry.reprocess_count = row.reprocess_count
    entry.last_action_id = action_id
    entry.closed_at = None
