"""Notices whose status is stored and not applied yet; see `ticketing.services.stored_statuses`."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ARRAY, DateTime, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from notifications.services.statuses import callback_data
from ticketing.services.stored_statuses import STATUS_PAUSE, named_in_stored_statuses


async def have_stored_status(
    session: AsyncSession, ids: Collection[uuid.UUID]
) -> frozenset[uuid.UUID]:
    """Those of the notices about which something is stored that nobody has applied yet."""
    by_name = {str(one): one for one in ids} | {callback_data(one): one for one in ids}
    return frozenset(by_name[name] for name in await named_in_stored_statuses(session, by_name))


async def wait_for_status(
    session: AsyncSession, ids: Collection[uuid.UUID], *, now: datetime
) -> None:
    """Give back the claims of these rows, in the caller's transaction; no attempt is spent."""
    if ids:
        await session.execute(_WAIT, {"ids": list(ids), "until": now + STATUS_PAUSE})


_WAIT = text(
    """
    UPDATE notifications SET
      state = 'unknown', attempts = attempts - 1, deferrals = deferrals + 1,
      next_attempt_at = :until, lease_until = NULL, claimed_by = NULL, enqueued_at = NULL
    WHERE id = ANY(:ids)
    """
).bindparams(
    bindparam("ids", type_=ARRAY(Uuid())), bindparam("until", type_=DateTime(timezone=True))
)
