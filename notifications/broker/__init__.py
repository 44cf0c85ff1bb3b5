"""Dramatiq on Redis: one file, one concern."""

from __future__ import annotations

from notifications.broker.job_queue import DramatiqJobQueue
from notifications.broker.queues import (
    NAMESPACE,
    QUEUES,
    PonteBroker,
    make_producer_broker,
    make_worker_broker,
)
from notifications.domain.jobs import QUEUE, URGENT_QUEUE

__all__ = [
    "NAMESPACE",
    "QUEUE",
    "QUEUES",
    "URGENT_QUEUE",
    "DramatiqJobQueue",
    "PonteBroker",
    "make_producer_broker",
    "make_worker_broker",
]
