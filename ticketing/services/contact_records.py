"""Look at contacts and correct them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from kit.json import storable_text
from ticketing.db.tables import Contact, ContactIdentity, Conversation, Ticket
from ticketing.domain.enums import TicketStatus
from ticketing.domain.privacy import forms
from ticketing.services import routing_marks, ticket_search
from ticketing.services.audit import record
from ticketing.services.contact_lookup import ContactNotFoundError

MOST_CONTACTS = 100
EDITABLE = frozenset({"name", "email", "segment", "vip"})


class ContactErasedError(Exception):
    """The contact was erased, or is being erased: there is nobody to change."""


@dataclass(frozen=True, slots=True)
class IdentityView:
    """One way the contact is known."""

    channel: str
    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class ContactView:
    """A contact."""

    id: uuid.UUID
    name: str | None
    phone: str | None
    email: str | None
    photo_url: str | None
    vip: bool
    segment: str | None
    company_id: uuid.UUID | None
    created_at: datetime
    legal_hold_at: datetime | None
    erased_at: datetime | None
    identities: tuple[IdentityView, ...]
    tickets: int
    open_tickets: int


@dataclass(frozen=True, slots=True)
class ContactLine:
    """A contact in a list."""

    id: uuid.UUID
    name: str | None
    phone: str | None
    email: str | None
    vip: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ContactPage:
    """Contacts, the newest first, and the cursor of the next page."""

    contacts: tuple[ContactLine, ...]
    next_cursor: str | None


async def get_contact(session: AsyncSession, contact_id: uuid.UUID) -> ContactView:
    """A contact.

    Raises:
        ContactNotFoundError: no contact has this id.
    """
    contact = await session.get(Contact, contact_id)
    if contact is None:
        raise ContactNotFoundError(contact_id)
    identities = await session.scalars(
        select(ContactIdentity)
        .where(ContactIdentity.contact_id == contact_id)
        .order_by(ContactIdentity.id)
    )
    ended = (TicketStatus.RESOLVED.value, TicketStatus.CLOSED.value)
    counts = (
        await session.execute(
            select(func.count(), func.count().filter(Ticket.status.not_in(ended))).where(
                Ticket.contact_id == contact_id
            )
        )
    ).one()
    return ContactView(
        id=contact.id,
        name=contact.name,
        phone=contact.phone,
        email=contact.email,
        photo_url=contact.photo_url,
        vip=contact.vip,
        segment=contact.segment,
        company_id=contact.company_id,
        created_at=contact.created_at,
        legal_hold_at=contact.legal_hold_at,
        erased_at=contact.erased_at,
        identities=tuple(IdentityView(row.channel, row.kind, row.value) for row in identities),
        tickets=counts[0],
        open_tickets=counts[1],
    )


async def list_contacts(
    session: AsyncSession,
    *,
    wanted: str | None = None,
    vip: bool | None = None,
    cursor: uuid.UUID | None = None,
    limit: int = 50,
) -> ContactPage:
    """Contacts that were not erased, the newest first.

    Args:
        session: A transaction.
        wanted: Part of a name, a whole e-mail address, or a phone number in any spelling.
        vip: Only VIPs, or only others.
        cursor: `next_cursor` of the page before.
        limit: Most contacts, up to 100.
    """
    limit = max(1, min(limit, MOST_CONTACTS))
    rows = (
        select(Contact)
        .where(Contact.erased_at.is_(None))
        .order_by(Contact.id.desc())
        .limit(limit + 1)
    )
    if cursor is not None:
        rows = rows.where(Contact.id < cursor)
    if vip is not None:
        rows = rows.where(Contact.vip.is_(vip))
    if wanted:
        text = storable_text(wanted)
        known = select(ContactIdentity.contact_id).where(
            ContactIdentity.value.in_(forms(text) | {text})
        )
        rows = rows.where(
            or_(
                func.lower(Contact.name).contains(text.lower(), autoescape=True),
                func.lower(Contact.email) == text.lower(),
                Contact.phone.in_(forms(text)),
                Contact.id.in_(known),
            )
        )
    found = (await session.scalars(rows)).all()
    page = found[:limit]
    return ContactPage(
        contacts=tuple(
            ContactLine(row.id, row.name, row.phone, row.email, row.vip, row.created_at)
            for row in page
        ),
        next_cursor=str(page[-1].id) if len(found) > limit else None,
    )


async def change_contact(
    session: AsyncSession,
    contact_id: uuid.UUID,
    changes: Mapping[str, Any],
    *,
    actor: str,
    now: datetime,
    correlation_id: str,
) -> ContactView:
    """Correct a contact (LGPD, art. 18, III); doing it again changes nothing.

    Args:
        session: A transaction.
        contact_id: Whom.
        changes: Some of `EDITABLE`.
        actor: The actor's label.
        now: When.
        correlation_id: Of the request.

    Raises:
        ContactNotFoundError: no contact has this id.
        ContactErasedError: the contact was erased.
    """
    # Conversations before everything, as whoever writes search words or routing marks does.
    await session.execute(
        select(Conversation.id)
        .where(Conversation.contact_id == contact_id)
        .order_by(Conversation.id)
        .with_for_update()
    )
    contact = await session.scalar(
        select(Contact).where(Contact.id == contact_id).with_for_update()
    )
    if contact is None:
        raise ContactNotFoundError(contact_id)
    if contact.erased_at is not None:
        message = "this contact was erased"
        raise ContactErasedError(message)
    changed = sorted(
        name
        for name, value in changes.items()
        if name in EDITABLE and getattr(contact, name) != value
    )
    for name in changed:
        setattr(contact, name, changes[name])
    if changed:
        await session.flush()
        if "vip" in changed:
            await routing_marks.contact_changed(session, contact_id, vip=contact.vip)
        if set(changed) & {"name", "email"}:
            await ticket_search.index_contact(session, contact_id)
        await record(
            session,
            actor=actor,
            action="contact.changed",
            subject=f"contact:{contact_id}",
            data={"fields": changed},
            now=now,
            correlation_id=correlation_id,
        )
    return await get_contact(session, contact_id)
