"""Pages about people: one's own account, the team, the departments, a new password by code.

Like everywhere in the console a write is a form that ends in a redirect; only what is shown once (a
one-time code, a token) is answered with a page that holds it.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Protocol, cast

from pydantic import BaseModel, ValidationError
from sanic import HTTPResponse, Request
from sanic.response import html, redirect

from ticketing.console import texts
from ticketing.console.pages import Pages, Visit
from ticketing.domain.enums import Level, Role
from ticketing.domain.people import AgentChanges
from ticketing.domain.permissions import PERMISSIONS_OF, Permission
from ticketing.http import browser, people_schemas
from ticketing.http.deps import Deps
from ticketing.http.desk import Desk
from ticketing.http.problems import Problem, ProblemError, problem_of_validation
from ticketing.services import agent_edits, agents, api_tokens, passwords, teams, ticket_list
from ticketing.services.agents import AgentFilter
from ticketing.services.people_acts import Act
from ticketing.services.sessions import LoggedIn
from ticketing.services.ticket_release import release_tickets

AnyRequest = Request[Any, Any]

_LISTS = ("queues", "teams", "levels")
_WORDS = ("skills", "languages")
_TOKEN_DAYS = (30, 90, 180, 365)


class Host(Protocol):
    """What the console shares with its pages."""

    deps: Deps
    desk: Desk
    pages: Pages

    def limit_login(self, request: AnyRequest) -> None:
        """Slow down guessing from one address."""
        ...

    def check_form(
        self, request: AnyRequest, visit: Visit, *, max_bytes: int = ...
    ) -> dict[str, str]:
        """The form's fields, when the form is one of our own pages'."""
        ...

    def bind_login(self, response: HTTPResponse, visit: Visit) -> None:
        """Bind a form that needs no login to this browser."""
        ...

    def words_for(self, request: AnyRequest, visit: Visit, error: Exception) -> tuple[Problem, str]:
        """The problem behind an error, and how the visitor reads it."""
        ...

    def allowed(self, visit: Visit, needs: Permission) -> LoggedIn:
        """Who is logged in, when they may."""
        ...


async def account(console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
    """GET /console/account: one's own logins, password and tokens."""
    console.allowed(visit, Permission.ACCOUNT_OWN)
    return await _account_page(console, request, _noticed(console, request, visit))


async def account_act(console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
    """POST /console/account/<action>."""
    who = console.allowed(visit, Permission.ACCOUNT_OWN)
    action = request.match_info["action"]
    try:
        fields = console.check_form(request, visit)
        if action == "password":
            started = await _change_password(console, request, who, fields)
            response = redirect("/console/account?done=password", status=303)
            browser.set_session_cookie(response, started, deps=console.deps)
            return response
        if action == "token":
            return await _make_token(console, request, visit, fields)
        await _account_change(console, request, who, action, fields)
    except Exception as error:  # noqa: BLE001 - shown above the forms
        problem, words = console.words_for(request, visit, error)
        seen = replace(visit, problem=words)
        return await _account_page(console, request, seen, status=problem.status)
    return redirect(f"/console/account?done={action}", status=303)


async def people(console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
    """GET /console/people: the team."""
    console.allowed(visit, Permission.PEOPLE_READ)
    return await _people_page(console, request, _noticed(console, request, visit))


async def add_person(console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
    """POST /console/people: add somebody, and show the code with which they choose a password."""
    console.allowed(visit, Permission.PEOPLE_MANAGE)
    act = _act(console, request, visit)
    fields: dict[str, str] = {}
    try:
        fields = console.check_form(request, visit)
        given = {name: fields.get(name, "") for name in ("email", "name", "role")}
        body = _read(people_schemas.NewAgentBody, given)
        async with console.deps.db.transaction() as session:
            agent = await agents.create_agent(
                session,
                email=body.email,
                name=body.name,
                password=None,
                role=body.role.value,
                now=act.now,
                act=act,
            )
            code = await passwords.start_reset(session, agent.id, act=act)
    except Exception as error:  # noqa: BLE001 - shown above the form
        problem, words = console.words_for(request, visit, error)
        seen = replace(visit, problem=words)
        return await _people_page(console, request, seen, status=problem.status, typed=fields)
    seen = replace(visit, notice=console.pages.say(visit, "done.person_added"))
    return await _person_page(console, agent.id, seen, code=code.code)


async def person(console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
    """GET /console/people/<agent_id>."""
    console.allowed(visit, Permission.PEOPLE_READ)
    return await _person_page(console, _id(request, "agent_id"), _noticed(console, request, visit))


async def person_act(console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
    """POST /console/people/<agent_id>/<action>."""
    console.allowed(visit, Permission.PEOPLE_MANAGE)
    agent_id, action = _id(request, "agent_id"), request.match_info["action"]
    act = _act(console, request, visit)
    try:
        console.check_form(request, visit)
        if action == "reset":
            async with console.deps.db.transaction() as session:
                code = await passwords.start_reset(session, agent_id, act=act)
            return await _person_page(console, agent_id, visit, code=code.code)
        await _change_person(console, request, agent_id, action, act)
    except agents.AgentNotFoundError:
        raise
    except Exception as error:  # noqa: BLE001 - shown above the form
        problem, words = console.words_for(request, visit, error)
        seen = replace(visit, problem=words)
        return await _person_page(console, agent_id, seen, status=problem.status)
    return redirect(f"/console/people/{agent_id}?done=person_{action}", status=303)


async def team_list(console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
    """GET /console/teams."""
    console.allowed(visit, Permission.PEOPLE_READ)
    return await _teams_page(console, _noticed(console, request, visit))


async def team_act(console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
    """POST /console/teams/<action>: add, edit or delete."""
    console.allowed(visit, Permission.PEOPLE_MANAGE)
    action = request.match_info["action"]
    act = _act(console, request, visit)
    try:
        fields = console.check_form(request, visit)
        await _change_team(console, request, action, fields, act)
    except Exception as error:  # noqa: BLE001 - shown above the forms
        problem, words = console.words_for(request, visit, error)
        return await _teams_page(console, replace(visit, problem=words), status=problem.status)
    return redirect(f"/console/teams?done=team_{action}", status=303)


async def reset_page(console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
    """GET /console/reset: choose a password with a one-time code."""
    del request
    response = html(console.pages.page("reset.html", visit))
    if visit.who is None:
        console.bind_login(response, visit)
    return response


async def finish_reset(console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
    """POST /console/reset."""
    try:
        console.limit_login(request)
        fields = console.check_form(request, visit)
        given = {"code": fields.get("code", "").strip(), "password": fields.get("password", "")}
        body = _read(people_schemas.FinishResetBody, given)
        await passwords.finish_reset(
            console.deps.db,
            console.deps.clock,
            code=body.code,
            password=body.password,
            correlation_id=browser.correlation_id(request),
        )
    except Exception as error:  # noqa: BLE001 - shown above the form
        problem, words = console.words_for(request, visit, error)
        page = console.pages.page("reset.html", replace(visit, problem=words))
        response = html(page, status=problem.status)
        if visit.who is None:
            console.bind_login(response, visit)
        return response
    return redirect("/console/login?done=password", status=303)


PAGES = (
    ("GET", "/console/account", "account", account),
    ("POST", "/console/account/<action:str>", "account_act", account_act),
    ("GET", "/console/people", "people", people),
    ("POST", "/console/people", "add_person", add_person),
    ("GET", "/console/people/<agent_id:str>", "person", person),
    ("POST", "/console/people/<agent_id:str>/<action:str>", "person_act", person_act),
    ("GET", "/console/teams", "teams", team_list),
    ("POST", "/console/teams/<action:str>", "team_act", team_act),
    ("GET", "/console/reset", "reset", reset_page),
    ("POST", "/console/reset", "finish_reset", finish_reset),
)


def _act(console: Host, request: AnyRequest, visit: Visit) -> Act:
    who = console.allowed(visit, Permission.ACCOUNT_OWN)
    return Act(console.deps.clock.now(), who.actor, browser.correlation_id(request))


def _noticed(console: Host, request: AnyRequest, visit: Visit) -> Visit:
    done = f"done.{request.args.get('done')}"
    if not texts.has(visit.language, done):
        return visit
    return replace(visit, notice=console.pages.say(visit, done))


def _id(request: AnyRequest, name: str) -> uuid.UUID:
    """An id of the path or of the form; a text that is none names nothing that exists."""
    value = request.match_info.get(name) or _field(request, name)
    try:
        return uuid.UUID(str(value))
    except ValueError as error:
        raise ProblemError(Problem("not_found", f"{name}: expected an id", field=name)) from error


def _several(request: AnyRequest, name: str) -> list[str]:
    form = request.form
    return [] if form is None else [str(value) for value in form.getlist(name, []) if value]


def _field(request: AnyRequest, name: str) -> str:
    return next(iter(_several(request, name)), "")


def _read(model: type[BaseModel], given: dict[str, Any]) -> Any:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        known = tuple(model.model_fields)
        raise ProblemError(problem_of_validation(error, known=known)) from error


async def _change_password(
    console: Host, request: AnyRequest, who: LoggedIn, fields: dict[str, str]
) -> str:
    body = _read(
        people_schemas.ChangePasswordBody,
        {name: fields.get(name, "") for name in ("present_password", "new_password")},
    )
    started = await console.desk.sessions.change_password(
        who,
        present=body.present_password,
        wanted=body.new_password,
        user_agent=request.headers.get("user-agent"),
        correlation_id=browser.correlation_id(request),
    )
    return started.token


async def _make_token(
    console: Host, request: AnyRequest, visit: Visit, fields: dict[str, str]
) -> HTTPResponse:
    act = _act(console, request, visit)
    who = console.allowed(visit, Permission.ACCOUNT_OWN)
    days = fields.get("days", "")
    lifetime = timedelta(days=int(days) if days in {str(item) for item in _TOKEN_DAYS} else 30)
    body = _read(
        people_schemas.NewTokenBody,
        {
            "name": fields.get("name", ""),
            "scopes": _several(request, "scopes"),
            "expires_at": act.now + lifetime,
        },
    )
    async with console.deps.db.transaction() as session:
        made = await api_tokens.create_token(
            session,
            who.agent_id,
            name=body.name,
            scopes=[scope.value for scope in body.scopes],
            expires_at=body.expires_at,
            act=act,
        )
    return await _account_page(console, request, visit, secret=made.secret)


async def _account_change(
    console: Host, request: AnyRequest, who: LoggedIn, action: str, fields: dict[str, str]
) -> None:
    if action == "session":
        await console.desk.sessions.end_session(who, _id(request, "session_id"))
    elif action == "others":
        await console.desk.sessions.end_other_sessions(who)
    elif action == "revoke":
        act = Act(console.deps.clock.now(), who.actor, browser.correlation_id(request))
        async with console.deps.db.transaction() as session:
            await api_tokens.revoke_token(
                session, _id(request, "token_id"), act=act, owner=who.agent_id
            )
    else:
        del fields
        raise ProblemError(Problem("not_found", "there is no such action"))


async def _account_page(
    console: Host,
    request: AnyRequest,
    visit: Visit,
    *,
    status: int = 200,
    secret: str | None = None,
) -> HTTPResponse:
    del request
    who = console.allowed(visit, Permission.ACCOUNT_OWN)
    now = console.deps.clock.now()
    async with console.deps.db.transaction() as session:
        tokens = await api_tokens.list_tokens(session, now=now, agent_id=who.agent_id)
    page = console.pages.page(
        "account.html",
        visit,
        sessions=await console.desk.sessions.list_sessions(who),
        tokens=tokens,
        secret=secret,
        scopes=sorted(scope.value for scope in who.permissions),
        token_days=_TOKEN_DAYS,
    )
    return html(page, status=status)


async def _people_page(
    console: Host,
    request: AnyRequest,
    visit: Visit,
    *,
    status: int = 200,
    typed: dict[str, str] | None = None,
) -> HTTPResponse:
    chosen = {
        name: "".join(part for part in (request.args.get(name) or "")[:100] if part.isprintable())
        for name in ("text", "role", "team")
    }
    role = Role(chosen["role"]) if chosen["role"] in {*Role} else None
    wanted = AgentFilter(role=role, team=chosen["team"] or None, text=chosen["text"] or None)
    async with console.deps.db.transaction() as session:
        found = await agents.list_agents(session, wanted, limit=agents.MAX_PAGE)
        all_teams = await teams.list_teams(session)
        skills = await agent_edits.list_skills(session, console.deps.policy.current())
    page = console.pages.page(
        "people.html",
        visit,
        people=found,
        teams=all_teams,
        chosen=chosen,
        typed={"email": "", "name": "", **(typed or {})},
        roles=[role.value for role in Role],
        manages=_manages(console, visit),
        missing=[item.skill for item in skills if item.asked_for and not item.agents],
    )
    return html(page, status=status)


async def _person_page(
    console: Host, agent_id: uuid.UUID, visit: Visit, *, status: int = 200, code: str | None = None
) -> HTTPResponse:
    who = console.allowed(visit, Permission.PEOPLE_READ)
    async with console.deps.db.transaction() as session:
        agent = await agents.agent_view(session, agent_id)
        queues = await ticket_list.list_queues(session, actor=who.actor)
        all_teams = await teams.list_teams(session)
    page = console.pages.page(
        "person.html",
        visit,
        agent=agent,
        queues=queues,
        teams=all_teams,
        roles=[role.value for role in Role],
        levels=[level.value for level in Level],
        manages=_manages(console, visit),
        own=who.agent_id == agent_id,
        code=code,
        permissions=sorted(item.value for item in PERMISSIONS_OF[Role(agent.role)]),
    )
    return html(page, status=status)


async def _teams_page(console: Host, visit: Visit, *, status: int = 200) -> HTTPResponse:
    who = console.allowed(visit, Permission.PEOPLE_READ)
    async with console.deps.db.transaction() as session:
        all_teams = await teams.list_teams(session)
        queues = await ticket_list.list_queues(session, actor=who.actor)
    page = console.pages.page(
        "teams.html", visit, teams=all_teams, queues=queues, manages=_manages(console, visit)
    )
    return html(page, status=status)


def _manages(console: Host, visit: Visit) -> bool:
    who = console.allowed(visit, Permission.PEOPLE_READ)
    return Permission.PEOPLE_MANAGE in who.permissions


async def _change_person(
    console: Host, request: AnyRequest, agent_id: uuid.UUID, action: str, act: Act
) -> None:
    db = console.deps.db
    lost_tickets = False
    async with db.transaction() as session:
        if action == "edit":
            changes = _changes(request)
            edited = await agent_edits.edit_agent(session, agent_id, changes, act=act)
            lost_tickets = edited.lost_tickets
        elif action == "disable":
            found = await agents.agent_view(session, agent_id)
            await agents.disable_agent(session, found.email, act.now, act)
            lost_tickets = True
        elif action == "enable":
            await agents.enable_agent(session, agent_id, act=act)
        else:
            raise ProblemError(Problem("not_found", "there is no such action"))
    if lost_tickets:
        await release_tickets(
            db,
            agent_id,
            actor=act.actor,
            reason="agent_disabled" if action == "disable" else "agent_role_changed",
            now=act.now,
            correlation_id=act.correlation_id,
        )


async def _change_team(
    console: Host, request: AnyRequest, action: str, fields: dict[str, str], act: Act
) -> None:
    if action not in {"add", "edit", "delete"}:
        raise ProblemError(Problem("not_found", "there is no such action"))
    async with console.deps.db.transaction() as session:
        if action == "delete":
            await teams.delete_team(session, _id(request, "team_id"), act=act)
            return
        given = {"name": fields.get("name", ""), "queues": _several(request, "queues")}
        body = _read(people_schemas.NewTeamBody, given)
        if action == "add":
            await teams.create_team(session, name=body.name, queues=body.queues, act=act)
            return
        team_id = _id(request, "team_id")
        await teams.edit_team(session, team_id, name=body.name, queues=body.queues, act=act)


def _changes(request: AnyRequest) -> AgentChanges:
    """The form of a person: everything it shows is sent, also what is empty."""
    given: dict[str, Any] = {name: _several(request, name) for name in _LISTS}
    given |= {name: _split(_field(request, name)) for name in _WORDS}
    given["name"] = _field(request, "name")
    given["capacity"] = _field(request, "capacity") or None
    given["scoped_to_teams"] = _field(request, "scoped_to_teams") == "on"
    role = _field(request, "role")
    if role:
        given["role"] = role
    body = _read(people_schemas.EditAgentBody, given)
    return cast("AgentChanges", {name: getattr(body, name) for name in body.model_fields_set})


def _split(value: str) -> Sequence[str]:
    return [word for word in value.replace(",", " ").split() if word]
