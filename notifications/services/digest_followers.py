"""Notices told in the words of another, their digest's leader, share what becomes of it."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, DateTime, String, Uuid, bindparam, select, text
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
    values: dict[str, Any] = {"leaders": list(leaders), "state": state.value, "now": now}
    values["open"] = [*NOT_TOLD, DeliveryState.DELIVERED.value]
    await session.execute(_TELL, values)


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
        if "digest" in one.context:
            one.context = {key: value for key, value in one.context.items() if key != "digest"}
        one.claimed_by = None
        one.enqueued_at = None
        await give_up.give_up(session, one, failure, reason=reason, now=now)


# With an array it is one text for every number of leaders: it is put together and planned once.
_TELL = text(
    """
    UPDATE notifications
    SET state = :state, finished_at = :now, next_attempt_at = NULL, enqueued_at = NULL
    WHERE digest_id = ANY(:leaders)
      AND state = ANY(:open)
    """
).bindparams(
    bindparam("leaders", type_=ARRAY(Uuid())),
    bindparam("open", type_=ARRAY(String())),
    bindparam("now", type_=DateTime(timezone=True)),
)
