"""Dramatiq actors, one for each job name: they only hand the row's id to the process's event loop.

Why plain threads and not Dramatiq's async actors: the worker process runs one event loop of its
own, where the database pool and the HTTP client live and are closed in order. An async actor holds
a worker thread all the same, so nothing is lost.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

import dramatiq
import structlog

from notifications.broker import QUEUE
from notifications.domain.jobs import MESSAGE_VERSION, JobName

log = structlog.get_logger()

Run = Callable[[uuid.UUID, JobName], None]
"""Delivers one notification and returns when the attempt is over."""


def declare_actors(broker: dramatiq.Broker, run: Run) -> None:
    """Register an actor for every job name on the broker."""
    for job_name in JobName:
        declare = dramatiq.actor(actor_name=job_name.value, queue_name=QUEUE, broker=broker)
        declare(_work(job_name, run))


def _work(job_name: JobName, run: Run) -> Callable[..., None]:
    def work(
        *, notification_id: str, correlation_id: str = "", version: int = 1, **_newer: object
    ) -> None:
        if version > MESSAGE_VERSION:
            # The row is not touched: the sweep puts it in again until a newer worker takes it.
            log.warning("job.version_unknown", notification_id=notification_id, version=version)
            return
        with structlog.contextvars.bound_contextvars(correlation_id=correlation_id):
            try:
                run(uuid.UUID(notification_id), job_name)
            except Exception as error:  # never into Dramatiq: the row decides what comes next
                log.exception(
                    "job.interrupted",
                    notification_id=notification_id,
                    job_name=job_name.value,
                    error_type=type(error).__name__,
                )

    return work
