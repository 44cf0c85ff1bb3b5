"""The monitor: one event and one webhook call when it begins, one when it ends."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from notifications.domain.jobs import JobName
from notifications.services.dlq_alerts import DlqMonitor
from notifications.services.reprocess_plan import Options
from tests.notifications.conftest import World
from tests.notifications.services.test_reprocess import ALL, Dlq
from ticketing.db.notification_tables import DlqWebhookCall, OperationAlert
from ticketing.db.tables import OutboxEvent
from ticketing.domain.enums import DlqAction
from ticketing.domain.operation_alerts import Says

NOTHING = {"dlq_threshold": Says.NOTHING, "dlq_growth": Says.NOTHING}


@pytest.fixture
def dlq(world: World) -> Dlq:
    return Dlq(world)


def monitor(world: World, **changes: Any) -> DlqMonitor:
    values: dict[str, Any] = {
        "threshold": 3,
        "growth": 100,
        "window": timedelta(minutes=10),
        "webhook": True,
    }
    return DlqMonitor(world.db, world.clock, **(values | changes))


async def events(world: World) -> list[tuple[str, dict[str, Any]]]:
    async with world.db.transaction() as session:
        found = await session.scalars(select(OutboxEvent).order_by(OutboxEvent.created_at))
        return [(event.topic, event.payload) for event in found]


async def test_too_many_dead_letters_are_told_once_and_their_end_too(
    dlq: Dlq, world: World
) -> None:
    await dlq.kill_many(2)
    assert await monitor(world).run() == NOTHING
    await dlq.kill(JobName.SEND_WHATSAPP, recipient="+5531988887777")
    assert (await monitor(world).run())["dlq_threshold"] is Says.FIRING
    assert await monitor(world).run() == NOTHING
    world.clock.advance(timedelta(minutes=1))
    await dlq.actions().run(DlqAction.DISCARD, ALL, Options(), actor="cli:ana")
    assert (await monitor(world).run())["dlq_threshold"] is Says.CLEARED
    told = await events(world)
    assert [topic for topic, _ in told] == ["dlq.threshold", "dlq.cleared"]
    assert told[0][1] == {
        "source": "dlq-monitor",
        "subject": "dlq_threshold",
        "count": 3,
        "threshold": 3,
        "since": "2026-03-10T13:00:00+00:00",
        "avoid_channel": "email",
    }
    async with world.db.transaction() as session:
        calls = list(await session.scalars(select(DlqWebhookCall)))
        alert = await session.get_one(OperationAlert, "dlq_threshold")
    assert {call.body["status"] for call in calls} == {"firing", "cleared"}
    assert (alert.firing, alert.value) == (False, 0)


async def test_quick_growth_is_told_and_ends_when_the_window_has_passed(
    dlq: Dlq, world: World
) -> None:
    await dlq.kill_many(5)
    growing = monitor(world, threshold=1000, growth=5)
    assert (await growing.run())["dlq_growth"] is Says.FIRING
    world.clock.advance(timedelta(minutes=11))
    assert (await growing.run())["dlq_growth"] is Says.CLEARED
    told = await events(world)
    assert [topic for topic, _ in told] == ["dlq.growth", "dlq.cleared"]
    assert told[0][1]["minutes"] == 10


async def test_two_monitors_at_once_tell_it_once(dlq: Dlq, world: World) -> None:
    await dlq.kill_many(5)
    await asyncio.gather(monitor(world).run(), monitor(world).run())
    assert len(await events(world)) == 1
