"""Compare every ticket with what its events say it is.

Reads in batches, in order of the ticket's id, and keeps nothing: a million tickets need the memory
of one batch. Each batch is one snapshot of the database, so work that goes on meanwhile is no
difference.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.engine import Database
from ticketing.db.tables import Queue, Ticket, TicketEvent
from ticketing.domain.enums import TicketStatus
from ticketing.domain.history import Difference
from ticketing.domain.ticket_replay import ReplayedTicket, StoredEvent, differences, replay
from ticketing.domain.ticket_rules import Facts, violations

BATCH = 500
"""Tickets at once; with about ten events each that is some megabytes."""


@dataclass(frozen=True, slots=True)
class Verified:
    """One ticket, looked at.

    Attributes:
        number: The ticket.
        differences: Breaks in its history first, then where the row differs.
        note: Why it could not be compared, for tickets of an older release.
    """

    number: int
    differences: tuple[Difference, ...] = ()
    note: str | None = None


async def verify_tickets(
    db: Database, *, number: int | None = None, batch: int = BATCH
) -> AsyncIterator[Verified]:
    """Look at all tickets, or at one.

    Args:
        db: Where they are.
        number: Only this ticket; nothing comes when there is none.
        batch: How many are read at once.
    """
    after: uuid.UUID | None = None
    while True:
        async with db.transaction() as session:
            # Rows and events are read by two statements; they must be of one moment.
            await session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            rows = await _rows(session, number=number, after=after, limit=batch)
            events = await _events(session, [ticket.id for ticket, _ in rows])
        for ticket, queue in rows:
            yield _verified(ticket, queue, events.get(ticket.id, ()))
        if len(rows) < batch or number is not None:
            return
        after = rows[-1][0].id


def _verified(ticket: Ticket, queue: str, events: Sequence[StoredEvent]) -> Verified:
    played = replay(events)
    broken = tuple(Difference("row", rule, "broken", "kept") for rule in violations(_facts(ticket)))
    if played.ticket is None:
        return Verified(ticket.number, broken, played.note)
    found = differences(played.ticket, stored_ticket(ticket, queue=queue))
    return Verified(ticket.number, (*played.breaks, *found, *broken))


def stored_ticket(ticket: Ticket, *, queue: str) -> ReplayedTicket:
    """A row as a replay would leave it."""
    return ReplayedTicket(
        status=ticket.status,
        priority=ticket.priority,
        severity=ticket.severity,
        level=ticket.level,
        queue=queue,
        agent=None if ticket.agent_id is None else str(ticket.agent_id),
        tags=tuple(sorted(ticket.tags)),
        opened_at=ticket.opened_at,
        first_response_at=ticket.first_response_at,
        escalation_reason=ticket.escalation_reason,
        escalated_at=ticket.escalated_at,
        resolved_at=ticket.resolved_at,
        closed_at=ticket.closed_at,
        unanswered_since=ticket.unanswered_since,
        reopened=ticket.reopened,
        version=ticket.version,
    )


def _facts(ticket: Ticket) -> Facts:
    return Facts(
        status=TicketStatus(ticket.status),
        has_agent=ticket.agent_id is not None,
        opened_at=ticket.opened_at,
        first_response_at=ticket.first_response_at,
        resolved_at=ticket.resolved_at,
        closed_at=ticket.closed_at,
        escalated_at=ticket.escalated_at,
        tags=len(ticket.tags),
    )


async def _rows(
    session: AsyncSession, *, number: int | None, after: uuid.UUID | None, limit: int
) -> list[tuple[Ticket, str]]:
    query = select(Ticket, Queue.key).join(Queue, Queue.id == Ticket.queue_id)
    if number is not None:
        query = query.where(Ticket.number == number)
    if after is not None:
        query = query.where(Ticket.id > after)
    found = await session.execute(query.order_by(Ticket.id).limit(limit))
    return [(ticket, key) for ticket, key in found]


async def _events(
    session: AsyncSession, ticket_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, tuple[StoredEvent, ...]]:
    found = await session.scalars(
        select(TicketEvent)
        .where(TicketEvent.ticket_id.in_(ticket_ids))
        .order_by(TicketEvent.ticket_id, TicketEvent.seq)
    )
    return {
        ticket_id: tuple(StoredEvent(row.kind, row.at, row.data, row.reason) for row in rows)
        for ticket_id, rows in groupby(found, key=lambda row: row.ticket_id)
    }
