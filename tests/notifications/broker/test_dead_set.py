"""What Dramatiq itself puts aside is read as it lies in Redis, and nothing there is changed."""

from __future__ import annotations

import json
import threading
from typing import Any

import dramatiq
import pytest
import redis

from notifications.broker import NAMESPACE, make_producer_broker, make_worker_broker
from notifications.broker.dead_set import RedisDeadSet
from notifications.services.ports import QueueUnavailableError
from notifications.services.reconcile import DlqReconciler, Reconciled
from tests.notifications.broker.conftest import PATIENCE_SECONDS
from tests.notifications.conftest import World


class PutAside(dramatiq.Middleware):
    """Counts the messages that Dramatiq's threads have put aside."""

    def __init__(self) -> None:
        self.count = threading.Semaphore(0)

    def after_nack(self, broker: Any, message: Any) -> None:
        """It lies in the dead set now."""
        self.count.release()


def put_aside(url: str, count: int) -> None:
    """Let a Dramatiq worker meet messages of an actor that does not exist."""
    broker = make_worker_broker(url)
    aside = PutAside()
    broker.add_middleware(aside)
    for number in range(count):
        broker.enqueue(
            dramatiq.Message(
                queue_name="notifications",
                actor_name="send-fax",
                args=(),
                kwargs={"number": number},
                options={},
            )
        )
    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=1)
    worker.start()
    for _ in range(count):
        assert aside.count.acquire(timeout=PATIENCE_SECONDS)
    worker.stop()
    broker.close()


async def test_dramatiqs_dead_messages_become_entries(redis_url: str, world: World) -> None:
    put_aside(redis_url, 3)
    client: Any = redis.Redis.from_url(redis_url)
    dead_set = RedisDeadSet(make_producer_broker(redis_url))
    found = await dead_set.messages()
    assert len(found) == 3
    assert {json.loads(message.body)["actor_name"] for message in found} == {"send-fax"}
    assert all(message.died_at is not None for message in found)
    reconciler = DlqReconciler(world.db, world.clock, dead_set, threshold=3)
    assert await reconciler.run() == Reconciled(messages=3)
    assert await reconciler.run() == Reconciled()
    assert client.zcard(f"{NAMESPACE}:notifications.XQ") == 3


async def test_an_empty_dead_set_is_no_fault(redis_url: str) -> None:
    assert await RedisDeadSet(make_producer_broker(redis_url)).messages() == []


async def test_a_redis_that_is_away_is_said() -> None:
    broker = make_producer_broker("redis://127.0.0.1:1")
    with pytest.raises(QueueUnavailableError, match="Redis does not answer"):
        await RedisDeadSet(broker).messages()
