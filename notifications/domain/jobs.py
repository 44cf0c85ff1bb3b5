"""Names of jobs and channels, and the small message that travels through Redis.

Docs: docs/decisions/0005-database-is-the-truth-for-jobs.md.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum

PAYLOAD_VERSION = 1
"""Version of what a row holds: `notifications.domain.contract`."""

MESSAGE_VERSION = 2
"""Version of what a job carries. A worker leaves a version it does not know to a newer worker."""


QUEUE = "notifications"
URGENT_QUEUE = "notifications-urgent"
"""Dramatiq on Redis has no priorities between jobs, so urgent ones have a queue of their own."""


def queue_name(*, urgent: bool) -> str:
    """The queue that the jobs of a notice go through."""
    return URGENT_QUEUE if urgent else QUEUE


class JobName(StrEnum):
    """Every kind of job. The same list is a CHECK of the table `notifications`."""

    NOTIFY_USER = "notify-user"
    SEND_EMAIL = "send-email"
    SEND_WHATSAPP = "send-whatsapp"
    SEND_SMS = "send-sms"
    SEND_PUSH = "send-push"


class Channel(StrEnum):
    """A way to reach a person. Not every installation has a sender for each."""

    EMAIL = "email"
    WHATSAPP = "whatsapp"
    SMS = "sms"
    PUSH = "push"


JOB_OF_CHANNEL = {
    Channel.EMAIL: JobName.SEND_EMAIL,
    Channel.WHATSAPP: JobName.SEND_WHATSAPP,
    Channel.SMS: JobName.SEND_SMS,
    Channel.PUSH: JobName.SEND_PUSH,
}
CHANNEL_OF_JOB = {job: channel for channel, job in JOB_OF_CHANNEL.items()}


class InvalidJobNameError(ValueError):
    """A job was produced without a name, or with one that does not exist."""

    def __init__(self, value: object) -> None:
        self.value = value
        self.allowed = tuple(member.value for member in JobName)
        given = "is missing" if value is None or value == "" else f"{value!r} is not a job name"
        super().__init__(f"job_name: {given}; expected one of {', '.join(self.allowed)}")


def parse_job_name(value: object) -> JobName:
    """The job name that `value` spells.

    Raises:
        InvalidJobNameError: when it is missing, no text, or unknown; lists the allowed names.
    """
    if not isinstance(value, str):
        raise InvalidJobNameError(value)
    try:
        return JobName(value)
    except ValueError as error:
        raise InvalidJobNameError(value) from error


@dataclass(frozen=True, slots=True)
class Job:
    """All that is put in Redis: which row to work on. The row holds everything else."""

    job_name: str
    notification_id: uuid.UUID
    correlation_id: str
    urgent: bool = False
    alone: bool = False
    """It shares its message with no other: workers died while they had its row."""
