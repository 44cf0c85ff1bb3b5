"""Plain Dramatiq on Redis with its default middleware (Retries and all), and requests' successor.

Tuned: `dramatiq_worker_timeout` 20 ms and prefetch 100 (see benchmarks.notification_peers), one
HTTP client with kept connections for each thread; the quickest of what was tried.

    python -m benchmarks.peers.plain_dramatiq produce FIRST COUNT | idle FIRST COUNT
"""

from __future__ import annotations

import os
import threading

import dramatiq
import httpx
from dramatiq.brokers.redis import RedisBroker

from benchmarks.peers.message import payload
from benchmarks.peers.producing import main

REDIS_URL, SINK_URL = os.environ["BENCH_REDIS_URL"], os.environ["BENCH_SINK_URL"]  # noqa: TID251

broker = RedisBroker(url=REDIS_URL, namespace="plain")  # type: ignore[no-untyped-call]
dramatiq.set_broker(broker)
_own = threading.local()


@dramatiq.actor(queue_name="plain")
def send(job: int) -> None:
    """One POST."""
    if not hasattr(_own, "http"):
        _own.http = httpx.Client(timeout=10.0)
    _own.http.post(f"{SINK_URL}/v1/messages", json=payload(job)).raise_for_status()


if __name__ == "__main__":
    main(send.send)
