"""Dramatiq actors, one for each job name: they only hand ids of rows to the process's event loop.

Why plain threads and not Dramatiq's async actors: the worker process runs one event loop of its
own, where the database pool and the HTTP client live and are closed in order. An async actor holds
a worker thread all the same, so nothing is lost.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

import dramatiq
import structlog

from notifications.broker.message import read_notices
from notifications.domain.jobs import QUEUE, JobName

log = structlog.get_logger()

Run = Callable[[Sequence[uuid.UUID], JobName], None]
"""Delivers notifications and returns when the attempts are over."""


def declare_actors(broker: dramatiq.Broker, run: Run) -> None:
    """Register an actor for every job name on the broker."""
    for job_name in JobName:
        declare = dramatiq.actor(actor_name=job_name.value, queue_name=QUEUE, broker=broker)
        declare(_work(job_name, run))


def _work(job_name: JobName, run: Run) -> Callable[..., None]:
    def work(**arguments: object) -> None:
        """Deliver; raises only what `notifications.broker.malformed` puts aside."""
        notices = read_notices(arguments)
        if notices is None:
            # The rows are not touched: the sweep puts them in again until a newer worker comes.
            log.warning("job.version_unknown", version=arguments.get("version"))
            return
        ids = [notification_id for notification_id, _ in notices]
        # One correlation id is bound here; of several each line of the deliverer names its own.
        bound = {"correlation_id": notices[0][1]} if len(notices) == 1 else {}
        with structlog.contextvars.bound_contextvars(**bound):
            try:
                run(ids, job_name)
            except Exception as error:  # never into Dramatiq: the row decides what comes next
                log.exception(
                    "job.interrupted",
                    notification_id=str(ids[0]),
                    count=len(ids),
                    job_name=job_name.value,
                    error_type=type(error).__name__,
                )

    return work
