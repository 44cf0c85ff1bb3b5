"""Deliveries, sweep and gate together, second by second: when is a provider asked?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

import pytest_asyncio

from notifications.domain.failure import Consequence, Failure, FailureKind, SendFailedError
from notifications.domain.jobs import JobName
from notifications.services.deliver import Deliverer
from notifications.services.ports import Accepted, Outgoing
from notifications.services.sweep import Sweep
from notifications.shared_state.redis_gate import RedisGate, connect
from notifications.shared_state.shared_gate import SharedGate
from tests.notifications.conftest import World

JOB = JobName.SEND_EMAIL
DEAD = Failure(FailureKind.TRANSIENT, "smtp_421")
Answer = Callable[[int], Failure | None]


class Provider:
    """Answers by the number of seconds since the start, and remembers when it was asked."""

    def __init__(self, start: datetime, answer: Answer) -> None:
        self.start = start
        self.answer = answer
        self.calls: list[int] = []

    async def send(self, outgoing: Outgoing, *, now: datetime) -> Accepted:
        second = round((now - self.start).total_seconds())
        self.calls.append(second)
        failure = self.answer(second)
        if failure is not None:
            raise SendFailedError(failure)
        return Accepted(str(outgoing.notification_id))


@pytest_asyncio.fixture(loop_scope="session")
async def gate(world: World, redis_url: str) -> AsyncIterator[SharedGate]:
    shared = RedisGate(connect(redis_url), recipient_key="k", now=world.clock.now)
    made = SharedGate(shared, world.clock)
    yield made
    await made.close()


def make_worker(world: World, gate: SharedGate, provider: Provider) -> Deliverer:
    return Deliverer(
        db=world.db,
        clock=world.clock,
        senders={JOB: provider},
        give_up=world.give_up,
        jitter=lambda: 0.0,
        gate=gate,
        record_pauses=(),
    )


async def run(world: World, gate: SharedGate, provider: Provider, seconds: int) -> None:
    """Sweep and deliver every second, by two worker processes in turn."""
    workers = [make_worker(world, gate, provider) for _ in range(2)]
    sweep = Sweep(world.db, world.queue, gate)
    for second in range(seconds):
        await sweep.run(now=world.clock.now())
        jobs, world.queue.jobs = world.queue.jobs, []
        for job in jobs:
            await workers[second % 2].deliver(job.notification_id, JobName(job.job_name))
        world.clock.advance(timedelta(seconds=1))


def limit(seconds: float) -> Failure:
    return Failure(
        FailureKind.RATE_LIMITED,
        "429",
        retry_after=timedelta(seconds=seconds),
        consequence=Consequence.SLOW_NUMBER,
    )


async def test_after_a_429_nobody_asks_before_its_word_is_over(
    world: World, gate: SharedGate
) -> None:
    for _ in range(20):
        await world.make_notification(JOB)
    provider = Provider(world.clock.now(), lambda second: limit(30) if second < 30 else None)

    await run(world, gate, provider, 60)

    assert provider.calls[0] == 0
    assert provider.calls[1] >= 30  # nobody, by no job
    rows = await world.notifications()
    assert {row.state for row in rows} == {"sent"}
    assert {row.attempts for row in rows} == {1}  # the 429 and the waiting cost none
    assert len(provider.calls) == 21


async def test_a_dead_provider_is_asked_five_times_then_once_a_minute(
    world: World, gate: SharedGate
) -> None:
    for _ in range(30):
        await world.make_notification(JOB)
    provider = Provider(world.clock.now(), lambda second: DEAD if second < 150 else None)

    await run(world, gate, provider, 240)

    assert provider.calls[:5] == [0] * 5
    probes = [second for second in provider.calls[5:] if second < 150]
    assert len(probes) == 2
    assert probes[0] >= 60
    assert probes[1] - probes[0] >= 60
    rows = await world.notifications()
    assert {row.state for row in rows} == {"sent"}
    # Those that waited behind the breaker have spent one attempt, their own.
    assert sum(row.attempts for row in rows) == 30 + 5 + 2


async def test_a_refused_account_is_asked_every_ten_minutes(world: World, gate: SharedGate) -> None:
    for _ in range(3):
        await world.make_notification(JOB)
    refused = Failure(FailureKind.STOP_CHANNEL, "535")
    provider = Provider(world.clock.now(), lambda _second: refused)

    await run(world, gate, provider, 640)

    assert provider.calls[0] == 0
    assert len(provider.calls) == 2
    assert provider.calls[1] >= 600


async def test_a_clock_that_is_set_back_keeps_nothing_closed_for_longer(
    world: World, gate: SharedGate
) -> None:
    provider = Provider(world.clock.now(), lambda second: DEAD if second > 3000 else None)
    worker = make_worker(world, gate, provider)
    dead = [await world.make_notification(JOB) for _ in range(6)]
    world.clock.advance(timedelta(hours=1))
    for one in dead:
        await worker.deliver(one, JOB)  # the fifth failure opens the breaker, the sixth meets it

    world.clock.advance(timedelta(hours=-1))
    late = await world.make_notification(JOB)
    await worker.deliver(late, JOB)

    assert (await world.notification(late)).state == "sent"
