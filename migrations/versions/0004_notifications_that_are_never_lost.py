"""Notifications that are never lost.

Revision: 0004
Before it: 0003

Runs in one transaction with `lock_timeout` 5 s (migrations/env.py): a migration that cannot get its
lock fails and can be tried again, instead of holding up every customer behind it.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


_APPEND_ONLY = (
    """CREATE OR REPLACE FUNCTION dlq_reprocess_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'dlq_reprocess_audit is append-only: % of row % refused', TG_OP, OLD.id
    USING ERRCODE = 'restrict_violation';
END $$
""",  # noqa: E501 - to the letter as the table says it
    """CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON dlq_reprocess_audit
FOR EACH ROW EXECUTE FUNCTION dlq_reprocess_audit_append_only()
""",
)


def upgrade() -> None:
    op.create_table(
        "dlq_reprocess_audit",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("action_id", sa.UUID(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dead_letter_id", sa.UUID(), nullable=True),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("filters", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("matched", sa.Integer(), nullable=True),
        sa.Column("done", sa.Integer(), nullable=True),
        sa.Column("refused", sa.Integer(), nullable=True),
        sa.Column("discarded", sa.Integer(), nullable=True),
        sa.CheckConstraint("action IN ('reprocess', 'discard')", name="action_is_known"),
        sa.CheckConstraint(
            "result IN ('started', 'done', 'partly', 'refused', 'discarded')",
            name="result_is_known",
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_dlq_reprocess_audit_action_id", "dlq_reprocess_audit", ["action_id"], unique=False
    )
    op.create_index("ix_dlq_reprocess_audit_at", "dlq_reprocess_audit", ["at"], unique=False)
    op.create_index(
        "ix_dlq_reprocess_audit_dead_letter_id",
        "dlq_reprocess_audit",
        ["dead_letter_id"],
        unique=False,
    )
    op.create_table(
        "dlq_webhook_calls",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'sent', 'failed', 'dropped')", name="state_is_known"
        ),
        sa.CheckConstraint("attempts >= 0", name="attempts_are_not_negative"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("cause"),
    )
    op.create_index(
        "ix_dlq_webhook_calls_waiting",
        "dlq_webhook_calls",
        ["next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "operation_alerts",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("firing", sa.Boolean(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "recipient_addresses",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("strikes", sa.SmallInteger(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_inbound_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "channel IN ('email', 'whatsapp', 'sms', 'push')", name="channel_is_known"
        ),
        sa.CheckConstraint(
            "state IN ('active', 'suspended', 'disabled', 'opted_out')", name="state_is_known"
        ),
        sa.CheckConstraint("strikes >= 0", name="strikes_are_not_negative"),
        sa.PrimaryKeyConstraint("channel", "address"),
        sa.UniqueConstraint("id"),
    )
    op.create_table(
        "notification_preferences",
        sa.Column("agent_id", sa.UUID(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("channels", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("quiet_from", sa.Time(), nullable=True),
        sa.Column("quiet_to", sa.Time(), nullable=True),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column(
            "quiet_for_urgent", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(quiet_from IS NULL) = (quiet_to IS NULL)", name="quiet_hours_are_whole"
        ),
        sa.ForeignKeyConstraint(
            ["agent_id"],
            ["agents.id"],
        ),
        sa.PrimaryKeyConstraint("agent_id"),
    )
    op.create_table(
        "push_devices",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("agent_id", sa.UUID(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"],
            ["agents.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token"),
    )
    op.create_index(op.f("ix_push_devices_agent_id"), "push_devices", ["agent_id"], unique=False)
    op.create_table(
        "webhook_reception",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "ticket_satisfaction",
        sa.Column("ticket_id", sa.UUID(), nullable=False),
        sa.Column("score", sa.SmallInteger(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("changed_at >= recorded_at", name="changed_after_recording"),
        sa.CheckConstraint("score BETWEEN 1 AND 5", name="score_is_1_to_5"),
        sa.ForeignKeyConstraint(
            ["ticket_id"],
            ["tickets.id"],
        ),
        sa.PrimaryKeyConstraint("ticket_id"),
    )
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("notification_id", sa.UUID(), nullable=True),
        sa.Column("broker_message_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("job_name", sa.Text(), nullable=False),
        sa.Column("origin_queue", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("error_kind", sa.Text(), nullable=False),
        sa.Column("error_code", sa.Text(), nullable=False),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("payload_hash", sa.Text(), nullable=False),
        sa.Column("recipient_hash", sa.Text(), nullable=True),
        sa.Column("ticket_id", sa.UUID(), nullable=True),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.Column("first_failed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reprocess_count", sa.SmallInteger(), nullable=False),
        sa.Column("last_action_id", sa.UUID(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('dead', 'reprocessing', 'recovered', 'discarded')", name="state_is_known"
        ),
        sa.CheckConstraint(
            "(notification_id IS NULL) <> (broker_message_id IS NULL)", name="has_one_origin"
        ),
        sa.ForeignKeyConstraint(
            ["notification_id"],
            ["notifications.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("broker_message_id"),
        sa.UniqueConstraint("notification_id"),
    )
    op.create_index(
        "ix_dead_letters_error_code_failed_at",
        "dead_letters",
        ["error_code", "failed_at"],
        unique=False,
    )
    op.create_index(
        "ix_dead_letters_job_name_failed_at",
        "dead_letters",
        ["job_name", "failed_at"],
        unique=False,
    )
    op.create_index(
        op.f("ix_dead_letters_recipient_hash"), "dead_letters", ["recipient_hash"], unique=False
    )
    op.create_index(
        "ix_dead_letters_state_failed_at",
        "dead_letters",
        ["state", "failed_at", "id"],
        unique=False,
    )
    op.add_column(
        "notifications",
        sa.Column("payload_version", sa.SmallInteger(), server_default="1", nullable=False),
    )
    op.add_column(
        "notifications",
        sa.Column("urgent", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.add_column(
        "notifications",
        sa.Column("guarantee", sa.Text(), server_default="at-least-once", nullable=False),
    )
    op.add_column(
        "notifications", sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column(
        "notifications", sa.Column("deferrals", sa.Integer(), server_default="0", nullable=False)
    )
    op.add_column(
        "notifications",
        sa.Column("lost_workers", sa.SmallInteger(), server_default="0", nullable=False),
    )
    op.add_column(
        "notifications",
        sa.Column("reprocess_count", sa.SmallInteger(), server_default="0", nullable=False),
    )
    op.add_column(
        "notifications", sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column("notifications", sa.Column("claimed_by", sa.Integer(), nullable=True))
    op.add_column(
        "notifications", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column("notifications", sa.Column("digest_key", sa.Text(), nullable=True))
    op.add_column("notifications", sa.Column("digest_id", sa.UUID(), nullable=True))
    op.drop_index(
        op.f("ix_notifications_waiting"),
        table_name="notifications",
        postgresql_where="(state = ANY (ARRAY['pending'::text, 'sending'::text, 'unknown'::text]))",
    )
    op.create_index(
        "ix_notifications_waiting",
        "notifications",
        ["state", "next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('pending', 'sending', 'unknown')"),
    )
    op.create_index(
        "ix_notifications_digest",
        "notifications",
        ["digest_key", "created_at"],
        unique=False,
        postgresql_where=sa.text("digest_key IS NOT NULL"),
    )
    op.create_index(
        "ix_notifications_digest_id",
        "notifications",
        ["digest_id"],
        unique=False,
        postgresql_where=sa.text("digest_id IS NOT NULL"),
    )
    op.create_index(
        "ix_notifications_due",
        "notifications",
        ["job_name", "urgent", "next_attempt_at"],
        unique=False,
        postgresql_where=sa.text(
            "state IN ('pending', 'unknown') AND enqueued_at IS NULL AND digest_id IS NULL"
        ),
    )
    op.create_index(
        "ix_notifications_expiring",
        "notifications",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('pending', 'unknown') AND expires_at IS NOT NULL"),
    )
    op.create_index(
        "ix_notifications_provider_id",
        "notifications",
        ["provider_id"],
        unique=False,
        postgresql_where=sa.text("provider_id IS NOT NULL"),
    )
    op.create_index(
        "ix_notifications_queued",
        "notifications",
        ["enqueued_at"],
        unique=False,
        postgresql_where=sa.text(
            "state IN ('pending', 'unknown') AND enqueued_at IS NOT NULL AND digest_id IS NULL"
        ),
    )
    op.create_index(
        "ix_notifications_suspects",
        "notifications",
        ["lost_workers", "next_attempt_at"],
        unique=False,
        postgresql_where=sa.text(
            "state IN ('pending', 'unknown') AND enqueued_at IS NULL AND lost_workers > 0"
        ),
    )
    op.create_index(
        "ix_notifications_untimed",
        "notifications",
        ["id"],
        unique=False,
        postgresql_where=sa.text(
            "state IN ('pending', 'unknown') AND next_attempt_at IS NULL AND digest_id IS NULL"
        ),
    )
    op.create_foreign_key(
        "notifications_digest_id_fkey", "notifications", "notifications", ["digest_id"], ["id"]
    )
    op.create_check_constraint(
        "guarantee_is_known", "notifications", "guarantee IN ('at-least-once', 'at-most-once')"
    )
    op.create_check_constraint(
        "counts_are_not_negative",
        "notifications",
        "attempts >= 0 AND deferrals >= 0 AND lost_workers >= 0 AND reprocess_count >= 0",
    )
    # What was a word of the context is a column now.
    op.execute("UPDATE notifications SET urgent = true WHERE context->>'urgent' = 'true'")
    op.execute("UPDATE notifications SET context = context - 'urgent' WHERE context ? 'urgent'")
    for statement in _APPEND_ONLY:
        op.execute(statement)
    # The list's order by urgency, for one priority: "low" stands at the far end of the other.
    op.create_index(
        "ix_tickets_priority_urgency",
        "tickets",
        [
            "priority",
            sa.literal_column("(tickets.status IN ('resolved', 'closed'))"),
            "serve_rank",
            "number",
        ],
    )


def downgrade() -> None:
    op.drop_index("ix_tickets_priority_urgency", table_name="tickets")
    op.execute("UPDATE notifications SET context = context || jsonb_build_object('urgent', urgent)")
    op.drop_constraint("counts_are_not_negative", "notifications", type_="check")
    op.drop_constraint("guarantee_is_known", "notifications", type_="check")
    op.drop_constraint("notifications_digest_id_fkey", "notifications", type_="foreignkey")
    op.drop_index(
        "ix_notifications_untimed",
        table_name="notifications",
        postgresql_where=sa.text(
            "state IN ('pending', 'unknown') AND next_attempt_at IS NULL AND digest_id IS NULL"
        ),
    )
    op.drop_index(
        "ix_notifications_suspects",
        table_name="notifications",
        postgresql_where=sa.text(
            "state IN ('pending', 'unknown') AND enqueued_at IS NULL AND lost_workers > 0"
        ),
    )
    op.drop_index(
        "ix_notifications_queued",
        table_name="notifications",
        postgresql_where=sa.text(
            "state IN ('pending', 'unknown') AND enqueued_at IS NOT NULL AND digest_id IS NULL"
        ),
    )
    op.drop_index(
        "ix_notifications_provider_id",
        table_name="notifications",
        postgresql_where=sa.text("provider_id IS NOT NULL"),
    )
    op.drop_index(
        "ix_notifications_expiring",
        table_name="notifications",
        postgresql_where=sa.text("state IN ('pending', 'unknown') AND expires_at IS NOT NULL"),
    )
    op.drop_index(
        "ix_notifications_due",
        table_name="notifications",
        postgresql_where=sa.text(
            "state IN ('pending', 'unknown') AND enqueued_at IS NULL AND digest_id IS NULL"
        ),
    )
    op.drop_index(
        "ix_notifications_digest_id",
        table_name="notifications",
        postgresql_where=sa.text("digest_id IS NOT NULL"),
    )
    op.drop_index(
        "ix_notifications_digest",
        table_name="notifications",
        postgresql_where=sa.text("digest_key IS NOT NULL"),
    )
    op.drop_index(
        "ix_notifications_waiting",
        table_name="notifications",
        postgresql_where=sa.text("state IN ('pending', 'sending', 'unknown')"),
    )
    op.create_index(
        op.f("ix_notifications_waiting"),
        "notifications",
        ["next_attempt_at"],
        unique=False,
        postgresql_where="(state = ANY (ARRAY['pending'::text, 'sending'::text, 'unknown'::text]))",
    )
    op.drop_column("notifications", "digest_id")
    op.drop_column("notifications", "digest_key")
    op.drop_column("notifications", "expires_at")
    op.drop_column("notifications", "claimed_by")
    op.drop_column("notifications", "claimed_at")
    op.drop_column("notifications", "reprocess_count")
    op.drop_column("notifications", "lost_workers")
    op.drop_column("notifications", "deferrals")
    op.drop_column("notifications", "acknowledged_at")
    op.drop_column("notifications", "guarantee")
    op.drop_column("notifications", "urgent")
    op.drop_column("notifications", "payload_version")
    op.drop_index("ix_dead_letters_state_failed_at", table_name="dead_letters")
    op.drop_index(op.f("ix_dead_letters_recipient_hash"), table_name="dead_letters")
    op.drop_index("ix_dead_letters_job_name_failed_at", table_name="dead_letters")
    op.drop_index("ix_dead_letters_error_code_failed_at", table_name="dead_letters")
    op.drop_table("dead_letters")
    op.drop_table("ticket_satisfaction")
    op.drop_table("webhook_reception")
    op.drop_index(op.f("ix_push_devices_agent_id"), table_name="push_devices")
    op.drop_table("push_devices")
    op.drop_table("notification_preferences")
    op.drop_table("recipient_addresses")
    op.drop_table("operation_alerts")
    op.drop_index(
        "ix_dlq_webhook_calls_waiting",
        table_name="dlq_webhook_calls",
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.drop_table("dlq_webhook_calls")
    op.drop_index("ix_dlq_reprocess_audit_dead_letter_id", table_name="dlq_reprocess_audit")
    op.drop_index("ix_dlq_reprocess_audit_at", table_name="dlq_reprocess_audit")
    op.drop_index("ix_dlq_reprocess_audit_action_id", table_name="dlq_reprocess_audit")
    op.drop_table("dlq_reprocess_audit")
    op.execute("DROP FUNCTION dlq_reprocess_audit_append_only")
