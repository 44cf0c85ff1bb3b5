"""The queues in Redis, and the connections of those who put in and of those who take out.

Decision: docs/decisions/0005-database-is-the-truth-for-jobs.md. No Retries middleware: retries are
rows with a time, so a job that ends is done, whatever came of it. So there are no delayed messages
either, and nobody looks for them.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import redis
from dramatiq.brokers.redis import RedisBroker
from redis.backoff import NoBackoff
from redis.retry import Retry

from notifications.broker.consumer import ReadyConsumer
from notifications.broker.malformed import Malformed
from notifications.broker.metrics import JobMetrics
from notifications.domain.jobs import QUEUE, URGENT_QUEUE

NAMESPACE = "ponte:jobs"
"""Prefix of every key, so that the jobs can share a Redis database."""

QUEUES = (URGENT_QUEUE, QUEUE)
"""Dramatiq on Redis has no priorities between jobs, so urgent ones have a queue of their own, and
workers have threads that take nothing else."""

PRODUCER_TIMEOUT_SECONDS = 5.0
"""The producer may give up on a slow Redis: the row is there and the sweep comes back."""


STRANDED_LOOK = timedelta(seconds=10)
"""Between two looks for stranded ids. An id that is in nobody's hands at two looks is stranded, so
it is back within 20 s."""

_KEEPALIVE: dict[str, Any] = {  # a socket file knows none of it
    "socket_keepalive": True,
    # A machine that is gone without a word is noticed within 30 s, idle or not; a Redis that only
    # stands still goes on confirming at the level of TCP, and is waited for.
    "socket_keepalive_options": {
        getattr(socket, name): value
        for name, value in (
            ("TCP_KEEPIDLE", 15),
            ("TCP_KEEPINTVL", 5),
            ("TCP_KEEPCNT", 3),
            ("TCP_USER_TIMEOUT", 30_000),
        )
        if hasattr(socket, name)
    },
}


class PonteBroker(RedisBroker):
    """Dramatiq's broker with consumers that are woken, and without delayed messages."""

    def __init__(
        self,
        client: redis.Redis[bytes],
        *,
        ready: Mapping[str, threading.Event] | None = None,
        stranded_look: timedelta = STRANDED_LOOK,
    ) -> None:
        self.stranded_look = stranded_look
        self._in_hand: Mapping[str, set[str]] = {queue: set() for queue in QUEUES}
        super().__init__(  # type: ignore[no-untyped-call]  # Dramatiq leaves it unannotated
            client=client,
            namespace=NAMESPACE,
            middleware=[Malformed(), JobMetrics()],
            # Per million commands. The default (1000) leaves an idle worker's dead neighbour
            # unnoticed for a quarter of an hour; rows do not depend on it, this only tidies up.
            maintenance_chance=100_000,
        )
        self._ready = ready or {queue: threading.Event() for queue in QUEUES}
        for queue in QUEUES:
            self.declare_queue(queue)

    @property
    def consumer_class(self) -> type[ReadyConsumer]:
        """Of every queue."""
        return ReadyConsumer

    def get_declared_delay_queues(self) -> set[str]:
        """None: a consumer of each would ask Redis for ever for what never comes."""
        return set()

    def sibling(self) -> PonteBroker:
        """Another on the same connections, woken by the same words: a pool of threads wants one."""
        return PonteBroker(self.client, ready=self._ready, stranded_look=self.stranded_look)

    def ready(self, queue: str) -> threading.Event:
        """Set when there may be something to fetch from the queue."""
        return self._ready[queue]

    def in_hand(self, queue: str) -> set[str]:
        """Ids of messages that threads of this broker's pool have, or will have next."""
        return self._in_hand[queue]


def make_worker_broker(redis_url: str, *, stranded_look: timedelta = STRANDED_LOOK) -> PonteBroker:
    """The broker of a worker process.

    Its client has no socket timeout: a fetch whose answer is not waited for strands its messages
    in this process's acknowledgements (reproduced on 2.2.1). Keep-alives find a machine that is
    gone without a word.
    """
    return PonteBroker(
        redis.Redis.from_url(
            redis_url,
            socket_timeout=None,
            socket_connect_timeout=5,
            **({} if redis_url.startswith("unix:") else _KEEPALIVE),
        ),
        stranded_look=stranded_look,
    )


def make_producer_broker(redis_url: str) -> PonteBroker:
    """The broker of a process that only puts jobs in."""
    # One quick second try and no more: the row is there, and the sweep comes back to it.
    return PonteBroker(
        redis.Redis.from_url(
            redis_url,
            retry=Retry(NoBackoff(), 1),
            socket_timeout=PRODUCER_TIMEOUT_SECONDS,
            socket_connect_timeout=PRODUCER_TIMEOUT_SECONDS,
        )
    )
