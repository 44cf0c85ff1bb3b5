"""`ponte handoff explain`: why a conversation was, or was not, handed to a person."""

from __future__ import annotations

import uuid
from typing import Annotated, Literal

import typer
from sqlalchemy import Select, select

from handoff.decision import Decision
from handoff.explain import explain as explain_decision
from handoff.snapshot import ConversationSnapshot
from ponte.cli.app import app, example, fail, print_json, running_settings, with_database
from ponte.settings import Process
from ticketing.db import tables
from ticketing.db.engine import Database

handoff = typer.Typer(help="The handoff rules and what they decided.", no_args_is_help=True)
app.add_typer(handoff, name="handoff")


@handoff.callback()
def _group() -> None:
    """Keep `handoff` a group also while it has one command."""


@handoff.command(epilog=example("ponte handoff explain 1042"))
def explain(
    subject: Annotated[
        str,
        typer.Argument(metavar="TICKET_NUMBER|CONVERSATION", help="1042, or a conversation's id."),
    ],
    language: Annotated[
        Literal["en", "pt", "es"], typer.Option(help="Language of the explanation.")
    ] = "en",
    every: Annotated[
        bool, typer.Option("--all", help="Every turn, not only those that asked or handed over.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Print each decision with the evidence, every rule, and the versions that took it."""
    wanted = _statement(subject)
    settings = running_settings(Process.DATABASE_ONLY)

    async def work(database: Database) -> list[tables.Decision]:
        async with database.transaction() as session:
            return list((await session.scalars(wanted)).all())

    records = with_database(settings, work)
    if not records:
        fail(f"{subject}: no decisions are stored for this ticket number or conversation")
    shown = records if every else [one for one in records if one.outcome != "stay"]
    if json_output:
        print_json([_document(record, language) for record in shown])
        return
    for record in shown:
        print(f"== turn {record.turn_id}, {record.created_at.isoformat(timespec='seconds')}")
        print(_text(record, language))
        print()
    hidden = len(records) - len(shown)
    if hidden:
        print(f"{hidden} more turns were answered by the bot (--all shows them)")


def _statement(subject: str) -> Select[tables.Decision]:
    found = select(tables.Decision).order_by(tables.Decision.created_at, tables.Decision.id)
    if subject.lstrip("#").isascii() and subject.lstrip("#").isdigit():
        number = int(subject.lstrip("#"))
        conversation = select(tables.Ticket.conversation_id).where(
            tables.Ticket.number == min(number, 2**63 - 1)
        )
        return found.where(tables.Decision.conversation_id.in_(conversation))
    try:
        return found.where(tables.Decision.conversation_id == uuid.UUID(subject))
    except ValueError:
        fail(f"{subject}: expected a ticket number or a conversation id (UUID)", code=2)


def _text(record: tables.Decision, language: str) -> str:
    decision = Decision.from_json(record.decision)
    snapshot = ConversationSnapshot.from_json(record.snapshot)
    return explain_decision(decision, snapshot, language)


def _document(record: tables.Decision, language: str) -> dict[str, object]:
    return {
        "turn_id": str(record.turn_id),
        "conversation_id": str(record.conversation_id),
        "created_at": record.created_at.isoformat(),
        "outcome": record.outcome,
        "reason": record.reason,
        "rule": record.rule,
        "versions": record.versions,
        "explanation": _text(record, language),
        "decision": record.decision,
        "snapshot": record.snapshot,
    }
