"""The router takes back what people leave: offers, chats of who is gone, unanswered customers."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.business_hours import working_time_between
from handoff.policy import HandoffPolicy
from ticketing.db.routing_tables import AgentPresence, RoutingExclusion
from ticketing.db.tables import Agent, Ticket
from ticketing.domain.routing import moves
from ticketing.domain.routing.moves import OURS, TakenBack
from ticketing.domain.routing.settings import RoutingSettings
from ticketing.domain.routing.shifts import shift_is_over
from ticketing.services import presence, ticket_work
from ticketing.services.routing_facts import Person, is_worked_on, people
from ticketing.services.routing_run import BATCH, Run
from ticketing.services.routing_silence import silent_tickets, unanswered_since
from ticketing.services.ticket_work import Work


@dataclass(frozen=True, slots=True)
class Taking(Run):
    """Tickets go back to their queues, with clock, priority and history as they were."""

    async def offers_that_ran_out(self) -> None:
        """Who was asked and did not answer loses the ticket and is asked no more for a while."""
        async with self.db.transaction() as session:
            due = (
                await session.scalars(
                    select(Ticket.id)
                    .where(Ticket.offer_expires_at <= self.now)
                    .order_by(Ticket.offer_expires_at)
                    .limit(BATCH)
                )
            ).all()
        await self.each(due, self._end_offer)

    async def _end_offer(self, session: AsyncSession, ticket_id: uuid.UUID) -> None:
        work = await self.lock(session, ticket_id)
        ends_at, agent_id = work.ticket.offer_expires_at, work.ticket.agent_id
        if agent_id is None or ends_at is None or ends_at > self.now:
            return
        await self._take_back(work, TakenBack.NOT_ACCEPTED)
        if self.settings.missed_offer_is_away:
            await presence.step_aside(
                session, agent_id, reason=TakenBack.NOT_ACCEPTED.value, now=self.now
            )

    async def people_who_left(self) -> None:
        """Tickets of people who are offline, off shift or disabled go back to their queues.

        Those that wait for the customer or for others stay with their agent: when the customer
        writes, the next step is ours again and the next run finds them here.
        """
        async with self.db.transaction() as session:
            due = await _left_behind(session, self.policy, self.settings, now=self.now)
        await self.each(due, self._give_on)

    async def _give_on(self, session: AsyncSession, ticket_id: uuid.UUID) -> None:
        work = await self.lock(session, ticket_id)
        agent_id = work.ticket.agent_id
        if agent_id is None or work.state.status not in OURS:
            return
        found = await people(
            session,
            languages=self.policy.languages,
            capacity=self.settings.capacity,
            now=self.now,
            ids=[agent_id],
        )
        reason = _why_gone(found[0], work.ticket.routing_since, now=self.now) if found else None
        if reason is not None:
            await self._take_back(work, reason)

    async def silent_people(self) -> None:
        """Who leaves a customer's message unanswered for too long loses the ticket."""
        async with self.db.transaction() as session:
            due = await silent_tickets(session, self.policy, now=self.now, limit=BATCH)
        await self.each(due, self._end_silence)

    async def _end_silence(self, session: AsyncSession, ticket_id: uuid.UUID) -> None:
        work = await self.lock(session, ticket_id)
        described = self.policy.queues.get(work.queue.key)
        if described is None or described.routing.silent_after is None:
            return
        if work.ticket.agent_id is None or work.state.status not in OURS:
            return
        since = await unanswered_since(session, work.ticket)
        if since is None:
            return
        calendar = self.policy.calendar_of(work.queue.key)
        if working_time_between(calendar, since, self.now) >= described.routing.silent_after:
            await self._take_back(work, TakenBack.SILENT)

    async def _take_back(self, work: Work, reason: TakenBack) -> None:
        agent_id = work.ticket.agent_id
        await ticket_work.apply(work, moves.take_back(work.state, reason))
        if agent_id is not None and reason in {TakenBack.NOT_ACCEPTED, TakenBack.SILENT}:
            await self._exclude(work.session, work.ticket.id, agent_id, reason)
        self.report.taken_back += 1

    async def _exclude(
        self, session: AsyncSession, ticket_id: uuid.UUID, agent_id: uuid.UUID, reason: TakenBack
    ) -> None:
        values = {"until": self.now + self.settings.excluded_for, "reason": reason.value}
        await session.execute(
            insert(RoutingExclusion)
            .values(ticket_id=ticket_id, agent_id=agent_id, **values)
            .on_conflict_do_update(index_elements=["ticket_id", "agent_id"], set_=values)
        )


def _why_gone(person: Person, held_since: datetime | None, *, now: datetime) -> TakenBack | None:
    """Why somebody loses what they have; None while they are there, or never said they were.

    Who takes a ticket while they are offline or off shift, knowing it, keeps it.
    """
    if not person.candidate.active:
        return TakenBack.DISABLED
    since = held_since or now
    if person.gone_since is not None and person.gone_since >= since:
        return TakenBack.OFFLINE
    if person.takes_part and shift_is_over(person.plan, since=since, now=now):
        return TakenBack.SHIFT_OVER
    return None


async def _left_behind(
    session: AsyncSession, policy: HandoffPolicy, settings: RoutingSettings, *, now: datetime
) -> list[uuid.UUID]:
    """Tickets whose agent is gone and whose next step is ours."""
    holders = (
        select(Ticket.agent_id)
        .where(is_worked_on())
        .join(Agent, Agent.id == Ticket.agent_id)
        .outerjoin(AgentPresence, AgentPresence.agent_id == Agent.id)
        .where(AgentPresence.agent_id.is_not(None) | Agent.active.is_(False))
        .distinct()
    )
    ids = [agent_id for agent_id in await session.scalars(holders) if agent_id is not None]
    found = await people(
        session, languages=policy.languages, capacity=settings.capacity, now=now, ids=ids
    )
    gone = {
        person.id: person
        for person in found
        if not person.candidate.active or person.gone_since is not None or person.plan is not None
    }
    if not gone:
        return []
    tickets = await session.execute(
        select(Ticket.id, Ticket.agent_id, Ticket.routing_since)
        .where(is_worked_on(), Ticket.agent_id.in_(list(gone)))
        .order_by(Ticket.serve_rank, Ticket.number)
    )
    return [
        ticket_id
        for ticket_id, agent_id, since in tickets
        if agent_id is not None and _why_gone(gone[agent_id], since, now=now) is not None
    ]
