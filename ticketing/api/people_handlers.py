"""What the routes about people do: agents, teams, skills, sessions, passwords, API tokens."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from ticketing.api.calls import Answer, Call
from ticketing.api.handlers import Login, me_of
from ticketing.domain.people import AgentChanges, InvalidAgentError
from ticketing.domain.permissions import Permission
from ticketing.http.people_schemas import AgentQuery, NewAgentBody, TokenQuery
from ticketing.http.problems import Problem, ProblemError
from ticketing.services import agent_edits, agents, api_tokens, passwords, teams
from ticketing.services.agent_edits import SkillView
from ticketing.services.agents import AgentFilter, AgentView
from ticketing.services.api_tokens import TokenView
from ticketing.services.people_acts import Act
from ticketing.services.sessions import SessionView
from ticketing.services.teams import TeamView
from ticketing.services.ticket_release import release_tickets

_PROFILE = ("teams", "scoped_to_teams", "skills", "languages", "levels", "capacity")
_CLEARABLE = frozenset({"capacity"})


@dataclass(frozen=True, slots=True)
class Agents:
    """People by e-mail address, also disabled ones; `next_cursor` is None on the last page."""

    agents: tuple[AgentView, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class AgentEdited:
    """The agent afterwards, what differs, and how many tickets went back to a queue."""

    agent: AgentView
    changed: tuple[str, ...]
    released_tickets: int


@dataclass(frozen=True, slots=True)
class Disabled:
    """The agent afterwards, and how many of their tickets went back to a queue."""

    agent: AgentView
    released_tickets: int


@dataclass(frozen=True, slots=True)
class Reset:
    """A one-time code, shown this once; with it the person chooses a password."""

    agent_id: uuid.UUID
    code: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class PasswordSet:
    """The new password holds; log in with it."""

    password_set: bool


@dataclass(frozen=True, slots=True)
class Teams:
    """All teams, by name."""

    teams: tuple[TeamView, ...]


@dataclass(frozen=True, slots=True)
class TeamDeleted:
    """The team is gone."""

    deleted: bool


@dataclass(frozen=True, slots=True)
class Skills:
    """Skills that people have or the handoff policy asks for."""

    skills: tuple[SkillView, ...]


@dataclass(frozen=True, slots=True)
class Sessions:
    """One's own logins, the latest used first."""

    sessions: tuple[SessionView, ...]


@dataclass(frozen=True, slots=True)
class SessionsEnded:
    """How many logins ended."""

    ended: int


@dataclass(frozen=True, slots=True)
class Tokens:
    """API tokens without their secrets, the newest first."""

    tokens: tuple[TokenView, ...]


@dataclass(frozen=True, slots=True)
class TokenCreated:
    """A new API token; `secret` is for `Authorization: Bearer` and is shown this once."""

    secret: str
    token: TokenView


def _act(call: Call) -> Act:
    return Act(call.desk.deps.clock.now(), call.actor, call.correlation_id)


async def list_agents(call: Call) -> Answer:
    """GET /agents."""
    query: AgentQuery = call.query
    wanted = AgentFilter(
        role=query.role,
        active=query.active,
        team=query.team,
        queue=query.queue,
        skill=query.skill,
        language=query.language,
        level=query.level,
        text=query.text,
    )
    async with call.desk.deps.db.transaction() as session:
        found = await agents.list_agents(session, wanted, after=query.cursor, limit=query.limit + 1)
    shown = found[: query.limit]
    return Answer(Agents(shown, shown[-1].email if len(found) > query.limit else None))


async def get_agent(call: Call) -> Answer:
    """GET /agents/{agent_id}."""
    async with call.desk.deps.db.transaction() as session:
        return Answer(await agents.agent_view(session, call.ids["agent_id"]))


async def create_agent(call: Call) -> Answer:
    """POST /agents."""
    body: NewAgentBody = call.body
    act = _act(call)
    profile = cast("AgentChanges", {name: getattr(body, name) for name in _PROFILE})
    async with call.desk.deps.db.transaction() as session:
        agent = await agents.create_agent(
            session,
            email=body.email,
            name=body.name,
            password=body.password,
            role=body.role.value,
            queues=body.queues,
            profile=profile,
            now=act.now,
            act=act,
        )
        return Answer(await agents.agent_view(session, agent.id))


async def edit_agent(call: Call) -> Answer:
    """POST /agents/{agent_id}."""
    agent_id = call.ids["agent_id"]
    changes = cast("AgentChanges", _given(call))
    act = _act(call)
    async with call.desk.deps.db.transaction() as session:
        edited = await agent_edits.edit_agent(session, agent_id, changes, act=act)
    released = 0
    if edited.lost_tickets:
        released = await _release(call, agent_id, act, reason="agent_role_changed")
    async with call.desk.deps.db.transaction() as session:
        view = await agents.agent_view(session, agent_id)
    return Answer(AgentEdited(view, edited.changed, released))


async def disable_agent(call: Call) -> Answer:
    """POST /agents/{agent_id}/disable."""
    act = _act(call)
    async with call.desk.deps.db.transaction() as session:
        found = await agents.agent_view(session, call.ids["agent_id"])
        await agents.disable_agent(session, found.email, act.now, act)
    released = await _release(call, found.id, act, reason="agent_disabled")
    async with call.desk.deps.db.transaction() as session:
        return Answer(Disabled(await agents.agent_view(session, found.id), released))


async def enable_agent(call: Call) -> Answer:
    """POST /agents/{agent_id}/enable."""
    async with call.desk.deps.db.transaction() as session:
        await agents.enable_agent(session, call.ids["agent_id"], act=_act(call))
        return Answer(await agents.agent_view(session, call.ids["agent_id"]))


async def reset_password(call: Call) -> Answer:
    """POST /agents/{agent_id}/password-reset."""
    async with call.desk.deps.db.transaction() as session:
        code = await passwords.start_reset(session, call.ids["agent_id"], act=_act(call))
    return Answer(Reset(code.agent_id, code.code, code.expires_at))


async def finish_reset(call: Call) -> Answer:
    """POST /password-reset."""
    await passwords.finish_reset(
        call.desk.deps.db,
        call.desk.deps.clock,
        code=call.body.code,
        password=call.body.password,
        correlation_id=call.correlation_id,
    )
    return Answer(PasswordSet(password_set=True))


async def change_password(call: Call) -> Answer:
    """POST /me/password."""
    started = await call.desk.sessions.change_password(
        call.login,
        present=call.body.present_password,
        wanted=call.body.new_password,
        user_agent=call.user_agent,
        correlation_id=call.correlation_id,
    )
    return Answer(Login(token=started.token, me=me_of(started.who)), started=started)


async def list_sessions(call: Call) -> Answer:
    """GET /me/sessions."""
    return Answer(Sessions(await call.desk.sessions.list_sessions(call.login)))


async def end_session(call: Call) -> Answer:
    """POST /me/sessions/{session_id}/end."""
    await call.desk.sessions.end_session(call.login, call.ids["session_id"])
    return Answer(SessionsEnded(1), ended=call.ids["session_id"] == call.login.session_id)


async def end_other_sessions(call: Call) -> Answer:
    """POST /me/sessions/end-others."""
    return Answer(SessionsEnded(await call.desk.sessions.end_other_sessions(call.login)))


async def list_teams(call: Call) -> Answer:
    """GET /teams."""
    async with call.desk.deps.db.transaction() as session:
        return Answer(Teams(await teams.list_teams(session)))


async def create_team(call: Call) -> Answer:
    """POST /teams."""
    async with call.desk.deps.db.transaction() as session:
        team_id = await teams.create_team(
            session, name=call.body.name, queues=call.body.queues, act=_act(call)
        )
        return Answer(await teams.team_view(session, team_id))


async def edit_team(call: Call) -> Answer:
    """POST /teams/{team_id}."""
    changes = _given(call)
    async with call.desk.deps.db.transaction() as session:
        await teams.edit_team(
            session,
            call.ids["team_id"],
            name=changes.get("name"),
            queues=changes.get("queues"),
            act=_act(call),
        )
        return Answer(await teams.team_view(session, call.ids["team_id"]))


async def delete_team(call: Call) -> Answer:
    """POST /teams/{team_id}/delete."""
    async with call.desk.deps.db.transaction() as session:
        await teams.delete_team(session, call.ids["team_id"], act=_act(call))
    return Answer(TeamDeleted(deleted=True))


async def list_skills(call: Call) -> Answer:
    """GET /skills."""
    deps = call.desk.deps
    async with deps.db.transaction() as session:
        return Answer(Skills(await agent_edits.list_skills(session, deps.policy.current())))


async def create_token(call: Call) -> Answer:
    """POST /tokens."""
    async with call.desk.deps.db.transaction() as session:
        made = await api_tokens.create_token(
            session,
            call.login.agent_id,
            name=call.body.name,
            scopes=[scope.value for scope in call.body.scopes],
            expires_at=call.body.expires_at,
            act=_act(call),
        )
    return Answer(TokenCreated(made.secret, made.token))


async def list_tokens(call: Call) -> Answer:
    """GET /tokens."""
    query: TokenQuery = call.query
    whose = None if query.all else query.agent or call.login.agent_id
    if whose != call.login.agent_id:
        _want_manage(call)
    deps = call.desk.deps
    async with deps.db.transaction() as session:
        found = await api_tokens.list_tokens(session, now=deps.clock.now(), agent_id=whose)
    return Answer(Tokens(found))


async def revoke_token(call: Call) -> Answer:
    """POST /tokens/{token_id}/revoke."""
    manages = Permission.PEOPLE_MANAGE in call.login.permissions
    async with call.desk.deps.db.transaction() as session:
        view = await api_tokens.revoke_token(
            session,
            call.ids["token_id"],
            act=_act(call),
            owner=None if manages else call.login.agent_id,
        )
    return Answer(view)


def _given(call: Call) -> dict[str, Any]:
    """The fields that were sent; null stands only where it means something."""
    given = {name: getattr(call.body, name) for name in sorted(call.body.model_fields_set)}
    for name, value in given.items():
        if value is None and name not in _CLEARABLE:
            problem = "expected a value; leave the field out to keep the present one"
            raise InvalidAgentError(problem, field=name)
    return given


def _want_manage(call: Call) -> None:
    if Permission.PEOPLE_MANAGE not in call.login.permissions:
        detail = f"other people's tokens want {Permission.PEOPLE_MANAGE.value}"
        raise ProblemError(Problem("role_not_allowed", detail))


async def _release(call: Call, agent_id: uuid.UUID, act: Act, *, reason: str) -> int:
    return await release_tickets(
        call.desk.deps.db,
        agent_id,
        actor=call.actor,
        reason=reason,
        now=act.now,
        correlation_id=call.correlation_id,
    )
