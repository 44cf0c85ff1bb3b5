"""One consumer on a real Redis: what is fetched, handed out, put back, put aside."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.errors import ConnectionClosed

from kit.ids import new_id
from notifications.broker import NAMESPACE, QUEUE, PonteBroker, make_worker_broker
from notifications.broker.consumer import ReadyConsumer
from notifications.broker.message import to_messages
from notifications.domain.jobs import Job
from tests.notifications.broker.conftest import OwnRedis


@pytest.fixture
def broker(redis_url: str) -> Iterator[PonteBroker]:
    broker = make_worker_broker(redis_url, stranded_look=timedelta())
    yield broker
    broker.close()


@pytest.fixture
def consumer(broker: PonteBroker) -> ReadyConsumer:
    return new_consumer(broker)


def new_consumer(broker: PonteBroker, *, timeout: int = 1) -> ReadyConsumer:
    consumer = broker.consume(QUEUE, prefetch=4, timeout=timeout)
    assert isinstance(consumer, ReadyConsumer)
    return consumer


def put_in(broker: PonteBroker, count: int = 1) -> None:
    for message in to_messages([Job("send-email", new_id(), "c", alone=True)] * count):
        broker.enqueue(message)


def acks(broker: PonteBroker) -> int:
    return sum(broker.client.scard(key) for key in broker.client.keys("*__acks__*"))


def waiting(broker: PonteBroker) -> int:
    return int(broker.client.llen(f"{NAMESPACE}:{QUEUE}"))


def dead(broker: PonteBroker) -> int:
    return int(broker.client.zcard(f"{NAMESPACE}:{QUEUE}.XQ"))


def test_it_takes_no_more_than_its_threads_can_begin(
    broker: PonteBroker, consumer: ReadyConsumer
) -> None:
    put_in(broker, 6)

    taken = [next(consumer) for _ in range(4)]

    assert None not in taken
    assert next(consumer) is None
    assert waiting(broker) == 2
    consumer.ack(taken[0])
    assert next(consumer) is not None


def test_a_fetch_whose_answer_was_lost_is_put_back_at_the_second_look(
    broker: PonteBroker, consumer: ReadyConsumer
) -> None:
    put_in(broker, 3)
    broker.do_fetch(QUEUE, 3)  # Redis did it, and the answer went nowhere

    assert next(consumer) is None
    assert waiting(broker) == 0
    assert next(consumer) is None
    assert waiting(broker) == 3
    assert acks(broker) == 0
    assert next(consumer) is not None


def test_what_the_threads_still_have_is_not_put_back_even_by_the_next_consumer(
    broker: PonteBroker, consumer: ReadyConsumer
) -> None:
    put_in(broker)
    message = next(consumer)
    later = new_consumer(broker)  # after a lost connection

    for _ in range(4):
        assert next(later) is None

    assert waiting(broker) == 0
    later.ack(message)
    assert acks(broker) == 0


def test_a_full_pool_goes_on_to_say_that_it_lives(
    broker: PonteBroker, consumer: ReadyConsumer
) -> None:
    put_in(broker, 6)
    for _ in range(4):
        next(consumer)
    heartbeats = f"{NAMESPACE}:__heartbeats__"
    broker.client.zadd(heartbeats, {broker.broker_id: 1})

    assert next(consumer) is None

    score: Any = broker.client.zscore(heartbeats, broker.broker_id)
    assert score > 1
    assert waiting(broker) == 2


def test_an_end_puts_back_what_was_fetched_and_not_handed_out(
    broker: PonteBroker, consumer: ReadyConsumer
) -> None:
    put_in(broker, 4)
    next(consumer)

    consumer.close()

    assert waiting(broker) == 3
    assert acks(broker) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda _: b"no JSON",
        lambda _: b"[]",
        lambda _: b"{}",
        lambda one: json.dumps(one | {"queue_name": "elsewhere"}).encode(),
        lambda one: json.dumps(one | {"kwargs": [1]}).encode(),
        lambda one: json.dumps(one | {"options": None}).encode(),
        lambda one: json.dumps(one | {"more": 1}).encode(),
        lambda one: json.dumps(one | {"options": one["options"] | {"eta": 1}}).encode(),
    ],
    ids=["text", "list", "empty", "queue", "kwargs", "options", "more", "delayed"],
)
def test_what_is_no_message_goes_to_the_dead_set_and_the_rest_goes_on(
    broker: PonteBroker, consumer: ReadyConsumer, change: Callable[[Any], bytes]
) -> None:
    put_in(broker, 3)
    key = f"{NAMESPACE}:{QUEUE}"
    bad: Any = broker.client.lindex(key, 0)
    body: Any = broker.client.hget(f"{key}.msgs", bad)
    broker.client.hset(f"{key}.msgs", bad, change(json.loads(body)))

    taken = [message for message in (next(consumer) for _ in range(6)) if message is not None]

    assert len(taken) == 2
    assert dead(broker) == 1
    for message in taken:
        consumer.ack(message)
    assert acks(broker) == 0


def test_a_message_that_is_gone_is_forgotten(broker: PonteBroker, consumer: ReadyConsumer) -> None:
    put_in(broker, 2)
    key = f"{NAMESPACE}:{QUEUE}"
    gone: Any = broker.client.lindex(key, 0)
    broker.client.hdel(f"{key}.msgs", gone)

    assert next(consumer) is not None
    for _ in range(3):
        assert next(consumer) is None

    assert acks(broker) == 1
    assert dead(broker) == 0


def test_a_word_ends_the_wait_at_once(broker: PonteBroker) -> None:
    consumer = new_consumer(broker, timeout=60_000)
    threading.Timer(0.1, broker.ready(QUEUE).set).start()
    began = time.monotonic()

    assert next(consumer) is None

    assert time.monotonic() - began < 5


def test_a_word_that_comes_during_the_fetch_is_not_lost(broker: PonteBroker) -> None:
    consumer = new_consumer(broker, timeout=60_000)
    fetch = broker.do_fetch

    def fetch_and_hear(*arguments: Any) -> Any:
        found = fetch(*arguments)
        broker.ready(QUEUE).set()
        return found

    broker.do_fetch = fetch_and_hear
    began = time.monotonic()

    assert next(consumer) is None
    assert time.monotonic() - began < 5


def test_a_redis_that_went_is_a_closed_connection_to_dramatiq(own_redis: OwnRedis) -> None:
    broker = make_worker_broker(own_redis.url)
    consumer = new_consumer(broker)
    put_in(broker)
    message = next(consumer)
    own_redis.kill()

    with pytest.raises(ConnectionClosed):
        next(consumer)
    with pytest.raises(ConnectionClosed):
        consumer.ack(message)
    with pytest.raises(ConnectionClosed):
        consumer.nack(message)
    assert len(broker.in_hand(QUEUE)) == 1  # it is still to be acknowledged
    own_redis.start()
    consumer.ack(message)
    assert own_redis.unacknowledged() == 0
    broker.close()


def test_nobody_looks_for_delayed_messages(broker: PonteBroker) -> None:
    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=1)
    worker.start()
    worker.stop()

    assert set(worker.consumers) == set(broker.get_declared_queues())
    assert isinstance(broker.client, redis.Redis)
