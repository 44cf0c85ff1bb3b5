"""`ponte retention run`."""

from __future__ import annotations

from typing import Annotated

import typer

from kit.clock import SystemClock
from ponte.cli.app import app, example, fail, print_json, with_database
from ponte.cli.keys import settings_with_keys
from ponte.privacy.retention import Retention, load_retention
from ticketing.db.engine import Database
from ticketing.domain.retention import RetentionError
from ticketing.services.person_stores import StoreError

retention = typer.Typer(help="How long what is kept (retention.yml).", no_args_is_help=True)
app.add_typer(retention, name="retention")

_WRONG_USE = 2


@retention.callback()
def _group() -> None:
    """How long what is kept (retention.yml)."""


@retention.command(epilog=example("ponte retention run --dry-run"))
def run(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Remove what is older than retention.yml says; the scheduler does it once a day by itself."""
    settings = settings_with_keys()
    try:
        policy = load_retention()
    except RetentionError as error:
        fail("retention.yml: " + "; ".join(error.problems), code=_WRONG_USE)
    now = SystemClock(settings.clock_offset).now()

    async def work(database: Database) -> dict[str, int]:
        sweeper = Retention(settings, database, policy)
        if dry_run:
            return await sweeper.count(now=now)
        return await sweeper.run(now=now, actor="cli", always=True)

    try:
        found = with_database(settings, work)
    except StoreError as error:
        fail(str(error))
    if json_output:
        print_json({"dry_run": dry_run, "removed": found})
        return
    verb = "would be removed" if dry_run else "removed"
    for kind, count in found.items():
        print(f"{kind}\t{count} {verb}")
