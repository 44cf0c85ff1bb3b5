"""When somebody last wrote to us on WhatsApp: outside 24 hours only templates reach them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select

from channels.whatsapp.identity import PHONE_KEY, canonical_phone
from notifications.domain.jobs import Channel
from notifications.services.addresses import address_key
from ticketing.db.engine import Database
from ticketing.db.notification_tables import RecipientAddress
from ticketing.db.tables import ContactIdentity, Conversation


async def last_whatsapp_message(db: Database, phone: str) -> datetime | None:
    """The time of the last message from this number, or None when it never wrote.

    Customers write in conversations; who pressed a notice's button has none for it.
    """
    async with db.transaction() as session:
        pressed = await session.scalar(
            select(RecipientAddress.last_inbound_at).where(
                RecipientAddress.channel == Channel.WHATSAPP.value,
                RecipientAddress.address == address_key(Channel.WHATSAPP, phone),
            )
        )
        written = await session.scalar(
            select(func.max(Conversation.last_customer_message_at))
            .join(ContactIdentity, ContactIdentity.contact_id == Conversation.contact_id)
            .where(
                Conversation.channel == "whatsapp",
                ContactIdentity.channel == "whatsapp",
                ContactIdentity.kind == PHONE_KEY,
                ContactIdentity.value == canonical_phone(phone),
            )
        )
    times = [time for time in (pressed, written) if time is not None]
    return max(times, default=None)
