"""Handlers of presence, shifts, the next ticket and what the router did."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select

from ticketing.api.calls import Answer, Call
from ticketing.db.routing_tables import AgentPresence
from ticketing.db.tables import Agent
from ticketing.domain.enums import PresenceState
from ticketing.domain.routing.shifts import DAYS
from ticketing.http.problems import Problem, ProblemError
from ticketing.http.routing_schemas import PresenceBody, ShiftsBody
from ticketing.services import presence, routing_claim, routing_views, shifts
from ticketing.services.presence import PresenceView
from ticketing.services.routing_views import QueueStanding
from ticketing.services.ticket_views import TicketSummary, ticket_summary


@dataclass(frozen=True, slots=True)
class NextTicket:
    """The ticket that you have now; null: nothing waits that is for you."""

    ticket: TicketSummary | None


@dataclass(frozen=True, slots=True)
class Standings:
    """The queues now."""

    queues: tuple[QueueStanding, ...]


@dataclass(frozen=True, slots=True)
class Presences:
    """Who is there; people who never said anything are not listed."""

    people: tuple[PresenceView, ...]


async def get_presence(call: Call) -> Answer:
    """GET /me/presence."""
    deps = call.desk.deps
    async with deps.db.transaction() as session:
        found = await presence.presence_of(session, call.login.agent_id, now=deps.clock.now())
    return Answer(found)


async def set_presence(call: Call) -> Answer:
    """POST /me/presence."""
    deps, body = call.desk.deps, call.body
    assert isinstance(body, PresenceBody)  # noqa: S101 - the route's model, for the type checker
    lease = deps.routing.presence_timeout
    if body.lease_seconds is not None:
        lease = timedelta(seconds=body.lease_seconds)
    async with deps.db.transaction() as session:
        said = await presence.say(
            session,
            call.login.agent_id,
            body.state,
            actor=call.actor,
            now=deps.clock.now(),
            lease=lease,
        )
    return Answer(said)


async def heartbeat(call: Call) -> Answer:
    """POST /me/heartbeat."""
    deps = call.desk.deps
    async with deps.db.transaction() as session:
        found = await presence.heartbeat(session, call.login.agent_id, now=deps.clock.now())
    return Answer(found)


async def list_presence(call: Call) -> Answer:
    """GET /presence."""
    deps = call.desk.deps
    now = deps.clock.now()
    async with deps.db.transaction() as session:
        ids = await session.scalars(
            select(AgentPresence.agent_id)
            .join(Agent, Agent.id == AgentPresence.agent_id)
            .where(Agent.active)
            .order_by(AgentPresence.agent_id)
        )
        found = [await presence.presence_of(session, agent_id, now=now) for agent_id in ids]
    return Answer(Presences(tuple(found)))


async def set_others_presence(call: Call) -> Answer:
    """POST /agents/{agent_id}/presence."""
    deps, state = call.desk.deps, call.body.state
    if state is PresenceState.ONLINE:
        detail = "state: only they themselves say that they are online"
        raise ProblemError(
            Problem("invalid_value", detail, field="state", allowed=("busy", "away", "offline"))
        )
    async with deps.db.transaction() as session:
        said = await presence.say(
            session,
            call.ids["agent_id"],
            state,
            actor=call.actor,
            now=deps.clock.now(),
            lease=deps.routing.presence_timeout,
        )
    return Answer(said)


async def get_shifts(call: Call) -> Answer:
    """GET /agents/{agent_id}/shifts."""
    deps = call.desk.deps
    async with deps.db.transaction() as session:
        found = await shifts.shifts_of(session, call.ids["agent_id"], now=deps.clock.now())
    return Answer(found)


async def set_shifts(call: Call) -> Answer:
    """POST /agents/{agent_id}/shifts."""
    deps, body = call.desk.deps, call.body
    assert isinstance(body, ShiftsBody)  # noqa: S101 - the route's model, for the type checker
    async with deps.db.transaction() as session:
        plan = await shifts.set_shifts(
            session,
            call.ids["agent_id"],
            time_zone=body.time_zone,
            weekly={day: getattr(body, day) for day in DAYS},
            days_off=body.days_off,
            actor=call.actor,
            now=deps.clock.now(),
        )
    return Answer(plan)


async def next_ticket(call: Call) -> Answer:
    """POST /next-ticket."""
    deps = call.desk.deps
    claimed = await routing_claim.claim_next(
        deps.db,
        deps.clock,
        actor=call.actor,
        policy=deps.policy.current(),
        settings=deps.routing,
        queue=call.body.queue,
        correlation_id=call.correlation_id,
    )
    return Answer(NextTicket(await _summary(call, claimed.ticket_id)))


async def get_ticket_routing(call: Call) -> Answer:
    """GET /tickets/{ticket_id}/routing."""
    deps = call.desk.deps
    async with deps.db.transaction() as session:
        found = await routing_views.ticket_routing(
            session,
            call.ids["ticket_id"],
            actor=call.actor,
            policy=deps.policy.current(),
            settings=deps.routing,
            now=deps.clock.now(),
        )
    return Answer(found)


async def get_standings(call: Call) -> Answer:
    """GET /routing/queues."""
    deps = call.desk.deps
    async with deps.db.transaction() as session:
        found = await routing_views.queue_standings(
            session,
            actor=call.actor,
            policy=deps.policy.current(),
            settings=deps.routing,
            now=deps.clock.now(),
        )
    return Answer(Standings(found))


async def _summary(call: Call, ticket_id: uuid.UUID | None) -> TicketSummary | None:
    if ticket_id is None:
        return None
    async with call.desk.deps.db.transaction() as session:
        return await ticket_summary(session, ticket_id)
