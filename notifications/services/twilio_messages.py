"""Which notice a message of Twilio's belongs to, when several have the same words.

Twilio keeps no id of ours. After an answer that was lost, a message is known by number and words
alone (`SmsSender.look_up`), so it is taken here by one notice, once. Whose it was is said by the
status callback, which comes to an address with our id: a wrong guess is put right then.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlalchemy import or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from channels.twilio.webhooks import GOOD_STATUSES, key_of_status
from notifications.domain.jobs import JobName
from notifications.services.ports import Outgoing
from notifications.services.statuses import RANK
from ticketing.db.engine import Database
from ticketing.db.tables import Notification, WebhookItem
from ticketing.domain.enums import DeliveryState

log = structlog.get_logger()

CHANNEL = "twilio"
"""Of the stored callbacks."""

_IS_SMS = Notification.job_name == JobName.SEND_SMS.value
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('sms:' || :number, 0))")


async def take_message(db: Database, sids: Sequence[str], outgoing: Outgoing) -> str | None:
    """The first of these messages that is no other notice's; from now on it is this notice's.

    Two that ask at one instant wait for each other, so that one message is never both's. What a
    callback has named another notice's is left to that one.
    """
    async with db.transaction() as session:
        await session.execute(_LOCK, {"number": outgoing.recipient})
        of_others = await _of_others(session, sids, outgoing.notification_id)
        found = next((sid for sid in sids if sid not in of_others), None)
        if found is not None:
            await session.execute(
                update(Notification)
                .where(
                    Notification.id == outgoing.notification_id,
                    Notification.state == DeliveryState.SENDING.value,
                )
                .values(provider_id=found)
            )
        return found


async def _of_others(
    session: AsyncSession, sids: Sequence[str], notification_id: uuid.UUID
) -> frozenset[str]:
    held = await session.scalars(
        select(Notification.provider_id).where(
            Notification.provider_id.in_(list(sids)), Notification.id != notification_id
        )
    )
    keys = {key_of_status(sid, status): sid for sid in sids for status in GOOD_STATUSES}
    told = await session.execute(
        select(WebhookItem.dedup_key, WebhookItem.raw["named"].astext).where(
            WebhookItem.channel == CHANNEL, WebhookItem.dedup_key.in_(list(keys))
        )
    )
    named = {keys[key] for key, owner in told if owner and owner != str(notification_id)}
    return frozenset(sid for sid in held if sid is not None) | named


async def put_right(
    session: AsyncSession, sid: str, owner: uuid.UUID, *, failed: bool, now: datetime
) -> None:
    """Give a message to the notice that its callback names, in the caller's transaction.

    Another notice that had taken it by its words was not sent, as far as anybody knows: it is of
    unknown outcome again, and due. What its owner had taken instead is free for it, unless the
    message `failed`: then the owner keeps what it has.
    """
    rows = {
        row.id: row
        for row in await session.scalars(
            select(Notification)
            .where(_IS_SMS, or_(Notification.id == owner, Notification.provider_id == sid))
            .order_by(Notification.id)
            .with_for_update()
        )
    }
    mine = rows.pop(owner, None)
    wrong = [row for row in rows.values() if row.state in RANK]
    if mine is None or not wrong:
        return
    for row in wrong:
        log.warning("twilio.message_was_another_notices", notification_id=str(row.id))
        row.provider_id = None
        row.state = DeliveryState.UNKNOWN.value
        row.finished_at = None
        row.next_attempt_at = now
        row.enqueued_at = None
    if mine.provider_id is None or not failed:
        mine.provider_id = sid
    await session.flush()
