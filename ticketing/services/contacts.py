"""Who wrote: the contact of a message's sender, and their open conversation."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from channels.message import InboundMessage
from channels.whatsapp.identity import identity_keys
from kit.ids import new_id
from kit.json import storable_text
from ticketing.db.tables import Contact, ContactIdentity, Conversation
from ticketing.domain.enums import Lifecycle


async def known_conversation(session: AsyncSession, item: InboundMessage) -> Conversation | None:
    """The open conversation, locked, when everything about the sender is known: one statement.

    None when anything is new or unsure; then the slow road takes its locks and looks again.
    """
    keys = set(identity_keys(item.sender))
    rows = (
        await session.execute(
            select(Conversation, ContactIdentity.kind, ContactIdentity.value, Contact.name)
            .join(Contact, Contact.id == Conversation.contact_id)
            .join(ContactIdentity, ContactIdentity.contact_id == Contact.id)
            .where(
                ContactIdentity.channel == item.channel,
                ContactIdentity.value.in_([value for _, value in keys]),
                Conversation.channel == item.channel,
                Conversation.account_id == (item.account_id or ""),
                Conversation.lifecycle == Lifecycle.OPEN.value,
            )
            .with_for_update(of=Conversation)
        )
    ).all()
    found = {(kind, value) for _, kind, value, _ in rows}
    one_contact = len({conversation.id for conversation, *_ in rows}) == 1
    if found != keys or not one_contact or (rows[0].name is None and item.sender.profile_name):
        return None
    conversation: Conversation = rows[0][0]
    conversation.address = item.sender.phone or item.sender.user_id or ""
    return conversation


async def contact_of(session: AsyncSession, item: InboundMessage, *, now: datetime) -> Contact:
    """The contact with any of the sender's keys; a key seen for the first time is added to it."""
    keys = identity_keys(item.sender)
    for kind, value in sorted(keys):
        # Ten first messages of one person at once must make one contact: they queue up here.
        await session.execute(
            select(func.pg_advisory_xact_lock(func.hashtextextended(f"{kind}:{value}", 0)))
        )
    known = {
        (identity.kind, identity.value): identity
        for identity in await session.scalars(
            select(ContactIdentity).where(
                ContactIdentity.channel == item.channel,
                ContactIdentity.value.in_([value for _, value in keys]),
            )
        )
    }
    match = next((known[key] for key in keys if key in known), None)
    if match is None:
        contact = Contact(
            id=new_id(),
            name=item.sender.profile_name and storable_text(item.sender.profile_name),
            phone=dict(keys).get("phone"),
            created_at=now,
        )
        session.add(contact)
        await session.flush()
    else:
        found = await session.get(Contact, match.contact_id)
        if found is None:
            message = f"contact {match.contact_id} of an identity does not exist"
            raise LookupError(message)
        contact = found
        contact.name = contact.name or item.sender.profile_name
        contact.phone = contact.phone or dict(keys).get("phone")
    for kind, value in keys:
        address = item.sender.phone if kind == "phone" else item.sender.user_id
        if (kind, value) not in known:
            session.add(
                ContactIdentity(
                    contact_id=contact.id,
                    channel=item.channel,
                    kind=kind,
                    value=value,
                    address=address or value,
                    created_at=now,
                )
            )
    await session.flush()
    return contact


async def conversation_of(
    session: AsyncSession, item: InboundMessage, *, contact: Contact, now: datetime
) -> Conversation:
    """The contact's open conversation on this account, locked; a new one when there is none."""
    account_id = item.account_id or ""
    address = item.sender.phone or item.sender.user_id or ""
    open_one = (
        select(Conversation)
        .where(
            Conversation.contact_id == contact.id,
            Conversation.channel == item.channel,
            Conversation.account_id == account_id,
            Conversation.lifecycle == Lifecycle.OPEN.value,
        )
        .with_for_update()
    )
    found = await session.scalar(open_one)
    if found is not None:
        # The number as WhatsApp wrote it last is the one to send to.
        found.address = address
        return found
    await session.execute(
        insert(Conversation)
        .values(
            id=new_id(),
            contact_id=contact.id,
            channel=item.channel,
            account_id=account_id,
            address=address,
            lifecycle=Lifecycle.OPEN.value,
            control="bot",
            control_epoch=0,
            language="pt",
            language_state={},
            understanding={},
            created_at=now,
        )
        .on_conflict_do_nothing(
            index_elements=["contact_id", "channel", "account_id"],
            index_where=text("lifecycle = 'open'"),
        )
    )
    made = await session.scalar(open_one)
    if made is None:
        message = f"contact {contact.id} has no open conversation right after making one"
        raise LookupError(message)
    return made
