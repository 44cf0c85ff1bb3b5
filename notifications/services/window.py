"""When somebody last wrote to us on WhatsApp: outside 24 hours only templates reach them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select

from channels.whatsapp.identity import PHONE_KEY, canonical_phone
from ticketing.db.engine import Database
from ticketing.db.tables import ContactIdentity, Conversation


async def last_whatsapp_message(db: Database, phone: str) -> datetime | None:
    """The time of the last message from this number, or None when it never wrote."""
    async with db.transaction() as session:
        return await session.scalar(
            select(func.max(Conversation.last_customer_message_at))
            .join(ContactIdentity, ContactIdentity.contact_id == Conversation.contact_id)
            .where(
                Conversation.channel == "whatsapp",
                ContactIdentity.channel == "whatsapp",
                ContactIdentity.kind == PHONE_KEY,
                ContactIdentity.value == canonical_phone(phone),
            )
        )
