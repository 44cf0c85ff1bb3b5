"""`ponte up`, the processes one by one, `migrate` and `version`."""

from __future__ import annotations

import importlib
import os
import tomllib
from typing import Annotated
from urllib.parse import urlsplit

import typer

from ponte.cli.app import app, example, fail, print_json, running_settings
from ponte.processes import plan
from ponte.settings import ROOT, Process, Settings, read_environment

JSON = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command(epilog=example("ponte up --verbose"))
def up(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show every line of every process.")
    ] = False,
) -> None:
    """Start everything in this terminal; prints `ready http://HOST:PORT` when all answer.

    PostgreSQL, Redis, a mail catcher and the WhatsApp simulator are started too, unless settings
    name real ones. Ctrl-C stops everything. A second `ponte up` finds the first.
    """
    from ponte.processes import up as process  # noqa: PLC0415 - other commands start faster

    raise typer.Exit(process.run(Settings.from_environment(Process.UP), verbose=verbose))


@app.command(epilog=example("PONTE_PORT=8080 ponte web"))
def web() -> None:
    """Serve webhooks, API, console and health on one port."""
    _run(Process.WEB)


@app.command(epilog=example("ponte actions"))
def actions() -> None:
    """Serve the custom actions to Rasa (private)."""
    _run(Process.ACTIONS)


@app.command(epilog=example("ponte worker"))
def worker() -> None:
    """Deliver notifications; as many of these may run as needed."""
    _run(Process.WORKER)


@app.command(epilog=example("ponte scheduler"))
def scheduler() -> None:
    """Relay the outbox and sweep what was left behind; several may run, one leads."""
    _run(Process.SCHEDULER)


@app.command(epilog=example("ponte bot"))
def bot() -> None:
    """Serve the trained assistant (Rasa, in its own environment; private).

    It listens where PONTE_BOT_URL says, else on port 5005 of this machine.
    """
    settings = Settings.from_environment(Process.BOT)
    problem = plan.bot_environment_problem()
    if problem is not None:
        fail(problem)
    address = urlsplit(settings.ponte_bot_url or "http://127.0.0.1:5005")
    command = plan.bot_command(
        address.port or 5005,
        host=address.hostname or "127.0.0.1",
        log_format=settings.ponte_log_format,
    )
    os.chdir(ROOT)
    # The same process becomes the bot: a service manager watches one process, not two.
    os.execve(command[0], command, read_environment())  # noqa: S606 - our own program


@app.command(epilog=example("ponte migrate"))
def migrate(json_output: JSON = False) -> None:
    """Bring the database to the newest schema; safe to run twice and by two at once."""
    from ponte import migrate as migrations  # noqa: PLC0415 - slow to import

    settings = running_settings(Process.DATABASE_ONLY)
    try:
        result = migrations.migrate(settings.database_url)
    except migrations.MigrationError as error:
        fail(str(error))
    if json_output:
        print_json({"before": result.before, "after": result.after})
    elif result.before == result.after:
        print(f"nothing to do: the database is at {result.after}")
    else:
        print(f"migrated from {result.before or 'empty'} to {result.after}")


@app.command(epilog=example("ponte version"))
def version(json_output: JSON = False) -> None:
    """Print the version."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        number = tomllib.load(file)["project"]["version"]
    if json_output:
        print_json({"version": number})
    else:
        print(f"ponte {number}")


def _run(process: Process) -> None:
    """Import the process late: `ponte --help` must not load Sanic and Dramatiq."""
    settings = Settings.from_environment(process)
    module = importlib.import_module(f"ponte.processes.{process.value}")
    raise typer.Exit(module.run(settings))
