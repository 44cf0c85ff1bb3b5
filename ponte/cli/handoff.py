"""`ponte handoff explain`: why a conversation was, or was not, handed to a person."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Literal

import typer
from sqlalchemy import Select, select

from handoff.decision import Decision
from handoff.explain import explain as explain_decision
from handoff.explain import explained
from handoff.policy import HandoffPolicy
from handoff.policy_file import PolicyError, parse_policy
from handoff.snapshot import ConversationSnapshot
from ponte.cli.app import app, example, fail, print_json, running_settings, with_database
from ponte.holiday_dates import holiday_dates
from ponte.settings import Process
from ticketing.db import tables
from ticketing.db.engine import Database

handoff = typer.Typer(help="The handoff rules and what they decided.", no_args_is_help=True)
app.add_typer(handoff, name="handoff")


@handoff.callback()
def _group() -> None:
    """The group."""


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

    async def work(database: Database) -> tuple[list[tables.Decision], dict[str, str]]:
        async with database.transaction() as session:
            found = list((await session.scalars(wanted)).all())
            versions = {str(one.decision.get("policy_version")) for one in found}
            kept = select(tables.PolicyVersion).where(tables.PolicyVersion.version.in_(versions))
            return found, {row.version: row.source for row in await session.scalars(kept)}

    records, sources = with_database(settings, work)
    if not records:
        fail(f"{subject}: no decisions are stored for this ticket number or conversation")
    shown = records if every else [one for one in records if one.outcome != "stay"]
    policies = _policies(shown, sources)
    if json_output:
        print_json([_document(record, language, policies) for record in shown])
        return
    for record in shown:
        print(f"== turn {record.turn_id}, {record.created_at.isoformat(timespec='seconds')}")
        print(_text(record, language, policies))
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


def _policies(
    records: list[tables.Decision], sources: Mapping[str, str]
) -> dict[str, HandoffPolicy]:
    """The policies that decided; one that this release cannot read is left out."""
    found: dict[str, HandoffPolicy] = {}
    for version in {str(one.decision.get("policy_version")) for one in records} & sources.keys():
        try:
            found[version] = parse_policy(sources[version], holiday_dates=holiday_dates)
        except PolicyError:
            continue  # the stored evidence explains itself; only "what if" is missing
    return found


def _text(record: tables.Decision, language: str, policies: Mapping[str, HandoffPolicy]) -> str:
    decision, snapshot = _read(record)
    policy = policies.get(decision.policy_version)
    return explain_decision(decision, snapshot, language, policy=policy)


def _read(record: tables.Decision) -> tuple[Decision, ConversationSnapshot]:
    return (
        Decision.from_json(record.decision),
        ConversationSnapshot.from_json(record.snapshot),
    )


def _document(
    record: tables.Decision, language: str, policies: Mapping[str, HandoffPolicy]
) -> dict[str, object]:
    decision, snapshot = _read(record)
    why = explained(decision, snapshot, policy=policies.get(decision.policy_version))
    return {
        "turn_id": str(record.turn_id),
        "conversation_id": str(record.conversation_id),
        "created_at": record.created_at.isoformat(),
        "outcome": record.outcome,
        "reason": record.reason,
        "rule": record.rule,
        "versions": record.versions,
        "explanation": _text(record, language, policies),
        "why": asdict(why),
        "decision": record.decision,
        "snapshot": record.snapshot,
    }
