"""What each route does: read the call, ask a service, answer with a value."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from ticketing.api.calls import Answer, Call
from ticketing.domain.enums import TicketStatus
from ticketing.http.schemas import DecisionQuery
from ticketing.services import explanations, reviews, satisfaction, ticket_list, views
from ticketing.services.reviews import Judgement
from ticketing.services.sessions import LoggedIn
from ticketing.services.ticket_targets import Target
from ticketing.services.views import QueueView


@dataclass(frozen=True, slots=True)
class Me:
    """Who is logged in. `csrf_token` goes into `X-CSRF-Token` of writes made by cookie."""

    agent_id: uuid.UUID
    email: str
    name: str
    role: str
    permissions: tuple[str, ...]
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


def me_of(who: LoggedIn) -> Me:
    """Who is logged in, as answers say it."""
    return Me(
        agent_id=who.agent_id,
        email=who.email,
        name=who.name,
        role=who.role.value,
        permissions=tuple(sorted(permission.value for permission in who.permissions)),
        csrf_token=who.csrf_token,
        expires_at=who.expires_at,
    )


async def log_in(call: Call) -> Answer:
    """POST /login."""
    started = await call.desk.sessions.log_in(
        email=call.body.email,
        password=call.body.password,
        replaces=call.token,
        user_agent=call.user_agent,
        correlation_id=call.correlation_id,
    )
    return Answer(Login(token=started.token, me=me_of(started.who)), started=started)


async def log_out(call: Call) -> Answer:
    """POST /logout."""
    if call.token is not None:
        await call.desk.sessions.log_out(call.token)
    return Answer(LoggedOut(logged_out=True), ended=True)


async def me(call: Call) -> Answer:
    """GET /me."""
    return Answer(me_of(call.login))


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
        call.order,
        closing_text=call.body.closing_text,
        reason=call.body.reason,
        override_reason=call.body.override_reason,
    )
    return Answer(done)


async def return_to_bot(call: Call) -> Answer:
    """POST /tickets/{ticket_id}/return-to-bot."""
    done = await call.desk.tickets.return_to_bot(
        call.order, reason=call.body.reason, override_reason=call.body.override_reason
    )
    return Answer(done)


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


async def record_satisfaction(call: Call) -> Answer:
    """POST /tickets/{ticket_id}/satisfaction."""
    deps = call.desk.deps
    async with deps.db.transaction() as session:
        done = await satisfaction.record(
            session,
            call.ids["ticket_id"],
            call.body.score,
            call.body.comment,
            actor=call.actor,
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


def _target(call: Call) -> Target:
    return Target(queue=call.body.queue, level=call.body.level, agent_id=call.body.agent_id)
