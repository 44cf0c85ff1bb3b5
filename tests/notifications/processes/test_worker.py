"""Dramatiq's threads, real Redis and real PostgreSQL in this process; senders by script."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import dramatiq
import pytest
import redis

from notifications.broker import QUEUE, DramatiqJobQueue, make_worker_broker
from notifications.domain.failure import FailureKind
from notifications.domain.jobs import Job, JobName
from notifications.services.ports import Accepted
from notifications.services.sweep import LOST_AFTER, sweep
from ponte.processes import worker
from tests.notifications.conftest import Failing, FakeSender, World

PATIENCE_SECONDS = 10


class Watched:
    """Lets a test wait until so many deliveries are over."""

    def __init__(self, deliverer: Any) -> None:
        self._deliverer = deliverer
        self._done = asyncio.Semaphore(0)

    async def deliver_many(self, ids: Any, job_name: Any) -> None:
        try:
            await self._deliverer.deliver_many(ids, job_name)
        finally:
            for _ in ids:
                self._done.release()

    async def finished(self, count: Any) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            for _ in range(count):
                await self._done.acquire()


@pytest.fixture
async def run_worker(redis_url: str) -> Any:
    @asynccontextmanager
    async def start(deliverer: Any) -> Any:
        broker = make_worker_broker(redis_url)
        stop = asyncio.Event()
        task = asyncio.create_task(worker.work(broker, deliverer, stop=stop))
        try:
            yield DramatiqJobQueue(broker)
        finally:
            stop.set()
            async with asyncio.timeout(PATIENCE_SECONDS):
                await task
            broker.close()

    return start


async def test_a_job_is_delivered(
    world: World, run_worker: Any, fake_sender: type[FakeSender]
) -> None:
    watched = Watched(world.deliverer(fake_sender()))
    notification_id = await world.make_notification()

    async with run_worker(watched) as queue:
        await sweep(world.db, queue, now=world.clock.now())
        await watched.finished(1)

    assert (await world.notification(notification_id)).state == "sent"


async def test_copies_of_a_job_in_many_threads_send_once(
    world: World, run_worker: Any, fake_sender: type[FakeSender]
) -> None:
    sender = fake_sender()
    watched = Watched(world.deliverer(sender))
    notification_id = await world.make_notification()

    async with run_worker(watched) as queue:
        await queue.enqueue([Job("send-email", notification_id, "c-1", alone=True)] * 20)
        await watched.finished(20)

    assert len(sender.sent) == 1


async def test_a_flushed_redis_loses_nothing(
    world: World, run_worker: Any, fake_sender: type[FakeSender], redis_url: str
) -> None:
    sender = fake_sender()
    watched = Watched(world.deliverer(sender))
    ids = {await world.make_notification() for _ in range(5)}
    broker = make_worker_broker(redis_url)
    await sweep(world.db, DramatiqJobQueue(broker), now=world.clock.now())
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    broker.close()

    async with run_worker(watched) as queue:
        world.clock.advance(LOST_AFTER)
        assert await sweep(world.db, queue, now=world.clock.now()) == 5
        await watched.finished(5)

    assert {one.notification_id for one in sender.sent} == ids


async def test_a_failed_attempt_is_done_for_dramatiq_and_due_again_in_the_row(
    world: World, run_worker: Any, fake_sender: type[FakeSender], failing: Failing, redis_url: str
) -> None:
    sender = fake_sender(failing(FailureKind.TRANSIENT, "smtp_451"))
    watched = Watched(world.deliverer(sender))
    await world.make_notification()

    async with run_worker(watched) as queue:
        await sweep(world.db, queue, now=world.clock.now())
        await watched.finished(1)
        world.clock.advance(timedelta(seconds=5))
        await sweep(world.db, queue, now=world.clock.now())
        await watched.finished(1)

    assert [one.attempt for one in sender.sent] == [1, 2]
    with redis.Redis.from_url(redis_url) as client:
        assert client.keys("*.XQ*") == []


async def test_a_delivery_that_breaks_leaves_the_worker_working(
    world: World, run_worker: Any, fake_sender: type[FakeSender]
) -> None:
    class Breaks:
        def __init__(self, then: Any) -> None:
            self.then = then
            self.broken = False

        async def deliver_many(self, ids: Any, job_name: Any) -> None:
            if not self.broken:
                self.broken = True
                raise ConnectionError
            await self.then.deliver_many(ids, job_name)

    sender = fake_sender()
    watched = Watched(Breaks(world.deliverer(sender)))
    notification_id = await world.make_notification()

    async with run_worker(watched) as queue:
        await queue.enqueue([Job("send-email", notification_id, "c-1", alone=True)] * 2)
        await watched.finished(2)

    assert len(sender.sent) == 1


async def test_a_job_of_a_newer_version_is_left_to_a_newer_worker(
    world: World, run_worker: Any, fake_sender: type[FakeSender]
) -> None:
    sender = fake_sender()
    watched = Watched(world.deliverer(sender))
    newer, known = await world.make_notification(), await world.make_notification()
    message = dramatiq.Message(
        queue_name=QUEUE,
        actor_name="send-email",
        args=(),
        kwargs={"notification_id": str(newer), "version": 99, "something": "new"},
        options={},
    )

    async with run_worker(watched) as queue:
        queue._broker.enqueue(message)
        await queue.enqueue([Job("send-email", known, "c-1")])
        await watched.finished(1)

    assert [one.notification_id for one in sender.sent] == [known]
    assert (await world.notification(newer)).state == "pending"


async def test_the_end_waits_for_deliveries_that_are_under_way(
    world: World, run_worker: Any
) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    class Slow:
        async def send(self, outgoing: Any, *, now: Any) -> Any:
            started.set()
            await release.wait()
            return Accepted("id-1")

    notification_id = await world.make_notification()

    async with run_worker(world.deliverer(Slow())) as queue:
        await queue.enqueue([Job("send-email", notification_id, "c-1")])
        await started.wait()
        asyncio.get_running_loop().call_later(0.2, release.set)

    assert (await world.notification(notification_id)).state == "sent"


@pytest.mark.parametrize("name", list(JobName))
async def test_every_job_name_has_an_actor(
    world: World, run_worker: Any, fake_sender: type[FakeSender], name: Any
) -> None:
    sender = fake_sender()
    watched = Watched(world.deliverer(sender, name))
    notification_id = await world.make_notification(name)

    async with run_worker(watched) as queue:
        await queue.enqueue([Job(name.value, notification_id, "c-1")])
        await watched.finished(1)

    assert len(sender.sent) == 1


async def test_the_start_waits_for_the_engines_instead_of_dying(world: World) -> None:
    stop = asyncio.Event()
    world.queue.down = True
    waiting = asyncio.create_task(
        worker.wait_until_ready(world.db, world.queue, stop=stop, pause=0.01)
    )
    done, _ = await asyncio.wait([waiting], timeout=0.1)
    assert not done

    world.queue.down = False
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await waiting is True


async def test_a_stop_ends_the_waiting(world: World) -> None:
    stop = asyncio.Event()
    world.queue.down = True
    waiting = asyncio.create_task(worker.wait_until_ready(world.db, world.queue, stop=stop))
    stop.set()

    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await waiting is False
