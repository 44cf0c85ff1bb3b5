"""What deliveries count, for /metrics."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from kit.metrics import counter, histogram
from notifications.domain.failure import Failure
from notifications.services.results import PutOff, Result

_ATTEMPTS = counter(
    "ponte_notification_attempts_total",
    "Attempts to send a notification, by what came of them.",
    ("job", "outcome"),
)
_DELAY = histogram(
    "ponte_notification_delay_seconds",
    "From the creation of a notification until a provider took it.",
    ("job",),
)
_PUT_OFF = counter(
    "ponte_notification_put_off_total",
    "Claims that a breaker or a pause turned back.",
    ("job", "reason"),
)
_FREED = counter(
    "ponte_notification_freed_total",
    "Notifications taken back from workers: worker_gone (it died), lease_over (nobody knows).",
    ("job", "reason"),
)
_LOST_WORKERS = counter(
    "ponte_workers_lost_total", "Worker processes that died with notifications in their hands."
)

SENT = "sent"
"""Outcome of an attempt that the provider took; the others are the kinds of failure."""


def count_result(result: Result, now: datetime) -> None:
    """One attempt ended and is recorded."""
    failed = isinstance(result.answer, Failure)
    outcome = result.answer.kind.value if isinstance(result.answer, Failure) else SENT
    _ATTEMPTS.labels(job=result.job_name.value, outcome=outcome).inc()
    if not failed:
        seconds = max((now - result.outgoing.created_at).total_seconds(), 0.0)
        _DELAY.labels(job=result.job_name.value).observe(seconds)


def count_put_off(turned_back: Sequence[PutOff]) -> None:
    """Claims that the gate turned back."""
    for one in turned_back:
        _PUT_OFF.labels(job=one.job_name.value, reason=one.reason).inc()


def count_freed(job_name: str, reason: str) -> None:
    """A row was taken back from a worker."""
    _FREED.labels(job=job_name, reason=reason).inc()


def count_lost_workers(count: int) -> None:
    """So many worker processes were found to be gone."""
    _LOST_WORKERS.inc(count)
