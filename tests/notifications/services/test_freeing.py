from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from notifications.domain.jobs import JobName
from notifications.services.claims import LEASE, Claims
from notifications.services.freeing import Freeing
from notifications.services.ports import Accepted
from notifications.services.statuses import apply_notice_status
from notifications.services.sweep import sweep
from notifications.services.worker_presence import Attendance
from tests.notifications.conftest import FakeSender, World
from ticketing.db.notification_tables import DeadLetter
from ticketing.domain.enums import DeliveryState

EMAIL, WHATSAPP = JobName.SEND_EMAIL, JobName.SEND_WHATSAPP
SMS, PUSH = JobName.SEND_SMS, JobName.SEND_PUSH
KEY = 7


class Gone(Attendance):
    """Whoever is named is gone at the first look."""

    def __init__(self, *keys: int) -> None:
        super().__init__()
        self.keys = frozenset(keys)

    async def gone(self, session: Any, *, now: Any) -> frozenset[int]:
        return self.keys


async def take(world: World, *ids: uuid.UUID, job_name: JobName = EMAIL) -> Sequence[Any]:
    claims = Claims(world.db, world.give_up)
    return await claims.take(ids, job_name, now=world.clock.now(), worker=KEY)


async def free(world: World, *keys: int) -> int:
    return await Freeing(world.db, world.give_up, Gone(*keys)).run(now=world.clock.now())


async def dead_letters(world: World) -> list[DeadLetter]:
    async with world.db.transaction() as session:
        return list(await session.scalars(select(DeadLetter)))


@pytest.mark.parametrize(
    ("job_name", "guarantee", "state", "seconds"),
    [
        (EMAIL, "at-least-once", "pending", 0),
        (PUSH, "at-least-once", "pending", 0),
        (JobName.NOTIFY_USER, "at-least-once", "pending", 0),
        (WHATSAPP, "at-least-once", "unknown", 33),
        (SMS, "at-least-once", "unknown", 33),
        (EMAIL, "at-most-once", "unknown", 33),
        (PUSH, "at-most-once", "unknown", 33),
    ],
)
async def test_what_a_dead_worker_had_is_free_or_waits_until_45_s_after_its_claim(
    world: World, job_name: Any, guarantee: Any, state: Any, seconds: Any
) -> None:
    notification_id = await world.make_notification(job_name, guarantee=guarantee)
    await take(world, notification_id, job_name=job_name)
    world.clock.advance(timedelta(seconds=12))

    assert await free(world, KEY) == 1

    row = await world.notification(notification_id)
    assert (row.state, row.lost_workers, row.claimed_by) == (state, 1, None)
    assert row.next_attempt_at == world.clock.now() + timedelta(seconds=seconds)


async def test_what_a_live_worker_has_is_left_to_it(world: World) -> None:
    notification_id = await world.make_notification()
    await take(world, notification_id)
    world.clock.advance(LEASE - timedelta(seconds=1))

    assert await free(world, KEY + 1) == 0

    assert (await world.notification(notification_id)).state == "sending"


async def test_a_lease_that_is_over_frees_a_row_whoever_has_it(world: World) -> None:
    notification_id = await world.make_notification()
    await take(world, notification_id)
    world.clock.advance(LEASE)

    assert await free(world) == 1
    assert (await world.notification(notification_id)).state == "pending"


async def test_two_that_free_at_once_count_one_death(world: World) -> None:
    notification_id = await world.make_notification()
    await take(world, notification_id)

    assert sum(await asyncio.gather(*(free(world, KEY) for _ in range(4)))) == 1
    assert (await world.notification(notification_id)).lost_workers == 1


async def test_three_deaths_make_a_dead_letter_with_its_reason(world: World) -> None:
    notification_id = await world.make_notification()
    for _ in range(3):
        assert len(await take(world, notification_id)) == 1
        await free(world, KEY)

    assert await take(world, notification_id) == ()
    assert (await world.notification(notification_id)).state == "failed"
    (entry,) = await dead_letters(world)
    assert (entry.reason, entry.error_code) == ("poison", "worker_lost")


async def test_one_that_kills_its_worker_takes_none_of_two_hundred_with_it(world: World) -> None:
    """One process claims all that is due and dies with all of it when the poison is there."""
    ids = [await world.make_notification() for _ in range(200)]
    poison = ids[77]
    deliverer = world.deliverer(None)
    sent: list[uuid.UUID] = []
    deaths = 0
    for _ in range(400):
        await sweep(world.db, world.queue, now=world.clock.now())
        batch = [job.notification_id for job in world.queue.jobs]
        world.queue.jobs.clear()
        claimed = await take(world, *batch)
        if poison in {one.notification_id for one in claimed}:
            deaths += 1
            await free(world, KEY)
        else:
            for one in claimed:
                await deliverer.record(one, EMAIL, Accepted("x"))
                if one.event != "notification-failed":  # what the admin is told at the end
                    sent.append(one.notification_id)
        if len(sent) == len(ids) - 1 and deaths == 3:
            break
        world.clock.advance(timedelta(seconds=1))

    assert sorted(sent) == sorted(set(ids) - {poison})
    (entry,) = await dead_letters(world)
    assert (entry.notification_id, entry.reason) == (poison, "poison")


async def test_after_two_deaths_only_one_is_on_its_way_anywhere(world: World) -> None:
    ids = [await world.make_notification(lost_workers=2) for _ in range(5)]

    taken = await asyncio.gather(*(take(world, *ids) for _ in range(4)))

    assert sum(len(one) for one in taken) == 1


async def test_a_suspect_without_room_comes_back_by_the_sweep_and_spends_nothing(
    world: World,
) -> None:
    first = await world.make_notification(lost_workers=2)
    second = await world.make_notification(lost_workers=2, enqueued_at=world.clock.now())
    await take(world, first)

    assert await take(world, second) == ()

    row = await world.notification(second)
    assert (row.state, row.attempts, row.deferrals, row.enqueued_at) == ("pending", 0, 0, None)
    assert row.next_attempt_at is not None


async def test_after_two_deaths_a_suspect_has_a_message_of_its_own(world: World) -> None:
    await world.make_notification()
    await world.make_notification(lost_workers=2)

    await sweep(world.db, world.queue, now=world.clock.now())

    assert sorted(job.alone for job in world.queue.jobs) == [False, True]


async def test_what_may_go_out_once_is_given_up_when_nobody_knows(
    world: World, fake_sender: type[FakeSender]
) -> None:
    notification_id = await world.make_notification(guarantee="at-most-once")
    await take(world, notification_id)
    world.clock.advance(timedelta(seconds=12))
    await free(world, KEY)
    world.clock.advance(timedelta(seconds=33))
    sender = fake_sender()

    await world.deliverer(sender).deliver(notification_id, EMAIL)

    assert sender.sent == []
    assert (await world.notification(notification_id)).state == "failed"
    assert [entry.reason for entry in await dead_letters(world)] == ["unknown_outcome"]


@pytest.mark.parametrize("before", [True, False], ids=["in the wait", "after the end"])
async def test_a_status_turns_what_nobody_knew_into_sent_also_out_of_a_dead_letter(
    world: World, fake_sender: type[FakeSender], before: Any
) -> None:
    notification_id = await world.make_notification(
        WHATSAPP, recipient="+5511912345678", guarantee="at-most-once"
    )
    await take(world, notification_id, job_name=WHATSAPP)
    await free(world, KEY)
    if not before:
        world.clock.advance(timedelta(seconds=45))
        await world.deliverer(fake_sender(), WHATSAPP).deliver(notification_id, WHATSAPP)
        assert (await world.notification(notification_id)).state == "failed"

    async with world.db.transaction() as session:
        await apply_notice_status(
            session,
            notification_id,
            reached=DeliveryState.DELIVERED,
            failure=None,
            provider_id="wamid.1",
            now=world.clock.now(),
            give_up=world.give_up,
        )

    row = await world.notification(notification_id)
    assert (row.state, row.provider_id, row.error) == ("delivered", "wamid.1", None)
    assert [entry.state for entry in await dead_letters(world)] == ([] if before else ["recovered"])


async def test_what_is_expired_is_given_up_without_a_worker(world: World) -> None:
    soon = world.clock.now() + timedelta(minutes=5)
    notification_id = await world.make_notification(
        expires_at=soon,
        next_attempt_at=world.clock.now() + timedelta(hours=1),
        error={"code": "429", "http_status": 429},
    )
    kept = await world.make_notification()

    assert await free(world) == 0
    world.clock.advance(timedelta(minutes=5))
    assert await free(world) == 1

    assert (await world.notification(notification_id)).state == "failed"
    assert (await world.notification(kept)).state == "pending"
    (entry,) = await dead_letters(world)
    assert (entry.reason, entry.error_code, entry.http_status) == ("expired", "429", 429)


async def test_a_row_that_waits_without_a_time_is_due(world: World) -> None:
    notification_id = await world.make_notification(next_attempt_at=None)

    await free(world)
    await sweep(world.db, world.queue, now=world.clock.now())

    assert [job.notification_id for job in world.queue.jobs] == [notification_id]
