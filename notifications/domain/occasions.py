"""The occasions to notify somebody."""

from __future__ import annotations

from enum import StrEnum


class PolicyEvent(StrEnum):
    """An occasion to notify somebody; the keys of `policies.yml`."""

    TICKET_OPENED = "ticket-opened"
    TICKET_ESCALATION = "ticket-escalation"
    TICKET_PRIORITY_HIGH = "ticket-priority-high"
    TICKET_ASSIGNED = "ticket-assigned"
    SLA_ALERT = "sla-alert"
    NOTIFICATION_FAILED = "notification-failed"
    BREAKER_ALERT = "breaker-alert"
    """A channel is broken, or works again."""
    BACKLOG_ALERT = "backlog-alert"
    """Too many notices wait, or one waits too long; or no more."""
    DLQ_ALERT = "dlq-alert"
    """Too many dead letters, or they grow quickly; or no more."""
    BOT_ALERT = "bot-alert"
    """The bot does not answer, or answers again."""
    TRAINING_GATE = "training-gate"
    """A new model was refused."""
    CSAT_LOW = "csat-low"
    """A customer was not content with a ticket."""
    USER_NOTICE = "user-notice"
    """Words of a program or a person to one user: the job `notify-user`."""
    MESSAGE_UNDELIVERED = "message-undelivered"
    """A reply to a customer was given up."""
