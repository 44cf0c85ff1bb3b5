"""Put jobs in, and look at what lies there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import dramatiq
import redis

from notifications.broker.message import to_messages
from notifications.broker.queues import NAMESPACE, QUEUES, PonteBroker
from notifications.broker.wake import tell_ready
from notifications.domain.jobs import Job
from notifications.services.ports import QueueUnavailableError


class DramatiqJobQueue:
    """`notifications.services.ports.JobQueue` on a Dramatiq broker."""

    def __init__(self, broker: PonteBroker) -> None:
        self._broker = broker

    async def enqueue(self, jobs: Sequence[Job]) -> None:
        """Put jobs in; see the port."""
        messages = to_messages(jobs)  # all names are checked before any goes in
        await asyncio.to_thread(self._enqueue, messages)

    async def waiting(self) -> int:
        """How many messages no worker has fetched yet; see the port."""
        return await asyncio.to_thread(self._waiting)

    def _enqueue(self, messages: Sequence[dramatiq.Message[None]]) -> None:
        try:
            for message in messages:
                self._broker.enqueue(message)
            for queue in {message.queue_name for message in messages}:
                tell_ready(self._broker.client, queue)
        except (redis.RedisError, OSError) as error:
            problem = f"Redis does not answer ({type(error).__name__})"
            raise QueueUnavailableError(problem) from error

    def _waiting(self) -> int:
        client: redis.Redis[Any] = self._broker.client
        try:
            return sum(int(client.llen(f"{NAMESPACE}:{queue}")) for queue in QUEUES)
        except (redis.RedisError, OSError) as error:
            problem = f"Redis does not answer ({type(error).__name__})"
            raise QueueUnavailableError(problem) from error
