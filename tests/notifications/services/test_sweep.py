from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from notifications.domain.jobs import JobName
from notifications.services.claims import LEASE, Claims
from notifications.services.freeing import Freeing
from notifications.services.ports import QueueUnavailableError
from notifications.services.sweep import LOST_AFTER, LOST_AFTER_BACKLOG, sweep
from tests.notifications.conftest import World


async def swept(world: World, **options: Any) -> Any:
    await sweep(world.db, world.queue, now=world.clock.now(), **options)
    return [job.notification_id for job in world.queue.jobs]


async def test_a_due_row_is_put_in_once_and_a_later_one_in_its_time(world: World) -> None:
    due = await world.make_notification()
    later = await world.make_notification(next_attempt_at=world.clock.now() + timedelta(seconds=9))

    assert await swept(world) == [due]
    assert await swept(world) == [due]

    world.clock.advance(timedelta(seconds=9))
    assert await swept(world) == [due, later]


async def test_the_job_says_what_it_is_and_whether_it_is_urgent(world: World) -> None:
    await world.make_notification(JobName.SEND_WHATSAPP, urgent=True)

    await swept(world)

    (job,) = world.queue.jobs
    assert (job.job_name, job.urgent, job.correlation_id) == ("send-whatsapp", True, "c-1")


async def test_a_job_that_redis_lost_is_put_in_again(world: World) -> None:
    notification_id = await world.make_notification()
    await swept(world)
    world.queue.jobs.clear()  # FLUSHALL

    world.clock.advance(LOST_AFTER - timedelta(seconds=1))
    assert await swept(world) == []
    world.clock.advance(timedelta(seconds=1))
    assert await swept(world) == [notification_id]


async def test_a_backlog_is_not_made_longer_by_copies(world: World) -> None:
    notification_id = await world.make_notification()
    await swept(world)

    world.clock.advance(LOST_AFTER_BACKLOG - timedelta(seconds=1))
    assert await swept(world) == [notification_id]
    world.clock.advance(timedelta(seconds=1))
    assert await swept(world) == [notification_id, notification_id]


async def test_a_row_whose_worker_died_is_put_in_when_its_lease_is_over(world: World) -> None:
    notification_id = await world.make_notification()
    claims = Claims(world.db, world.give_up)
    now = world.clock.now()
    await claims.take([notification_id], JobName.SEND_EMAIL, now=now, worker=None)

    assert await swept(world) == []
    world.clock.advance(LEASE)
    await Freeing(world.db, world.give_up).run(now=world.clock.now())
    assert await swept(world) == [notification_id]


@pytest.mark.parametrize("state", ["sent", "delivered", "read", "failed", "dropped"])
async def test_a_finished_row_is_left_alone(world: World, state: Any) -> None:
    await world.make_notification(state=state)

    assert await swept(world) == []


async def test_with_redis_down_the_row_is_put_in_at_once_when_it_is_back(world: World) -> None:
    notification_id = await world.make_notification()
    world.queue.down = True
    with pytest.raises(QueueUnavailableError):
        await swept(world)

    world.queue.down = False
    assert await swept(world) == [notification_id]


async def test_redis_failing_between_the_look_and_the_put_takes_the_mark_back(world: World) -> None:
    notification_id = await world.make_notification()

    class Breaks(type(world.queue)):
        async def waiting(self) -> int:
            return 0

    broken = Breaks()
    broken.down = True
    with pytest.raises(QueueUnavailableError):
        await sweep(world.db, broken, now=world.clock.now())

    assert (await world.notification(notification_id)).enqueued_at is None


async def test_two_sweeps_at_once_share_the_rows(world: World) -> None:
    ids = {await world.make_notification() for number in range(6)}

    await asyncio.gather(*(sweep(world.db, world.queue, now=world.clock.now()) for _ in range(4)))

    assert sorted(job.notification_id for job in world.queue.jobs) == sorted(ids)


async def test_a_sweep_goes_on_while_full_batches_come_urgent_and_oldest_first(
    world: World,
) -> None:
    second = timedelta(seconds=1)
    now = world.clock.now()
    late = await world.make_notification()
    early = await world.make_notification(next_attempt_at=now - second)
    urgent = await world.make_notification(urgent=True)

    assert await swept(world, batch=1) == [urgent, early, late]


async def test_a_limit_of_a_job_name_holds_for_the_whole_sweep(world: World) -> None:
    for _ in range(5):
        await world.make_notification()
    sms = await world.make_notification(JobName.SEND_SMS)

    ids = await swept(world, limits={JobName.SEND_EMAIL: 3}, batch=2)

    assert len(ids) == 4
    assert sms in ids
