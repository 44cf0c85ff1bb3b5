"""Is the admin told of a refused model, once?"""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from kit.clock import FakeClock
from ticketing.db.engine import Database
from ticketing.db.tables import OutboxEvent
from training.services.gate_alerts import tell_refused


async def refuse(db: Database, clock: FakeClock, model: str) -> bool:
    async with db.transaction() as session:
        return await tell_refused(session, model=model, problems=3, now=clock.now())


@pytest.mark.parametrize(
    ("models", "told"),
    [(["a" * 64], 1), (["a" * 64, "a" * 64], 1), (["a" * 64, "b" * 64], 2), (["", ""], 2)],
)
async def test_each_refused_model_is_told_once(
    db: Database, clock: FakeClock, models: list[str], told: int
) -> None:
    for model in models:
        await refuse(db, clock, model)

    async with db.transaction() as session:
        events = list(await session.scalars(select(OutboxEvent)))
    assert [event.topic for event in events] == ["training.gate_refused"] * told
    assert events[0].payload["count"] == 3


async def test_two_at_once_tell_it_once(db: Database, clock: FakeClock) -> None:
    done = await asyncio.gather(*(refuse(db, clock, "c" * 64) for _ in range(4)))

    assert sorted(done) == [False, False, False, True]
