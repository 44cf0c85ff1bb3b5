"""Repeated alerts are told together: on real rows, with two makers at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from notifications.domain.jobs import Channel
from notifications.domain.occasions import PolicyEvent
from notifications.domain.recipients import Notice
from notifications.services.notices import insert_notices
from tests.notifications.conftest import FakeSender, World

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
    await deliverer.deliver_many([first.id], _job(first))
    world.clock.advance(WINDOW)

    await deliverer.deliver_many([leader.id, follower.id], _job(leader))

    assert [sent.notification_id for sent in sender.sent] == [first.id, leader.id]
    assert {row.state for row in await rows(world)} == {"sent"}


async def test_after_a_quiet_window_the_next_goes_at_once(world: World) -> None:
    await tell(world, "1")
    world.clock.advance(WINDOW)

    assert len(await tell(world, "2")) == 1


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


def _job(row: Any) -> Any:
    from notifications.domain.jobs import JobName  # noqa: PLC0415

    return JobName(row.job_name)
