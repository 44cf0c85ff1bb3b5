"""Tell workers that a job was put in, so that they need not look all the time.

Redis publishes to those who listen now, and forgets: a word that is lost costs one look of a
consumer (`ponte.processes.worker_pools.LOOK_MS`), never a job.
"""

from __future__ import annotations

import threading
from typing import Any

import redis
import structlog

from notifications.broker.queues import NAMESPACE, QUEUES, PonteBroker

log = structlog.get_logger()

READY_CHANNEL = f"{NAMESPACE}:ready"
LISTEN_SECONDS = 1.0
"""How long it takes at most to notice that it shall end."""
PAUSE_SECONDS = 0.5
"""Between two tries to listen while Redis is away."""


def tell_ready(client: redis.Redis[Any], queue: str) -> None:
    """Say that there is something in the queue."""
    client.publish(READY_CHANNEL, queue)


class ReadyListener:
    """A thread that wakes the consumers of this process."""

    def __init__(self, broker: PonteBroker) -> None:
        self._broker = broker
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jobs-ready", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """End, and let consumers that wait see that they shall end too."""
        self._stop.set()
        self._wake_all()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._broker.client.pubsub(ignore_subscribe_messages=True) as words:
                    words.subscribe(READY_CHANNEL)
                    self._wake_all()  # something may have come while nobody listened
                    while not self._stop.is_set():
                        word = words.get_message(timeout=LISTEN_SECONDS)
                        if word is not None:
                            self._wake(word["data"].decode(errors="replace"))
            except (redis.RedisError, OSError) as error:
                log.warning("jobs.listen_failed", error_type=type(error).__name__)
                self._stop.wait(PAUSE_SECONDS)

    def _wake(self, queue: str) -> None:
        if queue in QUEUES:  # a newer program may know others
            self._broker.ready(queue).set()

    def _wake_all(self) -> None:
        for queue in QUEUES:
            self._broker.ready(queue).set()
