from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from kit.clock import FakeClock
from ticketing.db.engine import Database
from ticketing.domain.reception import BEAT, GAP, Reception
from ticketing.services.reception import ReceptionBeat, read_reception

HOUR = timedelta(hours=1)


async def read(db: Database) -> Reception | None:
    async with db.transaction() as session:
        return await read_reception(session)


async def test_before_the_first_beat_nothing_is_known(db: Database) -> None:
    assert await read(db) is None


async def test_beats_without_a_gap_keep_its_beginning(db: Database, clock: FakeClock) -> None:
    began = clock.now()
    beat = ReceptionBeat(db, clock)
    await beat.run()

    for pause in (BEAT, GAP, timedelta()):
        clock.advance(pause)
        await beat.run()

    assert await read(db) == Reception(since=began, seen_at=began + BEAT + GAP)


@pytest.mark.parametrize("step", [GAP + timedelta(seconds=1), HOUR, -HOUR], ids=str)
async def test_after_a_gap_or_a_clock_that_was_set_it_begins_anew(
    db: Database, clock: FakeClock, step: timedelta
) -> None:
    beat = ReceptionBeat(db, clock)
    await beat.run()

    clock.advance(step)
    await beat.run()

    assert await read(db) == Reception(since=clock.now(), seen_at=clock.now())


async def test_two_web_processes_write_one_row(db: Database, clock: FakeClock) -> None:
    await asyncio.gather(*[ReceptionBeat(db, clock).run() for _ in range(2)])

    assert await read(db) == Reception(since=clock.now(), seen_at=clock.now())
