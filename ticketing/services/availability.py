"""How many people could take one more conversation, by queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from ticketing.db.engine import Database
from ticketing.db.tables import Agent, Queue, Ticket
from ticketing.domain.enums import TicketStatus
from ticketing.domain.routing.shifts import in_shift
from ticketing.services import shifts
from ticketing.services.serving import serves_queue, works_on_tickets

_WORKED_ON = (TicketStatus.NEW.value, TicketStatus.OPEN.value)
"""A ticket that waits for the customer or for others takes up nobody's attention."""

KEPT_FOR = timedelta(seconds=2)
"""People come and go by the minute; a busy second has hundreds of turns."""


async def agents_available(
    session: AsyncSession, *, capacity: int, now: datetime
) -> dict[str, int]:
    """Queue to the agents who serve it, may work now and have room for one more ticket.

    May work now: on duty and, for who has a shift plan, in a shift. Room: fewer tickets than the
    agent's own capacity, or than `capacity` for who has none. Whether they are online just now is
    not asked: the bot hands over to teams, and people come and go by the minute.

    Empty when nobody who works on tickets has an account: such an installation does not say who is
    there, so a rule about it must not fire. A queue that nobody may work for has 0.
    """
    has_accounts = await session.scalar(select(Agent.id).where(works_on_tickets()).limit(1))
    if has_accounts is None:
        return {}
    working_on = (
        select(func.count())
        .where(Ticket.agent_id == Agent.id, Ticket.status.in_(_WORKED_ON))
        .correlate(Agent)
        .scalar_subquery()
    )
    has_room = working_on < func.coalesce(Agent.capacity, capacity)
    off_shift = [
        agent_id
        for agent_id, plan in (await shifts.plans(session)).items()
        if not in_shift(plan, now)
    ]
    free = (
        select(Agent.id)
        .where(works_on_tickets(), Agent.on_duty, has_room, Agent.id.not_in(off_shift))
        .cte("free_agents")
    )
    rows = await session.execute(
        select(Queue.key, func.count(Agent.id))
        .select_from(Queue)
        .outerjoin(Agent, Agent.id.in_(select(free.c.id)) & serves_queue())
        .group_by(Queue.key)
    )
    return {str(key): int(count) for key, count in rows}


@dataclass(slots=True)
class Availability:
    """`agents_available`, asked at most every `KEPT_FOR`."""

    db: Database
    clock: Clock
    capacity: int
    _known: Mapping[str, int] = field(default_factory=dict)
    _asked_at: datetime | None = None

    async def by_queue(self) -> dict[str, int]:
        """Queue to the people with room; see `agents_available`."""
        now = self.clock.now()
        if self._asked_at is None or not timedelta() <= now - self._asked_at < KEPT_FOR:
            async with self.db.transaction() as session:
                self._known = await agents_available(session, capacity=self.capacity, now=now)
            self._asked_at = now
        return dict(self._known)
