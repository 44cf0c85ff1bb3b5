"""`ponte routing explain`: who got a ticket, who would get it now, and why not the others."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from sqlalchemy import select

from kit.clock import SystemClock
from ponte.cli.app import app, example, fail, print_json, running_settings, with_database
from ponte.processes.wiring import read_policy
from ponte.settings import Process
from ticketing.db.engine import Database
from ticketing.db.tables import Ticket
from ticketing.services.routing_views import CandidateView, TicketRouting, ticket_routing

routing = typer.Typer(help="How tickets find people.", no_args_is_help=True)
app.add_typer(routing, name="routing")


@routing.callback()
def _group() -> None:
    """Keeps `explain` a command of its own while it is the only one."""


@routing.command(epilog=example("ponte routing explain 1042"))
def explain(
    number: Annotated[int, typer.Argument(metavar="TICKET_NUMBER", help="Its number.", min=1)],
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say who would get a ticket if it were given out now. Nothing is changed.

    Ends with 0 when somebody would get it or has it, with 1 when nobody would.
    """
    settings = running_settings(Process.DATABASE_ONLY)
    policy = read_policy().policy
    now = SystemClock(settings.clock_offset).now()

    async def work(database: Database) -> TicketRouting | None:
        async with database.transaction() as session:
            ticket_id = await session.scalar(select(Ticket.id).where(Ticket.number == number))
            if ticket_id is None:
                return None
            return await ticket_routing(
                session, ticket_id, actor=None, policy=policy, settings=settings.routing, now=now
            )

    found = with_database(settings, work)
    if found is None:
        fail(f"there is no ticket #{number}")
    if json_output:
        print_json(asdict(found))
    else:
        print("\n".join(_lines(found)))
    if found.now.waits and found.now.agent_id is None:
        raise typer.Exit(1)


def _lines(found: TicketRouting) -> list[str]:
    since, serve_by = f"{found.since:%Y-%m-%d %H:%M}", f"{found.serve_by:%Y-%m-%d %H:%M}"
    needs = ", ".join(f"{name} {value}" for name, value in found.now.needs.items() if value)
    state = found.state.value
    lines = [
        f"#{found.number} in {found.queue}: {state} since {since}, serve by {serve_by} UTC",
        f"needs: {needs}",
        f"assignment: {found.now.assignment}",
    ]
    if found.now.relaxed:
        lines.append(f"left out: {', '.join(found.now.relaxed)}")
    lines.append("now:")
    lines += [f"  {_line(candidate)}" for candidate in found.now.candidates]
    if not found.now.candidates:
        lines.append("  nobody serves this queue")
    for decision in found.decisions:
        lines.append(f"{decision.at:%Y-%m-%d %H:%M:%S} {decision.trigger}: {decision.outcome}")
        lines += [f"  {_line(candidate)}" for candidate in decision.candidates]
    return lines


def _line(candidate: CandidateView) -> str:
    room = f"{candidate.load} of {candidate.capacity}"
    if candidate.rank is None:
        return f"-  {candidate.name}: {', '.join(candidate.refusals)} ({room})"
    notes = ["preferred"] if candidate.preferred else []
    notes += [f"in spite of {reason}" for reason in candidate.waived]
    return f"{candidate.rank}. {candidate.name} ({', '.join([room, *notes])})"
