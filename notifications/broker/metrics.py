"""Count jobs and measure how long they waited and took."""

from __future__ import annotations

import time
from typing import Any

import dramatiq
from dramatiq.middleware import Middleware

from kit.metrics import SECONDS_BUCKETS, counter, histogram

JOBS = counter("ponte_jobs_total", "Jobs that ended", ("job", "queue", "result"))
DURATION = histogram(
    "ponte_job_seconds", "Time that jobs took", ("job", "queue"), buckets=SECONDS_BUCKETS
)
WAITING = histogram(
    "ponte_job_waiting_seconds",
    "Time that jobs waited in Redis",
    ("queue",),
    buckets=SECONDS_BUCKETS,
)


class JobMetrics(Middleware):
    """Feeds the metrics. A job is a message: it may hold several notices."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}

    def before_process_message(self, _broker: dramatiq.Broker, message: Any) -> None:
        """Called before an actor begins."""
        self._began[message.message_id] = time.monotonic()
        waited = time.time() - message.message_timestamp / 1000  # noqa: TID251 - Dramatiq's stamp
        WAITING.labels(queue=message.queue_name).observe(max(waited, 0.0))

    def after_process_message(
        self,
        _broker: dramatiq.Broker,
        message: Any,
        *,
        result: object = None,  # noqa: ARG002 - the signature is Dramatiq's
        exception: BaseException | None = None,
    ) -> None:
        """Called after an actor ended."""
        began = self._began.pop(message.message_id, None)
        labels = {"job": message.actor_name, "queue": message.queue_name}
        if began is not None:
            DURATION.labels(**labels).observe(time.monotonic() - began)
        JOBS.labels(**labels, result="done" if exception is None else "refused").inc()
