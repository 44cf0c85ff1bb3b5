"""`ponte agents add|list|edit|disable|enable|password`."""

from __future__ import annotations

import secrets
import sys
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, TypeVar

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import SystemClock
from kit.ids import new_correlation_id
from ponte.cli.app import app, example, fail, print_json, running_settings, with_database
from ponte.settings import Process, Settings
from ticketing.db.engine import Database
from ticketing.domain.enums import Level, Role
from ticketing.domain.people import (
    AgentChanges,
    BeyondOwnRightsError,
    OwnAccountError,
    normal_email,
)
from ticketing.domain.ticket import SYSTEM
from ticketing.services.agent_edits import edit_agent
from ticketing.services.agents import (
    AgentExistsError,
    AgentFilter,
    AgentNotFoundError,
    AgentView,
    LastAdminError,
    create_agent,
    disable_agent,
    enable_agent,
    list_agents,
)
from ticketing.services.passwords import agent_id_of, set_password, start_reset
from ticketing.services.people_acts import Act
from ticketing.services.ticket_release import release_tickets

agents = typer.Typer(help="The people of the support team.", no_args_is_help=True)
app.add_typer(agents, name="agents")

Result = TypeVar("Result")

_JSON = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_WHO = Annotated[str, typer.Argument(help="Their address.")]
_QUEUES = Annotated[
    list[str] | None, typer.Option("--queue", help="A queue they serve; may be repeated.")
]
_TEAMS = Annotated[list[str] | None, typer.Option("--team", help="A team; may be repeated.")]
_SKILLS = Annotated[list[str] | None, typer.Option("--skill", help="A skill; may be repeated.")]
_LANGUAGES = Annotated[
    list[str] | None, typer.Option("--language", help="pt, en, es, ...; may be repeated.")
]
_LEVELS = Annotated[list[Level] | None, typer.Option("--level", help="May be repeated.")]
_CAPACITY = Annotated[
    int | None, typer.Option(help="Open tickets at once; 0: the setting PONTE_AGENT_CAPACITY.")
]
_SCOPED = Annotated[
    bool | None,
    typer.Option(
        "--only-their-teams/--all-teams",
        help="A supervisor who sees and supervises only their teams' queues.",
    ),
]
# Wrong values are ValueErrors that name the field.
_REFUSED = (
    ValueError,
    AgentExistsError,
    AgentNotFoundError,
    BeyondOwnRightsError,
    LastAdminError,
    OwnAccountError,
)


@agents.command(
    epilog=example("ponte agents add --email ana@example.com --name 'Ana Souza' --role supervisor")
)
def add(
    *,
    email: Annotated[str, typer.Option(help="Their address; they log in with it.")],
    name: Annotated[str, typer.Option(help="As customers and colleagues read it.")],
    role: Annotated[Role, typer.Option(help="What they may do.")] = Role.AGENT,
    queue: _QUEUES = None,
    team: _TEAMS = None,
    skill: _SKILLS = None,
    language: _LANGUAGES = None,
    level: _LEVELS = None,
    capacity: _CAPACITY = None,
    scoped: _SCOPED = None,
    generate_password: Annotated[
        bool, typer.Option("--generate-password", help="Make a password and print it once.")
    ] = False,
    json_output: _JSON = False,
) -> None:
    """Add a person. The password is asked for, or read from standard input when that is a pipe."""
    settings = running_settings(Process.DATABASE_ONLY)
    password = _password(generate=generate_password)
    profile = _changes(
        team=team, skill=skill, language=language, level=level, capacity=capacity, scoped=scoped
    )
    act = _act(settings)

    async def work(session: AsyncSession) -> str:
        agent = await create_agent(
            session,
            email=email,
            name=name,
            password=password,
            role=role.value,
            queues=queue or (),
            profile=profile,
            now=act.now,
            act=act,
        )
        return str(agent.id)

    agent_id = _in_transaction(settings, work)
    shown = {"id": agent_id, "email": normal_email(email), "role": role.value}
    if generate_password:
        shown["password"] = password
    if json_output:
        print_json(shown)
    else:
        print(f"added {email} ({role.value})")
        if generate_password:
            print(f"password: {password}")


@agents.command("list", epilog=example("ponte agents list --role supervisor --json"))
def list_(
    *,
    role: Annotated[Role | None, typer.Option(help="Only this role.")] = None,
    team: Annotated[str | None, typer.Option(help="Only this team.")] = None,
    queue: Annotated[str | None, typer.Option(help="Only who serves this queue.")] = None,
    skill: Annotated[str | None, typer.Option(help="Only with this skill.")] = None,
    active: Annotated[bool | None, typer.Option("--active/--disabled", help="Only these.")] = None,
    json_output: _JSON = False,
) -> None:
    """List everybody, or those that the options want."""
    settings = running_settings(Process.DATABASE_ONLY)
    wanted = AgentFilter(role=role, team=team, queue=queue, skill=skill, active=active)

    async def work(session: AsyncSession) -> tuple[AgentView, ...]:
        return await list_agents(session, wanted)

    found = _in_transaction(settings, work)
    if json_output:
        print_json([asdict(agent) for agent in found])
        return
    if not found and wanted == AgentFilter():
        print("no agents yet: ponte agents add --help")
    for agent in found:
        state = "active" if agent.active else "disabled"
        parts = (agent.email, agent.name, agent.role, state, _queues(agent), ", ".join(agent.teams))
        print("\t".join(parts))


@agents.command(
    epilog=example("ponte agents edit ana@example.com --skill billing --skill risk --capacity 5")
)
def edit(
    email: _WHO,
    *,
    name: Annotated[str | None, typer.Option(help="As customers and colleagues read it.")] = None,
    role: Annotated[Role | None, typer.Option(help="What they may do.")] = None,
    queue: _QUEUES = None,
    team: _TEAMS = None,
    skill: _SKILLS = None,
    language: _LANGUAGES = None,
    level: _LEVELS = None,
    capacity: _CAPACITY = None,
    scoped: _SCOPED = None,
    clear: Annotated[
        list[str] | None,
        typer.Option(help="Empty a list: queues, teams, skills, languages or levels."),
    ] = None,
    json_output: _JSON = False,
) -> None:
    """Change a person. A list that is given takes the place of the present one."""
    settings = running_settings(Process.DATABASE_ONLY)
    changes = _changes(
        team=team, skill=skill, language=language, level=level, capacity=capacity, scoped=scoped
    )
    if name is not None:
        changes["name"] = name
    if role is not None:
        changes["role"] = role.value
    if queue is not None:
        changes["queues"] = queue
    _clear(changes, clear or ())
    if not changes:
        fail("nothing to change: ponte agents edit --help", code=2)
    act = _act(settings)

    async def work(database: Database) -> tuple[str, ...]:
        async with database.transaction() as session:
            agent_id = await _find(session, email)
            edited = await edit_agent(session, agent_id, changes, act=act)
        if edited.lost_tickets:
            await _release(database, agent_id, act, reason="agent_role_changed")
        return edited.changed

    changed = _run(settings, work)
    if json_output:
        print_json({"email": normal_email(email), "changed": changed})
    else:
        print(f"{email}: " + (f"changed {', '.join(changed)}" if changed else "nothing differs"))


@agents.command(epilog=example("ponte agents disable ana@example.com"))
def disable(email: _WHO, json_output: _JSON = False) -> None:
    """Lock a person out at once: sessions end, open tickets go back to their queues."""
    settings = running_settings(Process.DATABASE_ONLY)
    act = _act(settings)

    async def work(database: Database) -> None:
        async with database.transaction() as session:
            agent = await disable_agent(session, email, act.now, act)
        await _release(database, agent.id, act, reason="agent_disabled")

    _run(settings, work, subject=email)
    if json_output:
        print_json({"email": email, "active": False})
    else:
        print(f"disabled {email}")


@agents.command(epilog=example("ponte agents enable ana@example.com"))
def enable(email: _WHO, json_output: _JSON = False) -> None:
    """Let a person in again, with the password they had."""
    settings = running_settings(Process.DATABASE_ONLY)
    act = _act(settings)

    async def work(session: AsyncSession) -> None:
        await enable_agent(session, await _find(session, email), act=act)

    _in_transaction(settings, work, subject=email)
    if json_output:
        print_json({"email": email, "active": True})
    else:
        print(f"enabled {email}")


@agents.command(epilog=example("ponte agents password ana@example.com --code"))
def password(
    email: _WHO,
    *,
    code: Annotated[
        bool,
        typer.Option("--code", help="Void the password; print a one-time code for a new one."),
    ] = False,
    generate: Annotated[
        bool, typer.Option("--generate", help="Make a password and print it once.")
    ] = False,
    json_output: _JSON = False,
) -> None:
    """Give a person another password; their sessions end.

    It is asked for, or read from standard input when that is a pipe.
    """
    if code and generate:
        fail("--code and --generate: expected one of them", code=2)
    settings = running_settings(Process.DATABASE_ONLY)
    chosen = "" if code else _password(generate=generate)
    act = _act(settings)

    async def work(session: AsyncSession) -> dict[str, str]:
        agent_id = await _find(session, email)
        if code:
            made = await start_reset(session, agent_id, act=act)
            return {"code": made.code, "expires_at": made.expires_at.isoformat()}
        await set_password(session, agent_id, chosen, act=act)
        return {"password": chosen} if generate else {}

    shown = _in_transaction(settings, work, subject=email)
    if json_output:
        print_json({"email": normal_email(email), **shown})
        return
    print(f"{email}: the sessions have ended")
    for key, value in shown.items():
        print(f"{key}: {value}")
    if code:
        print("enter it at /console/reset")


def _act(settings: Settings) -> Act:
    now: datetime = SystemClock(settings.clock_offset).now()
    return Act(now, SYSTEM, new_correlation_id())


async def _find(session: AsyncSession, email: str) -> uuid.UUID:
    agent_id = await agent_id_of(session, normal_email(email))
    if agent_id is None:
        raise AgentNotFoundError
    return agent_id


async def _release(database: Database, agent_id: uuid.UUID, act: Act, *, reason: str) -> None:
    await release_tickets(
        database,
        agent_id,
        actor=act.actor,
        reason=reason,
        now=act.now,
        correlation_id=act.correlation_id,
    )


def _run(
    settings: Settings, work: Callable[[Database], Awaitable[Result]], *, subject: str = ""
) -> Result:
    try:
        return with_database(settings, work)
    except _REFUSED as error:
        fail(f"{subject}: {error}" if subject else str(error))


def _in_transaction(
    settings: Settings, work: Callable[[AsyncSession], Awaitable[Result]], *, subject: str = ""
) -> Result:
    async def whole(database: Database) -> Result:
        async with database.transaction() as session:
            return await work(session)

    return _run(settings, whole, subject=subject)


def _changes(
    *,
    team: list[str] | None,
    skill: list[str] | None,
    language: list[str] | None,
    level: list[Level] | None,
    capacity: int | None,
    scoped: bool | None,
) -> AgentChanges:
    changes: AgentChanges = {}
    if team is not None:
        changes["teams"] = team
    if skill is not None:
        changes["skills"] = skill
    if language is not None:
        changes["languages"] = language
    if level is not None:
        changes["levels"] = [item.value for item in level]
    if capacity is not None:
        changes["capacity"] = capacity or None
    if scoped is not None:
        changes["scoped_to_teams"] = scoped
    return changes


def _clear(changes: AgentChanges, names: list[str] | tuple[str, ...]) -> None:
    for name in names:
        if name == "queues":
            changes["queues"] = ()
        elif name == "teams":
            changes["teams"] = ()
        elif name == "skills":
            changes["skills"] = ()
        elif name == "languages":
            changes["languages"] = ()
        elif name == "levels":
            changes["levels"] = ()
        else:
            fail(f"--clear {name}: expected queues, teams, skills, languages or levels", code=2)


def _password(*, generate: bool) -> str:
    """Never from the command line, which other users of the machine can read."""
    if generate:
        return secrets.token_urlsafe(15)
    if sys.stdin.isatty():
        return str(typer.prompt("password", hide_input=True, confirmation_prompt=True))
    password = sys.stdin.readline().rstrip("\n")
    if not password:
        fail("password: expected it on the first line of standard input", code=2)
    return password


def _queues(agent: AgentView) -> str:
    return ", ".join(agent.queues) or "all queues"
