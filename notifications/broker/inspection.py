"""What lies in Redis, by queue and status; a few commands, whatever the length of the queues."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
from dramatiq import Message
from dramatiq.errors import DecodeError

from kit.metrics import gauge
from notifications.broker.queues import NAMESPACE, QUEUES, PonteBroker
from notifications.services.ports import QueueUnavailableError

JOBS_NOW = gauge(
    "ponte_job_messages",
    "Messages in Redis now; waiting, in_flight (a worker has them), dead (of the last seven days).",
    ("queue", "status"),
)
OLDEST = gauge(
    "ponte_job_messages_oldest_seconds",
    "How long the oldest message that waits has been in Redis.",
    ("queue",),
)


@dataclass(frozen=True, slots=True)
class QueueLook:
    """One queue at one moment.

    Attributes:
        queue: Its name.
        waiting: Messages that nobody has fetched.
        in_flight: Messages that a worker has, or that a dead one had.
        dead: Messages in Dramatiq's dead set.
        oldest_age: Of the message that is fetched next; None when none waits.
    """

    queue: str
    waiting: int
    in_flight: int
    dead: int
    oldest_age: timedelta | None


@dataclass(frozen=True, slots=True)
class Inspection:
    """Looks at the queues of a broker."""

    broker: PonteBroker

    async def look(self, *, now: datetime) -> tuple[QueueLook, ...]:
        """All queues; feeds the gauges.

        Raises:
            QueueUnavailableError: when Redis does not answer.
        """
        try:
            found = await asyncio.to_thread(self._look, now)
        except (redis.RedisError, OSError) as error:
            problem = f"Redis does not answer ({type(error).__name__})"
            raise QueueUnavailableError(problem) from error
        for one in found:
            counts = {"waiting": one.waiting, "in_flight": one.in_flight, "dead": one.dead}
            for status, count in counts.items():
                JOBS_NOW.labels(queue=one.queue, status=status).set(count)
            age = one.oldest_age or timedelta()
            OLDEST.labels(queue=one.queue).set(age.total_seconds())
        return found

    def _look(self, now: datetime) -> tuple[QueueLook, ...]:
        client: redis.Redis[Any] = self.broker.client
        found = []
        for queue in QUEUES:
            key = f"{NAMESPACE}:{queue}"
            with client.pipeline() as asked:
                asked.llen(key)
                asked.hlen(f"{key}.msgs")
                asked.zcard(f"{key}.XQ")
                asked.lindex(key, 0)
                waiting, stored, dead, first = asked.execute()
            body = None if first is None else client.hget(f"{key}.msgs", first)
            in_flight = max(stored - waiting, 0)
            found.append(QueueLook(queue, waiting, in_flight, dead, _age(body, now)))
        return tuple(found)


def _age(body: Any, now: datetime) -> timedelta | None:
    if body is None:
        return None
    try:
        put_in = datetime.fromtimestamp(Message.decode(body).message_timestamp / 1000, UTC)
    except (DecodeError, TypeError, ValueError, OverflowError, OSError):
        return None  # a worker will put it aside
    return max(now - put_in, timedelta())
