"""Dramatiq on Redis: the queues, and putting jobs in.

Decision: docs/decisions/0005-database-is-the-truth-for-jobs.md. No Retries middleware: retries are
rows with a time, so a job that ends is done, whatever came of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from redis.backoff import NoBackoff
from redis.retry import Retry

from notifications.domain.jobs import MESSAGE_VERSION, Job, parse_job_name
from notifications.services.ports import QueueUnavailableError

NAMESPACE = "ponte:jobs"
"""Prefix of every key, so that the jobs can share a Redis database."""

QUEUE = "notifications"
URGENT_QUEUE = "notifications-urgent"
"""Dramatiq on Redis has no priorities between jobs, so urgent ones have a queue of their own."""

QUEUES = (URGENT_QUEUE, QUEUE)

PRODUCER_TIMEOUT_SECONDS = 5.0
"""The producer may give up on a slow Redis: the row is there and the sweep comes back."""


def make_worker_broker(redis_url: str) -> RedisBroker:
    """The broker of a worker process.

    Its client has no socket timeout: a fetch whose answer is not waited for strands its messages
    in this process's acknowledgements (reproduced on 2.2.1).
    """
    return _broker(redis.Redis.from_url(redis_url, socket_timeout=None, socket_connect_timeout=5))


def make_producer_broker(redis_url: str) -> RedisBroker:
    """The broker of a process that only puts jobs in."""
    # One quick second try and no more: the row is there, and the sweep comes back to it.
    return _broker(
        redis.Redis.from_url(
            redis_url,
            retry=Retry(NoBackoff(), 1),
            socket_timeout=PRODUCER_TIMEOUT_SECONDS,
            socket_connect_timeout=PRODUCER_TIMEOUT_SECONDS,
        )
    )


def _broker(client: redis.Redis[bytes]) -> RedisBroker:
    broker = RedisBroker(  # type: ignore[no-untyped-call]  # Dramatiq leaves it unannotated
        client=client,
        namespace=NAMESPACE,
        middleware=[],
        # Per million commands. The default (1000) leaves an idle worker's dead neighbour unnoticed
        # for a quarter of an hour; rows do not depend on it, this only tidies up sooner.
        maintenance_chance=100_000,
    )
    for queue in QUEUES:
        broker.declare_queue(queue)
    return broker


class DramatiqJobQueue:
    """`notifications.services.ports.JobQueue` on a Dramatiq broker."""

    def __init__(self, broker: RedisBroker) -> None:
        self._broker = broker

    async def enqueue(self, jobs: Sequence[Job]) -> None:
        """Put jobs in; see the port."""
        messages = [_message(job) for job in jobs]  # all names are checked before any goes in
        await asyncio.to_thread(self._enqueue, messages)

    async def waiting(self) -> int:
        """How many jobs no worker has fetched yet; see the port."""
        return await asyncio.to_thread(self._waiting)

    def _enqueue(self, messages: Sequence[dramatiq.Message[None]]) -> None:
        try:
            for message in messages:
                self._broker.enqueue(message)
        except (redis.RedisError, OSError) as error:
            problem = f"Redis does not answer ({type(error).__name__})"
            raise QueueUnavailableError(problem) from error

    def _waiting(self) -> int:
        client = self._broker.client
        try:
            return sum(int(client.llen(f"{NAMESPACE}:{queue}")) for queue in QUEUES)
        except (redis.RedisError, OSError) as error:
            problem = f"Redis does not answer ({type(error).__name__})"
            raise QueueUnavailableError(problem) from error


def _message(job: Job) -> dramatiq.Message[None]:
    """The job as a Dramatiq message: which row, nothing about anybody.

    Raises:
        InvalidJobNameError: when the job's name is missing or unknown; lists the valid ones.
    """
    name = parse_job_name(job.job_name)
    return dramatiq.Message(
        queue_name=URGENT_QUEUE if job.urgent else QUEUE,
        actor_name=name.value,
        args=(),
        kwargs={
            "notification_id": str(job.notification_id),
            "correlation_id": job.correlation_id,
            "version": MESSAGE_VERSION,
        },
        options={},
    )
