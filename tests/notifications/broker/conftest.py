from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from ponte.embedded.redis import EmbeddedRedis

PATIENCE_SECONDS = 20


@dataclass
class OwnRedis:
    """A Redis of the test's own, to be hurt; it keeps what it holds when it is killed."""

    server: EmbeddedRedis

    @property
    def url(self) -> str:
        return self.server.url()

    @property
    def client(self) -> Any:
        return redis.Redis.from_url(self.url)

    def kill(self) -> None:
        # A second passes between a write and its flush; the test is not about that second.
        self.client.config_set("appendfsync", "always")
        self.client.set("flushed", "1")
        self.client.delete("flushed")
        assert self.server.process is not None
        self.server.process.kill()
        self.server.process.wait()

    def start(self) -> None:
        self.server.start()

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """It takes connections and bytes, and answers nothing."""
        assert self.server.process is not None
        os.kill(self.server.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.server.process.pid, signal.SIGCONT)

    def unacknowledged(self) -> int:
        return sum(self.client.scard(key) for key in self.client.keys("*__acks__*"))

    def is_empty(self) -> bool:
        """No message waits, is delayed, dead, or fetched and not acknowledged."""
        left = self.client.keys("*")
        return all(b"__heartbeats__" in key for key in left)


@pytest.fixture
def own_redis() -> Iterator[OwnRedis]:
    folder = Path(tempfile.mkdtemp(prefix="ponte-redis-"))
    server = EmbeddedRedis(folder / "data", folder / "run", durable=True)
    server.start()
    yield OwnRedis(server)
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


def until(condition: Callable[[], bool], *, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for what other threads do."""
    deadline = time.monotonic() + seconds
    nothing = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        nothing.wait(0.02)
