"""Statuses that are stored and not applied yet: what a busy web process has in hand.

A status is confirmed to the provider as soon as it is stored. When the web process is behind by
more than the wait for a status, a notice of unknown outcome would be sent again although its answer
lies in our own database.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import ARRAY, DateTime, String, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from notifications.services.statuses import callback_data

STATUS_PAUSE = timedelta(seconds=5)
"""How long a notice waits for its stored status to be applied, until it is looked for again."""

MOST_TRIES = 20
"""A status that failed as often is an operator's matter, and waited for no longer."""


async def have_stored_status(
    session: AsyncSession, ids: Collection[uuid.UUID]
) -> frozenset[uuid.UUID]:
    """Those of the notices about which something is stored that nobody has applied yet."""
    if not ids:
        return frozenset()
    by_name = {str(one): one for one in ids} | {callback_data(one): one for one in ids}
    values = {"names": list(by_name), "most": MOST_TRIES}
    found = (await session.execute(_STORED, values)).scalars()
    return frozenset(by_name[name] for name in found)


async def wait_for_status(
    session: AsyncSession, ids: Collection[uuid.UUID], *, now: datetime
) -> None:
    """Give back the claims of these rows, in the caller's transaction; no attempt is spent."""
    if ids:
        await session.execute(_WAIT, {"ids": list(ids), "until": now + STATUS_PAUSE})


# Few: those that are behind. They have an index of their own.
_STORED = text(
    """
    SELECT name FROM webhook_items AS item
    CROSS JOIN LATERAL (VALUES (item.item->>'callback_data'), (item.raw->>'named')) AS told(name)
    WHERE item.done_at IS NULL AND item.kind = 'status' AND item.attempts < :most
      AND name = ANY(:names)
    """
).bindparams(bindparam("names", type_=ARRAY(String())))
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
