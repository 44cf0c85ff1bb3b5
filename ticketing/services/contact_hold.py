"""The legal hold: keeps a contact's data from being erased, by hand or by its age."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from kit.json import storable_text
from ticketing.db.tables import Contact
from ticketing.services.audit import record
from ticketing.services.contact_lookup import ContactNotFoundError


async def set_hold(
    session: AsyncSession,
    contact_id: uuid.UUID,
    *,
    reason: str | None,
    actor: str,
    now: datetime,
    correlation_id: str,
) -> bool:
    """Put a hold on a contact, or (reason None) take it off; whether that changed anything.

    Raises:
        ContactNotFoundError: no contact has this id.
    """
    contact = await session.scalar(
        select(Contact).where(Contact.id == contact_id).with_for_update()
    )
    if contact is None:
        raise ContactNotFoundError(contact_id)
    if (contact.legal_hold_at is None) == (reason is None) and (
        contact.legal_hold_reason == reason
    ):
        return False
    contact.legal_hold_at = None if reason is None else contact.legal_hold_at or now
    contact.legal_hold_reason = None if reason is None else storable_text(reason)
    await record(
        session,
        actor=actor,
        action="contact.released" if reason is None else "contact.held",
        subject=f"contact:{contact_id}",
        data={},
        now=now,
        correlation_id=correlation_id,
    )
    return True
