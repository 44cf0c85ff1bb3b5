"""Tickets whose agent is gone go back to their queues."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import select

from ticketing.db.engine import Database
from ticketing.db.tables import Ticket
from ticketing.domain.ticket import OPEN_STATUSES, Actor
from ticketing.domain.ticket_moves import released as released_change
from ticketing.services import ticket_work
from ticketing.services.ticket_work import lock_ticket


async def release_tickets(
    db: Database,
    agent_id: uuid.UUID,
    *,
    actor: Actor,
    reason: str,
    now: datetime,
    correlation_id: str,
) -> int:
    """Put every open ticket of an agent back in its queue; each in its own transaction.

    One transaction for all would hold many conversations locked at once, in an order that other
    work does not keep.

    Returns:
        How many were put back.
    """
    async with db.transaction() as session:
        ids = (
            await session.scalars(
                select(Ticket.id).where(
                    Ticket.agent_id == agent_id,
                    Ticket.status.in_([status.value for status in OPEN_STATUSES]),
                )
            )
        ).all()
    released = 0
    for ticket_id in ids:
        async with db.transaction() as session:
            work = await lock_ticket(
                session, ticket_id, actor=actor, now=now, correlation_id=correlation_id
            )
            still_theirs = work.ticket.agent_id == agent_id
            if still_theirs and work.state.status in OPEN_STATUSES:
                await ticket_work.apply(work, released_change(work.state, reason=reason))
                released += 1
    return released
