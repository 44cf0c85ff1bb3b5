"""Notices whose status is stored and not applied yet, or could not come.

See `ticketing.services.stored_statuses` and `ticketing.domain.reception`.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import ARRAY, DateTime, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from notifications.services.statuses import callback_data
from ticketing.services.stored_statuses import named_in_stored_statuses


async def have_stored_status(
    session: AsyncSession, ids: Collection[uuid.UUID]
) -> frozenset[uuid.UUID]:
    """Those of the notices about which something is stored that nobody has applied yet."""
    by_name = {str(one): one for one in ids} | {callback_data(one): one for one in ids}
    return frozenset(by_name[name] for name in await named_in_stored_statuses(session, by_name))


async def wait_for_status(session: AsyncSession, waits: Mapping[uuid.UUID, datetime]) -> None:
    """Give back the claims of these rows until then, in the caller's transaction.

    No attempt is spent.
    """
    for until in set(waits.values()):
        ids = [one for one, time in waits.items() if time == until]
        await session.execute(_WAIT, {"ids": ids, "until": until})


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
