"""What each route does: read the call, ask a service, answer with a value."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from ticketing.api.calls import Answer, Call
from ticketing.domain.enums import TicketStatus
from ticketing.http.schemas import DecisionQuery, TicketQuery
from ticketing.services import agents, explanations, reviews, ticket_list, views
from ticketing.services.agents import AgentView
from ticketing.services.reviews import Judgement
from ticketing.services.sessions import LoggedIn
from ticketing.services.ticket_list import TicketFilter
from ticketing.services.ticket_release import release_tickets
from ticketing.services.ticket_targets import Target
from ticketing.services.views import QueueView


@dataclass(frozen=True, slots=True)
class Me:
    """Who is logged in. `csrf_token` goes into `X-CSRF-Token` of writes made by cookie."""

    agent_id: uuid.UUID
    email: str
    name: str
    role: str
    csrf_token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Login:
    """A new session; `token` is for `Authorization: Bearer` and is shown this once."""

    token: str
    me: Me


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """The session is over."""

    logged_out: bool


@dataclass(frozen=True, slots=True)
class Queues:
    """All queues."""

    queues: tuple[QueueView, ...]


@dataclass(frozen=True, slots=True)
class Agents:
    """All agents, also disabled ones."""

    agents: tuple[AgentView, ...]


@dataclass(frozen=True, slots=True)
class Disabled:
    """The agent afterwards, and how many of their tickets went back to a queue."""

    agent: AgentView
    released_tickets: int


def _me(who: LoggedIn) -> Me:
    return Me(
        agent_id=who.agent_id,
        email=who.email,
        name=who.name,
        role=who.role.value,
        csrf_token=who.csrf_token,
        expires_at=who.expires_at,
    )


async def log_in(call: Call) -> Answer:
    """POST /login."""
    started = await call.desk.sessions.log_in(
        email=call.body.email, password=call.body.password, replaces=call.token
    )
    return Answer(Login(token=started.token, me=_me(started.who)), started=started)


async def log_out(call: Call) -> Answer:
    """POST /logout."""
    if call.token is not None:
        await call.desk.sessions.log_out(call.token)
    return Answer(LoggedOut(logged_out=True), ended=True)


async def me(call: Call) -> Answer:
    """GET /me."""
    return Answer(_me(call.login))


async def list_tickets(call: Call) -> Answer:
    """GET /tickets."""
    query: TicketQuery = call.query
    agent_id = query.agent if isinstance(query.agent, uuid.UUID) else None
    if query.mine or query.agent == "me":
        agent_id = call.login.agent_id
    async with call.desk.deps.db.transaction() as session:
        page = await ticket_list.list_tickets(
            session,
            actor=call.actor,
            wanted=TicketFilter(
                statuses=query.status,
                priorities=query.priority,
                severities=query.severity,
                levels=query.level,
                queues=query.queue,
                agent_id=agent_id,
                unassigned=query.agent == "none",
                open_only=query.open,
                text=query.text,
            ),
            sort=query.sort,
            limit=query.limit,
            cursor=query.cursor,
        )
    return Answer(page)


async def get_ticket(call: Call) -> Answer:
    """GET /tickets/{ticket_id}."""
    async with call.desk.deps.db.transaction() as session:
        detail = await views.ticket_detail(session, call.ids["ticket_id"], actor=call.actor)
    return Answer(detail)


async def take(call: Call) -> Answer:
    """POST /tickets/{ticket_id}/take."""
    return Answer(await call.desk.tickets.take(call.order))


async def reply(call: Call) -> Answer:
    """POST /tickets/{ticket_id}/reply."""
    done = await call.desk.tickets.reply(
        call.order,
        text=call.body.text,
        status=TicketStatus(call.body.status),
        idempotency_key=call.idempotency_key,
    )
    return Answer(done)


async def note(call: Call) -> Answer:
    """POST /tickets/{ticket_id}/notes."""
    done = await call.desk.tickets.note(
        call.order, text=call.body.text, idempotency_key=call.idempotency_key
    )
    return Answer(done)


async def escalate(call: Call) -> Answer:
    """POST /tickets/{ticket_id}/escalate."""
    done = await call.desk.tickets.escalate(
        call.order, target=_target(call), reason=call.body.reason, priority=call.body.priority
    )
    return Answer(done)


async def de_escalate(call: Call) -> Answer:
    """POST /tickets/{ticket_id}/de-escalate."""
    done = await call.desk.tickets.de_escalate(
        call.order, target=_target(call), reason=call.body.reason
    )
    return Answer(done)


async def change_priority(call: Call) -> Answer:
    """POST /tickets/{ticket_id}/priority."""
    done = await call.desk.tickets.change_priority(
        call.order, priority=call.body.priority, reason=call.body.reason
    )
    return Answer(done)


async def assign(call: Call) -> Answer:
    """POST /tickets/{ticket_id}/assign."""
    done = await call.desk.tickets.assign(
        call.order, target=_target(call), reason=call.body.reason, severity=call.body.severity
    )
    return Answer(done)


async def resolve(call: Call) -> Answer:
    """POST /tickets/{ticket_id}/resolve."""
    done = await call.desk.tickets.resolve(
        call.order, closing_text=call.body.closing_text, reason=call.body.reason
    )
    return Answer(done)


async def return_to_bot(call: Call) -> Answer:
    """POST /tickets/{ticket_id}/return-to-bot."""
    return Answer(await call.desk.tickets.return_to_bot(call.order, reason=call.body.reason))


async def close(call: Call) -> Answer:
    """POST /tickets/{ticket_id}/close."""
    return Answer(await call.desk.tickets.close(call.order))


async def reopen(call: Call) -> Answer:
    """POST /tickets/{ticket_id}/reopen."""
    return Answer(await call.desk.tickets.reopen(call.order, reason=call.body.reason))


async def review_ticket(call: Call) -> Answer:
    """POST /tickets/{ticket_id}/review."""
    deps = call.desk.deps
    async with deps.db.transaction() as session:
        done = await reviews.review_ticket(
            session,
            call.ids["ticket_id"],
            _judgement(call),
            actor=call.actor,
            policy=deps.policy.current(),
            now=deps.clock.now(),
            correlation_id=call.correlation_id,
        )
    return Answer(done)


async def review_turn(call: Call) -> Answer:
    """POST /conversations/{conversation_id}/turns/{turn_id}/review."""
    deps = call.desk.deps
    async with deps.db.transaction() as session:
        done = await reviews.review_turn(
            session,
            call.ids["conversation_id"],
            call.ids["turn_id"],
            _judgement(call),
            actor=call.actor,
            policy=deps.policy.current(),
            now=deps.clock.now(),
            correlation_id=call.correlation_id,
        )
    return Answer(done)


def _judgement(call: Call) -> Judgement:
    return Judgement(call.body.verdict, call.body.true_intent, call.body.note)


async def get_conversation(call: Call) -> Answer:
    """GET /conversations/{conversation_id}."""
    async with call.desk.deps.db.transaction() as session:
        found = await views.conversation_view(
            session, call.ids["conversation_id"], actor=call.actor
        )
    return Answer(found)


async def get_decisions(call: Call) -> Answer:
    """GET /conversations/{conversation_id}/decisions."""
    query: DecisionQuery = call.query
    async with call.desk.deps.db.transaction() as session:
        found = await explanations.conversation_decisions(
            session,
            call.ids["conversation_id"],
            actor=call.actor,
            policy=call.desk.deps.policy.current(),
            language=query.language,
            limit=query.limit,
            cursor=query.cursor,
        )
    return Answer(found)


async def get_ticket_decisions(call: Call) -> Answer:
    """GET /tickets/{ticket_id}/decisions."""
    query: DecisionQuery = call.query
    async with call.desk.deps.db.transaction() as session:
        found = await explanations.ticket_decisions(
            session,
            call.ids["ticket_id"],
            actor=call.actor,
            policy=call.desk.deps.policy.current(),
            language=query.language,
            limit=query.limit,
            cursor=query.cursor,
        )
    return Answer(found)


async def list_queues(call: Call) -> Answer:
    """GET /queues."""
    async with call.desk.deps.db.transaction() as session:
        return Answer(Queues(await ticket_list.list_queues(session, actor=call.actor)))


async def list_agents(call: Call) -> Answer:
    """GET /agents."""
    async with call.desk.deps.db.transaction() as session:
        return Answer(Agents(await agents.list_agents(session)))


async def create_agent(call: Call) -> Answer:
    """POST /agents."""
    body = call.body
    async with call.desk.deps.db.transaction() as session:
        agent = await agents.create_agent(
            session,
            email=body.email,
            name=body.name,
            password=body.password,
            role=body.role.value,
            queues=body.queues,
            now=call.desk.deps.clock.now(),
        )
        return Answer(await agents.agent_view(session, agent.id))


async def disable_agent(call: Call) -> Answer:
    """POST /agents/{agent_id}/disable."""
    deps = call.desk.deps
    now = deps.clock.now()
    async with deps.db.transaction() as session:
        found = await agents.agent_view(session, call.ids["agent_id"])
        await agents.disable_agent(session, found.email, now)
    released = await release_tickets(
        deps.db,
        found.id,
        actor=call.actor,
        reason="agent_disabled",
        now=now,
        correlation_id=call.correlation_id,
    )
    async with deps.db.transaction() as session:
        return Answer(Disabled(await agents.agent_view(session, found.id), released))


def _target(call: Call) -> Target:
    return Target(queue=call.body.queue, level=call.body.level, agent_id=call.body.agent_id)
