from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kit.ids import new_id
from kit.metrics import exposition
from notifications.broker import NAMESPACE, QUEUE, URGENT_QUEUE, make_producer_broker
from notifications.broker.inspection import Inspection, QueueLook
from notifications.broker.message import to_messages
from notifications.domain.jobs import Job
from notifications.services.ports import QueueUnavailableError

LATER = datetime(2100, 1, 1, tzinfo=UTC)


async def test_what_waits_is_in_flight_and_is_dead_is_counted_by_queue(redis_url: str) -> None:
    broker = make_producer_broker(redis_url)
    for message in to_messages([Job("send-email", new_id(), "c", alone=True)] * 4):
        broker.enqueue(message)
    bodies: Any = broker.do_fetch(QUEUE, 2)
    assert len(bodies) == 2
    one: Any = next(
        iter(broker.client.smembers(f"{NAMESPACE}:__acks__.{broker.broker_id}.{QUEUE}"))
    )
    broker.do_nack(QUEUE, one)

    urgent, other = await Inspection(broker).look(now=LATER)

    assert urgent == QueueLook(URGENT_QUEUE, 0, 0, 0, None)
    assert (other.queue, other.waiting, other.in_flight, other.dead) == (QUEUE, 2, 1, 1)
    assert other.oldest_age is not None
    assert other.oldest_age > timedelta(days=1)
    text = exposition().decode()
    assert f'ponte_job_messages{{queue="{QUEUE}",status="waiting"}} 2.0' in text
    assert f'ponte_job_messages{{queue="{QUEUE}",status="in_flight"}} 1.0' in text
    assert f'ponte_job_messages{{queue="{QUEUE}",status="dead"}} 1.0' in text
    broker.close()


async def test_a_clock_behind_that_of_the_producer_makes_no_negative_age(redis_url: str) -> None:
    broker = make_producer_broker(redis_url)
    for message in to_messages([Job("send-email", new_id(), "c")]):
        broker.enqueue(message)

    _, other = await Inspection(broker).look(now=datetime(2000, 1, 1, tzinfo=UTC))

    assert other.oldest_age == timedelta()
    broker.close()


async def test_what_is_no_message_has_no_age(redis_url: str) -> None:
    broker = make_producer_broker(redis_url)
    broker.client.rpush(f"{NAMESPACE}:{QUEUE}", "one")
    broker.client.hset(f"{NAMESPACE}:{QUEUE}.msgs", "one", "no JSON")

    _, other = await Inspection(broker).look(now=LATER)

    assert (other.waiting, other.oldest_age) == (1, None)
    broker.close()


async def test_a_redis_that_is_away_is_said() -> None:
    broker = make_producer_broker("redis://127.0.0.1:1")

    with pytest.raises(QueueUnavailableError, match="Redis does not answer"):
        await Inspection(broker).look(now=LATER)
