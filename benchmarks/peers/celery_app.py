"""Celery on Redis: acknowledged late, results ignored, one session for each process.

Runs in a Python environment of its own; see benchmarks.notification_peers.
"""

from __future__ import annotations

import os

import requests
from celery import Celery

from benchmarks.peers.message import payload
from benchmarks.peers.producing import main

app = Celery("bench", broker=os.environ["BENCH_REDIS_URL"])  # noqa: TID251
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=64,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    task_default_queue="celery-bench",
)
_session = requests.Session()
_url = os.environ["BENCH_SINK_URL"] + "/v1/messages"  # noqa: TID251


@app.task(name="send")
def send(job: int) -> None:
    """One POST."""
    _session.post(_url, json=payload(job), timeout=10).raise_for_status()


if __name__ == "__main__":
    main(send.delay)
