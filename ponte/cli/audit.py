"""`ponte audit verify|list|checkpoint`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from kit.clock import SystemClock
from ponte.cli.app import app, example, fail, print_json, running_settings, with_database
from ponte.cli.keys import settings_with_keys
from ponte.privacy.checkpoint_file import CheckpointFileError, as_line, read_checkpoints
from ponte.settings import Process, Settings
from ticketing.db.engine import Database
from ticketing.domain.audit_chain import AuditKeyError, Checkpoint, Keys
from ticketing.services.audit import AuditFilter, AuditPage, list_entries
from ticketing.services.audit_sealing import Checked, head_checkpoint, verify

audit = typer.Typer(help="Who did what: the log that cannot be rewritten.", no_args_is_help=True)
app.add_typer(audit, name="audit")

_WRONG_USE = 2
_JSON = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@audit.command("verify", epilog=example("ponte audit verify --checkpoints /mnt/audit/points.jsonl"))
def verify_(
    *,
    start: Annotated[int | None, typer.Option("--from", min=1, help="First place.")] = None,
    end: Annotated[int | None, typer.Option("--to", min=1, help="Last place.")] = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option(help="File of checkpoints; by default PONTE_AUDIT_CHECKPOINT_FILE."),
    ] = None,
    json_output: _JSON = False,
) -> None:
    """Check every entry and every seal; exit code 1 and the first fault when one is not right."""
    settings = settings_with_keys()
    keys = _keys(settings)
    points = _points(settings, checkpoints)
    if start is not None and end is not None and end < start:
        fail(f"--to: expected {start} (--from) or more, got {end}", code=_WRONG_USE)
    now = SystemClock(settings.clock_offset).now()

    async def work(database: Database) -> Checked:
        return await verify(database, keys, now=now, start=start, end=end, checkpoints=points)

    found = with_database(settings, work)
    if json_output:
        print_json({"ok": found.fault is None, **asdict(found)})
    elif found.fault is None:
        print(
            f"{found.seals} entries are as they were written ({found.first} to {found.last}), "
            f"{found.waiting} wait for their seal, {found.checkpoints} checkpoints agree"
        )
        print(f"head: {found.last} {found.head}")
    else:
        fault = found.fault
        entry = "" if fault.entry_id is None else f", entry {fault.entry_id}"
        print(f"NOT as written: place {fault.seq}{entry}: {fault.kind}: {fault.detail}")
    if found.fault is not None:
        raise typer.Exit(1)


@audit.command("list", epilog=example("ponte audit list --action 'contact.*' --since 2026-03-01"))
def list_(
    *,
    actor: Annotated[str | None, typer.Option(help="agent:<id>, system, cli, ...")] = None,
    action: Annotated[str | None, typer.Option(help="thing.done, or thing.* for all.")] = None,
    subject: Annotated[str | None, typer.Option(help="kind:id.")] = None,
    since: Annotated[datetime | None, typer.Option(help="UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(help="UTC; not included.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    json_output: _JSON = False,
) -> None:
    """List entries, the newest first."""
    settings = running_settings(Process.DATABASE_ONLY)
    wanted = AuditFilter(
        actor=actor, action=action, subject=subject, since=_utc(since), until=_utc(until)
    )

    async def work(database: Database) -> AuditPage:
        async with database.transaction() as session:
            return await list_entries(session, wanted, limit=limit)

    page = with_database(settings, work)
    if json_output:
        print_json([asdict(entry) for entry in page.entries])
        return
    for entry in page.entries:
        seq = "-" if entry.seq is None else entry.seq
        moment = entry.at.isoformat(timespec="seconds")
        print(f"{seq}\t{moment}\t{entry.actor}\t{entry.action}\t{entry.subject}\t{entry.data}")
    if page.next_cursor is not None:
        print(f"(the newest {limit}; narrow it down for older ones)")


@audit.command(epilog=example("ponte audit checkpoint >> /mnt/audit/points.jsonl"))
def checkpoint() -> None:
    """Print how far the log goes now, signed: keep it where the database cannot reach it."""
    settings = settings_with_keys()
    keys = _keys(settings)
    now = SystemClock(settings.clock_offset).now()

    async def work(database: Database) -> Checkpoint | None:
        return await head_checkpoint(database, keys, now=now)

    point = with_database(settings, work)
    if point is None:
        fail("the log is empty")
    print(as_line(point), end="")


def _keys(settings: Settings) -> Keys:
    try:
        return Keys.of(settings.audit_keys)
    except AuditKeyError as error:
        fail(str(error), code=_WRONG_USE)


def _points(settings: Settings, given: Path | None) -> tuple[Checkpoint, ...]:
    if given is not None and not given.is_file():
        fail(f"--checkpoints: expected a file, {given} is none", code=_WRONG_USE)
    try:
        return read_checkpoints(given or settings.audit_checkpoint_file)
    except CheckpointFileError as error:
        fail(str(error), code=_WRONG_USE)


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)
