from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import redis

from kit.ids import new_id
from notifications.broker import (
    NAMESPACE,
    QUEUE,
    URGENT_QUEUE,
    DramatiqJobQueue,
    make_producer_broker,
)
from notifications.domain.jobs import InvalidJobNameError, Job
from notifications.services.ports import QueueUnavailableError


@pytest.fixture
def queue(redis_url: str) -> Any:
    broker = make_producer_broker(redis_url)
    yield DramatiqJobQueue(broker)
    broker.close()


def messages(redis_url: str, queue_name: str) -> Any:
    with redis.Redis.from_url(redis_url) as client:
        return [json.loads(value) for value in client.hvals(f"{NAMESPACE}:{queue_name}.msgs")]


async def test_a_message_carries_ids_and_a_version_and_nothing_else(
    queue: DramatiqJobQueue, redis_url: str
) -> None:
    first, second = new_id(), new_id()

    await queue.enqueue([Job("send-email", first, "c-1"), Job("send-email", second, "c-2")])

    (message,) = messages(redis_url, QUEUE)
    assert message["actor_name"] == "send-email"
    assert message["args"] == []
    assert message["kwargs"] == {
        "version": 2,
        "jobs": [[str(first), "c-1"], [str(second), "c-2"]],
    }


async def test_a_message_holds_fifty_notices_of_one_name_and_a_suspect_is_alone(
    queue: DramatiqJobQueue, redis_url: str
) -> None:
    jobs = [Job("send-email", new_id(), "c") for _ in range(120)]
    jobs += [Job("send-sms", new_id(), "c"), Job("send-email", new_id(), "c", alone=True)]

    await queue.enqueue(jobs)

    sizes = [
        (message["actor_name"], len(message["kwargs"]["jobs"]))
        for message in messages(redis_url, QUEUE)
    ]
    assert sorted(sizes) == [
        ("send-email", 1),
        ("send-email", 20),
        ("send-email", 50),
        ("send-email", 50),
        ("send-sms", 1),
    ]
    assert await queue.waiting() == 5


async def test_urgent_jobs_have_a_queue_of_their_own(
    queue: DramatiqJobQueue, redis_url: str
) -> None:
    await queue.enqueue([Job("send-email", new_id(), "c-1", urgent=True)])

    assert len(messages(redis_url, URGENT_QUEUE)) == 1
    assert messages(redis_url, QUEUE) == []
    assert await queue.waiting() == 1


@pytest.mark.parametrize("name", ["", "send-fax", None])
async def test_a_job_without_a_valid_name_is_refused_and_nothing_is_put_in(
    queue: DramatiqJobQueue, name: Any
) -> None:
    jobs = [Job("send-email", new_id(), "c-1"), Job(name, new_id(), "c-1")]

    with pytest.raises(InvalidJobNameError, match="expected one of notify-user, send-email"):
        await queue.enqueue(jobs)

    assert await queue.waiting() == 0


async def test_a_redis_that_is_not_there_is_said_in_one_word(tmp_path: Path) -> None:
    broker = make_producer_broker(f"unix://{tmp_path}/no.sock")
    queue = DramatiqJobQueue(broker)

    with pytest.raises(QueueUnavailableError):
        await queue.enqueue([Job("send-email", new_id(), "c-1")])
    with pytest.raises(QueueUnavailableError):
        await queue.waiting()
    broker.close()
