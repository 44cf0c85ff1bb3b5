"""Too many notices wait, or one waits too long: is it told once, and when it is over?"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, text, update

from kit.ids import new_id
from kit.metrics import exposition
from notifications.domain.jobs import JobName
from notifications.services.backlog import BacklogMonitor, waiting
from tests.notifications.conftest import World
from ticketing.db.notification_tables import OperationAlert
from ticketing.db.tables import Notification, OutboxEvent

LIMIT = 5
OLDEST = timedelta(minutes=5)


def monitor(world: World) -> BacklogMonitor:
    return BacklogMonitor(world.db, world.queue, world.clock, threshold=LIMIT, oldest=OLDEST)


async def wait(world: World, count: int, **changes: Any) -> None:
    """So many notices begin to wait."""
    now = world.clock.now()
    rows = [
        Notification(
            **{
                "id": new_id(),
                "idempotency_key": str(new_id()),
                "job_name": JobName.SEND_EMAIL.value,
                "event": "ticket-opened",
                "recipient": "ana@example.com",
                "context": {},
                "next_attempt_at": now,
                "created_at": now,
                "correlation_id": "c-1",
            }
            | changes
        )
        for _ in range(count)
    ]
    await world.add(*rows)


async def told(world: World) -> list[tuple[str, dict[str, Any]]]:
    async with world.db.transaction() as session:
        events = await session.scalars(select(OutboxEvent).order_by(OutboxEvent.id))
        return [(event.topic, event.payload) for event in events]


async def topics(world: World) -> list[str]:
    return [topic for topic, _ in await told(world)]


async def all_leave(world: World) -> None:
    async with world.db.transaction() as session:
        await session.execute(update(Notification).values(state="sent"))


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({}, True),
        ({"next_attempt_at": None}, True),
        ({"state": "unknown"}, True),
        ({"state": "sending"}, False),
        ({"state": "sent"}, False),
        ({"state": "failed"}, False),
    ],
    ids=str,
)
async def test_what_counts_as_waiting(world: World, changes: dict[str, Any], counts: bool) -> None:
    await wait(world, LIMIT + 1, **changes)
    await monitor(world).run()
    assert await topics(world) == (["backlog.high"] if counts else [])


async def test_what_is_told_in_anothers_words_does_not_count(world: World) -> None:
    leader = await world.make_notification()
    await wait(world, LIMIT, digest_id=leader)
    await monitor(world).run()
    assert await topics(world) == []


async def test_what_is_not_due_does_not_count_and_what_is_in_redis_does(world: World) -> None:
    now = world.clock.now()
    await wait(world, LIMIT + 1, next_attempt_at=now + timedelta(seconds=1))
    await monitor(world).run()
    assert await topics(world) == []
    await wait(world, LIMIT + 1, enqueued_at=now)
    await monitor(world).run()
    ((topic, payload),) = await told(world)
    assert topic == "backlog.high"
    assert payload == {
        "source": "backlog-monitor",
        "subject": "notifications",
        "count": LIMIT + 1,
        "threshold": LIMIT,
        "since": now.isoformat(),
    }


async def test_at_the_threshold_nothing_is_told_and_above_it_is(world: World) -> None:
    await wait(world, LIMIT)
    await monitor(world).run()
    assert await topics(world) == []
    await wait(world, 1, urgent=True)
    await monitor(world).run()
    assert await topics(world) == ["backlog.high"]


async def test_it_is_told_again_after_the_cooldown_and_its_end(world: World) -> None:
    await wait(world, LIMIT + 1)
    for _ in range(20):
        await monitor(world).run()
        world.clock.advance(timedelta(seconds=14))
    assert await topics(world) == ["backlog.high"]
    world.clock.advance(timedelta(seconds=20))
    await monitor(world).run()
    assert (await topics(world)).count("backlog.high") == 2
    await all_leave(world)
    await monitor(world).run()
    await monitor(world).run()
    assert (await topics(world)).count("backlog.cleared") == 2  # the number, and the age


async def test_two_schedulers_tell_it_once_and_none_is_lost(world: World) -> None:
    await wait(world, LIMIT + 1)
    await asyncio.gather(*(monitor(world).run() for _ in range(5)))
    assert await topics(world) == ["backlog.high"]
    await all_leave(world)
    await asyncio.gather(*(monitor(world).run() for _ in range(5)))
    assert await topics(world) == ["backlog.high", "backlog.cleared"]


@pytest.mark.parametrize(
    ("urgent", "seconds", "queue"),
    [(False, 300, "notifications"), (True, 60, "notifications-urgent")],
)
async def test_one_that_waits_too_long_is_told(
    world: World, urgent: bool, seconds: int, queue: str
) -> None:
    await wait(world, 1, urgent=urgent, enqueued_at=world.clock.now())
    world.clock.advance(timedelta(seconds=seconds - 1))
    await monitor(world).run()
    assert await topics(world) == []
    world.clock.advance(timedelta(seconds=1))
    await monitor(world).run()
    ((topic, payload),) = await told(world)
    assert topic == "backlog.old"
    assert (payload["subject"], payload["seconds"], payload["count"]) == (queue, seconds, 1)
    await all_leave(world)
    await monitor(world).run()
    assert await topics(world) == ["backlog.old", "backlog.cleared"]


async def test_without_redis_a_minute_is_too_long(world: World) -> None:
    await wait(world, 1)
    world.queue.down = True
    world.clock.advance(timedelta(seconds=60))
    await monitor(world).run()
    _, (topic, payload) = await told(world)
    assert (topic, payload["code"]) == ("backlog.old", "queue_away")
    assert "ponte_notifications_queue_up 0.0" in exposition().decode()


async def test_a_queue_that_is_away_is_told_although_nothing_waits(world: World) -> None:
    # Workers take the rows from the database themselves: no notice ever grows old.
    world.queue.down = True
    for _ in range(20):
        await asyncio.gather(monitor(world).run(), monitor(world).run())
        world.clock.advance(timedelta(seconds=14))
    assert await topics(world) == ["queue.away"]
    world.queue.down = False
    await monitor(world).run()
    await monitor(world).run()
    assert await topics(world) == ["queue.away", "queue.back"]


async def test_a_queue_that_flaps_is_told_once_within_the_cooldown(world: World) -> None:
    for look in range(19):
        world.queue.down = look % 2 == 0
        await monitor(world).run()
        world.clock.advance(timedelta(seconds=15))
    assert await topics(world) == ["queue.away", "queue.back"]


async def test_what_waits_for_a_broken_channel_is_not_told_a_second_time(world: World) -> None:
    row = OperationAlert(
        name="breaker:send-email", firing=True, since=world.clock.now(), told_at=None, value=1
    )
    await world.add(row)
    await wait(world, 2)
    world.clock.advance(timedelta(hours=1))
    await monitor(world).run()
    assert await topics(world) == []
    # Others that wait are told, and many of them, by another way.
    await wait(world, LIMIT)
    await monitor(world).run()
    ((topic, payload),) = await told(world)
    assert (topic, payload["avoid_channel"]) == ("backlog.high", "email")


async def test_metrics_say_what_waits(world: World) -> None:
    await wait(world, 3)
    await wait(world, 2, urgent=True)
    world.clock.advance(timedelta(seconds=7))
    await monitor(world).run()
    shown = exposition().decode()
    assert 'ponte_notifications_waiting{queue="notifications"} 3.0' in shown
    assert 'ponte_notifications_waiting{queue="notifications-urgent"} 2.0' in shown
    assert 'ponte_notifications_oldest_seconds{queue="notifications-urgent"} 7.0' in shown


async def test_counting_reads_no_finished_row_and_not_all_that_wait(world: World) -> None:
    fill = text(
        """
        INSERT INTO notifications (id, idempotency_key, job_name, event, recipient, language,
          context, state, attempts, next_attempt_at, enqueued_at, created_at, correlation_id)
        SELECT gen_random_uuid(), 'k' || i, 'send-email', 'ticket-opened', 'a@example.com', 'pt',
          '{}', CASE WHEN i % 20 = 0 THEN 'pending' ELSE 'sent' END, 0, CAST(:now AS timestamptz),
          CASE WHEN i % 40 = 0 THEN CAST(:now AS timestamptz) END, CAST(:now AS timestamptz), 'c'
        FROM generate_series(1, 20000) AS i
        """
    )
    async with world.db.transaction() as session:
        await session.execute(fill, {"now": world.clock.now()})
        kinds = await waiting(session, now=world.clock.now(), most=100)
    assert sum(kind.count for kind in kinds) == 200  # a hundred of each kind at most
    async with world.db.transaction() as session:
        kinds = await waiting(session, now=world.clock.now())
    assert sum(kind.count for kind in kinds) == 1000
    async with world.db.transaction() as session:
        await session.execute(delete(Notification))
