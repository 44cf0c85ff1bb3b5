from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from notifications.domain.jobs import JobName
from notifications.services.direct import DirectMode
from tests.notifications.conftest import FakeSender, World

EMAIL, WHATSAPP = JobName.SEND_EMAIL, JobName.SEND_WHATSAPP
SOON = timedelta(milliseconds=1)


def mode(world: World, sender: Any, **options: Any) -> DirectMode:
    deliverer = world.deliverer(None, senders={EMAIL: sender, WHATSAPP: sender})
    values = {"after": timedelta(), "look_every": SOON, "look_at_leisure": SOON} | options
    return DirectMode(world.db, world.queue, deliverer, world.clock, **values)


async def test_what_is_due_leaves_although_redis_is_away(
    world: World, fake_sender: type[FakeSender]
) -> None:
    now = world.clock.now()
    await world.make_notification(enqueued_at=now)  # its job is in the Redis that is away
    await world.make_notification(WHATSAPP)
    later = await world.make_notification(next_attempt_at=now + timedelta(seconds=1))
    sender = fake_sender()

    assert await mode(world, sender).deliver_due()

    assert len(sender.sent) == 2
    assert (await world.notification(later)).state == "pending"
    assert not await mode(world, sender).deliver_due()


async def test_two_processes_without_redis_send_each_notice_once(
    world: World, fake_sender: type[FakeSender]
) -> None:
    for _ in range(10):
        await world.make_notification()
    sender = fake_sender()

    await asyncio.gather(*(mode(world, sender).deliver_due() for _ in range(3)))

    assert len(sender.sent) == 10


async def test_a_closed_job_name_waits_here_too(
    world: World, fake_sender: type[FakeSender]
) -> None:
    await world.make_notification()
    sender = fake_sender()

    class Shut:
        async def closed_for(self, job_names: Any) -> Any:
            return {EMAIL: timedelta(minutes=1)}

    assert not await mode(world, sender, gate=Shut()).deliver_due()
    assert sender.sent == []


async def test_it_begins_when_redis_was_away_for_a_while_and_ends_when_it_is_back(
    world: World, fake_sender: type[FakeSender]
) -> None:
    await world.make_notification()
    sent = asyncio.Event()
    stop = asyncio.Event()

    class Tells(FakeSender):
        async def send(self, outgoing: Any, *, now: Any) -> Any:
            sent.set()
            return await super().send(outgoing, now=now)

    sender = Tells()
    watching = asyncio.create_task(mode(world, sender, after=timedelta(seconds=0.2)).run(stop))
    await asyncio.sleep(0.05)
    assert sender.sent == []  # Redis answers

    world.queue.down = True
    async with asyncio.timeout(5):
        await sent.wait()
    stop.set()
    await watching

    assert len(sender.sent) == 1


async def test_a_redis_that_restarts_changes_nothing(
    world: World, fake_sender: type[FakeSender]
) -> None:
    await world.make_notification()
    world.queue.down = True
    stop = asyncio.Event()
    sender = fake_sender()
    watching = asyncio.create_task(mode(world, sender, after=timedelta(seconds=15)).run(stop))

    await asyncio.sleep(0.05)
    stop.set()
    await watching

    assert sender.sent == []


async def test_what_nobody_puts_in_the_queue_is_taken_although_redis_answers(
    world: World, fake_sender: type[FakeSender]
) -> None:
    """Its memory is full, or no scheduler is left."""
    now = world.clock.now()
    stranded = await world.make_notification(next_attempt_at=now - timedelta(seconds=15))
    await world.make_notification(next_attempt_at=now - timedelta(seconds=14))
    await world.make_notification(next_attempt_at=now - timedelta(hours=1), enqueued_at=now)
    sender = fake_sender()
    direct = mode(world, sender, after=timedelta(seconds=15))

    assert await direct.deliver_due(stranded=True)

    assert [one.notification_id for one in sender.sent] == [stranded]
