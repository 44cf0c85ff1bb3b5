"""Notices told in the words of another, their digest's leader, share what becomes of it."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from notifications.domain.failure import Failure
from notifications.services.failures import FailureNotices
from ticketing.db.notification_tables import Notification
from ticketing.domain.enums import DeliveryState

NOT_TOLD = (
    DeliveryState.PENDING.value,
    DeliveryState.SENDING.value,
    DeliveryState.UNKNOWN.value,
    DeliveryState.SENT.value,
)
"""States in which a follower's own end is still open."""


async def tell_followers(
    session: AsyncSession,
    leaders: Collection[uuid.UUID],
    *,
    now: datetime,
    state: DeliveryState = DeliveryState.SENT,
) -> None:
    """The leaders reached `state`: so did those that are told in their words."""
    if not leaders:
        return
    await session.execute(
        update(Notification)
        .where(
            Notification.digest_id.in_(list(leaders)),
            Notification.state.in_([*NOT_TOLD, DeliveryState.DELIVERED.value]),
        )
        .values(state=state.value, finished_at=now, next_attempt_at=None, enqueued_at=None),
        execution_options={"synchronize_session": False},
    )


async def give_up_whole(
    session: AsyncSession,
    give_up: FailureNotices,
    row: Notification,
    failure: Failure,
    *,
    reason: str,
    now: datetime,
) -> None:
    """Give up the locked row, and those that were to be told in its words.

    Each becomes a dead letter of its own and stands by itself from then on: an operator who sends
    one of them again sends its own words.
    """
    followers = await session.scalars(
        select(Notification)
        .where(Notification.digest_id == row.id, Notification.state.in_(NOT_TOLD))
        .order_by(Notification.id)
        .with_for_update()
    )
    for one in (row, *followers):
        one.digest_id = None
        one.claimed_by = None
        one.enqueued_at = None
        await give_up.give_up(session, one, failure, reason=reason, now=now)
