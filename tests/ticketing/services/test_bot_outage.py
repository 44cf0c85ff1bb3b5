"""Is the admin told that the bot is away, once, and that it is back?"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest_asyncio

from kit.clock import FakeClock
from tests.ticketing.services.talk import World, make_world
from ticketing.db.engine import Database
from ticketing.db.notification_tables import OperationAlert
from ticketing.db.tables import OutboxEvent, Turn

OTHERS = {"ticket.opened", "ticket.assigned", "ticket.priority_changed"}


@pytest_asyncio.fixture(loop_scope="session")
async def world(db: Database, clock: FakeClock) -> AsyncIterator[World]:
    made = make_world(db, clock)
    made.bot.understands = {"oi": ("greet", 0.9)}
    yield made
    await made.turns.close()


async def topics(world: World) -> list[str]:
    events = sorted(await world.rows(OutboxEvent), key=lambda event: event.created_at)
    return [event.topic for event in events if event.topic not in OTHERS]


async def go_away(world: World, clock: FakeClock, phone: str) -> None:
    """A customer writes while the bot is away, until a person has the conversation."""
    world.bot.down = True
    await world.say("oi", phone=phone)
    clock.advance(timedelta(seconds=30))
    await world.turns.sweep()
    await world.settle()


async def come_back(world: World, phone: str) -> None:
    world.bot.down = False
    await world.say("oi", phone=phone)


async def test_an_outage_is_told_once_and_its_end_too(world: World, clock: FakeClock) -> None:
    await come_back(world, "+5511900000001")
    for number in range(2, 5):
        clock.advance(timedelta(minutes=2))
        await go_away(world, clock, f"+551190000000{number}")
    assert await topics(world) == ["bot.unavailable"]

    clock.advance(timedelta(minutes=2))
    await come_back(world, "+5511900000005")
    await come_back(world, "+5511900000006")
    assert await topics(world) == ["bot.unavailable", "bot.recovered"]
    event = next(e for e in await world.rows(OutboxEvent) if e.topic == "bot.unavailable")
    assert event.payload["source"] == "turn-engine"
    assert event.payload["seconds"] >= 5
    turns = await world.rows(Turn)
    assert event.correlation_id in {turn.correlation_id for turn in turns}


async def test_another_process_goes_on_where_one_died(
    world: World, clock: FakeClock, db: Database
) -> None:
    await come_back(world, "+5511900000001")
    clock.advance(timedelta(minutes=2))
    await go_away(world, clock, "+5511900000002")
    other = make_world(db, clock)
    other.bot.understands = world.bot.understands
    await come_back(other, "+5511900000003")
    await other.turns.close()

    assert await topics(world) == ["bot.unavailable", "bot.recovered"]


async def test_a_bot_that_answers_tells_nothing(world: World) -> None:
    await come_back(world, "+5511900000001")

    assert await topics(world) == []
    assert await world.rows(OperationAlert) == []


async def test_a_bot_that_comes_and_goes_is_told_little(world: World, clock: FakeClock) -> None:
    await come_back(world, "+5511900000001")
    for number in range(10, 30, 2):
        clock.advance(timedelta(seconds=20))
        await go_away(world, clock, f"+55119000000{number}")
        clock.advance(timedelta(seconds=20))
        await come_back(world, f"+55119000000{number + 1}")
    assert await topics(world) == ["bot.unavailable", "bot.recovered", "bot.unavailable"]

    for _ in range(6):
        clock.advance(timedelta(seconds=61))
        await come_back(world, "+5511900000031")
    assert (await topics(world))[3:] == ["bot.recovered"]
