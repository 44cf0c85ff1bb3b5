"""Find the contact that somebody means: by id, number or e-mail address."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.tables import Contact, ContactIdentity, Conversation, Ticket
from ticketing.domain.enums import TicketStatus
from ticketing.domain.privacy import Person, forms

ENDED = (TicketStatus.RESOLVED.value, TicketStatus.CLOSED.value)


class ContactNotFoundError(Exception):
    """Nobody is known by this id, number or address."""

    def __init__(self, contact_id: uuid.UUID | None = None) -> None:
        self.contact_id = contact_id
        what = "this id, number or address" if contact_id is None else f"id {contact_id}"
        super().__init__(f"no contact with {what}")


class SeveralContactsError(Exception):
    """More than one contact fits; the caller has to name one by its id."""

    def __init__(self, contact_ids: tuple[uuid.UUID, ...]) -> None:
        self.contact_ids = contact_ids
        listed = ", ".join(str(value) for value in contact_ids)
        super().__init__(f"{len(contact_ids)} contacts fit, name one by its id: {listed}")


async def find_contact(session: AsyncSession, wanted: str) -> uuid.UUID:
    """The id of the contact that is meant.

    Args:
        session: A transaction.
        wanted: A contact's id, a phone number in any spelling, or an e-mail address.

    Raises:
        ContactNotFoundError: nobody fits.
        SeveralContactsError: several do.
    """
    wanted = wanted.strip()
    try:
        by_id = uuid.UUID(wanted)
    except ValueError:
        by_id = None
    if by_id is not None:
        if await session.get(Contact, by_id) is None:
            raise ContactNotFoundError(by_id)
        return by_id
    spellings = forms(wanted)
    found = await session.scalars(
        select(Contact.id)
        .outerjoin(ContactIdentity, ContactIdentity.contact_id == Contact.id)
        .where(
            or_(
                Contact.phone.in_(spellings),
                func.lower(Contact.email) == wanted.lower(),
                ContactIdentity.value.in_(spellings | {wanted}),
                ContactIdentity.address.in_(spellings | {wanted}),
            )
        )
        .distinct()
    )
    ids = tuple(sorted(found))
    if not ids:
        raise ContactNotFoundError
    if len(ids) > 1:
        raise SeveralContactsError(ids)
    return ids[0]


async def person_of(session: AsyncSession, contact_id: uuid.UUID) -> Person:
    """Everything by which the contact is found in the stores.

    Raises:
        ContactNotFoundError: no contact has this id.
    """
    contact = await session.get(Contact, contact_id)
    if contact is None:
        raise ContactNotFoundError(contact_id)
    identities = await session.execute(
        select(
            ContactIdentity.channel,
            ContactIdentity.kind,
            ContactIdentity.value,
            ContactIdentity.address,
        )
        .where(ContactIdentity.contact_id == contact_id)
        .order_by(ContactIdentity.id)
    )
    known: list[tuple[str, str, str, str]] = [
        (row.channel, row.kind, row.value, row.address) for row in identities
    ]
    conversations = (
        await session.execute(
            select(Conversation.id, Conversation.channel, Conversation.address)
            .where(Conversation.contact_id == contact_id)
            .order_by(Conversation.id)
        )
    ).all()
    # An address of an older conversation may be one that no identity holds any more.
    held = {address for *_, address in known}
    known += [
        (row.channel, "phone", row.address, row.address)
        for row in conversations
        if row.address and row.address not in held and forms(row.address)
    ]
    tickets = await session.scalars(
        select(Ticket.id).where(Ticket.contact_id == contact_id).order_by(Ticket.id)
    )
    return Person(
        contact_id=contact_id,
        identities=tuple(known),
        conversation_ids=tuple(row.id for row in conversations),
        ticket_ids=tuple(tickets),
        name=contact.name,
        phone=contact.phone,
        email=contact.email,
    )


@dataclass(frozen=True, slots=True)
class OpenTicket:
    """A ticket that is in the way of an erasure."""

    id: uuid.UUID
    number: int
    status: str


async def open_tickets(session: AsyncSession, contact_id: uuid.UUID) -> tuple[OpenTicket, ...]:
    """The contact's tickets that are not resolved or closed."""
    rows = await session.execute(
        select(Ticket.id, Ticket.number, Ticket.status)
        .where(Ticket.contact_id == contact_id, Ticket.status.not_in(ENDED))
        .order_by(Ticket.number)
    )
    return tuple(OpenTicket(row.id, row.number, row.status) for row in rows)


async def last_message_at(session: AsyncSession, contact_id: uuid.UUID) -> datetime | None:
    """When something was last said in an open conversation of the contact."""
    return await session.scalar(
        select(func.max(Conversation.last_message_at)).where(
            Conversation.contact_id == contact_id, Conversation.lifecycle == "open"
        )
    )
