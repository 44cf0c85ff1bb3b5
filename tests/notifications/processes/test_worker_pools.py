"""The threads of a worker: a pool for each urgency, several batches at once, and the end."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence

from kit.ids import new_id
from notifications.broker import QUEUE, URGENT_QUEUE, DramatiqJobQueue, make_worker_broker
from notifications.domain.jobs import Job, JobName
from ponte.processes.worker_pools import POOLS, work

PATIENCE_SECONDS = 10


class Held:
    """Holds every batch whose first notice is in `held` until it is released."""

    def __init__(self, held: Sequence[uuid.UUID]) -> None:
        self.held = set(held)
        self.release = asyncio.Event()
        self.began: list[list[uuid.UUID]] = []
        self.changed = asyncio.Condition()

    async def deliver_many(self, ids: Sequence[uuid.UUID], job_name: JobName) -> None:
        async with self.changed:
            self.began.append(list(ids))
            self.changed.notify_all()
        if ids[0] in self.held:
            await self.release.wait()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), self.changed:
            await self.changed.wait_for(lambda: len(self.began) >= count)


async def test_an_urgent_job_passes_a_full_pool_of_others(redis_url: str) -> None:
    slow = [new_id() for _ in range(POOLS[QUEUE] + 4)]
    held, urgent = Held(slow), new_id()
    broker, stop = make_worker_broker(redis_url), asyncio.Event()
    queue = DramatiqJobQueue(broker)
    task = asyncio.create_task(work(broker, held, stop=stop))
    await queue.enqueue([Job("send-email", one, "c", alone=True) for one in slow])
    await held.until(POOLS[QUEUE])

    await queue.enqueue([Job("send-email", urgent, "c", urgent=True)])
    await held.until(POOLS[QUEUE] + 1)

    assert held.began[-1] == [urgent]
    assert URGENT_QUEUE in POOLS
    held.release.set()
    await held.until(len(slow) + 1)
    stop.set()
    await task
    broker.close()


async def test_a_batch_is_handed_over_whole(redis_url: str) -> None:
    ids = [new_id() for _ in range(30)]
    held = Held([])
    broker, stop = make_worker_broker(redis_url), asyncio.Event()
    task = asyncio.create_task(work(broker, held, stop=stop))

    await DramatiqJobQueue(broker).enqueue([Job("send-sms", one, "c") for one in ids])
    await held.until(1)

    assert held.began == [ids]
    stop.set()
    await task
    broker.close()


async def test_what_was_fetched_and_not_begun_is_back_in_the_queue_at_the_end(
    redis_url: str,
) -> None:
    slow = [new_id() for _ in range(POOLS[QUEUE] + 6)]
    held = Held(slow)
    broker, stop = make_worker_broker(redis_url), asyncio.Event()
    queue = DramatiqJobQueue(broker)
    task = asyncio.create_task(work(broker, held, stop=stop))
    await queue.enqueue([Job("send-email", one, "c", alone=True) for one in slow])
    await held.until(POOLS[QUEUE])

    stop.set()
    await asyncio.sleep(0.2)  # the threads are told to end
    held.release.set()
    await task

    begun = {one for ids in held.began for one in ids}
    assert await queue.waiting() == len(slow) - len(begun)
    assert broker.client.keys("*__acks__*") == []
    broker.close()
