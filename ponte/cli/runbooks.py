"""`ponte runbooks check`: are the runbooks right, and who would get which?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from ruamel.yaml import YAML

from handoff.policy import HandoffPolicy
from handoff.policy_file import PolicyError, load_policy
from ponte.cli.app import app, example, fail, print_json
from ponte.holiday_dates import holiday_dates
from ponte.settings import ROOT
from ticketing.domain.runbook import Runbook, RunbookBook, Situation, in_language
from ticketing.domain.runbook_file import KnownNames, RunbooksError
from ticketing.gateways.content_files import load_runbooks

runbooks = typer.Typer(help="Steps and texts for agents (runbooks/*.yml).", no_args_is_help=True)
app.add_typer(runbooks, name="runbooks")

_JSON = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_FOLDER = Annotated[Path, typer.Option("--folder", help="Where the runbooks are.")]


@runbooks.command(epilog=example("ponte runbooks check"))
def check(folder: _FOLDER = ROOT / "runbooks", json_output: _JSON = False) -> None:
    """Name every mistake with file, line and field; exit code 1 when there is one.

    Levels, intents, queues and entities are compared with handoff.yml and domain.yml.
    """
    if not folder.is_dir():
        fail(f"{folder}: is no folder", code=2)
    book, lines = _look(folder, _policy())
    if json_output:
        found = [] if book is None else [_line(runbook) for runbook in book.runbooks]
        print_json({"ok": book is not None, "problems": list(lines), "runbooks": found})
    else:
        for line in lines:
            print(line, file=sys.stderr)
        if book is not None:
            for runbook in book.runbooks:
                shown = _line(runbook)
                print(
                    f"{shown['runbook']}\t{shown['version']}\t{shown['steps']} steps\t"
                    f"{shown['templates']} texts\t{shown['for']}"
                )
        print(f"{folder}: {'ok' if book is not None else f'wrong ({len(lines)} problems)'}")
    raise typer.Exit(0 if book is not None else 1)


@runbooks.command(epilog=example("ponte runbooks which --level N2 --intent refund"))
def which(
    level: Annotated[str, typer.Option(help="N1, N2 or N3.")],
    intent: Annotated[str | None, typer.Option(help="What the ticket is about.")] = None,
    queue: Annotated[str, typer.Option(help="Key of its queue.")] = "",
    folder: _FOLDER = ROOT / "runbooks",
    json_output: _JSON = False,
) -> None:
    """Say which runbook and which texts a ticket like this gets."""
    book, lines = _look(folder, _policy())
    if book is None:
        fail("\n".join(lines))
    situation = Situation(level, intent, queue)
    chosen = book.for_ticket(situation)
    texts = [reply.key for reply in book.replies_for(situation)]
    if json_output:
        print_json({"runbook": None if chosen is None else chosen.key, "templates": texts})
        return
    print("no steps" if chosen is None else f"{chosen.key} ({in_language(chosen.names, 'en')})")
    for step in () if chosen is None else chosen.steps:
        print(f"  [{'!' if step.obligatory else ' '}] {step.key}")
    print(f"texts: {', '.join(texts) or 'none'}")


def _look(folder: Path, policy: HandoffPolicy) -> tuple[RunbookBook | None, tuple[str, ...]]:
    known = KnownNames(policy.intents, policy.queues, _entities())
    try:
        return load_runbooks(folder, known=known), ()
    except RunbooksError as error:
        return None, error.lines


def _policy() -> HandoffPolicy:
    try:
        return load_policy(ROOT / "handoff.yml", holiday_dates=holiday_dates)
    except PolicyError as error:
        fail(f"handoff.yml is wrong, so names cannot be compared:\n{error}")


def _entities() -> tuple[str, ...] | None:
    """The entities that the assistant knows; None when domain.yml is not there."""
    try:
        domain = YAML(typ="safe", pure=True).load(ROOT / "domain.yml")
    except OSError:
        return None
    found = domain.get("entities") or [] if isinstance(domain, dict) else []
    return tuple(next(iter(item)) if isinstance(item, dict) else str(item) for item in found)


def _line(runbook: Runbook) -> dict[str, Any]:
    fit = runbook.fit
    parts = [*fit.levels, *fit.intents, *fit.queues]
    return {
        "runbook": runbook.key,
        "version": runbook.version,
        "steps": len(runbook.steps),
        "templates": len(runbook.replies),
        "demands_steps": runbook.demands_steps,
        "for": ", ".join(parts) or "every ticket",
    }
