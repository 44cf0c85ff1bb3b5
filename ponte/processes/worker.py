"""`ponte worker`: delivers notifications. As many of these may run as one likes.

The main thread runs one event loop with the database pool and the HTTP client; Dramatiq's threads
fetch jobs and wait for the loop to do them.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from datetime import timedelta

import structlog
import uvloop
from sqlalchemy import text

from channels.http_transport import AiohttpTransport
from kit.ids import new_worker_key
from notifications.broker import DramatiqJobQueue, make_producer_broker, make_worker_broker
from notifications.domain.policies import PoliciesError
from notifications.services.breaker_alerts import BreakerTeller
from notifications.services.deliver import Deliverer
from notifications.services.direct import AFTER as DIRECT_AFTER
from notifications.services.direct import DirectMode
from notifications.services.ports import JobQueue
from notifications.services.worker_presence import WorkerPresence
from notifications.shared_state.shared_gate import make_gate
from ponte.processes.notification_parts import (
    close_senders,
    failure_notices,
    make_reconcilers,
    make_senders,
)
from ponte.processes.wiring import (
    configure_process,
    make_clock,
    make_database,
    make_jitter,
)
from ponte.processes.worker_pools import POOLS, work
from ponte.settings import Settings
from ticketing.db.engine import Database

log = structlog.get_logger()

PRESENCE_WITHIN = timedelta(seconds=2)

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 5.0


def run(settings: Settings) -> int:
    """Deliver until SIGTERM or SIGINT; the exit code (1: the policies are not usable)."""
    configure_process(settings, "worker")
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_main(settings))
    except PoliciesError as error:
        log.error("worker.refused", problems=error.problems)  # noqa: TRY400 - says it all
        return 1


async def _main(settings: Settings) -> int:
    stop = stop_on_signals()
    clock = make_clock(settings)
    give_up = failure_notices(settings)
    db = make_database(settings, pool_size=sum(POOLS.values()))
    broker = make_worker_broker(settings.redis_url)
    # To ask whether Redis is there: the worker's own connections would wait for ever.
    asking = make_producer_broker(settings.redis_url)
    teller = BreakerTeller(db, clock)
    gate = make_gate(
        settings.redis_url, recipient_key=settings.privacy_key, clock=clock, told=teller
    )
    presence = WorkerPresence(settings.database_url, new_worker_key)
    here = asyncio.create_task(presence.run())
    try:
        async with AiohttpTransport() as http:
            if not await wait_until_ready(db, DramatiqJobQueue(asking), stop=stop):
                return 0
            senders = make_senders(settings, db=db, http=http, clock=clock)
            deliverer = Deliverer(
                db=db,
                clock=clock,
                senders=senders,
                reconcilers=make_reconcilers(senders),
                give_up=give_up,
                jitter=make_jitter(),
                gate=gate,
                worker=presence.key,
            )
            # A claim without a key is safe, only slower to be made up for.
            await wait_until_held(presence)
            direct = DirectMode(db, DramatiqJobQueue(asking), deliverer, clock, gate)
            await asyncio.gather(
                work(broker, deliverer, stop=stop),
                direct.run(stop),
                refuse_new_work(deliverer, stop),
            )
            await deliverer.stop()
            await close_senders(senders.values())
    finally:
        # Last: as long as something may be unrecorded, the rows are ours.
        here.cancel()
        await asyncio.gather(here, return_exceptions=True)
        await gate.close()
        await teller.drain()
        await db.close()
        broker.close()
        asking.close()
    log.info("worker.stopped")
    return 0


async def wait_until_held(presence: WorkerPresence) -> None:
    """Wait a little for the lock that shows that this process lives."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PRESENCE_WITHIN.total_seconds()):
            await presence.held()


async def refuse_new_work(deliverer: Deliverer, stop: asyncio.Event) -> None:
    """With the end in sight, claim nothing more; what was fetched goes back to the sweep."""
    await stop.wait()
    deliverer.begin_stop()


async def wait_until_ready(
    db: Database,
    queue: JobQueue,
    *,
    stop: asyncio.Event,
    pause: float = FIRST_PAUSE_SECONDS,
    without_queue: timedelta = DIRECT_AFTER,
) -> bool:
    """Wait for database and Redis, with growing pauses; False when `stop` came first.

    Redis is waited for no longer than `without_queue` once the database is there: then the worker
    begins without it, see `notifications.services.direct`.
    """
    loop = asyncio.get_running_loop()
    database_since: float | None = None
    while not stop.is_set():
        try:
            if database_since is None:
                async with db.transaction() as session:
                    await session.execute(text("SELECT 1 FROM notifications LIMIT 1"))
                database_since = loop.time()
            await queue.waiting()
        except Exception as error:  # noqa: BLE001 - whatever it is, the engines are not there yet
            if (
                database_since is not None
                and loop.time() - database_since >= without_queue.total_seconds()
            ):
                log.warning("worker.starts_without_queue", error_type=type(error).__name__)
                return True
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
