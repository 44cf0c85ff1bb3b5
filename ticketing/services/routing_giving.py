"""The router gives out what waits: offers, the overflow queue, and a word to the customer."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.business_hours import working_time_between
from handoff.policy import Queue as QueueSettings
from handoff.queue_routing import AUTO
from ticketing.db.tables import Queue, Ticket
from ticketing.domain.enums import Level, PresenceState, RoutingState
from ticketing.domain.routing import moves
from ticketing.domain.routing.choice import (
    Candidate,
    Relaxation,
    RoutingChoice,
    choose_agent,
    refusals_of,
)
from ticketing.domain.routing.order import WaitingTicket
from ticketing.domain.ticket import QueueChoice
from ticketing.services import routing_messages, ticket_work
from ticketing.services.routing_claim import lock_person, note_assigned, waiting_still
from ticketing.services.routing_facts import Person, waiting_tickets, waits
from ticketing.services.routing_run import BATCH, Run

log = structlog.get_logger()

_PAGE = 100
_PAGES_WITHOUT_ROOM = 5
"""With nobody to give tickets to, only the front of a long queue gets its state named."""
_PAGES = 50
"""A run ends, so that other queues get their turn; the next run goes on from the front."""


@dataclass(frozen=True, slots=True)
class Giving(Run):
    """Waiting tickets find a person, or another queue, or at least a name for their state."""

    async def overflow(self) -> None:
        """Tickets that waited too long go to the queue named for it."""
        for key, described in self.policy.queues.items():
            rule = described.routing.overflow
            if rule is None:
                continue
            async with self.db.transaction() as session:
                due = (
                    await session.scalars(
                        select(Ticket.id)
                        .join(Queue, Queue.id == Ticket.queue_id)
                        .where(
                            Queue.key == key,
                            waits(),
                            func.coalesce(Ticket.waiting_since, Ticket.opened_at)
                            <= self.now - rule.after,
                        )
                        .order_by(func.coalesce(Ticket.waiting_since, Ticket.opened_at))
                        .limit(BATCH)
                    )
                ).all()
            await self.each(due, self._move_on)

    async def _move_on(self, session: AsyncSession, ticket_id: uuid.UUID) -> None:
        work = await self.lock(session, ticket_id)
        described = self.policy.queues.get(work.queue.key)
        rule = None if described is None else described.routing.overflow
        if rule is None or not waiting_still(work):
            return
        since = work.ticket.waiting_since or work.ticket.opened_at
        calendar = self.policy.calendar_of(work.queue.key)
        if working_time_between(calendar, since, self.now) < rule.after:
            return
        target = await session.scalar(select(Queue).where(Queue.key == rule.queue))
        if target is None:  # named since the last start, and not mirrored yet
            return
        choice = QueueChoice(target.id, target.key, Level(target.level))
        waiting = await self.waiting(work)
        key = work.queue.key
        change = moves.overflow(work.state, choice, waited_since=since)
        event = await ticket_work.apply(work, change)
        await ticket_work.tell_outside(work, event, topic=ticket_work.ASSIGNED_TOPIC)
        self.record(
            work, waiting, RoutingChoice(None, (), ()), RoutingState.OVERFLOWED, queue_key=key
        )
        self.report.overflowed += 1

    async def give_out(self) -> None:
        """Offer what waits, queue by queue, the most urgent ticket first."""
        async with self.db.transaction() as session:
            everybody = await self.people(session)
            rows = (await session.scalars(select(Queue).order_by(Queue.level.desc()))).all()
        for queue in rows:
            described = self.policy.queues.get(queue.key)
            if described is None or described.routing.assignment != AUTO:
                continue
            if any(person.takes_part and person.serves(queue.id) for person in everybody):
                everybody = await self._serve(queue, described, everybody)

    async def _serve(
        self, queue: Queue, described: QueueSettings, everybody: list[Person]
    ) -> list[Person]:
        after: tuple[timedelta, int] | None = None
        for page in range(_PAGES):
            has_room = any(_could_get(person, queue) for person in everybody)
            if not has_room and page >= _PAGES_WITHOUT_ROOM:
                break
            async with self.db.transaction() as session:
                tickets, after = await waiting_tickets(
                    session,
                    queue,
                    policy=self.policy,
                    settings=self.settings,
                    now=self.now,
                    after=after,
                    limit=_PAGE,
                )
            for ticket in tickets:
                choice = self._choose(ticket, described, everybody)
                if choice.agent_id is not None:
                    await self.each([ticket.ticket_id], self._offer)
                    async with self.db.transaction() as session:
                        everybody = await self.people(session)
                elif _state_named(ticket.overflowed, choice) is not ticket.state:
                    await self.each([ticket.ticket_id], self._name_state)
            if after is None:
                break
        return everybody

    async def _offer(self, session: AsyncSession, ticket_id: uuid.UUID) -> None:
        """Choose again under the ticket's lock, then once more under the agent's."""
        work = await self.lock(session, ticket_id)
        described = self.policy.queues.get(work.queue.key)
        if not waiting_still(work) or described is None:
            return
        waiting = await self.waiting(work)
        choice = self._choose(waiting, described, await self.people(session))
        if choice.agent_id is None:
            return
        person = await lock_person(
            session, choice.agent_id, self.policy, self.settings, now=self.now
        )
        waived = {step.waives for step in choice.relaxed}
        if person is None or not person.takes_part:
            return
        if not set(refusals_of(waiting.needs, person.candidate, now=self.now)) <= waived:
            return  # they got another ticket or left since; the next run chooses again
        queue_key = work.queue.key
        work.ticket.offer_expires_at = work.now + described.routing.accept_within
        event = await ticket_work.apply(
            work,
            moves.offer(work.state, person.id),
            data={"offer_expires_at": work.ticket.offer_expires_at.isoformat()},
        )
        await ticket_work.tell_outside(work, event, topic=ticket_work.ASSIGNED_TOPIC)
        await note_assigned(session, person.id, now=self.now)
        self.record(work, waiting, choice, RoutingState.OFFERED, queue_key=queue_key)
        self.report.offered += 1

    async def _name_state(self, session: AsyncSession, ticket_id: uuid.UUID) -> None:
        """Write down that nobody is there for it, or that somebody is again."""
        work = await self.lock(session, ticket_id)
        described = self.policy.queues.get(work.queue.key)
        if not waiting_still(work) or described is None:
            return
        waiting = await self.waiting(work)
        choice = self._choose(waiting, described, await self.people(session))
        state = _state_named(waiting.overflowed, choice)
        if choice.agent_id is not None or state is waiting.state:
            return
        work.ticket.routing_state = state.value
        work.ticket.routing_since = self.now
        if state is RoutingState.NOBODY_AVAILABLE:
            self.record(work, waiting, choice, state, queue_key=work.queue.key)
        log.info(
            "routing.state",
            ticket_number=work.ticket.number,
            state=state.value,
            queue=work.queue.key,
        )
        self.report.named += 1

    def _choose(
        self, ticket: WaitingTicket, described: QueueSettings, everybody: Iterable[Person]
    ) -> RoutingChoice:
        routing = described.routing
        waited = self.now - ticket.opened_at
        steps = (
            [Relaxation(name) for name in routing.relax] if waited >= routing.relax_after else []
        )
        return choose_agent(ticket.needs, _candidates(everybody, ticket), now=self.now, relax=steps)

    async def tell_customers(self) -> None:
        """Tell, once, those for whom nobody has been there for a while."""
        async with self.db.transaction() as session:
            due = await routing_messages.to_tell(
                session,
                before=self.now - self.settings.nobody_after,
                now=self.now,
                limit=BATCH,
            )
        await self.each(due, self._tell)

    async def _tell(self, session: AsyncSession, ticket_id: uuid.UUID) -> None:
        work = await self.lock(session, ticket_id)
        if await routing_messages.tell_nobody(work, self.policy):
            self.report.told += 1


def _candidates(everybody: Iterable[Person], ticket: WaitingTicket) -> list[Candidate]:
    """Only people who serve the queue are worth a verdict: the others are never in question."""
    return [person.candidate for person in everybody if person.serves(ticket.needs.queue_id)]


def _could_get(person: Person, queue: Queue) -> bool:
    candidate = person.candidate
    return (
        person.serves(queue.id)
        and candidate.presence is PresenceState.ONLINE
        and candidate.in_shift
        and candidate.on_duty
        and candidate.load < candidate.capacity
    )


def _state_named(overflowed: bool, choice: RoutingChoice) -> RoutingState:  # noqa: FBT001
    if not choice.somebody_soon:
        return RoutingState.NOBODY_AVAILABLE
    return RoutingState.OVERFLOWED if overflowed else RoutingState.WAITING
