"""The search words of tickets, kept in the transactions that write what they are made of.

`add_words` is for one more text and costs one statement; `index_tickets` makes the words of whole
tickets anew, for everything rarer: a ticket that opens, a contact whose name becomes known, an
erasure. Both may run twice, and a rebuild (`ponte tickets reindex`) leads to the same rows.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Text, cast, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY, TSQUERY, TSVECTOR, insert
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.engine import Database
from ticketing.db.search_tables import TicketSearch
from ticketing.db.tables import Contact, Message, Ticket
from ticketing.domain.search_words import phone_words, prefix_query, question, words_of

MAX_WORDS = 5_000
"""Different words of one ticket. A tsvector holds 1 MB; this is far below, and a real ticket has a
few hundred. What is said after that is not found by its words."""

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Reindexed:
    """What a rebuild did: tickets looked at, and how many rows were missing or different."""

    tickets: int
    repaired: int


async def add_words(session: AsyncSession, ticket_id: uuid.UUID, text: str | None) -> None:
    """One more text belongs to a ticket. The caller holds the ticket's or conversation's lock."""
    words = words_of(text)
    if not words:
        return
    found = await session.scalar(
        update(TicketSearch)
        .where(TicketSearch.ticket_id == ticket_id, func.length(TicketSearch.words) < MAX_WORDS)
        .values(words=TicketSearch.words.op("||")(_vector(words)))
        .returning(TicketSearch.ticket_id)
        .execution_options(synchronize_session=False)
    )
    if found is None and await _unknown(session, ticket_id):
        await index_tickets(session, [ticket_id])


async def index_tickets(session: AsyncSession, ticket_ids: Collection[uuid.UUID]) -> int:
    """Make the words of these tickets anew; how many rows were missing or different."""
    if not ticket_ids:
        return 0
    await session.flush()
    words = await _words_of_tickets(session, ticket_ids)
    changed = 0
    for (ticket_id, contact_id), found in sorted(words.items()):
        statement = insert(TicketSearch).values(
            ticket_id=ticket_id, contact_id=contact_id, words=_vector(found)
        )
        made = await session.scalar(
            statement.on_conflict_do_update(
                index_elements=["ticket_id"],
                set_={
                    "contact_id": statement.excluded.contact_id,
                    "words": statement.excluded.words,
                },
                where=(TicketSearch.words != statement.excluded.words)
                | (TicketSearch.contact_id != statement.excluded.contact_id),
            ).returning(TicketSearch.ticket_id)
        )
        changed += made is not None
    return changed


async def index_contact(session: AsyncSession, contact_id: uuid.UUID) -> int:
    """Make the words of a contact's tickets anew, after their name, phone or e-mail changed."""
    tickets = await session.scalars(select(Ticket.id).where(Ticket.contact_id == contact_id))
    return await index_tickets(session, tickets.all())


async def forget_contact(session: AsyncSession, contact_id: uuid.UUID) -> int:
    """Delete the words of a contact's tickets; how many rows there were."""
    gone = await session.scalars(
        delete(TicketSearch)
        .where(TicketSearch.contact_id == contact_id)
        .returning(TicketSearch.ticket_id)
    )
    return len(gone.all())


async def reindex(
    db: Database, *, told: Callable[[int], None] = lambda _: None, batch: int = _BATCH
) -> Reindexed:
    """Make the words of every ticket anew, a batch in a transaction; may be stopped and repeated.

    Args:
        db: Where the tickets are.
        told: Called with the number of tickets so far.
        batch: Tickets in one transaction.
    """
    last: uuid.UUID | None = None
    seen = repaired = 0
    while True:
        async with db.transaction() as session:
            wanted = select(Ticket.id).order_by(Ticket.id).limit(batch)
            if last is not None:
                wanted = wanted.where(Ticket.id > last)
            # Locked, so that a message that comes at this moment is in the words afterwards.
            ids = (await session.scalars(wanted.with_for_update(key_share=True))).all()
            repaired += await index_tickets(session, ids)
        seen += len(ids)
        told(seen)
        if len(ids) < batch:
            return Reindexed(seen, repaired)
        last = ids[-1]


def search_query(text: str) -> str | None:
    """The `tsquery` that wants all words of `text`, each as a beginning; None for no words."""
    words = question(text)
    return prefix_query(words) if words else None


def found_by(query: str) -> ColumnElement[bool]:
    """SQL condition on `ticket_search`: the words fit a query of `search_query`."""
    return TicketSearch.words.op("@@")(cast(literal(query), TSQUERY))


async def _unknown(session: AsyncSession, ticket_id: uuid.UUID) -> bool:
    known = await session.scalar(
        select(TicketSearch.ticket_id).where(TicketSearch.ticket_id == ticket_id)
    )
    return known is None


async def _words_of_tickets(
    session: AsyncSession, ticket_ids: Collection[uuid.UUID]
) -> dict[tuple[uuid.UUID, uuid.UUID], set[str]]:
    """Words by (ticket id, contact id)."""
    texts: dict[uuid.UUID, set[str]] = defaultdict(set)
    rows = await session.execute(
        select(Message.ticket_id, Message.text)
        .where(Message.ticket_id.in_(ticket_ids), Message.text.is_not(None))
        .order_by(Message.ticket_id, Message.sent_at, Message.id)
    )
    for ticket_id, text in rows:
        if ticket_id is not None and len(texts[ticket_id]) < MAX_WORDS:
            texts[ticket_id] |= words_of(text)
    tickets = await session.execute(
        select(Ticket.id, Ticket.number, Ticket.subject, Contact)
        .join(Contact, Contact.id == Ticket.contact_id)
        .where(Ticket.id.in_(ticket_ids))
    )
    return {
        (ticket_id, contact.id): texts[ticket_id]
        | words_of(str(number), subject, contact.name, contact.email)
        | phone_words(contact.phone)
        for ticket_id, number, subject, contact in tickets
    }


def _vector(words: set[str]) -> ColumnElement[str]:
    return func.array_to_tsvector(cast(sorted(words), ARRAY(Text)), type_=TSVECTOR)
