"""Dramatiq's dead messages in Redis, to be read; nothing is changed there.

Keys of Dramatiq's `dispatch.lua`: `<namespace>:<queue>.XQ` is a sorted set of message ids by time
in milliseconds, `<namespace>:<queue>.XQ.msgs` a hash of id to message. Nobody calls `broker.flush`:
it would empty them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import redis

from notifications.broker.queues import NAMESPACE, QUEUES, PonteBroker
from notifications.services.ports import QueueUnavailableError
from notifications.services.reconcile import DeadMessage

MOST = 10_000
"""Messages of a queue that are read at once; a dead set of that size is an accident of its own."""

_PAGE = 500


class RedisDeadSet:
    """`notifications.services.reconcile.DeadSet` on a Dramatiq broker."""

    def __init__(self, broker: PonteBroker) -> None:
        self._broker = broker

    async def messages(self) -> Sequence[DeadMessage]:
        """All dead messages, the oldest of each queue first; see the port."""
        try:
            return await asyncio.to_thread(self._read)
        except (redis.RedisError, OSError) as error:
            problem = f"Redis does not answer ({type(error).__name__})"
            raise QueueUnavailableError(problem) from error

    def _read(self) -> list[DeadMessage]:
        client: redis.Redis[Any] = self._broker.client
        found: list[DeadMessage] = []
        for queue in QUEUES:
            key = f"{NAMESPACE}:{queue}.XQ"
            for start in range(0, MOST, _PAGE):
                page: Any = client.zrange(key, start, start + _PAGE - 1, withscores=True)
                if not page:
                    break
                bodies: Any = client.hmget(f"{key}.msgs", [name for name, _ in page])
                found += [
                    DeadMessage(
                        message_id=name.decode(errors="replace"),
                        queue=queue,
                        # Without its body it is unreadable, and still there.
                        body=body or b"",
                        died_at=_moment(score),
                    )
                    for (name, score), body in zip(page, bodies, strict=True)
                ]
        return found


def _moment(milliseconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
