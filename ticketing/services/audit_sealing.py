"""Give entries of the audit log their place in the chain, and check the chain.

Entries are written without a lock in many transactions at once; one sealer at a time, under an
advisory lock of its own transaction, chains what has been committed. An act never waits for it. The
price: an entry that is seconds old is not protected yet, see `docs/decisions/0010-audit-chain.md`.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.audit_tables import CUT_SETTING, AuditCut, AuditEntry, AuditSeal, AuditWaiting
from ticketing.db.engine import Database
from ticketing.domain.audit_chain import (
    START,
    ChainCheck,
    Checkpoint,
    Entry,
    Fault,
    Keys,
    Seal,
    genuine,
    make_checkpoint,
    seal_all,
)

SEAL_LOCK = 0x504F4E5445_41  # "PONTE" and "A": key of the advisory lock
BATCH = 2000  # entries a transaction; keeps it well under a second
READ_AT_ONCE = 5000
LATE = timedelta(minutes=5)
"""An entry that has no seal for so long is reported: nothing seals, or somebody hid it."""


async def seal_waiting(db: Database, keys: Keys, *, now: datetime, batch: int = BATCH) -> int:
    """Seal everything that waits; how many entries. Two at once: one of them finds nothing."""
    total = 0
    while True:
        done = await _seal_batch(db, keys, now=now, batch=batch)
        total += done
        if done < batch:
            return total


async def _seal_batch(db: Database, keys: Keys, *, now: datetime, batch: int) -> int:
    async with db.transaction() as session:
        if not await session.scalar(select(func.pg_try_advisory_xact_lock(SEAL_LOCK))):
            return 0
        rows = (
            await session.scalars(
                select(AuditEntry)
                .join(AuditWaiting, AuditWaiting.entry_id == AuditEntry.id)
                .order_by(AuditEntry.at, AuditEntry.id)
                .limit(batch)
            )
        ).all()
        if not rows:
            return 0
        seals = seal_all(keys.newest, await _last(session), [_entry(row) for row in rows])
        await session.execute(
            insert(AuditSeal),
            [
                {
                    "seq": seal.seq,
                    "entry_id": row.id,
                    "prev_hash": seal.prev_hash,
                    "hash": seal.hash,
                    "key_id": seal.key_id,
                    "sealed_at": now,
                }
                for seal, row in zip(seals, rows, strict=True)
            ],
        )
        await session.execute(
            delete(AuditWaiting).where(AuditWaiting.entry_id.in_([row.id for row in rows]))
        )
        return len(rows)


async def head_checkpoint(db: Database, keys: Keys, *, now: datetime) -> Checkpoint | None:
    """How far the chain goes now; None while it is empty."""
    async with db.transaction() as session:
        last = await _last(session)
    return None if last is None else make_checkpoint(keys.newest, last, at=now)


@dataclass(frozen=True, slots=True)
class Checked:
    """What `verify` found.

    Attributes:
        fault: The first thing that is wrong; None when all is well.
        seals: How many places were looked at.
        first: Number of the first place there is.
        last: Number of the last place looked at.
        head: Hash there.
        waiting: Entries that have no place yet.
        checkpoints: How many of them lay in the range and agreed.
    """

    fault: Fault | None
    seals: int
    first: int
    last: int
    head: str
    waiting: int
    checkpoints: int


@dataclass(slots=True)
class _Walk:
    check: ChainCheck
    expected: dict[int, Checkpoint] = field(default_factory=dict)
    seals: int = 0
    agreed: int = 0

    def look(self, seal: Seal, entry: Entry | None) -> Fault | None:
        fault = self.check.look(seal, entry)
        if fault is not None:
            return fault
        self.seals += 1
        wanted = self.expected.get(seal.seq)
        if wanted is not None:
            if wanted.hash != seal.hash:
                return Fault(
                    seal.seq,
                    "checkpoint",
                    seal.entry_id,
                    f"the checkpoint of {wanted.at.isoformat()} has another hash: the log up to "
                    "here was rewritten",
                )
            self.agreed += 1
        return None


async def verify(
    db: Database,
    keys: Keys,
    *,
    now: datetime,
    start: int | None = None,
    end: int | None = None,
    checkpoints: Sequence[Checkpoint] = (),
) -> Checked:
    """Read the chain and every entry, and stop at the first fault. Memory does not grow with it.

    Args:
        db: The database.
        keys: All keys that ever sealed.
        now: For telling late entries.
        start: First place to look at; None: where the log begins.
        end: Last place; None: the newest.
        checkpoints: Kept outside the database; those beyond the end tell a cut tail.
    """
    made_up = next((point for point in checkpoints if not genuine(keys, point)), None)
    if made_up is not None:
        detail = "this checkpoint was changed, or made with a key that is not given"
        return _checked(ChainCheck(keys), Fault(made_up.seq, "checkpoint", None, detail))
    async with db.transaction() as session:
        cut = await session.scalar(select(AuditCut).order_by(AuditCut.seq.desc()).limit(1))
        check, fault = await _beginning(session, keys, cut, start)
        begun = check.seq + 1
        walk = _Walk(check, {point.seq: point for point in checkpoints})
        if fault is None:
            async for seal, entry in _places(session, after=check.seq, end=end):
                fault = walk.look(seal, entry)
                if fault is not None:
                    break
        if fault is None and end is None:
            fault = _truncated(check.seq, checkpoints) or await _left_over(session, now=now)
        waiting = await session.scalar(select(func.count()).select_from(AuditWaiting)) or 0
    return _checked(
        check, fault, seals=walk.seals, first=begun, waiting=waiting, agreed=walk.agreed
    )


async def cut_before(db: Database, keys: Keys, *, before: datetime, now: datetime) -> int:
    """Remove entries older than a moment from the old end of the log; how many.

    What was last removed stays as a checkpoint, from which `verify` starts. Entries go in the order
    of the chain up to the first young one; at most a batch a call.
    """
    async with db.transaction() as session:
        await session.execute(select(func.pg_advisory_xact_lock(SEAL_LOCK)))
        rows = (
            await session.execute(
                select(AuditSeal, AuditEntry.at)
                .outerjoin(AuditEntry, AuditEntry.id == AuditSeal.entry_id)
                .order_by(AuditSeal.seq)
                .limit(BATCH)
            )
        ).all()
        old: list[AuditSeal] = []
        for seal, found_at in rows:
            at: datetime | None = found_at  # None: somebody took the entry away; `verify` says so
            if at is None or at >= before:
                break
            old.append(seal)
        newest = await session.scalar(select(func.max(AuditSeal.seq)))
        if old and old[-1].seq == newest:
            old.pop()  # the chain keeps its head: the next seal is computed over it
        if not old:
            return 0
        last = _seal(old[-1])
        point = make_checkpoint(keys.newest, last, at=now)
        await session.execute(text(f"SET LOCAL {CUT_SETTING} = 'on'"))
        await session.execute(delete(AuditCut))
        await session.execute(
            insert(AuditCut).values(
                seq=point.seq, hash=point.hash, at=now, key_id=point.key_id, mac=point.mac
            )
        )
        await session.execute(
            delete(AuditEntry).where(AuditEntry.id.in_([seal.entry_id for seal in old]))
        )
        await session.execute(delete(AuditSeal).where(AuditSeal.seq <= last.seq))
        return len(old)


async def _beginning(
    session: AsyncSession, keys: Keys, cut: AuditCut | None, start: int | None
) -> tuple[ChainCheck, Fault | None]:
    """Where to begin: at 1, behind what was removed, or in the middle on demand."""
    check = ChainCheck(keys)
    if cut is not None:
        point = Checkpoint(cut.seq, cut.hash, cut.at, cut.key_id, cut.mac)
        if not genuine(keys, point):
            detail = "the mark of where the log was shortened is not ours"
            return check, Fault(cut.seq, "checkpoint", None, detail)
        check.seq, check.hash = cut.seq, cut.hash
    if start is not None and start > check.seq + 1:
        before = await session.get(AuditSeal, start - 1)
        if before is None:
            return check, Fault(start - 1, "missing", None, f"there is no seal {start - 1}")
        check.seq, check.hash = before.seq, before.hash
    return check, None


async def _places(
    session: AsyncSession, *, after: int, end: int | None
) -> AsyncIterator[tuple[Seal, Entry | None]]:
    # Core columns, not objects: a million of those would cost twice the time.
    seals, entries = AuditSeal.__table__, AuditEntry.__table__
    while True:
        rows: Any = (
            select(
                seals.c.seq, seals.c.entry_id, seals.c.prev_hash, seals.c.hash, seals.c.key_id,
                entries.c.id, entries.c.at, entries.c.actor, entries.c.action, entries.c.subject,
                entries.c.data, entries.c.correlation_id,
            )
            .select_from(seals.outerjoin(entries, entries.c.id == seals.c.entry_id))
            .where(seals.c.seq > after)
            .order_by(seals.c.seq)
            .limit(READ_AT_ONCE)
        )  # fmt: skip
        if end is not None:
            rows = rows.where(seals.c.seq <= end)
        found = (await session.execute(rows)).all()
        for seq, entry_id, prev_hash, own, key, present, *rest in found:
            seal = Seal(seq, str(entry_id), prev_hash, own, key)
            yield seal, None if present is None else Entry(str(present), *rest)
        if len(found) < READ_AT_ONCE:
            return
        after = found[-1][0]


def _truncated(last: int, checkpoints: Sequence[Checkpoint]) -> Fault | None:
    newest = max(checkpoints, key=lambda point: point.seq, default=None)
    if newest is None or newest.seq <= last:
        return None
    return Fault(
        last + 1,
        "truncated",
        None,
        f"the log ends at {last}, but a checkpoint of {newest.at.isoformat()} had reached "
        f"{newest.seq}",
    )


async def _left_over(session: AsyncSession, *, now: datetime) -> Fault | None:
    """An entry without a place that is not waiting for one, or waits for too long."""
    hidden = await session.execute(
        select(AuditEntry.id, AuditEntry.at, AuditWaiting.entry_id)
        .outerjoin(AuditSeal, AuditSeal.entry_id == AuditEntry.id)
        .outerjoin(AuditWaiting, AuditWaiting.entry_id == AuditEntry.id)
        .where(
            AuditSeal.seq.is_(None),
            AuditWaiting.entry_id.is_(None) | (AuditEntry.at < now - LATE),
        )
        .order_by(AuditEntry.at, AuditEntry.id)
        .limit(1)
    )
    row = hidden.first()
    if row is None:
        return None
    waits: uuid.UUID | None = row[2]
    last = await session.scalar(select(func.max(AuditSeal.seq))) or 0
    detail = (
        "an entry was put in beside the chain: it has no seal and does not wait for one"
        if waits is None
        else f"an entry of {row[1].isoformat()} still waits for its seal: "
        "does `ponte scheduler` run?"
    )
    return Fault(last + 1, "inserted" if waits is None else "unsealed", str(row[0]), detail)


async def _last(session: AsyncSession) -> Seal | None:
    row = await session.scalar(select(AuditSeal).order_by(AuditSeal.seq.desc()).limit(1))
    return None if row is None else _seal(row)


def _seal(row: AuditSeal) -> Seal:
    return Seal(row.seq, str(row.entry_id), row.prev_hash, row.hash, row.key_id)


def _entry(row: AuditEntry) -> Entry:
    return Entry(
        str(row.id), row.at, row.actor, row.action, row.subject, row.data, row.correlation_id
    )


def _checked(
    check: ChainCheck,
    fault: Fault | None,
    *,
    seals: int = 0,
    first: int = 1,
    waiting: int = 0,
    agreed: int = 0,
) -> Checked:
    return Checked(fault, seals, first, check.seq, check.hash, waiting, agreed)


__all__ = ["START", "Checked", "cut_before", "head_checkpoint", "seal_waiting", "verify"]
