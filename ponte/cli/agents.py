"""`ponte agents add|list|disable`."""

from __future__ import annotations

import secrets
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from kit.clock import SystemClock
from kit.ids import new_correlation_id
from ponte.cli.app import app, example, fail, print_json, running_settings, with_database
from ponte.settings import Process
from ticketing.db.engine import Database
from ticketing.domain.enums import Role
from ticketing.domain.ticket import SYSTEM
from ticketing.services.agents import (
    AgentExistsError,
    AgentNotFoundError,
    AgentView,
    LastAdminError,
    create_agent,
    disable_agent,
    list_agents,
    normal_email,
)
from ticketing.services.ticket_release import release_tickets

agents = typer.Typer(help="The people of the support team.", no_args_is_help=True)
app.add_typer(agents, name="agents")

_JSON = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@agents.command(
    epilog=example("ponte agents add --email ana@example.com --name 'Ana Souza' --role supervisor")
)
def add(
    *,
    email: Annotated[str, typer.Option(help="Their address; they log in with it.")],
    name: Annotated[str, typer.Option(help="As customers and colleagues read it.")],
    role: Annotated[Role, typer.Option(help="What they may do.")] = Role.AGENT,
    queue: Annotated[
        list[str] | None, typer.Option(help="A queue they serve; may be repeated. None: all.")
    ] = None,
    generate_password: Annotated[
        bool, typer.Option("--generate-password", help="Make a password and print it once.")
    ] = False,
    json_output: _JSON = False,
) -> None:
    """Add a person. The password is asked for, or read from standard input when that is a pipe."""
    settings = running_settings(Process.DATABASE_ONLY)
    password = _password(generate=generate_password)
    now = SystemClock(settings.clock_offset).now()

    async def work(database: Database) -> str:
        async with database.transaction() as session:
            agent = await create_agent(
                session,
                email=email,
                name=name,
                password=password,
                role=role.value,
                queues=queue or (),
                now=now,
            )
            return str(agent.id)

    try:
        agent_id = with_database(settings, work)
    except (ValueError, AgentExistsError) as error:  # wrong values are ValueErrors naming the field
        fail(str(error))
    shown = {"id": agent_id, "email": normal_email(email), "role": role.value}
    if generate_password:
        shown["password"] = password
    if json_output:
        print_json(shown)
    else:
        print(f"added {email} ({role.value})")
        if generate_password:
            print(f"password: {password}")


@agents.command("list", epilog=example("ponte agents list --json"))
def list_(json_output: _JSON = False) -> None:
    """List everybody."""
    settings = running_settings(Process.DATABASE_ONLY)

    async def work(database: Database) -> tuple[AgentView, ...]:
        async with database.transaction() as session:
            return await list_agents(session)

    found = with_database(settings, work)
    if json_output:
        print_json([asdict(agent) for agent in found])
        return
    if not found:
        print("no agents yet: ponte agents add --help")
    for agent in found:
        state = "active" if agent.active else "disabled"
        print(f"{agent.email}\t{agent.name}\t{agent.role}\t{state}\t{_queues(agent)}")


@agents.command(epilog=example("ponte agents disable ana@example.com"))
def disable(
    email: Annotated[str, typer.Argument(help="Their address.")], json_output: _JSON = False
) -> None:
    """Lock a person out at once: sessions end, open tickets go back to their queues."""
    settings = running_settings(Process.DATABASE_ONLY)
    now = SystemClock(settings.clock_offset).now()

    async def work(database: Database) -> None:
        async with database.transaction() as session:
            agent = await disable_agent(session, email, now)
        await release_tickets(
            database,
            agent.id,
            actor=SYSTEM,
            reason="agent_disabled",
            now=now,
            correlation_id=new_correlation_id(),
        )

    try:
        with_database(settings, work)
    except (AgentNotFoundError, LastAdminError) as error:
        fail(f"{email}: {error}")
    if json_output:
        print_json({"email": email, "active": False})
    else:
        print(f"disabled {email}")


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
