"""A job as it lies in Redis: which rows, nothing about anybody.

Version 2: `{"version": 2, "jobs": [[notification id, correlation id], ...]}` in the keyword
arguments of a Dramatiq message whose actor is the job name. Version 1 held one notice:
`{"notification_id": ..., "correlation_id": ..., "version": 1}`; it is still understood.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import dramatiq

from notifications.broker.malformed import MalformedMessageError
from notifications.domain.jobs import MESSAGE_VERSION, Job, parse_job_name, queue_name

MOST_IN_ONE = 50
"""Notices in one message. What Dramatiq and a claim cost is then shared by so many, and a worker
that dies takes no more with it than its threads times this."""

Notice = tuple[uuid.UUID, str]
"""Notification id and correlation id."""


def to_messages(jobs: Sequence[Job]) -> list[dramatiq.Message[None]]:
    """Group jobs of one name and urgency, in their order.

    Raises:
        InvalidJobNameError: when a name is missing or unknown; lists the valid ones.
    """
    groups: dict[tuple[str, bool], list[Job]] = {}
    messages: list[dramatiq.Message[None]] = []
    for job in jobs:
        name = parse_job_name(job.job_name)
        if job.alone:
            messages.append(_message(name.value, [job]))
        else:
            groups.setdefault((name.value, job.urgent), []).append(job)
    for (name_, _), group in groups.items():
        messages += [
            _message(name_, group[start : start + MOST_IN_ONE])
            for start in range(0, len(group), MOST_IN_ONE)
        ]
    return sorted(messages, key=lambda one: one.queue_name != queue_name(urgent=True))


def read_notices(arguments: Mapping[str, Any]) -> tuple[Notice, ...] | None:
    """The notices of a message; None when its version is newer than this code.

    Raises:
        MalformedMessageError: when the arguments are not those of a job.
    """
    version = arguments.get("version", 1)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        message = "version: expected a whole number from 1"
        raise MalformedMessageError(message)
    if version > MESSAGE_VERSION:
        return None
    pairs = arguments.get("jobs")
    if version == 1:
        pairs = [[arguments.get("notification_id"), arguments.get("correlation_id", "")]]
    if not isinstance(pairs, list) or not pairs:
        message = "jobs: expected a list of [notification id, correlation id]"
        raise MalformedMessageError(message)
    return tuple(_notice(pair) for pair in pairs)


def _notice(pair: object) -> Notice:
    match pair:
        case [str(notification_id), str(correlation_id)]:
            with contextlib.suppress(ValueError):
                return uuid.UUID(notification_id), correlation_id
        case _:
            pass
    message = "jobs: expected [notification id, correlation id] in each place"
    raise MalformedMessageError(message)


def _message(job_name: str, jobs: Sequence[Job]) -> dramatiq.Message[None]:
    return dramatiq.Message(
        queue_name=queue_name(urgent=jobs[0].urgent),
        actor_name=job_name,
        args=(),
        kwargs={
            "version": MESSAGE_VERSION,
            "jobs": [[str(job.notification_id), job.correlation_id] for job in jobs],
        },
        options={},
    )
