"""`ponte handoff replay`: play a stored conversation again, and name what differs."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from typing import Annotated

import typer

from handoff.policy import HandoffPolicy
from handoff.policy_file import PolicyError, parse_policy
from ponte.cli.app import example, fail, print_json, running_settings, with_database
from ponte.cli.handoff import handoff
from ponte.holiday_dates import holiday_dates
from ponte.settings import Process
from ticketing.db.engine import Database
from ticketing.domain.history import History
from ticketing.domain.replay import replay as play
from ticketing.services.control import ConversationNotFoundError
from ticketing.services.conversation_history import load_history

_WRONG_USE = 2


@handoff.command(epilog=example("ponte handoff replay 019a2f3e-7b1c-7d2a-9c1b-2f6d8e5a4c10"))
def replay(
    conversation: Annotated[str, typer.Argument(metavar="CONVERSATION", help="Its id.")],
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Take every decision of a conversation again and follow its state; both must be as stored.

    Ends with 0 when they are, with 1 when something differs (the first difference is printed
    first).
    """
    try:
        conversation_id = uuid.UUID(conversation)
    except ValueError:
        fail(f"{conversation}: expected a conversation id (UUID)", code=_WRONG_USE)
    settings = running_settings(Process.DATABASE_ONLY)

    async def work(database: Database) -> History:
        async with database.transaction() as session:
            return await load_history(session, conversation_id, read_policy=_read_policy)

    try:
        history = with_database(settings, work)
    except ConversationNotFoundError as error:
        fail(str(error))
    except PolicyError as error:
        fail(f"a stored policy version is no longer a policy for this release:\n{error}")
    result = play(history)
    if json_output:
        print_json(
            {"conversation_id": conversation, "identical": result.is_identical} | asdict(result)
        )
    else:
        for difference in result.differences:
            print(difference)
        for note in result.notes:
            print(f"not compared: {note}")
        verdict = "identical" if result.is_identical else "DIFFERENT"
        print(
            f"{verdict}: {result.decisions} decisions, {result.turns} turns, "
            f"{result.events} events of tickets"
        )
    if not result.is_identical:
        raise typer.Exit(1)


def _read_policy(source: str) -> HandoffPolicy:
    return parse_policy(source, filename="stored policy", holiday_dates=holiday_dates)
