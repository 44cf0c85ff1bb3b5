"""Statuses that are stored and not applied yet: what a busy web process has in hand.

A status is confirmed to the provider as soon as it is stored. When the web process is behind by
more than the wait for a status, what is of unknown outcome would be sent again although its answer
lies in our own database.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import ARRAY, String, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

STATUS_PAUSE = timedelta(seconds=5)
"""How long something waits for its stored status to be applied, until it is looked for again."""

MOST_TRIES = 20
"""A status that failed as often is an operator's matter, and waited for no longer."""


async def named_in_stored_statuses(session: AsyncSession, names: Collection[str]) -> frozenset[str]:
    """Those of the names about which something is stored that nobody has applied yet.

    Args:
        session: The caller's transaction.
        names: Callback data as it was sent with the message or notice.
    """
    if not names:
        return frozenset()
    values = {"names": list(names), "most": MOST_TRIES}
    return frozenset((await session.execute(_STORED, values)).scalars())


# Few: those that are behind. They have an index of their own.
_STORED = text(
    """
    SELECT name FROM webhook_items AS item
    CROSS JOIN LATERAL (VALUES (item.item->>'callback_data'), (item.raw->>'named')) AS told(name)
    WHERE item.done_at IS NULL AND item.kind = 'status' AND item.attempts < :most
      AND name = ANY(:names)
    """
).bindparams(bindparam("names", type_=ARRAY(String())))
