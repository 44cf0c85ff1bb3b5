"""`ponte contacts export|erase|hold|release|erasures|erase-again`."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from sqlalchemy import select

from kit.clock import SystemClock
from kit.ids import new_correlation_id
from ponte.cli.app import app, example, fail, print_json, with_database
from ponte.cli.keys import settings_with_keys
from ponte.privacy.stores import person_stores
from ponte.settings import Settings
from ticketing.db.engine import Database
from ticketing.db.privacy_tables import ErasedIdentity
from ticketing.domain.privacy import JobState
from ticketing.services import contact_erasure, contact_export, contact_hold, privacy_jobs
from ticketing.services.contact_erasure import ErasurePlan, ErasureRefusedError
from ticketing.services.contact_lookup import (
    ContactNotFoundError,
    SeveralContactsError,
    find_contact,
)
from ticketing.services.person_stores import StoreError

contacts = typer.Typer(help="A customer's data: give it, forget it.", no_args_is_help=True)
app.add_typer(contacts, name="contacts")

ACTOR = "cli"
_WRONG_USE = 2
_WHO = Annotated[str, typer.Argument(help="Contact id, phone number or e-mail address.")]
_JSON = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_OUT = Annotated[Path, typer.Option("--out", help="File to write; must not be there yet.")]
Result = TypeVar("Result")


@contacts.command(epilog=example("ponte contacts export +5511987654321 --out maria.zip"))
def export(who: _WHO, *, out: _OUT, json_output: _JSON = False) -> None:
    """Write everything that is held about a customer into one ZIP file."""
    settings = settings_with_keys()
    now = SystemClock(settings.clock_offset).now()

    async def work(database: Database) -> tuple[uuid.UUID, bytes]:
        contact_id = await _find(database, who)
        stores = person_stores(settings, database)
        content = await contact_export.build(stores, database, contact_id, now=now)
        async with database.transaction() as session:
            await contact_export.note_export(
                session, "contact.exported", contact_id, actor=ACTOR, now=now,
                correlation_id=new_correlation_id(),
            )  # fmt: skip
        return contact_id, content

    _refuse_existing(out)
    contact_id, content = _do(settings, work)
    _write_private(out, content)
    digest = hashlib.sha256(content).hexdigest()
    if json_output:
        print_json({"contact_id": contact_id, "file": str(out), "bytes": len(content),
                    "sha256": digest})  # fmt: skip
    else:
        print(f"wrote {out} ({len(content)} bytes, sha256 {digest})")


@contacts.command(epilog=example("ponte contacts erase +5511987654321 --yes"))
def erase(
    who: _WHO,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only show.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also when the conversation is active.")
    ] = False,
    json_output: _JSON = False,
) -> None:
    """Show what would be forgotten of a customer, and with --yes forget it. It cannot be undone.

    Everything is emptied at once; 15 minutes later the scheduler looks a second time for what was
    in flight.
    """
    settings = settings_with_keys()
    clock = SystemClock(settings.clock_offset)
    key = settings.privacy_key
    if not key:
        fail("PONTE_PRIVACY_KEY: missing; expected 16 characters or more", code=_WRONG_USE)

    async def work(database: Database) -> tuple[ErasurePlan, dict[str, Any] | None]:
        contact_id = await _find(database, who)
        stores = person_stores(settings, database)
        plan = await contact_erasure.plan(
            database, stores, contact_id, force=force, now=clock.now()
        )
        if not yes:
            return plan, None
        job_id = await contact_erasure.begin(
            database, contact_id, key=key, requested_by=ACTOR, now=clock.now(),
            correlation_id=new_correlation_id(), force=force,
        )  # fmt: skip
        await contact_erasure.run(database, stores, job_id, clock=clock)
        async with database.transaction() as session:
            job = await privacy_jobs.get_job(session, job_id)
        return plan, {
            "job_id": job.id, "state": job.state, "progress": job.progress, "error": job.error,
            "second_look_at": job.due_at,
        }  # fmt: skip

    plan, job = _do(settings, work)
    if json_output:
        print_json({"contact_id": plan.contact_id, "counts": plan.counts,
                    "refused": plan.refused, "job": job})  # fmt: skip
    else:
        _show(plan, job)
    if job is None:
        raise typer.Exit(1 if plan.refused else 0)
    if job["state"] == JobState.RUNNING.value:
        raise typer.Exit(1)


@contacts.command(epilog=example("ponte contacts hold 0198... --reason 'processo 123'"))
def hold(
    who: _WHO, *, reason: Annotated[str, typer.Option(help="Which claim or court needs it.")]
) -> None:
    """Keep a customer's data from being erased, by hand or by its age, until it is released."""
    _set_hold(who, reason)
    print("held: nothing of this contact is erased until `ponte contacts release`")


@contacts.command(epilog=example("ponte contacts release 0198..."))
def release(who: _WHO) -> None:
    """Let a customer's data be erased again."""
    _set_hold(who, None)
    print("released")


@contacts.command(epilog=example("ponte contacts erasures --out erasures.jsonl"))
def erasures(*, out: _OUT) -> None:
    """Write the keyed hashes of everybody who was forgotten: keep the file beside the backups."""
    settings = settings_with_keys()

    async def work(database: Database) -> list[str]:
        async with database.transaction() as session:
            rows = await session.scalars(select(ErasedIdentity).order_by(ErasedIdentity.id))
            return [
                json.dumps({"digest": row.digest, "contact_id": str(row.contact_id),
                            "erased_at": row.erased_at.isoformat()})
                for row in rows
            ]  # fmt: skip

    _refuse_existing(out)
    lines = _do(settings, work)
    _write_private(out, "".join(f"{line}\n" for line in lines).encode())
    print(f"wrote {out} ({len(lines)} hashes)")


@contacts.command("erase-again", epilog=example("ponte contacts erase-again --from erasures.jsonl"))
def erase_again(
    *,
    source: Annotated[
        Path | None, typer.Option("--from", help="File of `ponte contacts erasures`.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only show.")] = False,
    json_output: _JSON = False,
) -> None:
    """After restoring a backup: forget again whoever had been forgotten since it was made."""
    settings = settings_with_keys()
    clock = SystemClock(settings.clock_offset)
    key = settings.privacy_key
    if not key:
        fail("PONTE_PRIVACY_KEY: missing; expected 16 characters or more", code=_WRONG_USE)
    rows = [] if source is None else _read_erasures(source)

    async def work(database: Database) -> list[uuid.UUID]:
        async with database.transaction() as session:
            await contact_erasure.add_tombstones(session, rows)
        found: list[uuid.UUID] = []
        after: uuid.UUID | None = None
        while True:
            async with database.transaction() as session:
                page, after = await contact_erasure.come_back(session, key=key, after=after)
            found += page
            if after is None:
                break
        for contact_id in found if yes else ():
            job_id = await contact_erasure.begin(
                database, contact_id, key=key, requested_by=ACTOR, now=clock.now(),
                correlation_id=new_correlation_id(), force=True,
            )  # fmt: skip
            stores = person_stores(settings, database)
            await contact_erasure.run(database, stores, job_id, clock=clock)
        return found

    found = _do(settings, work)
    if json_output:
        print_json({"contacts": found, "erased": yes})
    else:
        verb = "forgotten again" if yes else "are there again; --yes forgets them"
        print(f"{len(found)} contacts {verb}")


def _set_hold(who: str, reason: str | None) -> None:
    settings = settings_with_keys()
    now = SystemClock(settings.clock_offset).now()

    async def work(database: Database) -> None:
        contact_id = await _find(database, who)
        async with database.transaction() as session:
            await contact_hold.set_hold(
                session, contact_id, reason=reason, actor=ACTOR, now=now,
                correlation_id=new_correlation_id(),
            )  # fmt: skip

    _do(settings, work)


async def _find(database: Database, who: str) -> uuid.UUID:
    async with database.transaction() as session:
        return await find_contact(session, who)


def _do(settings: Settings, work: Callable[[Database], Awaitable[Result]]) -> Result:
    try:
        return with_database(settings, work)
    except ErasureRefusedError as error:
        fail("refused: " + "; ".join(error.reasons))
    except (ContactNotFoundError, SeveralContactsError, StoreError) as error:
        fail(str(error))


def _show(plan: ErasurePlan, job: dict[str, Any] | None) -> None:
    print(f"contact {plan.contact_id}")
    for store, count in plan.counts.items():
        if count:
            print(f"  {store}\t{count}")
    if not any(plan.counts.values()):
        print("  nothing is left of this contact")
    for reason in plan.refused:
        print(f"in the way: {reason}")
    if job is None:
        print("nothing was changed; --yes erases it")
    elif job["error"]:
        print(f"not finished ({job['error']}): the scheduler goes on with job {job['job_id']}")
    else:
        print(f"erased; job {job['job_id']} looks a second time at {job['second_look_at']}")


def _read_erasures(path: Path) -> list[tuple[str, uuid.UUID, datetime]]:
    rows = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        fail(f"--from: {path} cannot be read ({error.strerror})", code=_WRONG_USE)
    for number, line in enumerate(lines, 1):
        try:
            found = json.loads(line)
            moment = datetime.fromisoformat(found["erased_at"])
            rows.append((str(found["digest"]), uuid.UUID(found["contact_id"]), moment))
        except (ValueError, KeyError, TypeError):
            fail(
                f"{path}: line {number}: expected digest, contact_id and erased_at as JSON",
                code=_WRONG_USE,
            )
    return rows


def _refuse_existing(path: Path) -> None:
    if path.exists():
        fail(f"--out: {path} is there already; name another file", code=_WRONG_USE)


def _write_private(path: Path, content: bytes) -> None:
    """Readable by its owner only, from the first byte on."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        fail(f"--out: {path} cannot be written ({error.strerror})", code=_WRONG_USE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
