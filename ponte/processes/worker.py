"""`ponte worker`: delivers notifications. As many of these may run as one likes.

The main thread runs one event loop with the database pool and the HTTP client; Dramatiq's threads
fetch jobs and wait for the loop to do them.
"""

from __future__ import annotations

import asyncio
import signal
import uuid
from datetime import timedelta
from typing import Protocol

import dramatiq
import httpx
import structlog
from dramatiq.brokers.redis import RedisBroker
from sqlalchemy import text

from notifications.actors import declare_actors
from notifications.broker import DramatiqJobQueue, make_worker_broker
from notifications.domain.jobs import JobName
from notifications.domain.policies import PoliciesError
from notifications.services.deliver import LEASE, Deliverer
from notifications.services.ports import JobQueue
from ponte.processes.notification_parts import failure_notices, make_senders
from ponte.processes.wiring import configure_process, make_clock, make_database, make_jitter
from ponte.settings import Settings
from ticketing.db.engine import Database

log = structlog.get_logger()

THREADS = 8
"""Deliveries at once: they wait for providers nearly all the time, so it is more than the cores."""

IDLE_POLL_MS = 50
"""How long an idle consumer sleeps. Dramatiq's default of 1000 ms makes a lone job wait for
100-240 ms in the median; 50 ms costs some twenty small Redis commands a second and queue."""

STOP_WITHIN = timedelta(seconds=8)
"""For deliveries that are under way; with the rest it stays under ten seconds. What is cut off is
taken up again when its lease runs out."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 5.0


class Delivers(Protocol):
    """What the worker runs for each job; `Deliverer` in operation."""

    async def deliver(self, notification_id: uuid.UUID, job_name: JobName) -> None:
        """Make one attempt, if one is due."""
        ...


def run(settings: Settings) -> int:
    """Deliver until SIGTERM or SIGINT; the exit code (1: the policies are not usable)."""
    configure_process(settings, "worker")
    try:
        return asyncio.run(_main(settings))
    except PoliciesError as error:
        log.error("worker.refused", problems=error.problems)  # noqa: TRY400 - says it all
        return 1


async def _main(settings: Settings) -> int:
    stop = stop_on_signals()
    clock = make_clock(settings)
    give_up = failure_notices(settings)
    db = make_database(settings, pool_size=THREADS)
    broker = make_worker_broker(settings.redis_url)
    try:
        async with httpx.AsyncClient() as http:
            if not await wait_until_ready(db, DramatiqJobQueue(broker), stop=stop):
                return 0
            deliverer = Deliverer(
                db=db,
                clock=clock,
                senders=make_senders(settings, db=db, http=http, clock=clock),
                give_up=give_up,
                jitter=make_jitter(),
            )
            await work(broker, deliverer, stop=stop)
    finally:
        await db.close()
        broker.close()
    log.info("worker.stopped")
    return 0


async def work(broker: RedisBroker, deliverer: Delivers, *, stop: asyncio.Event) -> None:
    """Run Dramatiq's threads on the broker until `stop` is set, then end them gracefully."""
    loop = asyncio.get_running_loop()

    def deliver(notification_id: uuid.UUID, job_name: JobName) -> None:
        attempt = deliverer.deliver(notification_id, job_name)
        # Longer than a lease the attempt is nobody's any more; the bound frees the thread.
        asyncio.run_coroutine_threadsafe(attempt, loop).result(LEASE.total_seconds())

    declare_actors(broker, deliver)
    worker = dramatiq.Worker(broker, worker_timeout=IDLE_POLL_MS, worker_threads=THREADS)
    # What one process fetches ahead is kept from the others, and an urgent job waits behind it.
    worker.queue_prefetch = THREADS
    worker.start()
    log.info("worker.started", count=THREADS)
    try:
        await stop.wait()
    finally:
        log.info("worker.stopping")
        milliseconds = int(STOP_WITHIN.total_seconds() * 1000)
        await asyncio.to_thread(worker.stop, milliseconds)


async def wait_until_ready(
    db: Database, queue: JobQueue, *, stop: asyncio.Event, pause: float = FIRST_PAUSE_SECONDS
) -> bool:
    """Wait for database and Redis, with growing pauses; False when `stop` came first."""
    while not stop.is_set():
        try:
            async with db.transaction() as session:
                await session.execute(text("SELECT 1 FROM notifications LIMIT 1"))
            await queue.waiting()
        except Exception as error:  # noqa: BLE001 - whatever it is, the engines are not there yet
            log.warning(
                "worker.waiting", error_type=type(error).__name__, retry_in_seconds=round(pause, 1)
            )
            await wait_for(stop, pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        else:
            return True
    return False


async def wait_for(event: asyncio.Event, seconds: float) -> bool:
    """Wait until the event is set or the time is over; whether it is set."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
