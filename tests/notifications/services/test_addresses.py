from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from kit.ids import new_id
from notifications.domain.failure import Consequence, Failure, FailureKind
from notifications.domain.jobs import Channel
from notifications.services.addresses import note, note_many, opt_in, opt_out, refusals
from ticketing.db.notification_tables import PushDevice, RecipientAddress

PHONE = "+5511999990000"
STRIKE = Failure(FailureKind.PERMANENT, "131026", consequence=Consequence.STRIKE_RECIPIENT)
GONE = Failure(FailureKind.PERMANENT, "21211", consequence=Consequence.DISABLE_RECIPIENT)
SAID_NO = Failure(FailureKind.PERMANENT, "21610", consequence=Consequence.OPT_OUT_RECIPIENT)
BUSY = Failure(FailureKind.RATE_LIMITED, "130429", consequence=Consequence.SLOW_NUMBER)


async def learn(
    world: Any, *failures: Failure | None, channel: Channel = Channel.WHATSAPP, address: str = PHONE
) -> None:
    for failure in failures:
        async with world.db.transaction() as session:
            await note(session, channel, address, failure, now=world.clock.now())


async def refused(
    world: Any, channel: Channel = Channel.WHATSAPP, address: str = PHONE
) -> str | None:
    async with world.db.transaction() as session:
        found = await refusals(session, [(channel, address)], now=world.clock.now())
    return found.get((channel, address))


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        ([], None),
        ([None], None),
        ([STRIKE, STRIKE], None),
        ([STRIKE, STRIKE, STRIKE], "suspended"),
        ([STRIKE, STRIKE, None, STRIKE], None),
        ([BUSY, BUSY, BUSY, BUSY], None),
        ([GONE], "disabled"),
        ([GONE, None], "disabled"),
        ([GONE, STRIKE, STRIKE, STRIKE], "disabled"),
        ([SAID_NO], "opted_out"),
        ([SAID_NO, GONE], "opted_out"),
        ([SAID_NO, None], "opted_out"),
        ([SAID_NO, STRIKE], "opted_out"),
        ([GONE, SAID_NO], "opted_out"),
    ],
)
async def test_what_is_known_follows_from_what_came_of_sends(
    world: Any, failures: Any, expected: Any
) -> None:
    await learn(world, *failures)

    assert await refused(world) == expected


async def test_a_suspension_ends_and_doubles_with_every_further_strike(world: Any) -> None:
    await learn(world, STRIKE, STRIKE, STRIKE)
    for hours in (24, 48, 96, 168, 168):
        world.clock.advance(timedelta(hours=hours) - timedelta(seconds=1))
        assert await refused(world) == "suspended"
        world.clock.advance(timedelta(seconds=1))
        assert await refused(world) is None
        await learn(world, STRIKE)


async def test_strikes_of_notices_that_left_before_a_suspension_do_not_count(world: Any) -> None:
    await learn(world, *[STRIKE] * 8)

    world.clock.advance(timedelta(hours=24))
    assert await refused(world) is None


async def test_a_success_after_a_suspension_forgets_everything(world: Any) -> None:
    await learn(world, STRIKE, STRIKE, STRIKE)
    world.clock.advance(timedelta(hours=24))
    await learn(world, None)

    async with world.db.transaction() as session:
        assert await session.scalar(select(RecipientAddress)) is None


async def test_channels_are_apart_and_only_known_pairs_are_answered(world: Any) -> None:
    await learn(world, SAID_NO, channel=Channel.SMS)
    async with world.db.transaction() as session:
        found = await refusals(
            session,
            [(Channel.SMS, PHONE), (Channel.WHATSAPP, PHONE), (Channel.EMAIL, "a@example.com")],
            now=world.clock.now(),
        )
        nothing = await refusals(session, [], now=world.clock.now())

    assert dict(found) == {(Channel.SMS, PHONE): "opted_out"}
    assert nothing == {}


async def test_email_addresses_are_known_without_regard_to_case(world: Any) -> None:
    await learn(world, GONE, channel=Channel.EMAIL, address="Ana@Example.com")

    assert await refused(world, Channel.EMAIL, "ana@example.COM") == "disabled"


async def test_a_token_that_is_gone_takes_its_device_with_it(world: Any) -> None:
    agent = await world.make_agent("ana@example.com")
    now = world.clock.now()
    device = PushDevice(
        id=new_id(), agent_id=agent.id, token="t-1", name="x", created_at=now, last_seen_at=now
    )
    await world.add(device)

    await learn(world, GONE, channel=Channel.PUSH, address="t-1")

    assert await refused(world, Channel.PUSH, "t-1") == "disabled"
    async with world.db.transaction() as session:
        assert await session.scalar(select(PushDevice)) is None


async def test_who_said_no_may_take_it_back(world: Any) -> None:
    now = world.clock.now()
    async with world.db.transaction() as session:
        await opt_out(session, Channel.SMS, PHONE, code="STOP", now=now)
    assert await refused(world, Channel.SMS) == "opted_out"

    async with world.db.transaction() as session:
        assert await opt_in(session, Channel.SMS, PHONE)
    async with world.db.transaction() as session:
        assert not await opt_in(session, Channel.SMS, PHONE)
    assert await refused(world, Channel.SMS) is None


async def test_strikes_at_the_same_time_are_all_counted_and_nobody_waits_for_ever(
    world: Any,
) -> None:
    """Two transactions that learn about the same two addresses in opposite order."""
    other = "+5511888880000"

    async def both(first: str, second: str) -> None:
        async with world.db.transaction() as session:
            await note_many(
                session,
                [(Channel.SMS, first, STRIKE), (Channel.SMS, second, STRIKE)],
                now=world.clock.now(),
            )

    await asyncio.gather(both(PHONE, other), both(other, PHONE), both(PHONE, other))

    async with world.db.transaction() as session:
        rows = list(await session.scalars(select(RecipientAddress)))
    assert [row.strikes for row in rows] == [3, 3]
    assert {row.state for row in rows} == {"suspended"}


async def test_many_successes_are_learned_in_one_go(world: Any) -> None:
    phones = [f"+55119999900{number:02d}" for number in range(50)]
    async with world.db.transaction() as session:
        now = world.clock.now()
        await note_many(session, [(Channel.SMS, one, STRIKE) for one in phones[:3]], now=now)
        await note_many(session, [(Channel.SMS, one, None) for one in phones], now=now)

    async with world.db.transaction() as session:
        assert await session.scalar(select(RecipientAddress)) is None
