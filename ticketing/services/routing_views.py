"""What people see of the router: one ticket's way, a dry run, and the queues as they stand."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.policy import HandoffPolicy
from handoff.queue_routing import AUTO
from ticketing.db.routing_tables import RoutingDecision
from ticketing.db.tables import Agent, Queue, Ticket
from ticketing.domain.enums import PresenceState, RoutingState
from ticketing.domain.routing.choice import Relaxation, Verdict, choose_agent
from ticketing.domain.routing.order import EPOCH
from ticketing.domain.routing.settings import RoutingSettings
from ticketing.domain.ticket import Actor
from ticketing.services.routing_facts import Person, needs_json, people, waiting_ticket, waits
from ticketing.services.ticket_work import TicketNotFoundError
from ticketing.services.visibility import NotVisibleError, may_see, visible_to

_DECISIONS_SHOWN = 20
_NEXT_SHOWN = 5


@dataclass(frozen=True, slots=True)
class CandidateView:
    """One person's verdict.

    Attributes:
        rank: 1 is the one who gets it; None: the `refusals` say why not.
        waived: Reasons against them that were left out.
    """

    agent_id: uuid.UUID
    name: str
    rank: int | None
    refusals: tuple[str, ...]
    waived: tuple[str, ...]
    preferred: bool
    load: int
    capacity: int
    last_assigned_at: datetime | None


@dataclass(frozen=True, slots=True)
class DecisionView:
    """One choice of the router, as it was stored.

    Attributes:
        outcome: offered, held (somebody asked for the next ticket), nobody_available, overflowed.
        trigger: auto, next_ticket or overflow.
        relaxed: Filters that were left out.
        others: How many more people, by reason.
    """

    id: uuid.UUID
    at: datetime
    outcome: str
    trigger: str
    agent_id: uuid.UUID | None
    queue: str
    needs: Mapping[str, Any]
    relaxed: tuple[str, ...]
    candidates: tuple[CandidateView, ...]
    others: Mapping[str, int]
    policy_version: str


@dataclass(frozen=True, slots=True)
class DryRun:
    """Who would get the ticket if it were given out now; nothing is written.

    Attributes:
        agent_id: None: nobody.
        waits: Whether it waits for a person at all.
        assignment: auto or pull, as the queue says.
    """

    agent_id: uuid.UUID | None
    waits: bool
    assignment: str
    relaxed: tuple[str, ...]
    needs: Mapping[str, Any]
    candidates: tuple[CandidateView, ...]


@dataclass(frozen=True, slots=True)
class TicketRouting:
    """Where a ticket stands with the router, and how it came there.

    Attributes:
        state: waiting, offered, nobody_available, overflowed, held or done.
        serve_by: By when it should be served: the earliest of a queue is next.
        customer_told_at: When the customer was told that nobody is there.
    """

    ticket_id: uuid.UUID
    number: int
    queue: str
    state: RoutingState
    since: datetime
    waiting_since: datetime
    serve_by: datetime
    vip: bool
    agent_id: uuid.UUID | None
    offer_expires_at: datetime | None
    overflowed_from: str | None
    preferred_agent_id: uuid.UUID | None
    customer_told_at: datetime | None
    now: DryRun
    decisions: tuple[DecisionView, ...]


@dataclass(frozen=True, slots=True)
class NextView:
    """A waiting ticket near the front of its queue."""

    ticket_id: uuid.UUID
    number: int
    priority: str
    vip: bool
    state: RoutingState
    opened_at: datetime
    serve_by: datetime


@dataclass(frozen=True, slots=True)
class QueueStanding:
    """A queue now.

    Attributes:
        assignment: auto or pull.
        online: People who serve it and get new tickets now.
        with_room: Those of them who have room for one more.
        by_state: Open tickets without an answerer, by routing state.
        overflow_queue: Where tickets go that nobody takes; None: nowhere.
        next: The front of the queue.
    """

    key: str
    name: str
    level: str
    assignment: str
    waiting: int
    oldest_opened_at: datetime | None
    online: int
    with_room: int
    by_state: Mapping[str, int]
    overflow_queue: str | None
    overflow_after_seconds: int | None
    next: tuple[NextView, ...]


async def ticket_routing(
    session: AsyncSession,
    ticket_id: uuid.UUID,
    *,
    actor: Actor | None,
    policy: HandoffPolicy,
    settings: RoutingSettings,
    now: datetime,
) -> TicketRouting:
    """One ticket's routing; `actor` None is the command line, which may see everything.

    Raises:
        TicketNotFoundError: when there is none.
        NotVisibleError: when it is not for this person.
    """
    ticket = await session.get(Ticket, ticket_id)
    if ticket is None:
        raise TicketNotFoundError(ticket_id)
    if actor is not None and not may_see(ticket, actor):
        raise NotVisibleError
    queue = await session.get_one(Queue, ticket.queue_id)
    everybody = await people(
        session, languages=policy.languages, capacity=settings.capacity, now=now
    )
    rows = (
        await session.scalars(
            select(RoutingDecision)
            .where(RoutingDecision.ticket_id == ticket_id)
            .order_by(RoutingDecision.decided_at.desc(), RoutingDecision.id.desc())
            .limit(_DECISIONS_SHOWN)
        )
    ).all()
    names = await _names(session)
    dry = await _dry_run(
        session, ticket, queue, everybody, names=names, policy=policy, settings=settings, now=now
    )
    return TicketRouting(
        ticket_id=ticket.id,
        number=ticket.number,
        queue=queue.key,
        state=RoutingState(ticket.routing_state),
        since=ticket.routing_since or ticket.opened_at,
        waiting_since=ticket.waiting_since or ticket.opened_at,
        serve_by=EPOCH + ticket.serve_rank,
        vip=ticket.vip,
        agent_id=ticket.agent_id,
        offer_expires_at=ticket.offer_expires_at,
        overflowed_from=ticket.overflowed_from,
        preferred_agent_id=ticket.preferred_agent_id,
        customer_told_at=ticket.nobody_told_at,
        now=dry,
        decisions=tuple(_decision(row, names) for row in rows),
    )


async def queue_standings(
    session: AsyncSession,
    *,
    actor: Actor,
    policy: HandoffPolicy,
    settings: RoutingSettings,
    now: datetime,
) -> tuple[QueueStanding, ...]:
    """The queues with what waits in them, as far as this person may see it."""
    everybody = await people(
        session, languages=policy.languages, capacity=settings.capacity, now=now
    )
    counts = await session.execute(
        select(Ticket.queue_id, Ticket.routing_state, func.count(), func.min(Ticket.opened_at))
        .where(waits(), visible_to(actor))
        .group_by(Ticket.queue_id, Ticket.routing_state)
    )
    by_queue: dict[uuid.UUID, dict[str, tuple[int, datetime]]] = {}
    for queue_id, state, count, oldest in counts:
        by_queue.setdefault(queue_id, {})[state] = (count, oldest)
    queues = (await session.scalars(select(Queue).order_by(Queue.level, Queue.key))).all()
    return tuple(
        [
            await _standing(
                session, queue, everybody, by_queue.get(queue.id, {}), actor=actor, policy=policy
            )
            for queue in queues
        ]
    )


async def _standing(
    session: AsyncSession,
    queue: Queue,
    everybody: Iterable[Person],
    counts: Mapping[str, tuple[int, datetime]],
    *,
    actor: Actor,
    policy: HandoffPolicy,
) -> QueueStanding:
    described = policy.queues.get(queue.key)
    rule = None if described is None else described.routing.overflow
    online = [
        person.candidate
        for person in everybody
        if person.serves(queue.id)
        and person.candidate.presence is PresenceState.ONLINE
        and person.candidate.in_shift
        and person.candidate.on_duty
    ]
    front = (
        await session.scalars(
            select(Ticket)
            .where(Ticket.queue_id == queue.id, waits(), visible_to(actor))
            .order_by(Ticket.serve_rank, Ticket.number)
            .limit(_NEXT_SHOWN)
        )
    ).all()
    return QueueStanding(
        key=queue.key,
        name=queue.name,
        level=queue.level,
        assignment=AUTO if described is None else described.routing.assignment,
        waiting=sum(count for count, _ in counts.values()),
        oldest_opened_at=min((oldest for _, oldest in counts.values()), default=None),
        online=len(online),
        with_room=sum(item.load < item.capacity for item in online),
        by_state={state: count for state, (count, _) in sorted(counts.items())},
        overflow_queue=None if rule is None else rule.queue,
        overflow_after_seconds=None if rule is None else round(rule.after.total_seconds()),
        next=tuple(
            NextView(
                ticket_id=ticket.id,
                number=ticket.number,
                priority=ticket.priority,
                vip=ticket.vip,
                state=RoutingState(ticket.routing_state),
                opened_at=ticket.opened_at,
                serve_by=EPOCH + ticket.serve_rank,
            )
            for ticket in front
        ),
    )


async def _dry_run(
    session: AsyncSession,
    ticket: Ticket,
    queue: Queue,
    everybody: list[Person],
    *,
    names: Mapping[uuid.UUID, str],
    policy: HandoffPolicy,
    settings: RoutingSettings,
    now: datetime,
) -> DryRun:
    waiting = await waiting_ticket(
        session, ticket, queue, policy=policy, settings=settings, now=now
    )
    described = policy.queues.get(queue.key)
    steps: list[Relaxation] = []
    if described is not None and now - ticket.opened_at >= described.routing.relax_after:
        steps = [Relaxation(name) for name in described.routing.relax]
    serving = [person.candidate for person in everybody if person.serves(queue.id)]
    choice = choose_agent(waiting.needs, serving, now=now, relax=steps)
    return DryRun(
        agent_id=choice.agent_id,
        waits=ticket.agent_id is None and ticket.routing_state != RoutingState.DONE.value,
        assignment=AUTO if described is None else described.routing.assignment,
        relaxed=tuple(step.value for step in choice.relaxed),
        needs=needs_json(waiting.needs),
        candidates=tuple(_candidate(verdict, names) for verdict in choice.verdicts),
    )


async def _names(session: AsyncSession) -> dict[uuid.UUID, str]:
    rows = await session.execute(select(Agent.id, Agent.name))
    return {row[0]: row[1] for row in rows}


def _candidate(verdict: Verdict, names: Mapping[uuid.UUID, str]) -> CandidateView:
    return CandidateView(
        agent_id=verdict.agent_id,
        name=names.get(verdict.agent_id, ""),
        rank=verdict.rank,
        refusals=tuple(item.value for item in verdict.refusals),
        waived=tuple(item.value for item in verdict.waived),
        preferred=verdict.preferred,
        load=verdict.load,
        capacity=verdict.capacity,
        last_assigned_at=verdict.last_assigned_at,
    )


def _decision(row: RoutingDecision, names: Mapping[uuid.UUID, str]) -> DecisionView:
    return DecisionView(
        id=row.id,
        at=row.decided_at,
        outcome=row.outcome,
        trigger=row.trigger,
        agent_id=row.agent_id,
        queue=row.queue_key,
        needs=row.needs,
        relaxed=tuple(row.relaxed),
        candidates=tuple(_stored(item, names) for item in row.candidates["listed"]),
        others=row.candidates["others"],
        policy_version=row.policy_version,
    )


def _stored(item: Mapping[str, Any], names: Mapping[uuid.UUID, str]) -> CandidateView:
    agent_id, last = uuid.UUID(item["agent_id"]), item["last_assigned_at"]
    return CandidateView(
        agent_id=agent_id,
        name=names.get(agent_id, ""),
        rank=item["rank"],
        refusals=tuple(item["refusals"]),
        waived=tuple(item["waived"]),
        preferred=item["preferred"],
        load=item["load"],
        capacity=item["capacity"],
        last_assigned_at=None if last is None else datetime.fromisoformat(last),
    )
