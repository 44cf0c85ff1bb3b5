"""Webhook items of somebody who was erased after they were written: providers repeat for days.

Such an item is told by the keyed hash of its sender; it keeps its row, so that a further repetition
is known, and loses its content. What the person writes later is of somebody new and goes on.
"""

from __future__ import annotations

from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from channels.message import InboundMessage, SenderIdentity, StatusUpdate
from channels.whatsapp.identity import identity_keys
from ticketing.db.tables import WebhookItem
from ticketing.services.contact_erasure import is_late_copy

log = structlog.get_logger()

FORGOTTEN = "erased: a late copy"


async def forget_message(
    session: AsyncSession, item: InboundMessage, *, row: WebhookItem, key: str
) -> bool:
    """Empty the item when its sender was erased since they wrote it; whether they were."""
    if item.timestamp is None:
        return False
    return await _forget(session, item.sender, item.timestamp, row=row, key=key)


async def forget_status(
    session: AsyncSession, item: StatusUpdate, *, row: WebhookItem, key: str
) -> bool:
    """The same for a status of a message that nobody knows any more, whenever it happened."""
    return await _forget(session, item.recipient, None, row=row, key=key)


async def _forget(
    session: AsyncSession,
    person: SenderIdentity,
    written_at: datetime | None,
    *,
    row: WebhookItem,
    key: str,
) -> bool:
    late = await is_late_copy(
        session,
        key=key,
        channel=row.channel,
        keys=identity_keys(person) if person.known else (),
        written_at=written_at,
    )
    if late:
        row.raw, row.item, row.error = {}, {}, FORGOTTEN
        log.info("inbound.late_copy_forgotten", kind=row.kind, correlation_id=row.correlation_id)
    return late
