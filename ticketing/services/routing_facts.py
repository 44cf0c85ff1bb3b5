"""What the router knows: the people with their room, and what each waiting ticket needs."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.policy import HandoffPolicy, LanguageSettings
from ticketing.db.people_tables import AgentTeam
from ticketing.db.routing_tables import AgentPresence, RoutingExclusion
from ticketing.db.tables import Agent, AgentQueue, Queue, Ticket
from ticketing.domain.enums import Level, PresenceState, Priority, RoutingState
from ticketing.domain.routing.choice import Candidate, Needs
from ticketing.domain.routing.moves import OURS
from ticketing.domain.routing.order import WaitingTicket
from ticketing.domain.routing.presence import in_force
from ticketing.domain.routing.settings import RoutingSettings
from ticketing.domain.routing.shifts import ShiftPlan, in_shift
from ticketing.services import shifts
from ticketing.services.serving import WORKERS, works_on_tickets

_OURS = [status.value for status in OURS]


def waits() -> ColumnElement[bool]:
    """A ticket that waits for a person: the condition of the index `ix_tickets_next`."""
    return Ticket.agent_id.is_(None) & Ticket.status.in_(_OURS)


def is_worked_on() -> ColumnElement[bool]:
    """A ticket that takes up its agent's attention: the condition of `ix_tickets_worked_on`.

    A ticket that waits for the customer or for others takes up nobody's.
    """
    return Ticket.agent_id.is_not(None) & Ticket.status.in_(_OURS)


@dataclass(frozen=True, slots=True)
class Person:
    """An agent as the router sees them.

    Attributes:
        candidate: For the choice.
        plan: Their shifts.
        takes_part: Whether they ever said that they are there.
        gone_since: When they went offline; None while they are there or never said so.
    """

    candidate: Candidate
    plan: ShiftPlan | None
    takes_part: bool
    gone_since: datetime | None

    @property
    def id(self) -> uuid.UUID:
        """Their id."""
        return self.candidate.agent_id

    def serves(self, queue_id: uuid.UUID) -> bool:
        """Whether the queue is theirs."""
        return self.candidate.queues is None or queue_id in self.candidate.queues

    def loaded(self, more: int) -> Person:
        """The same person with so many more tickets."""
        load = self.candidate.load + more
        return replace(self, candidate=replace(self.candidate, load=load))


async def people(
    session: AsyncSession,
    *,
    languages: LanguageSettings,
    capacity: int,
    now: datetime,
    ids: Collection[uuid.UUID] | None = None,
) -> list[Person]:
    """The people who answer customers, with what they work on now; all of them, or these."""
    # Who is asked for by id may have lost the role, and must be found all the same.
    mine = Agent.id.in_(list(ids)) if ids is not None else works_on_tickets()
    rows = (
        await session.execute(
            select(Agent, AgentPresence)
            .outerjoin(AgentPresence, AgentPresence.agent_id == Agent.id)
            .where(mine)
            .order_by(Agent.id)
            .execution_options(populate_existing=True)
        )
    ).all()
    known = [row.Agent.id for row in rows]
    queues = await _queues(session, known)
    loads = await loads_of(session, known)
    planned = await shifts.plans(session, known)
    return [
        _person(
            row.Agent,
            row.AgentPresence,
            queues=queues.get(row.Agent.id),
            plan=planned.get(row.Agent.id),
            load=loads.get(row.Agent.id, 0),
            languages=languages,
            capacity=capacity,
            now=now,
        )
        for row in rows
    ]


async def loads_of(session: AsyncSession, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, int]:
    """How many tickets each of them works on or is offered."""
    if not ids:
        return {}
    rows = await session.execute(
        select(Ticket.agent_id, func.count())
        .where(is_worked_on(), Ticket.agent_id.in_(list(ids)))
        .group_by(Ticket.agent_id)
    )
    return {row[0]: row[1] for row in rows if row[0] is not None}


async def waiting_tickets(
    session: AsyncSession,
    queue: Queue,
    *,
    policy: HandoffPolicy,
    settings: RoutingSettings,
    now: datetime,
    after: tuple[timedelta, int] | None = None,
    limit: int = 100,
) -> tuple[list[WaitingTicket], tuple[timedelta, int] | None]:
    """A page of a queue, next ticket first, and where the following page begins."""
    statement = select(Ticket).where(Ticket.queue_id == queue.id, waits())
    if after is not None:
        rank, number = after
        statement = statement.where(
            (Ticket.serve_rank > rank) | ((Ticket.serve_rank == rank) & (Ticket.number > number))
        )
    rows = (
        await session.scalars(statement.order_by(Ticket.serve_rank, Ticket.number).limit(limit))
    ).all()
    found = await _waiting(session, rows, queue, policy=policy, settings=settings, now=now)
    last = (rows[-1].serve_rank, rows[-1].number) if len(rows) == limit else None
    return found, last


async def waiting_ticket(
    session: AsyncSession,
    ticket: Ticket,
    queue: Queue,
    *,
    policy: HandoffPolicy,
    settings: RoutingSettings,
    now: datetime,
) -> WaitingTicket:
    """What one ticket needs, whether it waits or not."""
    found = await _waiting(session, [ticket], queue, policy=policy, settings=settings, now=now)
    return found[0]


def spoken(
    languages: Iterable[str], skills: Collection[str], known: LanguageSettings
) -> frozenset[str]:
    """The languages somebody speaks: those of their account and those their skills stand for.

    Who has none in the account speaks the default one.
    """
    own = frozenset(languages) or frozenset({known.default})
    return own | {language for language, skill in known.skills.items() if skill in skills}


def queue_skills(policy: HandoffPolicy, key: str) -> frozenset[str]:
    """Skills that come with a queue."""
    described = policy.queues.get(key)
    return frozenset() if described is None else frozenset(described.skills)


def needs_json(needs: Needs) -> dict[str, Any]:
    """Needs as they are stored with a decision."""
    return {
        "level": needs.level.value,
        "skills": sorted(needs.skills),
        "language": needs.language,
        "priority": needs.priority.value,
        "vip": needs.vip,
        "preferred": [str(agent_id) for agent_id in needs.preferred],
        "excluded": {str(who): until.isoformat() for who, until in needs.excluded.items()},
    }


async def _waiting(
    session: AsyncSession,
    tickets: Sequence[Ticket],
    queue: Queue,
    *,
    policy: HandoffPolicy,
    settings: RoutingSettings,
    now: datetime,
) -> list[WaitingTicket]:
    if not tickets:
        return []
    excluded = await _exclusions(session, [ticket.id for ticket in tickets], now=now)
    acquainted = await _last_agents(session, tickets, since=now - settings.preferred_for)
    of_queue = queue_skills(policy, queue.key)
    by_language = frozenset(policy.languages.skills.values())
    found = []
    for ticket in tickets:
        preferred = (ticket.preferred_agent_id, acquainted.get(ticket.id))
        needs = Needs(
            queue_id=ticket.queue_id,
            level=Level(ticket.level),
            # What a language asks for is the language itself.
            skills=frozenset(ticket.skills) - by_language | of_queue,
            queue_skills=of_queue,
            language=policy.languages.written(ticket.language),
            priority=Priority(ticket.priority),
            vip=ticket.vip,
            preferred=tuple(dict.fromkeys(who for who in preferred if who is not None)),
            excluded=excluded.get(ticket.id, {}),
        )
        found.append(
            WaitingTicket(
                ticket_id=ticket.id,
                number=ticket.number,
                opened_at=ticket.opened_at,
                needs=needs,
                due_at=ticket.sla_expires_at,
                state=RoutingState(ticket.routing_state),
                overflowed=ticket.overflowed_from is not None,
            )
        )
    return found


async def _exclusions(
    session: AsyncSession, ids: Sequence[uuid.UUID], *, now: datetime
) -> Mapping[uuid.UUID, dict[uuid.UUID, datetime]]:
    rows = await session.scalars(
        select(RoutingExclusion).where(
            RoutingExclusion.ticket_id.in_(ids), RoutingExclusion.until > now
        )
    )
    found: defaultdict[uuid.UUID, dict[uuid.UUID, datetime]] = defaultdict(dict)
    for row in rows:
        found[row.ticket_id][row.agent_id] = row.until
    return found


async def _last_agents(
    session: AsyncSession, tickets: Sequence[Ticket], *, since: datetime
) -> dict[uuid.UUID, uuid.UUID]:
    """Ticket to the agent of its contact's ticket before, when that is not long ago."""
    earlier = Ticket.__table__.alias("earlier")
    rows = await session.execute(
        select(Ticket.id, earlier.c.agent_id)
        .join(earlier, (earlier.c.contact_id == Ticket.contact_id) & (earlier.c.id != Ticket.id))
        .where(
            Ticket.id.in_([ticket.id for ticket in tickets]),
            earlier.c.agent_id.is_not(None),
            earlier.c.opened_at < Ticket.opened_at,
            func.coalesce(earlier.c.resolved_at, earlier.c.opened_at) >= since,
        )
        .order_by(earlier.c.opened_at)
    )
    return {row[0]: row[1] for row in rows}  # the newest one stays


async def _queues(
    session: AsyncSession, ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, frozenset[uuid.UUID]]:
    """Agent to the queues they were appointed to; who is missing serves all."""
    named = select(AgentQueue.agent_id, AgentQueue.queue_id).where(AgentQueue.agent_id.in_(ids))
    of_teams = (
        select(AgentTeam.agent_id, Queue.id)
        .join(Queue, Queue.team_id == AgentTeam.team_id)
        .join(Agent, Agent.id == AgentTeam.agent_id)
        .where(Agent.scoped_to_teams, Agent.id.in_(ids))
    )
    limited = await session.scalars(
        select(Agent.id).where(Agent.scoped_to_teams, Agent.id.in_(ids))
    )
    # Who is limited to teams without a queue serves none.
    found: dict[uuid.UUID, set[uuid.UUID]] = {agent_id: set() for agent_id in limited}
    for agent_id, queue_id in await session.execute(named.union(of_teams)):
        found.setdefault(agent_id, set()).add(queue_id)
    return {agent_id: frozenset(served) for agent_id, served in found.items()}


def _person(
    agent: Agent,
    said: AgentPresence | None,
    *,
    queues: frozenset[uuid.UUID] | None,
    plan: ShiftPlan | None,
    load: int,
    languages: LanguageSettings,
    capacity: int,
    now: datetime,
) -> Person:
    state, gone_since = PresenceState.OFFLINE, None
    if said is not None:
        state = in_force(PresenceState(said.state), expires_at=said.expires_at, now=now)
        if state is PresenceState.OFFLINE:
            gone_since = said.expires_at or said.since
    skills = frozenset(agent.skills)
    candidate = Candidate(
        agent_id=agent.id,
        presence=state,
        capacity=agent.capacity or capacity,
        load=load,
        in_shift=in_shift(plan, now),
        queues=queues,
        levels=frozenset(Level(level) for level in agent.levels),
        skills=skills,
        languages=spoken(agent.languages, skills, languages),
        last_assigned_at=None if said is None else said.last_assigned_at,
        active=agent.active and agent.role in WORKERS,
        on_duty=agent.on_duty,
    )
    return Person(candidate, plan, takes_part=said is not None, gone_since=gone_since)
