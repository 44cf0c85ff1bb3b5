from __future__ import annotations

import asyncio

import pytest

from notifications.services.slots import Slots


async def test_whoever_comes_gets_what_is_free() -> None:
    slots = Slots(10)

    assert await slots.take(4) == 4
    assert await slots.take(20) == 6


async def test_a_batch_waits_for_a_quarter_of_all_places_not_for_each() -> None:
    slots = Slots(8)
    await slots.take(8)
    waiting = asyncio.create_task(slots.take(5))
    await asyncio.sleep(0)

    slots.give_back()
    await asyncio.sleep(0)
    assert not waiting.done()

    slots.give_back()
    assert await waiting == 2


async def test_nobody_is_overtaken() -> None:
    slots = Slots(4)
    await slots.take(4)
    first = asyncio.create_task(slots.take(4))
    await asyncio.sleep(0)
    second = asyncio.create_task(slots.take(1))
    await asyncio.sleep(0)

    slots.give_back(1)
    assert await first == 1
    slots.give_back(1)
    assert await second == 1


async def test_whoever_leaves_the_line_takes_no_place_with_them() -> None:
    slots = Slots(1)
    await slots.take(1)
    gone = asyncio.create_task(slots.take(1))
    waiting = asyncio.create_task(slots.take(1))
    await asyncio.sleep(0)

    slots.give_back()  # granted to the first, which is cancelled before it hears of it
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone

    assert await waiting == 1
    assert slots.free == 0
