"""Repeated alerts are told together: on real rows, with two makers at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from notifications.domain.failure import Failure, FailureKind, SendFailedError
from notifications.domain.jobs import Channel, JobName
from notifications.domain.occasions import PolicyEvent
from notifications.domain.quiet_hours import QuietHours
from notifications.domain.recipients import Notice
from notifications.services.freeing import Freeing
from notifications.services.notices import Cause, insert_all, insert_notices
from tests.notifications.conftest import FakeSender, World
from ticketing.db.notification_tables import DeadLetter, Notification

WINDOW = timedelta(minutes=10)


def alert(**changes: Any) -> Notice:
    values: dict[str, Any] = {
        "event": PolicyEvent.NOTIFICATION_FAILED,
        "channel": Channel.EMAIL,
        "recipient": "chefe@example.com",
        "language": "pt",
        "urgent": False,
        "digest": WINDOW,
    }
    return Notice(**(values | changes))


async def tell(world: World, key: str, *, notice: Notice | None = None) -> Any:
    async with world.db.transaction() as session:
        return await insert_notices(
            session,
            [notice or alert()],
            key=key,
            context={"source": "test", "ticket_number": int(key)},
            ticket_id=None,
            now=world.clock.now(),
            correlation_id="c-1",
            enqueued_at=world.clock.now(),
        )


async def rows(world: World) -> Any:
    found = await world.notifications()
    return sorted(found, key=lambda row: row.context["ticket_number"])


async def test_the_first_goes_at_once_and_the_others_wait_as_one(world: World) -> None:
    jobs = [await tell(world, str(number)) for number in range(1, 5)]

    first, leader, third, fourth = await rows(world)
    assert [len(made) for made in jobs] == [1, 0, 0, 0]
    assert first.next_attempt_at == world.clock.now()
    assert leader.next_attempt_at == world.clock.now() + WINDOW
    assert third.digest_id == fourth.digest_id == leader.id
    assert leader.context["digest"]["count"] == 3
    numbers = [item["ticket_number"] for item in leader.context["digest"]["items"]]
    assert numbers == [2, 3, 4]


async def test_what_joins_is_sent_with_its_leader_once(world: World) -> None:
    for number in range(1, 4):
        await tell(world, str(number))
    sender = FakeSender()
    deliverer = world.deliverer(sender)
    first, leader, follower = await rows(world)
    await deliverer.deliver_many([first.id], JobName.SEND_EMAIL)
    world.clock.advance(WINDOW)

    await deliverer.deliver_many([leader.id, follower.id], JobName.SEND_EMAIL)

    assert [sent.notification_id for sent in sender.sent] == [first.id, leader.id]
    assert {row.state for row in await rows(world)} == {"sent"}


async def test_a_digest_whose_window_ends_in_quiet_hours_leaves_after_them(world: World) -> None:
    now = world.clock.now()
    begin, end = now + WINDOW / 2, now + timedelta(hours=8)
    notice = alert(quiet=(QuietHours(begin.time(), end.time()), ZoneInfo("UTC")))

    for number in range(1, 4):
        await tell(world, str(number), notice=notice)

    first, leader, follower = await rows(world)
    assert first.next_attempt_at == now
    assert leader.next_attempt_at == end
    assert leader.expires_at >= end + notice.expires - WINDOW
    assert follower.digest_id == leader.id


async def test_after_a_quiet_window_the_next_goes_at_once(world: World) -> None:
    await tell(world, "1")
    await deliver(world, *await rows(world))
    world.clock.advance(WINDOW)

    assert len(await tell(world, "2")) == 1


async def test_what_nobody_took_for_a_whole_window_is_joined_and_not_followed(world: World) -> None:
    """Its channel is down: one message when it works again, and not one for each window."""
    await tell(world, "1")
    for number in range(2, 6):
        world.clock.advance(WINDOW)
        assert await tell(world, str(number)) == ()

    first, *others = await rows(world)
    assert {row.digest_id for row in others} == {first.id}
    assert first.context["digest"]["count"] == 5
    assert first.next_attempt_at <= world.clock.now()


async def test_other_recipients_channels_and_events_are_told_by_themselves(world: World) -> None:
    await tell(world, "1")

    assert len(await tell(world, "2", notice=alert(recipient="ana@example.com"))) == 1
    assert len(await tell(world, "3", notice=alert(event=PolicyEvent.SLA_ALERT))) == 1
    assert len(await tell(world, "4", notice=alert(digest=None))) == 1


async def test_the_same_cause_twice_is_told_once_and_counted_once(world: World) -> None:
    for key in ("1", "2", "3", "3", "3"):
        await tell(world, key)

    leader = (await rows(world))[1]
    assert leader.context["digest"]["count"] == 2
    assert len(await rows(world)) == 3


async def test_of_many_at_once_one_goes_at_once_and_one_leads(world: World) -> None:
    jobs = await asyncio.gather(*(tell(world, str(number)) for number in range(1, 41)))

    found = await rows(world)
    leaders = [row for row in found if row.digest_id is None]
    assert sum(map(len, jobs)) == 1
    assert len(leaders) == 2
    assert max(row.context.get("digest", {}).get("count", 1) for row in leaders) == 39


async def test_a_thousand_in_one_batch_are_two_messages_and_few_statements(world: World) -> None:
    made = [(cause(str(number)), alert()) for number in range(1, 1001)]
    async with world.db.transaction() as session:
        jobs = await insert_all(session, made, now=world.clock.now(), enqueued_at=None)

    found = await rows(world)
    leader = found[1]
    assert [job.notification_id for job in jobs] == [found[0].id]
    assert {row.digest_id for row in found[2:]} == {leader.id}
    assert (leader.context["digest"]["count"], len(leader.context["digest"]["items"])) == (999, 5)


async def test_a_batch_that_comes_twice_is_counted_once(world: World) -> None:
    made = [(cause(str(number)), alert()) for number in (1, 2, 3, 3)]
    for _ in range(2):
        async with world.db.transaction() as session:
            await insert_all(session, made, now=world.clock.now(), enqueued_at=None)

    _, leader, follower = await rows(world)
    assert leader.context["digest"]["count"] == 2
    assert follower.digest_id == leader.id


async def test_a_maker_that_dies_leaves_no_trace_in_the_leader(world: World) -> None:
    for number in range(1, 3):
        await tell(world, str(number))

    async def make_and_die() -> None:
        async with world.db.transaction() as session:
            made = [(cause("3"), alert())]
            await insert_all(session, made, now=world.clock.now(), enqueued_at=None)
            message = "died"
            raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="died"):
        await make_and_die()

    _, leader = await rows(world)
    assert "digest" not in leader.context


async def test_with_its_leader_given_up_each_is_a_dead_letter_with_its_own_words(
    world: World,
) -> None:
    for number in range(1, 4):
        await tell(world, str(number))
    first, leader, follower = await rows(world)
    await deliver(world, first)
    world.clock.advance(WINDOW)
    refused = SendFailedError(Failure(FailureKind.PERMANENT, "smtp_550", detail="no"))

    await deliver(world, leader, sender=FakeSender(refused))

    _, leader, follower = await rows(world)
    assert {leader.state, follower.state} == {"failed"}
    assert (leader.digest_id, follower.digest_id) == (None, None)
    assert "digest" not in leader.context
    async with world.db.transaction() as session:
        buried = set(await session.scalars(select(DeadLetter.notification_id)))
    assert buried == {leader.id, follower.id}


async def test_a_leader_whose_time_is_over_takes_its_followers_along(world: World) -> None:
    notice = alert(expires=timedelta(hours=1))
    for number in range(1, 4):
        await tell(world, str(number), notice=notice)
    await deliver(world, (await rows(world))[0])
    world.clock.advance(timedelta(hours=2))

    await Freeing(world.db, world.give_up).run(now=world.clock.now())

    _, leader, follower = await rows(world)
    assert (leader.state, follower.state) == ("failed", "failed")
    assert leader.error["gave_up"] == follower.error["gave_up"] == "expired"


async def test_a_worker_that_dies_over_the_leader_loses_nobody(world: World) -> None:
    for number in range(1, 4):
        await tell(world, str(number))
    first, leader, _ = await rows(world)
    await deliver(world, first)
    world.clock.advance(WINDOW)
    async with world.db.transaction() as session:
        row = await session.get_one(Notification, leader.id)
        row.state, row.attempts = "sending", 1
        row.claimed_at, row.lease_until = world.clock.now(), world.clock.now()

    world.clock.advance(timedelta(seconds=1))
    await Freeing(world.db, world.give_up).run(now=world.clock.now())
    sender = FakeSender()
    await deliver(world, (await rows(world))[1], sender=sender)

    assert [sent.notification_id for sent in sender.sent] == [leader.id]
    assert {row.state for row in await rows(world)} == {"sent"}


async def test_what_comes_while_the_leader_is_sent_begins_the_next(world: World) -> None:
    for number in range(1, 3):
        await tell(world, str(number))
    world.clock.advance(WINDOW)
    late: list[Any] = []

    class Slow(FakeSender):
        async def send(self, outgoing: Any, *, now: Any) -> Any:
            late.extend(await tell(world, "3"))
            return await super().send(outgoing, now=now)

    first, leader = await rows(world)
    await deliver(world, first)
    await deliver(world, leader, sender=Slow())

    _, leader, third = await rows(world)
    assert late == []
    assert (third.digest_id, third.state) == (None, "pending")
    assert third.next_attempt_at == world.clock.now() + WINDOW
    assert "digest" not in leader.context


async def test_in_quiet_hours_all_gather_for_the_morning(world: World) -> None:
    morning = world.clock.now() + timedelta(hours=6)
    for number in range(1, 4):
        await tell(world, str(number), notice=alert(not_before=morning))
        world.clock.advance(WINDOW * 2)

    leader, *others = await rows(world)
    assert leader.next_attempt_at == morning
    assert {row.digest_id for row in others} == {leader.id}
    assert leader.context["digest"]["count"] == 3


async def test_two_ways_at_once_do_not_wait_for_each_other_for_ever(world: World) -> None:
    """Two transactions give up notices of two channels, each in its own order."""
    ways = [alert(), alert(channel=Channel.WHATSAPP, recipient="+5511912345678")]

    async def give_up(order: list[Notice], name: str) -> None:
        async with world.db.transaction() as session:
            for number, notice in enumerate(order):
                made = [(cause(name * (number + 1)), notice)]
                await insert_all(session, made, now=world.clock.now(), enqueued_at=None)
                await asyncio.sleep(0.01)

    orders = [(ways, "1"), (ways[::-1], "2")] * 4
    async with asyncio.timeout(20):
        await asyncio.gather(
            *(give_up(order, f"{number}{name}") for number, (order, name) in enumerate(orders))
        )

    assert len(await world.notifications()) == 16


def cause(key: str) -> Cause:
    return Cause(key, {"source": "test", "ticket_number": int(key)}, None, "c-1")


async def deliver(world: World, *found: Any, sender: Any = None) -> None:
    deliverer = world.deliverer(sender or FakeSender())
    await deliverer.deliver_many([row.id for row in found], JobName(found[0].job_name))
