from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from ponte.processes.leadership import Leadership
from ponte.processes.scheduler import Job, Scheduler, listen
from tests.notifications.conftest import World
from ticketing.services.outbox import NOTIFY_CHANNEL

PATIENCE_SECONDS = 10
LEASE = timedelta(seconds=10)


def candidate(world: World, owner: str) -> Any:
    return Leadership(world.db, name="scheduler", owner=owner, lease=LEASE)


async def test_one_of_many_leads(world: World) -> None:
    now = world.clock.now()
    candidates = [candidate(world, str(number)) for number in range(5)]

    won = await asyncio.gather(*(one.campaign(now) for one in candidates))

    assert sorted(won) == [False, False, False, False, True]
    assert [one.leads(now) for one in candidates] == won


async def test_the_leader_renews_and_a_dead_one_is_replaced(world: World) -> None:
    first, second = candidate(world, "1"), candidate(world, "2")
    assert await first.campaign(world.clock.now())
    world.clock.advance(timedelta(seconds=9))
    assert await first.campaign(world.clock.now())
    world.clock.advance(timedelta(seconds=9))
    assert not await second.campaign(world.clock.now())

    world.clock.advance(timedelta(seconds=1))

    assert await second.campaign(world.clock.now())
    assert not first.leads(world.clock.now())
    assert not await first.campaign(world.clock.now())


async def test_a_leader_that_resigns_is_followed_at_once(world: World) -> None:
    first, second = candidate(world, "1"), candidate(world, "2")
    now = world.clock.now()
    await first.campaign(now)

    await second.resign(now)
    assert not await second.campaign(now)
    await first.resign(now)

    assert not first.leads(now)
    assert await second.campaign(now)


async def test_a_lease_from_before_the_clock_was_set_back_holds_nobody_up(world: World) -> None:
    ahead, behind = candidate(world, "1"), candidate(world, "2")
    assert await ahead.campaign(world.clock.now() + timedelta(hours=1))
    world.clock.advance(LEASE / 2)  # clocks of two machines may differ a little

    assert await behind.campaign(world.clock.now())
    assert not await candidate(world, "3").campaign(world.clock.now() - LEASE / 2)


async def test_leases_of_other_names_are_apart(world: World) -> None:
    now = world.clock.now()
    other = Leadership(world.db, name="other", owner="2", lease=LEASE)

    assert await candidate(world, "1").campaign(now)
    assert await other.campaign(now)


class Counted:
    """A job's run that a test can wait for; fails as its script says."""

    def __init__(self, *failures: Any) -> None:
        self.failures = list(failures)
        self.runs = asyncio.Semaphore(0)
        self.count = 0

    async def __call__(self) -> Any:
        self.count += 1
        self.runs.release()
        if self.failures:
            raise self.failures.pop(0)

    async def ran(self, times: Any) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            for _ in range(times):
                await self.runs.acquire()


@pytest.fixture
async def start(world: World) -> Any:
    stops = []

    def begin(*jobs: Any, owner: str = "1") -> Any:
        stop = asyncio.Event()
        scheduler = Scheduler(
            jobs=jobs,
            leadership=candidate(world, owner),
            clock=world.clock,
            renew_every=timedelta(milliseconds=20),
            first_backoff=timedelta(milliseconds=5),
        )
        task = asyncio.create_task(scheduler.run(stop))
        stops.append((stop, task))
        return stop, task

    yield begin
    for stop, task in stops:
        stop.set()
        await task


async def test_a_leader_repeats_its_jobs(start: Any) -> None:
    job = Counted()

    start(Job("x", timedelta(milliseconds=10), job))

    await job.ran(3)


async def test_only_one_of_two_works_and_the_other_takes_over(start: Any) -> None:
    first, second = Counted(), Counted()
    stop, task = start(Job("x", timedelta(milliseconds=10), first), owner="1")
    await first.ran(1)
    start(Job("x", timedelta(milliseconds=10), second), owner="2")
    await first.ran(5)
    assert second.count == 0

    stop.set()
    await task

    await second.ran(1)


async def test_a_job_that_fails_is_tried_again_and_does_not_disturb_others(start: Any) -> None:
    bad, good = Counted(ConnectionError("gone")), Counted()

    start(
        Job("bad", timedelta(milliseconds=1), bad),
        Job("good", timedelta(milliseconds=1), good),
    )

    await good.ran(3)
    await bad.ran(2)


async def test_a_wake_up_runs_the_job_before_its_time(start: Any) -> None:
    job = Counted()
    wake = asyncio.Event()
    start(Job("x", timedelta(hours=1), job, wake))
    await job.ran(1)

    wake.set()

    await job.ran(1)


async def test_the_end_lets_a_running_job_finish(start: Any) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        started.set()
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)
        ended.set()

    stop, task = start(Job("x", timedelta(hours=1), slow))
    await started.wait()

    stop.set()
    await task

    assert ended.is_set()


async def test_an_outbox_event_wakes_the_relay_when_it_is_committed(
    world: World, postgres_url: str
) -> None:
    ticket = await world.make_ticket()
    wake = asyncio.Event()
    listener = asyncio.create_task(listen(postgres_url, NOTIFY_CHANNEL, wake))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await wake.wait()
        wake.clear()
        await world.make_event(ticket)
        await wake.wait()
    listener.cancel()


async def test_a_broken_line_is_laid_again(world: World, postgres_url: str) -> None:
    wake = asyncio.Event()
    listener = asyncio.create_task(listen(postgres_url, NOTIFY_CHANNEL, wake, pause=0.01))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await wake.wait()
        wake.clear()
        await end_listeners(world)
        await wake.wait()
    listener.cancel()


async def end_listeners(world: World) -> None:
    from sqlalchemy import text  # noqa: PLC0415

    async with world.db.transaction() as session:
        ended = await session.scalar(
            text(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE query LIKE 'LISTEN%'"
            )
        )
    assert ended == 1
