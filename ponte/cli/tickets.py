"""`ponte tickets`: look after the tickets of a running installation."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from ponte.cli.app import app, example, fail, print_json, running_settings, with_database
from ponte.settings import Process
from ticketing.db.engine import Database
from ticketing.services.ticket_search import Reindexed
from ticketing.services.ticket_search import reindex as make_words
from ticketing.services.ticket_verification import Verified, verify_tickets

tickets = typer.Typer(help="Look after the tickets.", no_args_is_help=True)
app.add_typer(tickets, name="tickets")

_SHOWN = 100
"""Tickets printed; who has more differences has one cause, and sees it in these."""


@tickets.command(epilog=example("ponte tickets verify 1042"))
def verify(
    number: Annotated[
        int | None, typer.Argument(metavar="[NUMBER]", help="One ticket; all without it.", min=1)
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Compute tickets again from their events and compare them with what is stored.

    Ends with 0 when they are alike, with 1 when one differs (its first difference is named).
    """
    settings = running_settings(Process.DATABASE_ONLY)

    async def work(database: Database) -> tuple[int, int, list[Verified]]:
        looked_at, not_compared, wrong = 0, 0, []
        async for one in verify_tickets(database, number=number):
            looked_at += 1
            not_compared += one.note is not None
            if one.differences:
                wrong.append(one)
        return looked_at, not_compared, wrong

    looked_at, not_compared, wrong = with_database(settings, work)
    if number is not None and looked_at == 0:
        fail(f"ticket {number} does not exist")
    if json_output:
        print_json(_document(looked_at, not_compared, wrong))
    else:
        for one in wrong[:_SHOWN]:
            further = len(one.differences) - 1
            more = f" (and {further} more)" if further else ""
            print(f"ticket {one.number}: {one.differences[0]}{more}")
        if not_compared:
            print(f"not compared: {not_compared} tickets of an older release, which kept less")
        verdict = f"DIFFERENT: {len(wrong)} of" if wrong else "alike:"
        print(f"{verdict} {looked_at} tickets")
    if wrong:
        raise typer.Exit(1)


def _document(looked_at: int, not_compared: int, wrong: list[Verified]) -> dict[str, Any]:
    return {
        "tickets": looked_at,
        "not_compared": not_compared,
        "different": len(wrong),
        "differences": [
            {
                "ticket": one.number,
                "where": item.where,
                "field": item.field,
                "stored": item.stored,
                "recomputed": item.recomputed,
            }
            for one in wrong[:_SHOWN]
            for item in one.differences
        ],
    }


@tickets.command(epilog=example("ponte tickets reindex"))
def reindex(
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Make the search words of all tickets again; harmless while people work, and to repeat.

    Ends with 0. Wrong or missing words are put right, and their number is printed.
    """
    settings = running_settings(Process.DATABASE_ONLY)

    def told(count: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{count} tickets", end="", file=sys.stderr, flush=True)

    async def work(database: Database) -> Reindexed:
        return await make_words(database, told=told)

    done = with_database(settings, work)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if json_output:
        print_json({"tickets": done.tickets, "repaired": done.repaired})
    else:
        print(f"{done.tickets} tickets, {done.repaired} repaired")
