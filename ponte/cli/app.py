"""The typer application and what all commands share."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TypeVar

import typer
from sqlalchemy.exc import DBAPIError, ProgrammingError

from kit.logging import configure_logging
from ponte.processes.state import StateFolder
from ponte.settings import Process, Settings, SettingsError, read_environment
from ticketing.db.engine import Database, make_engine

app = typer.Typer(
    help="Ponte: a support assistant that knows when to hand over to a person.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Result = TypeVar("Result")


@app.callback()
def _quiet_logs() -> None:
    """Commands print; what the services log goes to standard error, and only when it warns."""
    configure_logging(process="cli", json_lines=False, level="WARNING")


def example(text: str) -> str:
    r"""The closing lines of a command's help (`\b` keeps their breaks)."""
    return f"\b\nExample:\n  {text}"


def fail(message: str, *, code: int = 1) -> NoReturn:
    """Say what is wrong and end the command."""
    print(f"ponte: {message}", file=sys.stderr)
    raise typer.Exit(code)


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(document, ensure_ascii=False, indent=2, default=str))


def running_settings(process: Process) -> Settings:
    """The settings of a command; addresses that are not set come from the running `ponte up`.

    Raises:
        SettingsError: naming what is missing or wrong.
    """
    environment = running_environment(read_environment())
    try:
        return Settings.from_environment(process, environment=environment)
    except SettingsError as error:
        if environment.get("PONTE_DATABASE_URL"):
            raise
        hint = "nothing runs here: start `ponte up` first, or set PONTE_DATABASE_URL"
        raise SettingsError([*error.problems, hint]) from error


def running_environment(environment: dict[str, str]) -> dict[str, str]:
    """The environment, with the addresses of the running `ponte up` where it names none."""
    runtime = state_folder(environment).read_runtime()
    if runtime is None or not runtime.alive:
        return environment
    given = {name: value for name, value in environment.items() if value.strip()}
    return {**environment, **runtime.environment, **given}


def state_folder(environment: dict[str, str]) -> StateFolder:
    """The state folder that the environment names."""
    only = {key: value for key, value in environment.items() if key == "PONTE_STATE_DIR"}
    return StateFolder(Settings.from_environment(environment=only).state_dir)


def with_database(settings: Settings, work: Callable[[Database], Awaitable[Result]]) -> Result:
    """Run an async function with a database, and close it."""

    async def run() -> Result:
        database = Database(make_engine(settings.database_url, pool_size=1))
        try:
            return await work(database)
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except DBAPIError as error:
        reason = str(error.orig).strip().splitlines()[0]
        if isinstance(error, ProgrammingError):  # a table or a column is not there
            fail(f"the database is not up to date ({reason}): run `ponte migrate`")
        fail(f"the database does not answer: {reason}")
