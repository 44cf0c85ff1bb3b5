"""The audit log on a real database: written with the act, sealed later, checked as a whole."""

# ruff: noqa: S608, ISC004 - statements of ours

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from kit.clock import FakeClock
from ticketing.db.engine import Database
from ticketing.domain.audit_chain import Keys
from ticketing.services.audit import AuditFilter, list_entries, record
from ticketing.services.audit_sealing import (
    Checked,
    cut_before,
    head_checkpoint,
    seal_waiting,
    verify,
)

KEYS = Keys((b"k" * 32,))
NOW = datetime(2026, 3, 10, 13, 0, tzinfo=UTC)


async def write(db: Database, count: int = 1, *, first: int = 1, **more: Any) -> None:
    async with db.transaction() as session:
        for number in range(first, first + count):
            await record(
                session,
                **{
                    "actor": "system",
                    "action": "thing.done",
                    "subject": f"thing:{number}",
                    "data": {"n": number},
                    "now": NOW + timedelta(seconds=number),
                    "correlation_id": "c0ffee",
                    **more,
                },
            )


async def sealed(db: Database, count: int) -> None:
    await write(db, count)
    await seal_waiting(db, KEYS, now=NOW, batch=3)


async def tamper(db: Database, statement: str, **values: Any) -> None:
    """What somebody does who owns the tables: the triggers do not run for them."""
    async with db.transaction() as session:
        for table in ("audit_log", "audit_seals", "audit_cuts"):
            await session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        await session.execute(text(statement), values)
        for table in ("audit_log", "audit_seals", "audit_cuts"):
            await session.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER USER"))


async def check(db: Database, **more: Any) -> Checked:
    return await verify(db, KEYS, now=NOW + timedelta(minutes=1), **more)


async def test_entries_are_sealed_in_order_and_verified(db: Database) -> None:
    await sealed(db, 7)

    result = await check(db)

    assert result.fault is None
    assert (result.seals, result.first, result.last, result.waiting) == (7, 1, 7, 0)


async def test_an_entry_exists_only_if_its_act_was_committed(db: Database) -> None:
    with pytest.raises(RuntimeError):  # noqa: PT012 - the transaction is what raises
        async with db.transaction() as session:
            await record(
                session,
                actor="system",
                action="thing.done",
                subject="thing:1",
                data={},
                now=NOW,
                correlation_id="c0ffee",
            )
            raise RuntimeError

    assert await seal_waiting(db, KEYS, now=NOW) == 0


async def test_an_open_act_holds_up_neither_other_acts_nor_the_sealer(db: Database) -> None:
    async with db.transaction() as slow:
        await record(
            slow, actor="system", action="slow.done", subject="thing:0", data={}, now=NOW,
            correlation_id="slow",
        )  # fmt: skip
        await asyncio.wait_for(write(db, 2), timeout=5)
        assert await asyncio.wait_for(seal_waiting(db, KEYS, now=NOW), timeout=5) == 2

    assert await seal_waiting(db, KEYS, now=NOW) == 1
    assert (await check(db)).fault is None


async def test_two_sealers_at_once_make_one_chain(db: Database) -> None:
    await write(db, 40)

    done = await asyncio.gather(*(seal_waiting(db, KEYS, now=NOW, batch=7) for _ in range(4)))

    await seal_waiting(db, KEYS, now=NOW)
    assert sum(done) <= 40
    result = await check(db)
    assert (result.fault, result.seals) == (None, 40)


@pytest.mark.parametrize("table", ["audit_log", "audit_seals"])
@pytest.mark.parametrize("verb", ["UPDATE", "DELETE", "TRUNCATE"])
async def test_the_database_refuses_to_change_the_log(db: Database, table: str, verb: str) -> None:
    await sealed(db, 2)
    column = "actor" if table == "audit_log" else "hash"
    statement = {
        "UPDATE": f"UPDATE {table} SET {column} = 'x'",
        "DELETE": f"DELETE FROM {table}",
        "TRUNCATE": f"TRUNCATE {table}",
    }[verb]

    with pytest.raises(DBAPIError, match="only added to"):
        async with db.transaction() as session:
            await session.execute(text(statement))


@pytest.mark.parametrize(
    ("statement", "seq", "kind"),
    [
        ("UPDATE audit_log SET data = '{\"n\": 99}' WHERE subject = 'thing:4'", 4, "altered"),
        ("UPDATE audit_log SET at = at + interval '1 microsecond' WHERE subject = 'thing:2'",
         2, "altered"),
        ("DELETE FROM audit_log WHERE subject = 'thing:3'", 3, "missing"),
        ("DELETE FROM audit_seals WHERE seq = 3", 3, "missing"),
        ("UPDATE audit_seals SET prev_hash = hash WHERE seq = 5", 5, "reordered"),
        ("UPDATE audit_seals SET key_id = '' WHERE seq = 6", 6, "unknown_key"),
        ("INSERT INTO audit_log SELECT gen_random_uuid(), at, actor, 'x', subject, data, "
         "correlation_id FROM audit_log WHERE subject = 'thing:1'", 8, "inserted"),
        ("INSERT INTO audit_seals SELECT 8, gen_random_uuid(), hash, hash, key_id, sealed_at "
         "FROM audit_seals WHERE seq = 7", 8, "missing"),
    ],
)  # fmt: skip
async def test_the_first_place_that_was_touched_is_named(
    db: Database, statement: str, seq: int, kind: str
) -> None:
    await sealed(db, 7)
    await tamper(db, statement)

    fault = (await check(db)).fault

    assert fault is not None
    assert (fault.seq, fault.kind) == (seq, kind)


async def test_a_tail_that_was_cut_off_is_seen_by_a_checkpoint(db: Database) -> None:
    await sealed(db, 5)
    point = await head_checkpoint(db, KEYS, now=NOW)
    assert point is not None
    await tamper(db, "DELETE FROM audit_log WHERE subject IN ('thing:4', 'thing:5')")
    await tamper(db, "DELETE FROM audit_seals WHERE seq > 3")

    alone = await check(db)
    with_point = await check(db, checkpoints=[point])

    assert alone.fault is None  # this is what the checkpoint is for
    assert with_point.fault is not None
    assert (with_point.fault.seq, with_point.fault.kind) == (4, "truncated")


async def test_a_log_written_anew_by_somebody_with_the_key_is_seen_by_a_checkpoint(
    db: Database,
) -> None:
    await sealed(db, 5)
    point = await head_checkpoint(db, KEYS, now=NOW)
    assert point is not None
    await tamper(db, "DELETE FROM audit_log")
    await tamper(db, "DELETE FROM audit_seals")
    await write(db, 6, actor="agent:somebody-else")
    await seal_waiting(db, KEYS, now=NOW)

    fault = (await check(db, checkpoints=[point])).fault

    assert fault is not None
    assert (fault.seq, fault.kind) == (5, "checkpoint")


async def test_an_entry_that_nobody_seals_is_reported_after_minutes(db: Database) -> None:
    await write(db)

    soon = await verify(db, KEYS, now=NOW + timedelta(minutes=1))
    later = await verify(db, KEYS, now=NOW + timedelta(minutes=6))

    assert (soon.fault, soon.waiting) == (None, 1)
    assert later.fault is not None
    assert later.fault.kind == "unsealed"


async def test_a_part_of_the_log_can_be_checked(db: Database) -> None:
    await sealed(db, 9)
    await tamper(db, "UPDATE audit_log SET actor = 'x' WHERE subject = 'thing:2'")

    part = await check(db, start=4, end=7)

    assert (part.fault, part.seals, part.first, part.last) == (None, 4, 4, 7)


async def test_the_old_end_is_removed_and_the_rest_still_verifies(db: Database) -> None:
    await sealed(db, 9)

    removed = await cut_before(db, KEYS, before=NOW + timedelta(seconds=5), now=NOW)
    again = await cut_before(db, KEYS, before=NOW + timedelta(seconds=5), now=NOW)
    result = await check(db)

    assert (removed, again) == (4, 0)
    assert (result.fault, result.first, result.seals) == (None, 5, 5)
    await tamper(db, "DELETE FROM audit_seals WHERE seq = 5")
    fault = (await check(db)).fault
    assert fault is not None
    assert (fault.seq, fault.kind) == (5, "missing")


async def test_a_log_of_which_all_is_old_keeps_its_head(db: Database) -> None:
    await sealed(db, 3)

    assert await cut_before(db, KEYS, before=NOW + timedelta(days=1), now=NOW) == 2
    await write(db, 1, first=4)
    await seal_waiting(db, KEYS, now=NOW)

    result = await check(db)
    assert (result.fault, result.first, result.last) == (None, 3, 4)


async def test_a_made_up_cut_is_seen(db: Database) -> None:
    await sealed(db, 4)
    await tamper(
        db,
        "INSERT INTO audit_cuts SELECT seq, hash, sealed_at, key_id, 'made up' "
        "FROM audit_seals WHERE seq = 2",
    )

    fault = (await check(db)).fault

    assert fault is not None
    assert fault.kind == "checkpoint"


async def test_entries_are_listed_newest_first_by_filter_and_page(
    db: Database, clock: FakeClock
) -> None:
    await write(db, 5)
    await write(db, 2, first=6, action="thing.undone", actor="agent:1")
    await seal_waiting(db, KEYS, now=clock.now())

    async with db.transaction() as session:
        first = await list_entries(session, AuditFilter(action="thing.*"), limit=4)
        rest = await list_entries(
            session, AuditFilter(action="thing.*"), limit=4, cursor=first.next_cursor
        )
        undone = await list_entries(session, AuditFilter(actor="agent:1", action="thing.undone"))
        early = await list_entries(session, AuditFilter(until=NOW + timedelta(seconds=3)))
        with pytest.raises(ValueError, match="next_cursor"):
            await list_entries(session, AuditFilter(), cursor="x")

    assert [view.seq for view in first.entries] == [7, 6, 5, 4]
    assert ([view.seq for view in rest.entries], rest.next_cursor) == ([3, 2, 1], None)
    assert len(undone.entries) == 2
    assert [view.subject for view in early.entries] == ["thing:2", "thing:1"]


async def test_a_careless_call_does_not_get_a_number_into_the_log(db: Database) -> None:
    await write(db, data={"to": "+55 11 98765-4321", "note": "mail ana@example.com"})

    async with db.transaction() as session:
        found = await list_entries(session, AuditFilter())

    assert found.entries[0].data == {"to": "<personal data>", "note": "<personal data>"}
