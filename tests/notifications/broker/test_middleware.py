"""Metrics of jobs, and what becomes of a message that no actor can read."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import dramatiq
import pytest

from kit.ids import new_id
from kit.metrics import exposition
from notifications.actors import declare_actors
from notifications.broker import NAMESPACE, QUEUE, PonteBroker, make_worker_broker
from notifications.broker.message import to_messages
from notifications.domain.jobs import Job, JobName
from tests.notifications.broker.conftest import until


def value(line: str) -> float:
    """Of a metric; 0 while it was never counted."""
    for found in exposition().decode().splitlines():
        if found.startswith(line + " "):
            return float(found.rpartition(" ")[2])
    return 0.0


def run(url: str, messages: Sequence[dramatiq.Message[None]], work: Any) -> PonteBroker:
    """Let a worker do the messages; it has ended then."""
    broker = make_worker_broker(url)
    declare_actors(broker, work)
    for message in messages:
        broker.enqueue(message)
    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=2)
    worker.start()
    until(lambda: broker.client.hlen(f"{NAMESPACE}:{QUEUE}.msgs") == 0)
    worker.stop()
    return broker


def odd(kwargs: dict[str, Any], actor: str = "send-sms") -> dramatiq.Message[None]:
    return dramatiq.Message(QUEUE, actor, (), kwargs, {})


def test_a_job_is_counted_with_its_wait_and_its_time(redis_url: str) -> None:
    labels = f'{{job="send-push",queue="{QUEUE}",result="done"}}'
    before = value(f"ponte_jobs_total{labels}")
    seen: list[uuid.UUID] = []
    jobs = [Job("send-push", new_id(), "c") for _ in range(3)]

    run(redis_url, to_messages(jobs), lambda ids, _: seen.extend(ids))

    assert seen == [job.notification_id for job in jobs]
    assert value(f"ponte_jobs_total{labels}") == before + 1  # one message of three notices
    text = exposition().decode()
    for limit in ("0.05", "0.1", "0.25", "1.0", "5.0"):
        assert f'ponte_job_seconds_bucket{{job="send-push",le="{limit}",queue="{QUEUE}"}}' in text
        assert f'ponte_job_waiting_seconds_bucket{{le="{limit}",queue="{QUEUE}"}}' in text


def test_an_actor_swallows_whatever_breaks_in_it(redis_url: str) -> None:
    def breaks(_ids: Sequence[uuid.UUID], _name: JobName) -> None:
        raise RuntimeError

    broker = run(redis_url, to_messages([Job("send-sms", new_id(), "c")]), breaks)

    assert broker.client.zcard(f"{NAMESPACE}:{QUEUE}.XQ") == 0


@pytest.mark.parametrize(
    "message",
    [
        odd({}),
        odd({"version": 2, "jobs": "none"}),
        odd({"version": "new"}),
        odd({"version": 2, "jobs": [["no id", "c"]]}),
        odd({"version": 2, "jobs": [[str(new_id()), "c"]]}, actor="send-fax"),
        dramatiq.Message(QUEUE, "send-sms", ("positional",), {}, {}),
    ],
    ids=["nothing", "no list", "no number", "no id", "unknown actor", "positional"],
)
def test_what_no_actor_can_read_is_put_aside_not_dropped(
    redis_url: str, message: dramatiq.Message[None]
) -> None:
    seen: list[uuid.UUID] = []
    good = to_messages([Job("send-sms", new_id(), "c")])

    broker = run(redis_url, [message, *good], lambda ids, _: seen.extend(ids))

    assert broker.client.zcard(f"{NAMESPACE}:{QUEUE}.XQ") == 1
    assert len(seen) == 1


def test_a_newer_version_is_acknowledged_because_its_rows_come_back(redis_url: str) -> None:
    broker = run(redis_url, [odd({"version": 3})], lambda _ids, _name: pytest.fail("ran"))

    assert broker.client.zcard(f"{NAMESPACE}:{QUEUE}.XQ") == 0
