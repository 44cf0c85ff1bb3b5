"""A word in Redis wakes the consumers of other processes; a lost word costs one look."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kit.ids import new_id
from notifications.broker import (
    QUEUE,
    URGENT_QUEUE,
    DramatiqJobQueue,
    PonteBroker,
    make_producer_broker,
    make_worker_broker,
)
from notifications.broker.wake import ReadyListener
from notifications.domain.jobs import Job
from tests.notifications.broker.conftest import OwnRedis, until


@pytest.fixture
def broker(own_redis: OwnRedis) -> Iterator[PonteBroker]:
    broker = make_worker_broker(own_redis.url)
    yield broker
    broker.close()


def listening(broker: PonteBroker, own_redis: OwnRedis) -> ReadyListener:
    """One that listens, and whose first waking of all is over."""
    listener = ReadyListener(broker)
    listener.start()
    until(lambda: bool(own_redis.client.pubsub_channels()))
    until(lambda: broker.ready(QUEUE).is_set() and broker.ready(URGENT_QUEUE).is_set())
    broker.ready(QUEUE).clear()
    broker.ready(URGENT_QUEUE).clear()
    return listener


@pytest.mark.parametrize("urgent", [False, True])
async def test_a_job_wakes_the_consumer_of_its_queue_and_no_other(
    broker: PonteBroker, own_redis: OwnRedis, *, urgent: bool
) -> None:
    listener = listening(broker, own_redis)
    producer = make_producer_broker(own_redis.url)

    await DramatiqJobQueue(producer).enqueue([Job("send-email", new_id(), "c", urgent=urgent)])

    woken, other = (URGENT_QUEUE, QUEUE) if urgent else (QUEUE, URGENT_QUEUE)
    until(broker.ready(woken).is_set, seconds=5)
    assert not broker.ready(other).is_set()
    listener.stop()
    producer.close()


def test_both_pools_of_a_process_hear_the_same_word(broker: PonteBroker) -> None:
    assert broker.sibling().ready(QUEUE) is broker.ready(QUEUE)
    assert broker.sibling().in_hand(QUEUE) is not broker.in_hand(QUEUE)


def test_it_listens_again_after_a_restart_and_lets_everybody_look(
    broker: PonteBroker, own_redis: OwnRedis
) -> None:
    listener = listening(broker, own_redis)

    own_redis.kill()
    own_redis.start()

    # What came while nobody listened is found by looking.
    until(lambda: broker.ready(QUEUE).is_set() and broker.ready(URGENT_QUEUE).is_set())
    until(lambda: bool(own_redis.client.pubsub_channels()))
    listener.stop()


def test_an_end_wakes_those_who_wait(broker: PonteBroker, own_redis: OwnRedis) -> None:
    listener = listening(broker, own_redis)

    listener.stop()

    assert broker.ready(QUEUE).is_set()
    assert broker.ready(URGENT_QUEUE).is_set()


def test_a_word_about_a_queue_that_is_not_ours_ends_nothing(
    broker: PonteBroker, own_redis: OwnRedis
) -> None:
    from notifications.broker.wake import READY_CHANNEL  # noqa: PLC0415

    listener = listening(broker, own_redis)

    own_redis.client.publish(READY_CHANNEL, b"\xff elsewhere")
    own_redis.client.publish(READY_CHANNEL, QUEUE)

    until(broker.ready(QUEUE).is_set, seconds=5)
    listener.stop()
