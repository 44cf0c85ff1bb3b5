"""Lists of tickets: orders, search, pages by cursor.

A page starts where the one before ended (keyset): page 1,000 costs what page 1 costs, and tickets
that change while somebody turns pages are neither shown twice nor left out because others moved.
How the ids of a page are found is in `ticketing.services.ticket_pages`.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import True_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.tables import Queue, Ticket
from ticketing.domain.ticket import Actor
from ticketing.services.ticket_cursor import (
    InvalidCursorError,
    Sort,
    make_cursor,
    read_cursor,
)
from ticketing.services.ticket_filter import (
    IS_OVER,
    Range,
    TicketFilter,
    UnknownFilterError,
    conditions,
    search_words,
)
from ticketing.services.ticket_pages import Asked, count_up_to, page_ids
from ticketing.services.ticket_search import search_query
from ticketing.services.ticket_views import TicketSummary, summary, ticket_rows
from ticketing.services.views import QueueView
from ticketing.services.visibility import visible_to

__all__ = [
    "InvalidCursorError",
    "Range",
    "Sort",
    "TicketFilter",
    "TicketPage",
    "UnknownFilterError",
    "list_tickets",
]

MAX_PAGE = 100
DEFAULT_PAGE = 50
MAX_COUNT = 1_000
"""Tickets are counted up to here: an exact count of all would read all."""


@dataclass(frozen=True, slots=True)
class TicketPage:
    """One page. `next_cursor` is None on the last one; `count` is None unless it was asked for.

    `count_is_capped` says that there are more than `count`.
    """

    tickets: tuple[TicketSummary, ...]
    next_cursor: str | None
    has_more: bool = False
    count: int | None = None
    count_is_capped: bool = False


@dataclass(frozen=True, slots=True)
class DeskCounts:
    """How many open tickets wait for anybody, are mine, and are open at all."""

    waiting: int
    mine: int
    open: int


async def list_tickets(
    session: AsyncSession,
    *,
    actor: Actor,
    wanted: TicketFilter,
    sort: Sort = Sort.URGENCY,
    limit: int = DEFAULT_PAGE,
    cursor: str | None = None,
    count: bool = False,
) -> TicketPage:
    """A page of the tickets that this person may see.

    Raises:
        InvalidCursorError: when the cursor is of another list or broken.
        UnknownFilterError: when a queue, team or company does not exist.
    """
    words = search_words(wanted)
    query = None if words is None else search_query(words)
    if words is not None and query is None:  # punctuation only: nothing has such words
        return TicketPage((), None, count=0 if count else None)
    found = await conditions(session, wanted)
    visible = visible_to(actor)
    others = found.others if isinstance(visible, True_) else (visible, *found.others)
    asked = Asked(found.ordered, others, query, sort)
    size = max(1, min(limit, MAX_PAGE))
    after = None if cursor is None else read_cursor(cursor, sort)
    ids = await page_ids(session, asked, after=after, limit=size + 1)
    shown = ids[:size]
    rows = await session.execute(ticket_rows().where(Ticket.id.in_([row[0] for row in shown])))
    by_id = {row[0].id: summary(tuple(row)) for row in rows}
    counted = await count_up_to(session, asked, MAX_COUNT + 1) if count else None
    more = len(ids) > size
    return TicketPage(
        tickets=tuple(by_id[row[0]] for row in shown if row[0] in by_id),
        next_cursor=make_cursor(sort, tuple(shown[-1])[1:]) if more else None,
        has_more=more,
        count=None if counted is None else min(counted, MAX_COUNT),
        count_is_capped=counted is not None and counted > MAX_COUNT,
    )


async def desk_counts(session: AsyncSession, *, actor: Actor) -> DeskCounts:
    """The numbers on the tabs of the desk."""
    row = (
        await session.execute(
            select(
                func.count().filter(Ticket.agent_id.is_(None)),
                func.count().filter(Ticket.agent_id == actor.agent_id),
                func.count(),
            )
            .select_from(Ticket)
            .where(visible_to(actor), ~IS_OVER)
        )
    ).one()
    return DeskCounts(waiting=row[0], mine=row[1], open=row[2])


async def list_queues(session: AsyncSession, *, actor: Actor) -> tuple[QueueView, ...]:
    """The queues a ticket can be sent to, with what is open in those the person may see."""
    counts = (
        select(
            Ticket.queue_id,
            func.count().filter(Ticket.agent_id.is_(None)).label("waiting"),
            func.count().label("open"),
        )
        .where(~IS_OVER, visible_to(actor))
        .group_by(Ticket.queue_id)
        .subquery()
    )
    rows = await session.execute(
        select(Queue, func.coalesce(counts.c.waiting, 0), func.coalesce(counts.c.open, 0))
        .outerjoin(counts, counts.c.queue_id == Queue.id)
        .order_by(Queue.level, Queue.key)
    )
    return tuple(
        QueueView(
            id=queue.id,
            key=queue.key,
            name=queue.name,
            level=queue.level,
            waiting=waiting,
            open=open_,
        )
        for queue, waiting, open_ in rows
    )
