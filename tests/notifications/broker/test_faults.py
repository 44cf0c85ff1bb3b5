"""The faults of Dramatiq on Redis that decision 0005 answers, on a Redis that is really hurt.

`TestPlainDramatiq` documents what the broker, its Retries and its consumer do by themselves; when a
newer Dramatiq makes one of these fail, the part of ours that answers it can go.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Retries
from redis.backoff import NoBackoff
from redis.retry import Retry

from kit.ids import new_id
from notifications.broker import QUEUE, DramatiqJobQueue, make_worker_broker
from notifications.domain.failure import Failure, FailureKind, SendFailedError
from notifications.domain.jobs import Job
from notifications.services.ports import Accepted, Outgoing, QueueUnavailableError
from notifications.services.sweep import LOST_AFTER, LOST_AFTER_BACKLOG, sweep
from ponte.processes import worker_pools
from tests.notifications.broker.conftest import OwnRedis, until
from tests.notifications.conftest import World

COUNT, LAST = 8, 99
STALL_SECONDS = 1.0
LOOK = timedelta(seconds=0.2)


class Provider:
    """Notes what arrives; waits with its answer while `release` is not set; may refuse once."""

    def __init__(self, *, refuse_first: bool = False) -> None:
        self.sent: list[Any] = []
        self.began = 0
        self.release = asyncio.Event()
        self.release.set()
        self.refuse_first = refuse_first

    async def send(self, outgoing: Outgoing, *, now: Any) -> Accepted:
        self.began += 1
        await self.release.wait()
        if self.refuse_first and outgoing.attempt == 1:
            raise SendFailedError(Failure(FailureKind.TRANSIENT, "smtp_451"))
        self.sent.append(outgoing.notification_id)
        return Accepted(f"id-{len(self.sent)}")


@asynccontextmanager
async def working(own_redis: OwnRedis, deliverer: Any) -> Any:
    broker = make_worker_broker(own_redis.url, stranded_look=LOOK)
    stop = asyncio.Event()
    task = asyncio.create_task(worker_pools.work(broker, deliverer, stop=stop))
    try:
        yield DramatiqJobQueue(broker)
    finally:
        stop.set()
        async with asyncio.timeout(20):
            await task
        broker.close()


async def until_async(condition: Any) -> None:
    await asyncio.to_thread(until, condition)


class TestPonte:
    @pytest.mark.parametrize("refuse_first", [False, True])
    async def test_jobs_that_end_while_redis_is_down_are_lost_neither_done_nor_failed(
        self, world: World, own_redis: OwnRedis, *, refuse_first: bool
    ) -> None:
        provider = Provider(refuse_first=refuse_first)
        provider.release.clear()
        ids = [await world.make_notification() for _ in range(COUNT)]
        async with working(own_redis, world.deliverer(provider)) as queue:
            await sweep(world.db, queue, now=world.clock.now())
            await until_async(lambda: provider.began == COUNT)
            own_redis.kill()
            provider.release.set()
            await asyncio.sleep(0.5)  # the actors end now, with nobody to tell
            own_redis.start()
            world.clock.advance(timedelta(minutes=1))
            await sweep(world.db, queue, now=world.clock.now())
            await until_async(lambda: len(provider.sent) == COUNT)
            await until_async(own_redis.is_empty)

        assert sorted(provider.sent) == sorted(ids)

    async def test_a_restart_of_redis_strands_no_retry(
        self, world: World, own_redis: OwnRedis
    ) -> None:
        provider = Provider(refuse_first=True)
        ids = [await world.make_notification() for _ in range(COUNT)]
        async with working(own_redis, world.deliverer(provider)) as queue:
            await sweep(world.db, queue, now=world.clock.now())
            await until_async(lambda: provider.began == COUNT)
            await until_async(own_redis.is_empty)
            own_redis.kill()
            own_redis.start()
            world.clock.advance(timedelta(minutes=1))
            await sweep(world.db, queue, now=world.clock.now())
            await until_async(lambda: len(provider.sent) == COUNT)

            assert not own_redis.client.keys("*DQ*")

        assert sorted(provider.sent) == sorted(ids)

    def test_nothing_is_ever_delayed_in_redis(self, own_redis: OwnRedis) -> None:
        """L2 needs delayed messages: those that a live worker holds are stranded by a restart."""
        broker = make_worker_broker(own_redis.url)

        assert broker.get_declared_delay_queues() == set()
        assert not any(isinstance(one, Retries) for one in broker.middleware)
        broker.close()

    async def test_what_ends_while_redis_stalls_is_acknowledged_once_it_goes_on(
        self, world: World, own_redis: OwnRedis
    ) -> None:
        """L3 needs a time-out on the worker's connections; what would run twice is not claimed."""
        provider = Provider()
        provider.release.clear()
        ids = [await world.make_notification() for _ in range(COUNT)]
        async with working(own_redis, world.deliverer(provider)) as queue:
            for one in ids:
                await queue.enqueue([Job("send-email", one, "c", alone=True)])
            await until_async(lambda: provider.began == COUNT)
            with own_redis.stalled():
                provider.release.set()
                await until_async(lambda: len(provider.sent) == COUNT)
                await asyncio.sleep(2 * STALL_SECONDS)
            await until_async(own_redis.is_empty)

        assert sorted(provider.sent) == sorted(ids)
        client = make_worker_broker(own_redis.url).client
        assert client.connection_pool.connection_kwargs["socket_timeout"] is None

    async def test_stalls_double_nothing_and_leave_nothing_unacknowledged(
        self, world: World, own_redis: OwnRedis
    ) -> None:
        provider = Provider()
        ids = [await world.make_notification() for _ in range(60)]
        async with working(own_redis, world.deliverer(provider)) as queue:
            for one in ids[:20]:
                await queue.enqueue([Job("send-email", one, "c", alone=True)])
            for _ in range(3):
                with own_redis.stalled():
                    await asyncio.sleep(0.7)
            for one in ids[20:]:
                await queue.enqueue([Job("send-email", one, "c", alone=True)])
            await until_async(lambda: len(provider.sent) == len(ids))
            await until_async(own_redis.is_empty)

        assert sorted(provider.sent) == sorted(ids)

    async def test_a_fetch_whose_answer_was_lost_runs_within_two_looks(
        self, world: World, own_redis: OwnRedis
    ) -> None:
        provider = Provider()
        notification_id = await world.make_notification()
        broker = make_worker_broker(own_redis.url, stranded_look=LOOK)
        own = {queue: broker.sibling() for queue in worker_pools.POOLS}
        given = iter(own.values())
        broker.sibling = lambda: next(given)  # type: ignore[method-assign]
        await DramatiqJobQueue(broker).enqueue([Job("send-email", notification_id, "c")])
        own[QUEUE].do_fetch(QUEUE, 1)  # what Redis did for a worker that never heard of it
        assert own_redis.unacknowledged() == 1
        stop = asyncio.Event()
        task = asyncio.create_task(worker_pools.work(broker, world.deliverer(provider), stop=stop))

        await until_async(lambda: len(provider.sent) == 1)
        await until_async(own_redis.is_empty)
        stop.set()
        await task
        broker.close()

    async def test_a_redis_that_forgot_all_costs_the_wait_of_a_lost_job(
        self, world: World, own_redis: OwnRedis
    ) -> None:
        provider = Provider()
        ids = [await world.make_notification() for _ in range(COUNT)]
        broker = make_worker_broker(own_redis.url)
        await sweep(world.db, DramatiqJobQueue(broker), now=world.clock.now())
        own_redis.client.flushall()
        broker.close()

        async with working(own_redis, world.deliverer(provider)) as queue:
            world.clock.advance(LOST_AFTER)
            await sweep(world.db, queue, now=world.clock.now())
            await until_async(lambda: len(provider.sent) == COUNT)

        assert sorted(provider.sent) == sorted(ids)
        assert LOST_AFTER < LOST_AFTER_BACKLOG

    async def test_a_stop_ends_although_redis_hangs(
        self, world: World, own_redis: OwnRedis
    ) -> None:
        broker = make_worker_broker(own_redis.url)
        stop = asyncio.Event()
        deliverer = world.deliverer(Provider())
        task = asyncio.create_task(worker_pools.work(broker, deliverer, stop=stop))
        await asyncio.sleep(0.3)

        with own_redis.stalled():
            stop.set()
            limit = worker_pools.STOP_WITHIN + worker_pools.PUT_BACK_WITHIN
            async with asyncio.timeout(limit.total_seconds() + 2):
                await task

    async def test_a_full_redis_is_one_that_is_away(self, own_redis: OwnRedis) -> None:
        broker = make_worker_broker(own_redis.url)
        own_redis.client.config_set("maxmemory", "1")

        with pytest.raises(QueueUnavailableError):
            await DramatiqJobQueue(broker).enqueue([Job("send-email", new_id(), "c")])
        broker.close()


class TestPlainDramatiq:
    """Stock RedisBroker of Dramatiq 2.2.1, as its documentation sets it up."""

    @pytest.fixture
    def stock(self, own_redis: OwnRedis) -> Iterator[RedisBroker]:
        broker = RedisBroker(  # type: ignore[no-untyped-call]
            client=redis.Redis.from_url(own_redis.url),
            middleware=[Retries(min_backoff=100, max_backoff=100)],
        )
        yield broker
        with suppress(redis.RedisError):
            broker.close()

    def test_retries_are_lost_while_redis_is_down(
        self, stock: RedisBroker, own_redis: OwnRedis
    ) -> None:
        release, began, ran = threading.Event(), [], []

        def work(number: int) -> None:
            if number in began:
                ran.append(number)
                return
            began.append(number)
            release.wait()
            raise RuntimeError

        actor = dramatiq.actor(work, broker=stock)
        for number in range(COUNT):
            actor.send(number)
        worker = dramatiq.Worker(stock, worker_timeout=50, worker_threads=COUNT)
        worker.start()
        until(lambda: len(began) == COUNT)
        own_redis.kill()
        release.set()
        threading.Event().wait(0.5)
        own_redis.start()
        until(lambda: own_redis.unacknowledged() == 0)
        threading.Event().wait(1)
        worker.stop()

        # Eight jobs failed; nobody tries them again, and nobody knows of them.
        assert ran == []
        assert own_redis.is_empty()

    def test_a_restart_of_redis_strands_delayed_messages_in_a_live_worker(
        self, stock: RedisBroker, own_redis: OwnRedis
    ) -> None:
        ran: list[int] = []
        actor = dramatiq.actor(ran.append, actor_name="work", broker=stock)
        for number in range(COUNT):
            actor.send_with_options(args=(number,), delay=1000)
        worker = dramatiq.Worker(stock, worker_timeout=50, worker_threads=COUNT)
        worker.start()
        until(lambda: own_redis.unacknowledged() == COUNT)
        own_redis.kill()
        own_redis.start()
        actor.send(LAST)
        until(lambda: LAST in ran)  # the worker is there again, and works
        threading.Event().wait(2)
        stranded = own_redis.unacknowledged()
        worker.stop()

        assert ran == [LAST]
        assert stranded == COUNT

    def test_what_ends_while_redis_stalls_runs_again_where_connections_have_a_timeout(
        self, own_redis: OwnRedis
    ) -> None:
        release = threading.Event()
        began: list[int] = []

        def work(number: int) -> None:
            began.append(number)
            release.wait()

        def start() -> tuple[RedisBroker, dramatiq.Worker, Any]:
            client = redis.Redis.from_url(
                # redis-py's own second tries only make the stall longer that it takes.
                own_redis.url,
                socket_timeout=STALL_SECONDS / 2,
                retry=Retry(NoBackoff(), 0),
            )
            broker = RedisBroker(  # type: ignore[no-untyped-call]
                client=client,
                middleware=[],
                heartbeat_timeout=1000,
                maintenance_chance=1_000_000,
            )
            actor = dramatiq.actor(work, broker=broker)
            return broker, dramatiq.Worker(broker, worker_timeout=50, worker_threads=COUNT), actor

        first, worker, actor = start()
        for number in range(COUNT):
            actor.send(number)
        worker.start()
        until(lambda: len(began) == COUNT)
        with own_redis.stalled():
            release.set()
            threading.Event().wait(2 * STALL_SECONDS)
        until(lambda: len(own_redis.client.keys("*__acks__*")) > 0)
        worker.stop()
        first.close()
        finished = own_redis.unacknowledged()

        second, worker, _ = start()
        worker.start()
        until(own_redis.is_empty)
        worker.stop()
        second.close()

        # All but those whose acknowledgement lay in a connection that was open when Redis went on.
        assert finished > 0
        assert len(began) == COUNT + finished

    def test_a_fetch_whose_answer_was_lost_is_stranded_while_the_worker_lives(
        self, stock: RedisBroker, own_redis: OwnRedis
    ) -> None:
        ran: list[int] = []
        actor = dramatiq.actor(ran.append, actor_name="work", broker=stock)
        actor.send(1)
        stock.do_fetch("default", 1)
        worker = dramatiq.Worker(stock, worker_timeout=50, worker_threads=1)
        worker.start()
        threading.Event().wait(2)
        worker.stop()

        assert ran == []
        assert own_redis.unacknowledged() == 1
