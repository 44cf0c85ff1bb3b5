from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from notifications.policy_file import load_policies
from notifications.services.ports import QueueUnavailableError
from notifications.services.recipients import AdminContact
from notifications.services.relay import BATCH, HOLD_BACK, Relay
from notifications.services.sweep import sweep
from tests.notifications.conftest import World


@pytest.fixture
def relay(world: World) -> Any:
    return Relay(
        db=world.db,
        queue=world.queue,
        clock=world.clock,
        policies=load_policies(),
        admin=AdminContact("chefe@example.com"),
    )


async def test_waiting_events_become_notifications_and_jobs(world: World, relay: Relay) -> None:
    ticket = await world.make_ticket()
    for _ in range(3):
        await world.make_event(ticket)

    assert await relay.run() == 3
    assert await relay.run() == 0

    assert len(world.queue.jobs) == len(await world.notifications()) == 3


async def test_one_run_empties_more_than_a_batch(world: World, relay: Relay) -> None:
    ticket = await world.make_ticket()
    for _ in range(BATCH + 5):
        await world.make_event(ticket)

    assert await relay.run() == BATCH + 5


async def test_an_event_that_cannot_be_read_neither_blocks_the_others_nor_is_lost(
    world: World, relay: Relay
) -> None:
    ticket = await world.make_ticket()
    bad = await world.make_event(ticket, ticket_number="x")
    good = await world.make_event(ticket)

    assert await relay.run() == 1

    assert (await world.event(good.id)).published_at is not None
    assert (await world.event(bad.id)).published_at is None


async def test_a_refused_event_is_tried_again_after_a_while(world: World, relay: Relay) -> None:
    bad = await world.make_event(await world.make_ticket(), level=None)
    await relay.run()
    stored = await world.event(bad.id)
    async with world.db.transaction() as session:
        merged = await session.merge(stored)
        merged.payload = merged.payload | {"level": "N1"}

    assert await relay.run() == 0
    world.clock.advance(HOLD_BACK)
    assert await relay.run() == 1


async def test_a_clock_that_is_set_back_keeps_no_event_aside_for_longer(
    world: World, relay: Relay
) -> None:
    bad = await world.make_event(await world.make_ticket(), level=None)
    world.clock.advance(timedelta(hours=1))
    await relay.run()
    async with world.db.transaction() as session:
        merged = await session.merge(await world.event(bad.id))
        merged.payload = merged.payload | {"level": "N1"}

    world.clock.advance(timedelta(hours=-1))
    assert await relay.run() == 1


async def test_with_redis_down_all_rows_are_written_and_the_sweep_sends_them_later(
    world: World, relay: Relay
) -> None:
    ticket = await world.make_ticket()
    for _ in range(3):
        await world.make_event(ticket)
    world.queue.down = True

    with pytest.raises(QueueUnavailableError):
        await relay.run()

    assert len(await world.notifications()) == 3
    world.queue.down = False
    assert await sweep(world.db, world.queue, now=world.clock.now()) == 3


async def test_a_relay_that_died_before_the_queue_is_made_up_for_by_the_sweep(
    world: World, relay: Relay
) -> None:
    await world.make_event(await world.make_ticket())
    await relay.run()
    world.queue.jobs.clear()  # it died between the commit and Redis

    world.clock.advance(timedelta(seconds=30))

    assert await sweep(world.db, world.queue, now=world.clock.now()) == 1


async def test_unknown_events_are_reported_and_kept(
    world: World, relay: Relay, caplog: Any
) -> None:
    event = await world.make_event(await world.make_ticket(), "ticket.eaten")

    assert await relay.run() == 0
    await relay.report_unknown()

    assert (await world.event(event.id)).published_at is None
