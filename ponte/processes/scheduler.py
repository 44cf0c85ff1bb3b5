"""`ponte scheduler`: relays the outbox, sweeps what was left over, runs periodic jobs.

Several may run; the one that holds the lease works, the others wait to take over. Nothing here ends
the process: a job that fails is logged and tried again with growing pauses.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import httpx
import psycopg
import structlog

from handoff.policy_file import PolicyError
from handoff.policy_holder import PolicyHolder
from kit.clock import Clock
from kit.ids import new_correlation_id
from notifications.broker import DramatiqJobQueue, PonteBroker, make_producer_broker
from notifications.broker.dead_set import RedisDeadSet
from notifications.broker.inspection import Inspection
from notifications.domain.jobs import JobName
from notifications.domain.policies import PoliciesError
from notifications.policy_file import load_policies
from notifications.services.backlog import BacklogMonitor
from notifications.services.breaker_alerts import BreakerTeller, BreakerWatch
from notifications.services.dlq_webhook import call_is_due
from notifications.services.freeing import Freeing
from notifications.services.ports import JobQueue, QueueUnavailableError
from notifications.services.reconcile import DeadSet
from notifications.services.relay import Relay
from notifications.services.sweep import Sweep
from notifications.services.wake import WAKE_CHANNEL
from notifications.shared_state.shared_gate import SharedGate, make_gate
from ponte.escalation_rules import load_escalation
from ponte.privacy.jobs import JobRunner, Sealing
from ponte.privacy.retention import Retention, load_retention
from ponte.privacy.stores import person_stores
from ponte.processes.content_watch import quality_watch
from ponte.processes.dead_letter_parts import (
    dead_letter_desk,
    dlq_monitor,
    dlq_reconciler,
    dlq_webhook,
)
from ponte.processes.leadership import Leadership
from ponte.processes.notification_parts import (
    admin_contact,
    configured_channels,
    failure_notices,
)
from ponte.processes.policy_watch import PolicyWatch
from ponte.processes.sla_watch import SlaWatch
from ponte.processes.wiring import (
    configure_process,
    make_clock,
    make_database,
    make_jitter,
    read_policy,
)
from ponte.processes.worker import stop_on_signals, wait_for
from ponte.settings import Settings
from ticketing.db.engine import Database
from ticketing.domain.enums import Level
from ticketing.domain.escalation_file import EscalationFileError
from ticketing.domain.retention import RetentionError
from ticketing.services import idempotency, routing_marks
from ticketing.services.escalation import EscalationSweep
from ticketing.services.outbox import NOTIFY_CHANNEL
from ticketing.services.quality_draw import QualityDraw
from ticketing.services.routing_engine import RoutingEngine
from ticketing.services.sla_repair import SlaRepair
from ticketing.services.sla_sweep import SlaSweep

log = structlog.get_logger()

RENEW_EVERY = timedelta(seconds=3)
"""A third of the lease: two renewals may fail before another process takes over."""

FIRST_BACKOFF = timedelta(seconds=1)
LONGEST_BACKOFF = timedelta(seconds=30)
STOP_WITHIN = timedelta(seconds=8)


@dataclass(frozen=True, slots=True)
class Job:
    """Something the leader does again and again.

    Attributes:
        name: For the log.
        every: Pause between the end of a run and the next.
        run: One run; idempotent, because two leaders are possible for a moment.
        wake: When set by anybody, the next run comes at once.
    """

    name: str
    every: timedelta
    run: Callable[[], Awaitable[object]]
    wake: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Parts:
    """What jobs are built of."""

    settings: Settings
    db: Database
    queue: JobQueue
    clock: Clock
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the process ends: a long job ends at its next step."""
    sweep_wake: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a notification is due that nobody put in the queue."""
    gate: SharedGate | None = None
    """Breakers and pauses; None: everything may leave."""
    dead_set: DeadSet | None = None
    """Dramatiq's dead messages."""
    routing_wake: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when something waits for a person, or somebody has room."""


def build_jobs(parts: Parts, *, wake: asyncio.Event) -> tuple[Job, ...]:
    """Every job of this process. New ones are added here.

    Raises:
        PoliciesError: when `notifications/policies.yml` is not usable.
        PolicyError: when `sla.yml` or `handoff.yml` is not usable.
    """
    relay = Relay(
        db=parts.db,
        queue=parts.queue,
        clock=parts.clock,
        policies=load_policies(),
        admin=admin_contact(parts.settings),
        channels=configured_channels(parts.settings),
    )

    put_in = Sweep(parts.db, parts.queue, parts.gate)
    freeing = Freeing(parts.db, failure_notices(parts.settings))

    async def sweep_notifications() -> None:
        await put_in.run(now=parts.clock.now())

    async def free_notifications() -> None:
        await freeing.run(now=parts.clock.now())

    async def purge_keys() -> None:
        await idempotency.purge(parts.db, now=parts.clock.now())

    rules = SlaWatch.start(parts.db, parts.clock, warning=parts.settings.sla_warning_threshold)
    repair = SlaRepair(parts.db, parts.clock)

    async def follow_clocks() -> None:
        await rules.check()  # before the repair: it measures by the rules of all times
        await repair.run()

    return (
        # PostgreSQL's NOTIFY wakes it; the second is for a notice that was lost with a connection.
        Job("outbox_relay", timedelta(seconds=1), relay.run, wake),
        Job("outbox_report", timedelta(minutes=1), relay.report_unknown),
        Job("notification_sweep", timedelta(seconds=1), sweep_notifications, parts.sweep_wake),
        # Not part of the sweep, which ends early while Redis is away.
        Job("notification_freeing", timedelta(seconds=1), free_notifications),
        Job("idempotency_purge", timedelta(minutes=10), purge_keys),
        Job("sla_repair", parts.settings.policy_check, follow_clocks),
        *_sla_monitor(parts),
        _router(parts),
        _escalation(parts),
        *_privacy(parts),
        _quality(parts),
        *_dead_letters(parts),
        _operation_alerts(parts),
    )


def _dead_letters(parts: Parts) -> tuple[Job, ...]:
    settings, db, clock = parts.settings, parts.db, parts.clock
    desk = dead_letter_desk(settings, db=db, clock=clock, gate=parts.gate, job_names=None)
    reconciler = dlq_reconciler(settings, db=db, clock=clock, dead_set=parts.dead_set)

    async def reconcile() -> None:
        await reconciler.run()
        await desk.catch_up()

    async def call_webhook() -> None:
        if not await call_is_due(db, now=clock.now()):
            return
        async with httpx.AsyncClient() as http:
            await dlq_webhook(settings, db=db, clock=clock, http=http, jitter=make_jitter()).run()

    return (
        Job("dlq_reconcile", timedelta(minutes=1), reconcile),
        Job("dlq_monitor", timedelta(seconds=30), dlq_monitor(settings, db=db, clock=clock).run),
        Job("dlq_webhook", timedelta(seconds=5), call_webhook),
    )


def _operation_alerts(parts: Parts) -> Job:
    """A broken channel and a backlog are told within two minutes, whoever died in between."""
    settings = parts.settings
    backlog = BacklogMonitor(
        parts.db,
        parts.queue,
        parts.clock,
        threshold=settings.notifications_backlog_threshold,
        oldest=timedelta(seconds=settings.ponte_notifications_oldest_seconds),
    )
    gate = parts.gate
    watch = None
    if gate is not None:
        watch = BreakerWatch(parts.db, parts.clock, lambda: gate.looks(tuple(JobName)))

    async def look() -> None:
        if watch is not None:
            await watch.run()  # first: what waits for a broken channel is told as that
        await backlog.run()

    return Job("operation_alerts", timedelta(seconds=15), look)


def _quality(parts: Parts) -> Job:
    plan = quality_watch()
    drawing = QualityDraw(parts.db, parts.clock, plan.holder.current)

    async def sample() -> None:
        await asyncio.to_thread(plan.check_now)
        await drawing.run()

    # A week is drawn once; an hour is how late its reviewers may learn of it.
    return Job("quality_sample", timedelta(hours=1), sample)


def _privacy(parts: Parts) -> tuple[Job, ...]:
    settings, clock = parts.settings, parts.clock
    sealing = Sealing(parts.db, clock, settings.audit_keys, settings.audit_checkpoint_file)
    runner = JobRunner(parts.db, person_stores(settings, parts.db), clock)
    kept = Retention(settings, parts.db, load_retention())

    async def retain() -> None:
        await kept.run(now=clock.now())

    return (
        Job("audit_seal", timedelta(seconds=1), sealing.seal),
        Job("audit_checkpoint", timedelta(minutes=5), sealing.note),
        Job("privacy_jobs", timedelta(seconds=5), runner.run),
        Job("retention", timedelta(hours=1), retain),
    )


def _router(parts: Parts) -> Job:
    loaded = read_policy()
    policies = PolicyHolder(loaded.policy)
    watch = PolicyWatch.after(loaded, policies, db=parts.db, clock=parts.clock)
    engine = RoutingEngine(parts.db, parts.clock, policies.current, parts.settings.routing)

    async def route() -> None:
        await watch.check()
        await engine.run()

    every = timedelta(seconds=parts.settings.ponte_routing_seconds)
    return Job("routing", every, route, parts.routing_wake)


def _escalation(parts: Parts) -> Job:
    policy = read_policy().policy
    sweep_rules = EscalationSweep(
        parts.db,
        parts.clock,
        rules=load_escalation({key: Level(queue.level) for key, queue in policy.queues.items()}),
        policy=lambda: policy,
        keep_going=lambda: not parts.stop.is_set(),
    )
    return Job("escalation", timedelta(seconds=30), sweep_rules.run)


def _sla_monitor(parts: Parts) -> tuple[Job, ...]:
    settings = parts.settings
    if not settings.sla_monitor_enabled:
        log.warning("sla.monitor_off", setting="SLA_MONITOR_ENABLED")
        return ()
    sweep_clocks = SlaSweep(
        parts.db,
        parts.clock,
        batch=settings.sla_monitor_batch,
        cooldown=settings.sla_alert_cooldown,
        keep_going=lambda: not parts.stop.is_set(),
    )
    return (Job("sla_sweep", settings.sla_monitor_interval, sweep_clocks.run),)


def run(settings: Settings, more_jobs: Callable[[Parts], Sequence[Job]] = lambda _: ()) -> int:
    """Run until SIGTERM or SIGINT; the exit code (1: the policies are not usable)."""
    configure_process(settings, "scheduler")
    try:
        return asyncio.run(_main(settings, more_jobs))
    except PoliciesError as error:
        log.error("scheduler.refused", problems=error.problems)  # noqa: TRY400 - says it all
        return 1
    except PolicyError as error:
        log.error("scheduler.refused", problems=error.lines)  # noqa: TRY400 - says it all
        return 1
    except EscalationFileError as error:
        log.error("scheduler.refused", problems=error.lines)  # noqa: TRY400 - says it all
        return 1
    except RetentionError as error:
        log.error("scheduler.refused", problems=error.problems)  # noqa: TRY400 - says it all
        return 1


def _queue_look(broker: PonteBroker, clock: Clock) -> Job:
    """Feeds the gauges of what lies in Redis; a Redis that is away is the backlog's alert."""

    async def look() -> None:
        with contextlib.suppress(QueueUnavailableError):
            await Inspection(broker).look(now=clock.now())

    return Job("queue_look", timedelta(seconds=15), look)


async def _main(settings: Settings, more_jobs: Callable[[Parts], Sequence[Job]]) -> int:
    stop = stop_on_signals()
    clock = make_clock(settings)
    db = make_database(settings, pool_size=5)
    broker = make_producer_broker(settings.redis_url)
    wake = asyncio.Event()
    dead_set = RedisDeadSet(broker)
    teller = BreakerTeller(db, clock)
    gate = make_gate(
        settings.redis_url, recipient_key=settings.privacy_key, clock=clock, told=teller
    )
    parts = Parts(settings, db, DramatiqJobQueue(broker), clock, stop, gate=gate, dead_set=dead_set)
    scheduler = Scheduler(
        jobs=(*build_jobs(parts, wake=wake), _queue_look(broker, clock), *more_jobs(parts)),
        leadership=Leadership(db, name="scheduler", owner=_owner()),
        clock=clock,
    )
    listeners = [
        asyncio.create_task(listen(settings.database_url, channel, event))
        for channel, event in (
            (NOTIFY_CHANNEL, wake),
            (WAKE_CHANNEL, parts.sweep_wake),
            (routing_marks.NOTIFY_CHANNEL, parts.routing_wake),
        )
    ]
    try:
        await scheduler.run(stop)
    finally:
        for listener in listeners:
            listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listener
        await gate.close()
        await teller.drain()
        await db.close()
        broker.close()
    log.info("scheduler.stopped")
    return 0


@dataclass(frozen=True, slots=True)
class Scheduler:
    """Runs jobs, each in a loop of its own, while this process leads."""

    jobs: Sequence[Job]
    leadership: Leadership
    clock: Clock
    renew_every: timedelta = RENEW_EVERY
    first_backoff: timedelta = FIRST_BACKOFF

    async def run(self, stop: asyncio.Event) -> None:
        """Lead and work until `stop` is set; then let running jobs end, and hand over."""
        log.info("scheduler.started", count=len(self.jobs))
        leading = asyncio.create_task(self._lead(stop))
        loops = [asyncio.create_task(self._repeat(job, stop)) for job in self.jobs]
        await stop.wait()
        for job in self.jobs:
            job.wake.set()
        _, late = await asyncio.wait([leading, *loops], timeout=STOP_WITHIN.total_seconds())
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        try:
            await self.leadership.resign(self.clock.now())
        except Exception as error:  # noqa: BLE001 - the lease runs out by itself
            log.warning("scheduler.resign_failed", error_type=type(error).__name__)

    async def _lead(self, stop: asyncio.Event) -> None:
        led = False
        while not stop.is_set():
            try:
                leads = await self.leadership.campaign(self.clock.now())
            except Exception as error:  # noqa: BLE001 - a database that restarts must not end us
                log.warning("scheduler.campaign_failed", error_type=type(error).__name__)
                leads = self.leadership.leads(self.clock.now())
            if leads != led:
                log.info("scheduler.leadership", leader=leads)
                led = leads
                for job in self.jobs:
                    job.wake.set()
            await wait_for(stop, self.renew_every.total_seconds())

    async def _repeat(self, job: Job, stop: asyncio.Event) -> None:
        failures = 0
        while not stop.is_set():
            pause = job.every
            job.wake.clear()
            if self.leadership.leads(self.clock.now()):
                try:
                    await job.run()
                    failures = 0
                except Exception as error:  # a job that fails is tried again, for ever
                    failures += 1
                    pause = self._backoff(job, failures)
                    log.exception(
                        "scheduler.job_failed",
                        job_name=job.name,
                        error_type=type(error).__name__,
                        attempts=failures,
                        retry_in_seconds=pause.total_seconds(),
                    )
            if failures:
                # Wake-ups do not cut a backoff short, only the end does.
                await wait_for(stop, pause.total_seconds())
            else:
                await wait_for(job.wake, pause.total_seconds())

    def _backoff(self, job: Job, failures: int) -> timedelta:
        # Beyond 2**10 every pause has reached its longest; the bound keeps the number small.
        pause = max(job.every, self.first_backoff) * (1 << min(failures - 1, 10))
        return min(pause, max(LONGEST_BACKOFF, job.every))


async def listen(url: str, channel: str, wake: asyncio.Event, *, pause: float = 1.0) -> None:
    """Set `wake` at every NOTIFY on the channel, for ever; reconnects when the line breaks."""
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(
                url, autocommit=True, connect_timeout=5
            ) as connection:
                await connection.execute(f"LISTEN {channel}".encode())
                wake.set()  # something may have come while nobody listened
                async for _ in connection.notifies():
                    wake.set()
        except (psycopg.Error, OSError) as error:
            log.warning(
                "scheduler.listen_failed",
                error_type=type(error).__name__,
                retry_in_seconds=pause,
            )
        await asyncio.sleep(pause)


def _owner() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{new_correlation_id()}"
