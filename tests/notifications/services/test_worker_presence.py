from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from kit.ids import new_worker_key
from notifications.services.worker_presence import (
    LOCK_CLASS,
    Attendance,
    WorkerPresence,
)
from tests.notifications.conftest import World

PATIENCE_SECONDS = 10
KEY = 4711


@asynccontextmanager
async def present(url: str, *keys: int) -> AsyncIterator[WorkerPresence]:
    draw = iter(keys)
    presence = WorkerPresence(url, lambda: next(draw))
    task = asyncio.create_task(presence.run())
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await presence.held()
        yield presence
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def look(world: World, attendance: Attendance) -> frozenset[int]:
    async with world.db.transaction() as session:
        return await attendance.gone(session, now=world.clock.now())


async def watched(world: World, attendance: Attendance, *, seconds: int, step: int = 1) -> Any:
    """What was gone after looking every `step` seconds."""
    gone = await look(world, attendance)
    for _ in range(0, seconds, step):
        world.clock.advance(timedelta(seconds=step))
        gone = await look(world, attendance)
    return gone


async def claimed(world: World, key: int | None = KEY) -> Any:
    return await world.make_notification(state="sending", attempts=1, claimed_by=key)


async def test_a_worker_that_died_is_gone_after_ten_seconds_and_not_before(world: World) -> None:
    await claimed(world)
    attendance = Attendance()

    assert await watched(world, attendance, seconds=9) == frozenset()
    world.clock.advance(timedelta(seconds=1))
    assert await look(world, attendance) == {KEY}


async def test_a_worker_that_lives_is_never_gone(world: World, postgres_url: str) -> None:
    await claimed(world)
    attendance = Attendance()

    async with present(postgres_url, KEY):
        assert await watched(world, attendance, seconds=60) == frozenset()


async def test_a_claim_without_a_key_is_left_to_its_lease(world: World) -> None:
    await claimed(world, key=None)

    assert await watched(world, Attendance(), seconds=60) == frozenset()


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1)])
async def test_time_that_nobody_watched_does_not_count(world: World, jump: timedelta) -> None:
    """The database was away, the machine slept, the clock was set."""
    await claimed(world)
    attendance = Attendance()
    await watched(world, attendance, seconds=5)

    world.clock.advance(jump)

    assert await look(world, attendance) == frozenset()
    assert await watched(world, attendance, seconds=5) == {KEY}


async def test_a_restart_of_postgresql_begins_the_wait_anew(world: World) -> None:
    await claimed(world)
    attendance = Attendance()
    await watched(world, attendance, seconds=9)

    attendance._server_start = "an earlier one"

    assert await watched(world, attendance, seconds=9) == frozenset()
    world.clock.advance(timedelta(seconds=1))
    assert await look(world, attendance) == {KEY}


async def test_a_worker_that_comes_back_in_time_is_not_gone(
    world: World, postgres_url: str
) -> None:
    await claimed(world)
    attendance = Attendance()
    await watched(world, attendance, seconds=9)
    async with present(postgres_url, KEY):
        await look(world, attendance)

    assert await watched(world, attendance, seconds=9) == frozenset()


async def test_a_broken_connection_takes_the_lock_again_under_the_same_key(
    db_url: str,
) -> None:
    async with present(db_url, KEY) as presence:
        with psycopg.connect(db_url, autocommit=True) as admin:
            (ended,) = admin.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_locks"
                " WHERE locktype = 'advisory' AND classid::bigint = %s AND objid::bigint = %s",
                (LOCK_CLASS, KEY),
            ).fetchone() or (0,)
        assert ended == 1

        async with asyncio.timeout(PATIENCE_SECONDS):
            while presence.key() is not None:  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0)
            await presence.held()

        assert presence.key() == KEY


async def test_without_the_lock_claims_carry_no_key(db_url: str) -> None:
    presence = WorkerPresence("postgresql://127.0.0.1:1/nowhere", new_worker_key)
    task = asyncio.create_task(presence.run())
    await asyncio.sleep(0)

    assert presence.key() is None

    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_key_that_somebody_else_has_is_exchanged(db_url: str) -> None:
    async with present(db_url, KEY) as first, present(db_url, KEY, KEY + 1) as second:
        assert (first.key(), second.key()) == (KEY, KEY + 1)
