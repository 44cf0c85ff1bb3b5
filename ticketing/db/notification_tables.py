"""Notices on their way out, the dead letters they may become, and whom they may reach."""

from __future__ import annotations

import uuid
from datetime import datetime, time

from sqlalchemy import (
    DDL,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Integer,
    SmallInteger,
    event,
    false,
)
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from kit.ids import new_id
from ticketing.db.base import JSON, Base, one_of
from ticketing.domain.enums import (
    AddressState,
    DeadLetterState,
    DeliveryGuarantee,
    DeliveryState,
    DlqAction,
    DlqResult,
)

_JOB_NAMES = "('notify-user', 'send-email', 'send-whatsapp', 'send-sms', 'send-push')"


class Notification(Base):
    """One notice to one recipient on one channel; `idempotency_key` makes it exist once."""

    __tablename__ = "notifications"
    __table_args__ = (
        one_of("state", DeliveryState),
        one_of("guarantee", DeliveryGuarantee),
        CheckConstraint(f"job_name IN {_JOB_NAMES}", name="job_name_is_known"),
        CheckConstraint(
            "attempts >= 0 AND deferrals >= 0 AND lost_workers >= 0 AND reprocess_count >= 0",
            name="counts_are_not_negative",
        ),
        Index(
            "ix_notifications_waiting",
            # State first: in the order of times alone the planner would take it for the sweep's
            # question, and read every row that waits for a closed job name.
            "state",
            "next_attempt_at",
            postgresql_where=sql("state IN ('pending', 'sending', 'unknown')"),
        ),
        # What the sweep looks for every second: each is small while all goes well, and none makes
        # it read the rows of a job name that is closed, or those that wait in the queue.
        Index(
            "ix_notifications_due",
            "job_name",
            "urgent",
            "next_attempt_at",
            postgresql_where=sql(
                "state IN ('pending', 'unknown') AND enqueued_at IS NULL AND digest_id IS NULL"
            ),
        ),
        Index(
            "ix_notifications_queued",
            "enqueued_at",
            postgresql_where=sql(
                "state IN ('pending', 'unknown') AND enqueued_at IS NOT NULL AND digest_id IS NULL"
            ),
        ),
        Index(
            "ix_notifications_suspects",
            "lost_workers",
            "next_attempt_at",
            postgresql_where=sql(
                "state IN ('pending', 'unknown') AND enqueued_at IS NULL AND lost_workers > 0"
            ),
        ),
        Index(
            "ix_notifications_untimed",
            "id",
            postgresql_where=sql(
                "state IN ('pending', 'unknown') AND next_attempt_at IS NULL AND digest_id IS NULL"
            ),
        ),
        Index(
            "ix_notifications_expiring",
            "expires_at",
            postgresql_where=sql("state IN ('pending', 'unknown') AND expires_at IS NOT NULL"),
        ),
        Index(
            "ix_notifications_digest",
            "digest_key",
            "created_at",
            postgresql_where=sql("digest_key IS NOT NULL"),
        ),
        Index(
            "ix_notifications_digest_id",
            "digest_id",
            postgresql_where=sql("digest_id IS NOT NULL"),
        ),
        Index(
            "ix_notifications_provider_id",
            "provider_id",
            postgresql_where=sql("provider_id IS NOT NULL"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    idempotency_key: Mapped[str] = mapped_column(unique=True)
    """The same through every attempt and every reprocessing."""
    payload_version: Mapped[int] = mapped_column(SmallInteger, default=1, server_default="1")
    """Of `context`: `notifications.domain.contract`."""
    job_name: Mapped[str]
    event: Mapped[str]
    """The policy event: ticket-opened, ticket-escalation, ticket-priority-high, ..."""
    recipient: Mapped[str]
    """E-mail address, E.164 number or push token."""
    language: Mapped[str] = mapped_column(default="pt")
    context: Mapped[JSON] = mapped_column(default=dict)
    ticket_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("tickets.id"), index=True)
    urgent: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    guarantee: Mapped[str] = mapped_column(
        default=DeliveryGuarantee.AT_LEAST_ONCE.value,
        server_default=DeliveryGuarantee.AT_LEAST_ONCE.value,
    )
    state: Mapped[str] = mapped_column(default=DeliveryState.PENDING.value)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    """Attempts spent. Fencing too: a result counts for the attempt it belongs to."""
    deferrals: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    """Claims that were put off without spending an attempt (429)."""
    lost_workers: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    """Workers that died while they had it, one after the other."""
    reprocess_count: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    next_attempt_at: Mapped[datetime | None]
    enqueued_at: Mapped[datetime | None]
    claimed_at: Mapped[datetime | None]
    claimed_by: Mapped[int | None] = mapped_column(Integer)
    """Key of the worker process that has it: `notifications.services.worker_presence`."""
    lease_until: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    """When it is of no use any more: it is given up then, not sent."""
    digest_key: Mapped[str | None]
    """Notices of one key within a while are told together."""
    digest_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("notifications.id"))
    """The notice in whose words this one is told; its state follows that one."""
    provider_id: Mapped[str | None]
    error: Mapped[JSON | None]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    acknowledged_at: Mapped[datetime | None]
    """When its recipient pressed the button that says it was received."""
    correlation_id: Mapped[str]


class DeadLetter(Base):
    """A notice that was given up, with its reason; or a broken job that was found in Redis.

    No address and no words: `recipient_hash` is keyed, `payload` is the redacted view.
    """

    __tablename__ = "dead_letters"
    __table_args__ = (
        one_of("state", DeadLetterState),
        CheckConstraint(
            "(notification_id IS NULL) <> (broker_message_id IS NULL)", name="has_one_origin"
        ),
        Index("ix_dead_letters_state_failed_at", "state", "failed_at", "id"),
        Index("ix_dead_letters_job_name_failed_at", "job_name", "failed_at"),
        Index("ix_dead_letters_error_code_failed_at", "error_code", "failed_at"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    notification_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("notifications.id"), unique=True
    )
    """Unique: a notice that dies again after a reprocessing keeps its entry."""
    broker_message_id: Mapped[str | None] = mapped_column(unique=True)
    """Of a message in Dramatiq's dead set that no row stands for."""
    state: Mapped[str] = mapped_column(default=DeadLetterState.DEAD.value)
    job_name: Mapped[str]
    """As it was given: an invalid name is the reason of some."""
    origin_queue: Mapped[str]
    event: Mapped[str | None]
    reason: Mapped[str]
    """Why there is no further attempt: permanent, attempts_exhausted, expired, poison, ..."""
    error_kind: Mapped[str]
    error_code: Mapped[str]
    http_status: Mapped[int | None] = mapped_column(Integer)
    detail: Mapped[str]
    attempts: Mapped[int] = mapped_column(Integer)
    payload: Mapped[JSON]
    payload_hash: Mapped[str]
    """SHA-256 of the payload as it would be sent again."""
    recipient_hash: Mapped[str | None] = mapped_column(index=True)
    ticket_id: Mapped[uuid.UUID | None]
    correlation_id: Mapped[str]
    first_failed_at: Mapped[datetime]
    failed_at: Mapped[datetime]
    reprocess_count: Mapped[int] = mapped_column(SmallInteger, default=0)
    last_action_id: Mapped[uuid.UUID | None]
    closed_at: Mapped[datetime | None]
    """When it was recovered or discarded."""


class DlqReprocessAudit(Base):
    """What operators did with dead letters; appended, never changed.

    One row for the action as a whole (`dead_letter_id` null, with the counts) and one for each
    entry it touched or refused.
    """

    __tablename__ = "dlq_reprocess_audit"
    __table_args__ = (
        one_of("action", DlqAction),
        one_of("result", DlqResult),
        Index("ix_dlq_reprocess_audit_action_id", "action_id"),
        Index("ix_dlq_reprocess_audit_at", "at"),
        Index("ix_dlq_reprocess_audit_dead_letter_id", "dead_letter_id"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    action_id: Mapped[uuid.UUID]
    action: Mapped[str]
    actor: Mapped[str]
    """`agent:<uuid>`, or `cli:<login name of the machine>`."""
    at: Mapped[datetime]
    dead_letter_id: Mapped[uuid.UUID | None]
    result: Mapped[str]
    detail: Mapped[str]
    filters: Mapped[JSON | None]
    matched: Mapped[int | None] = mapped_column(Integer)
    done: Mapped[int | None] = mapped_column(Integer)
    refused: Mapped[int | None] = mapped_column(Integer)
    discarded: Mapped[int | None] = mapped_column(Integer)


DLQ_AUDIT_APPEND_ONLY = """
CREATE OR REPLACE FUNCTION dlq_reprocess_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'dlq_reprocess_audit is append-only: % of row % refused', TG_OP, OLD.id
    USING ERRCODE = 'restrict_violation';
END $$
"""
DLQ_AUDIT_APPEND_ONLY_TRIGGER = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON dlq_reprocess_audit
FOR EACH ROW EXECUTE FUNCTION dlq_reprocess_audit_append_only()
"""
"""What operators did is not rewritten. The migration runs both statements."""

for _statement in (DLQ_AUDIT_APPEND_ONLY, DLQ_AUDIT_APPEND_ONLY_TRIGGER):
    # DDL formats with %, which the text of the exception contains.
    _ddl = DDL(_statement.replace("%", "%%"))  # type: ignore[no-untyped-call]
    event.listen(DlqReprocessAudit.__table__, "after_create", _ddl)


class DlqWebhookCall(Base):
    """One call of DLQ_ALERT_WEBHOOK_URL: a row first, so that it outlives whoever made it."""

    __tablename__ = "dlq_webhook_calls"
    __table_args__ = (
        CheckConstraint("attempts >= 0", name="attempts_are_not_negative"),
        CheckConstraint("state IN ('pending', 'sent', 'failed', 'dropped')", name="state_is_known"),
        Index(
            "ix_dlq_webhook_calls_waiting",
            "next_attempt_at",
            postgresql_where=sql("state = 'pending'"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    cause: Mapped[str] = mapped_column(unique=True)
    """What it tells of; makes a call exist once. The receiver gets it as `event_id`."""
    body: Mapped[JSON]
    state: Mapped[str] = mapped_column(default="pending")
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    next_attempt_at: Mapped[datetime | None]
    """While it is being sent: when somebody else may take it up."""
    error: Mapped[str | None]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class RecipientAddress(Base):
    """What is known of an address: opted out, disabled, suspended for a while. No row: nothing."""

    __tablename__ = "recipient_addresses"
    __table_args__ = (
        one_of("state", AddressState),
        CheckConstraint("strikes >= 0", name="strikes_are_not_negative"),
        CheckConstraint("channel IN ('email', 'whatsapp', 'sms', 'push')", name="channel_is_known"),
    )

    channel: Mapped[str] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(unique=True, default=new_id)
    """Names it in the API and in the audit log, which may hold no address."""
    state: Mapped[str]
    code: Mapped[str]
    """The provider's code or our word for the cause, such as `21610`."""
    strikes: Mapped[int] = mapped_column(SmallInteger, default=0)
    """Refusals in a row that do not disable by themselves (131026, 30003)."""
    since: Mapped[datetime]
    until: Mapped[datetime | None]
    """End of a suspension."""
    last_inbound_at: Mapped[datetime | None]
    """When somebody wrote from here that was no message of a conversation, such as the press of a
    notice's button."""


class NotificationPreference(Base):
    """What an agent wants to be told, where, and when not."""

    __tablename__ = "notification_preferences"
    __table_args__ = (
        CheckConstraint("(quiet_from IS NULL) = (quiet_to IS NULL)", name="quiet_hours_are_whole"),
    )

    agent_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("agents.id"), primary_key=True)
    phone: Mapped[str | None]
    """E.164, for WhatsApp and SMS."""
    channels: Mapped[JSON] = mapped_column(default=dict)
    """Policy event to the list of channels the agent leaves on; an event that is not there: all."""
    quiet_from: Mapped[time | None]
    quiet_to: Mapped[time | None]
    time_zone: Mapped[str] = mapped_column(default="America/Sao_Paulo")
    quiet_for_urgent: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    """Whether even urgent notices wait for the end of the quiet hours."""
    updated_at: Mapped[datetime]


class PushDevice(Base):
    """A browser or phone of an agent that FCM can reach."""

    __tablename__ = "push_devices"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    agent_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("agents.id"), index=True)
    token: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]


class OperationAlert(Base):
    """An alert about the system itself, while it fires and while it cools down."""

    __tablename__ = "operation_alerts"

    name: Mapped[str] = mapped_column(primary_key=True)
    """Such as `backlog:notifications`, `dlq_threshold`, `breaker:send-email`."""
    firing: Mapped[bool] = mapped_column(Boolean)
    since: Mapped[datetime]
    """When it began to fire, or went out."""
    told_at: Mapped[datetime | None]
    value: Mapped[int] = mapped_column(Integer, default=0)
    """What was last seen: jobs waiting, seconds, dead letters."""
