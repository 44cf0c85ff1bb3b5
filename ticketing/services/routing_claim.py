"""Give a waiting ticket to a person, atomically: the next one for who asks, or a chosen one.

Rows are locked in one order: conversation, ticket, agent. The agent's lock lets one giving at a
time count their tickets, so that no two of them go over the capacity together.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import ColumnElement, Select, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.policy import HandoffPolicy
from kit.clock import Clock
from ticketing.db.engine import Database
from ticketing.db.routing_tables import AgentPresence, RoutingDecision, RoutingExclusion
from ticketing.db.tables import Agent, Conversation, Queue, Ticket
from ticketing.domain.enums import RoutingState
from ticketing.domain.routing.choice import RoutingChoice, Verdict, refusals_of
from ticketing.domain.routing.moves import OURS
from ticketing.domain.routing.order import WaitingTicket
from ticketing.domain.routing.settings import RoutingSettings
from ticketing.domain.ticket import Actor
from ticketing.domain.ticket_transitions import take
from ticketing.services import ticket_work
from ticketing.services.routing_facts import (
    Person,
    needs_json,
    people,
    queue_skills,
    waiting_ticket,
    waits,
)
from ticketing.services.ticket_work import Work, lock_ticket

log = structlog.get_logger()

_LOOK_AHEAD = 50  # tickets of a queue that others may be claiming at the same moment
_MAX_TRIES = 20  # each lost try means that somebody else got a ticket
_LISTED = 50  # verdicts kept with a decision; the others are counted by reason


class UnknownQueueError(ValueError):
    """A queue was named that is not there, or not the caller's."""

    field = "queue"

    def __init__(self, key: str, *, allowed: list[str]) -> None:
        self.allowed = allowed
        listed = ", ".join(allowed) or "(none)"
        super().__init__(f"queue: {key!r} is not a queue of yours; expected one of {listed}")


class NoRoomError(Exception):
    """The caller works on as many tickets as they may."""

    def __init__(self, *, load: int, capacity: int) -> None:
        self.load = load
        self.capacity = capacity
        super().__init__(
            f"you work on {load} of {capacity} tickets; expected room for one more "
            "(a certain ticket can still be taken by its id)"
        )


@dataclass(frozen=True, slots=True)
class Claimed:
    """The next ticket, taken; `ticket_id` None: nothing waits that is for this person."""

    ticket_id: uuid.UUID | None


async def claim_next(
    db: Database,
    clock: Clock,
    *,
    actor: Actor,
    policy: HandoffPolicy,
    settings: RoutingSettings,
    queue: str | None,
    correlation_id: str,
) -> Claimed:
    """Take the ticket that this person should serve next.

    Two who ask at once get two tickets, or one of them nothing. Presence and shift are not asked
    for: who asks for work is there.

    Raises:
        UnknownQueueError: for a queue that they do not serve.
        NoRoomError: when they work on as many tickets as they may.
    """
    if actor.agent_id is None:
        message = "the next ticket is given to a person"
        raise ValueError(message)
    for _ in range(_MAX_TRIES):
        now = clock.now()
        async with db.transaction() as session:
            person = await _person(session, actor.agent_id, policy, settings, now=now)
            if person is None:
                return Claimed(None)
            queues = await _served(session, person, queue)
            statement = best_for(person, queues, policy, now=now)
            claimed = None if statement is None else await session.scalar(statement)
            if claimed is None:
                return Claimed(None)
            work = await lock_ticket(
                session, claimed, actor=actor, now=now, correlation_id=correlation_id
            )
            if not waiting_still(work):
                continue  # somebody was quicker between the look and the lock
            person = await lock_person(session, person.id, policy, settings, now=now)
            if person is None:
                return Claimed(None)
            _check_room(person)
            await _take(work, actor, person, policy=policy, settings=settings)
            return Claimed(claimed)
    return Claimed(None)


def waiting_still(work: Work) -> bool:
    """Whether nobody has it and the next step is ours, now that it is locked."""
    return work.ticket.agent_id is None and work.state.status in OURS


async def lock_person(
    session: AsyncSession,
    agent_id: uuid.UUID,
    policy: HandoffPolicy,
    settings: RoutingSettings,
    *,
    now: datetime,
) -> Person | None:
    """The person with the tickets they have now; until the transaction ends they get no other.

    Lock conversation and ticket before. The lock does not disturb rows that only refer to them.
    """
    found = await session.scalar(
        select(Agent.id).where(Agent.id == agent_id).with_for_update(key_share=True)
    )
    if found is None:
        return None
    return await _person(session, agent_id, policy, settings, now=now)


async def note_assigned(session: AsyncSession, agent_id: uuid.UUID, *, now: datetime) -> None:
    """They got a ticket: others are idle for longer now."""
    await session.execute(
        update(AgentPresence).where(AgentPresence.agent_id == agent_id).values(last_assigned_at=now)
    )


def record(
    session: AsyncSession,
    waiting: WaitingTicket,
    choice: RoutingChoice,
    *,
    outcome: RoutingState,
    trigger: str,
    queue_key: str,
    policy_version: str,
    now: datetime,
    correlation_id: str,
) -> None:
    """Keep a decision with everybody's verdict; of very many people the first ones."""
    shown = choice.verdicts[:_LISTED]
    others: dict[str, int] = {}
    for verdict in choice.verdicts[_LISTED:]:
        for reason in verdict.refusals or ("ranked_lower",):
            others[str(reason)] = others.get(str(reason), 0) + 1
    session.add(
        RoutingDecision(
            ticket_id=waiting.ticket_id,
            outcome=outcome.value,
            trigger=trigger,
            agent_id=choice.agent_id,
            queue_key=queue_key,
            needs=needs_json(waiting.needs),
            relaxed=[step.value for step in choice.relaxed],
            candidates={"listed": [item.to_json() for item in shown], "others": others},
            policy_version=policy_version,
            decided_at=now,
            correlation_id=correlation_id,
        )
    )


async def _person(
    session: AsyncSession,
    agent_id: uuid.UUID,
    policy: HandoffPolicy,
    settings: RoutingSettings,
    *,
    now: datetime,
) -> Person | None:
    found = await people(
        session,
        languages=policy.languages,
        capacity=settings.capacity,
        now=now,
        ids=[agent_id],
    )
    return found[0] if found and found[0].candidate.active else None


async def _take(
    work: Work,
    actor: Actor,
    person: Person,
    *,
    policy: HandoffPolicy,
    settings: RoutingSettings,
) -> None:
    waiting = await waiting_ticket(
        work.session, work.ticket, work.queue, policy=policy, settings=settings, now=work.now
    )
    candidate, queue_key = person.candidate, work.queue.key
    change = take(work.state, actor)
    if change is not None:
        await ticket_work.apply(work, change, data={"next_ticket": True})
    refusals = refusals_of(waiting.needs, candidate, now=work.now)
    verdict = Verdict(
        agent_id=person.id,
        rank=1,
        refusals=(),
        waived=refusals,
        preferred=person.id in waiting.needs.preferred,
        load=candidate.load,
        capacity=candidate.capacity,
        last_assigned_at=candidate.last_assigned_at,
    )
    record(
        work.session,
        waiting,
        RoutingChoice(person.id, (), (verdict,)),
        outcome=RoutingState.HELD,
        trigger="next_ticket",
        queue_key=queue_key,
        policy_version=policy.version,
        now=work.now,
        correlation_id=work.correlation_id,
    )
    await note_assigned(work.session, person.id, now=work.now)


def _check_room(person: Person) -> None:
    candidate = person.candidate
    if candidate.load >= candidate.capacity:
        raise NoRoomError(load=candidate.load, capacity=candidate.capacity)


async def _served(session: AsyncSession, person: Person, wanted: str | None) -> list[Queue]:
    rows = (await session.scalars(select(Queue).order_by(Queue.key))).all()
    mine = [row for row in rows if person.serves(row.id)]
    if wanted is None:
        return mine
    chosen = [row for row in mine if row.key == wanted]
    if not chosen:
        raise UnknownQueueError(wanted, allowed=[row.key for row in mine])
    return chosen


def best_for(
    person: Person, queues: list[Queue], policy: HandoffPolicy, *, now: datetime
) -> Select[uuid.UUID] | None:
    """The statement that finds a person's next ticket and locks its conversation.

    Each queue is read from the front of its index; conversations that somebody works on at this
    moment are stepped over. None: no queue fits.
    """
    candidate = person.candidate
    parts = [
        select(Ticket.id, Ticket.conversation_id, Ticket.serve_rank, Ticket.number)
        .where(*_fits(person, queue, policy, now=now))
        .order_by(Ticket.serve_rank, Ticket.number)
        .limit(_LOOK_AHEAD)
        .subquery()
        for queue in queues
        if not candidate.levels or queue.level in candidate.levels
    ]
    if not parts:
        return None
    best = union_all(*(select(part) for part in parts)).subquery("best")
    return (
        select(best.c.id)
        .join(Conversation, Conversation.id == best.c.conversation_id)
        .order_by(best.c.serve_rank, best.c.number)
        .limit(1)
        .with_for_update(of=Conversation, skip_locked=True)
    )


def _fits(
    person: Person, queue: Queue, policy: HandoffPolicy, *, now: datetime
) -> list[ColumnElement[bool]]:
    """`not unfit(...)` of the pure core, as conditions on the tickets of one queue."""
    candidate, languages = person.candidate, policy.languages
    own = queue_skills(policy, queue.key)
    appointed = candidate.queues is not None
    can = candidate.skills | frozenset(languages.skills.values())
    if appointed:
        can |= own
    speaks: ColumnElement[bool] = Ticket.language.in_(candidate.languages & set(languages.served))
    if languages.others in candidate.languages:
        speaks |= Ticket.language.not_in(languages.served)
    conditions: list[ColumnElement[bool]] = [
        Ticket.queue_id == queue.id,
        waits(),
        Ticket.skills.contained_by(sorted(can)),
        speaks,
        ~select(RoutingExclusion.ticket_id)
        .where(
            RoutingExclusion.ticket_id == Ticket.id,
            RoutingExclusion.agent_id == candidate.agent_id,
            RoutingExclusion.until > now,
        )
        .exists(),
    ]
    if candidate.levels:
        conditions.append(Ticket.level.in_([level.value for level in candidate.levels]))
    if not appointed and not own <= candidate.skills:
        conditions.append(Ticket.id.is_(None))  # the queue asks for more than they can
    return conditions
