from __future__ import annotations

import asyncio
import uuid
from collections import Counter
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
        (WHATSAPP, "at-least-once", "unknown", 35),
        (SMS, "at-least-once", "unknown", 35),
        (EMAIL, "at-most-once", "unknown", 35),
        (PUSH, "at-most-once", "unknown", 35),
    ],
)
@pytest.mark.parametrize("claimed", [10, 80], ids=lambda seconds: f"claimed {seconds} s ago")
async def test_what_a_dead_worker_had_is_free_or_waits_until_45_s_after_its_death(  # noqa: PLR0917 - a table's columns
    world: World, job_name: Any, guarantee: Any, state: Any, seconds: Any, claimed: Any
) -> None:
    """Gone is who has been missing for 10 s; the provider may be slow, so a claim says nothing."""
    notification_id = await world.make_notification(job_name, guarantee=guarantee)
    await take(world, notification_id, job_name=job_name)
    world.clock.advance(timedelta(seconds=claimed))

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


async def test_a_clock_that_is_set_takes_nothing_from_the_leases_of_live_workers(
    world: World,
) -> None:
    """They would be sent by a second worker while the first one waits for its answer."""
    notification_id = await world.make_notification()
    freeing = Freeing(world.db, world.give_up, Gone())
    await take(world, notification_id)
    await freeing.run(now=world.clock.now())

    world.clock.advance(timedelta(hours=1))

    assert await freeing.run(now=world.clock.now()) == 0
    assert await look_for(freeing, world, LEASE) == 1  # a worker that hangs ends all the same


async def test_a_lease_ends_in_its_time_although_every_look_is_late(world: World) -> None:
    notification_id = await world.make_notification()
    freeing = Freeing(world.db, world.give_up, Gone())
    await take(world, notification_id)

    assert await look_for(freeing, world, LEASE * 2, every=timedelta(seconds=4)) == 1


@pytest.mark.parametrize("minutes", [-60, 60])
async def test_a_clock_that_went_away_and_came_back_changes_no_lease(
    world: World, minutes: Any
) -> None:
    notification_id = await world.make_notification()
    freeing = Freeing(world.db, world.give_up, Gone())
    await take(world, notification_id)
    for jump in (minutes, -minutes):
        await freeing.run(now=world.clock.now())
        world.clock.advance(timedelta(minutes=jump))

    assert await look_for(freeing, world, LEASE - timedelta(seconds=2)) == 0
    assert await look_for(freeing, world, timedelta(seconds=6)) == 1


async def test_what_waits_by_a_clock_that_was_set_back_waits_as_long_as_it_was_meant_to(
    world: World,
) -> None:
    freeing = Freeing(world.db, world.give_up, Gone())
    world.clock.advance(timedelta(hours=1))
    soon = world.clock.now() + timedelta(seconds=20)
    new = await world.make_notification(enqueued_at=world.clock.now())
    tried = await world.make_notification(claimed_at=world.clock.now(), next_attempt_at=soon)
    quiet = world.clock.now() + timedelta(hours=6)
    held = await world.make_notification(next_attempt_at=quiet)
    await freeing.run(now=world.clock.now())

    world.clock.advance(timedelta(hours=-1))
    for _ in range(2):
        await Freeing(world.db, world.give_up, Gone()).run(now=world.clock.now())
    await freeing.run(now=world.clock.now())

    due = {one: (await world.notification(one)).next_attempt_at for one in (new, tried, held)}
    wait = timedelta(seconds=20)
    assert due == {new: world.clock.now(), tried: world.clock.now() + wait, held: quiet}
    assert (await world.notification(new)).claimed_at is None  # it may still lead a digest
    await sweep(world.db, world.queue, now=world.clock.now())
    assert [job.notification_id for job in world.queue.jobs] == [new]


async def test_what_reads_the_clock_before_it_is_set_back_may_write_after(world: World) -> None:
    freeing = Freeing(world.db, world.give_up, Gone())
    await freeing.run(now=world.clock.now() + timedelta(hours=1))
    await freeing.run(now=world.clock.now())  # it is set back: nothing to be seen yet
    ahead = world.clock.now() + timedelta(hours=1)
    late = await world.make_notification(claimed_at=ahead, next_attempt_at=ahead)

    world.clock.advance(timedelta(seconds=30))
    await freeing.run(now=world.clock.now())

    assert (await world.notification(late)).next_attempt_at == world.clock.now()


async def test_a_lost_job_is_missed_although_it_was_put_in_by_a_clock_that_was_ahead(
    world: World,
) -> None:
    freeing = Freeing(world.db, world.give_up, Gone())
    world.queue.jobs.clear()
    old = await world.make_notification()
    ahead = world.clock.now() + timedelta(hours=1)
    await freeing.run(now=ahead)
    await sweep(world.db, world.queue, now=ahead)
    world.queue.jobs.clear()  # Redis comes back empty

    world.clock.advance(timedelta(minutes=1))
    await freeing.run(now=world.clock.now())
    await sweep(world.db, world.queue, now=world.clock.now())

    assert [job.notification_id for job in world.queue.jobs] == [old]


async def look_for(
    freeing: Freeing, world: World, time: timedelta, *, every: timedelta = timedelta(seconds=1)
) -> int:
    """How many rows are freed within a time."""
    found = 0
    end = world.clock.now() + time
    while world.clock.now() < end:
        world.clock.advance(every)
        found += await freeing.run(now=world.clock.now())
    return found


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


@pytest.mark.parametrize("places", [(77,), (77, 78), (3, 190)], ids=str)
async def test_what_kills_its_worker_takes_none_of_two_hundred_with_it(
    world: World, places: Any
) -> None:
    """One process claims all that is due and dies with all of it when a poison is there."""
    ids = [await world.make_notification() for _ in range(200)]
    poisons = {ids[place] for place in places}
    deliverer = world.deliverer(None)
    sent: list[uuid.UUID] = []
    deaths: Counter[uuid.UUID] = Counter()
    for _ in range(400):
        await sweep(world.db, world.queue, now=world.clock.now())
        batch = [job.notification_id for job in world.queue.jobs]
        world.queue.jobs.clear()
        claimed = await take(world, *batch)
        deadly = poisons & {one.notification_id for one in claimed}
        if deadly:
            deaths.update(deadly)
            await free(world, KEY)
        else:
            for one in claimed:
                await deliverer.record(one, EMAIL, Accepted("x"))
                if one.event != "notification-failed":  # what the admin is told at the end
                    sent.append(one.notification_id)
        if len(sent) == len(ids) - len(poisons) and set(deaths.values()) == {3}:
            break
        world.clock.advance(timedelta(seconds=1))

    assert sorted(sent) == sorted(set(ids) - poisons)
    entries = await dead_letters(world)
    assert {entry.notification_id: entry.reason for entry in entries} == dict.fromkeys(
        poisons, "poison"
    )
    assert deaths == dict.fromkeys(poisons, 3)


async def test_a_digest_that_kills_workers_buries_each_notice_in_it_with_its_own_words(
    world: World,
) -> None:
    digest = {"count": 2, "subjects": ["a", "b"]}
    leader = await world.make_notification(context={"source": "test", "digest": digest})
    follower = await world.make_notification(digest_id=leader)
    innocent = await world.make_notification()
    for _ in range(3):
        assert [one.notification_id for one in await take(world, leader)] == [leader]
        await free(world, KEY)

    entries = await dead_letters(world)
    assert {entry.notification_id: entry.reason for entry in entries} == {
        leader: "poison",
        follower: "poison",
    }
    for one in (leader, follower):
        row = await world.notification(one)
        assert (row.state, row.digest_id, "digest" in row.context) == ("failed", None, False)
    assert (await world.notification(innocent)).lost_workers == 0


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
    world.clock.advance(timedelta(seconds=35))
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
