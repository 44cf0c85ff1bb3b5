"""Dramatiq's threads of a worker process: a pool for each urgency, and a graceful end."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

import dramatiq
import structlog

from notifications.actors import Run, declare_actors
from notifications.broker import QUEUE, URGENT_QUEUE, PonteBroker
from notifications.broker.wake import ReadyListener
from notifications.domain.jobs import JobName
from notifications.services.claims import LEASE

log = structlog.get_logger()

POOLS = {URGENT_QUEUE: 4, QUEUE: 8}
"""Threads by queue. Each hands a message, up to fifty notices, to the event loop and waits for it;
an urgent one never waits behind others."""

LOOK_MS = 500
"""How often an idle consumer looks by itself. It is woken by whoever puts a job in, so this is only
for a word that was lost."""

STOP_WITHIN = timedelta(seconds=8)
"""For deliveries that are under way; with the rest it stays under ten seconds. What is cut off is
taken up again by the sweep."""

PUT_BACK_WITHIN = timedelta(seconds=1)
"""For putting back into Redis what was fetched and not begun. Without it the rows come back by the
sweep all the same."""


class Delivers(Protocol):
    """What the worker runs for each job; `Deliverer` in operation."""

    async def deliver_many(self, ids: Sequence[uuid.UUID], job_name: JobName) -> None:
        """Make one attempt for each notification that is due."""
        ...


async def work(broker: PonteBroker, deliverer: Delivers, *, stop: asyncio.Event) -> None:
    """Run Dramatiq's threads on the broker until `stop` is set, then end them gracefully."""
    loop = asyncio.get_running_loop()

    def deliver(ids: Sequence[uuid.UUID], job_name: JobName) -> None:
        attempts = deliverer.deliver_many(ids, job_name)
        # Longer than a lease the attempts are nobody's any more; the bound frees the thread.
        asyncio.run_coroutine_threadsafe(attempts, loop).result(LEASE.total_seconds())

    listener = ReadyListener(broker)
    pools = [_pool(broker, queue, threads, deliver) for queue, threads in POOLS.items()]
    listener.start()
    log.info("worker.started", count=sum(POOLS.values()))
    try:
        await stop.wait()
    finally:
        log.info("worker.stopping")
        listener.stop()
        await _stop(pools)


async def _stop(pools: Sequence[dramatiq.Worker]) -> None:
    """End the pools; a Redis that hangs does not hold the process up."""
    loop = asyncio.get_running_loop()
    ended = [loop.create_future() for _ in pools]

    def stop(pool: dramatiq.Worker, done: asyncio.Future[None]) -> None:
        pool.stop(int(STOP_WITHIN.total_seconds() * 1000))
        with contextlib.suppress(RuntimeError):  # nobody waits any more, and the loop is closed
            loop.call_soon_threadsafe(done.set_result, None)

    for pool, done in zip(pools, ended, strict=True):
        # Not a thread of the loop's own: the process would wait for it at its end.
        threading.Thread(target=stop, args=(pool, done), daemon=True).start()
    _, late = await asyncio.wait(ended, timeout=(STOP_WITHIN + PUT_BACK_WITHIN).total_seconds())
    if late:
        log.warning("worker.stopped_without_queue", count=len(late))


def _pool(broker: PonteBroker, queue: str, threads: int, run: Run) -> dramatiq.Worker:
    own = broker.sibling()
    declare_actors(own, run)
    pool = dramatiq.Worker(own, queues={queue}, worker_timeout=LOOK_MS, worker_threads=threads)
    # What one process fetches ahead is kept from the others.
    pool.queue_prefetch = threads
    pool.start()
    return pool
