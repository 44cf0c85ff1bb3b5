"""Tickets that keep their promises.

Revision: 0003
Before it: 0002

Runs in one transaction with `lock_timeout` 5 s (migrations/env.py): a migration that cannot get its
lock fails and can be tried again, instead of holding up every customer behind it.
"""
# ruff: noqa: E501 - conditions stand on one line, as they were made

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_NEW_CHECKS = (
    ("agents", "capacity_is_positive", "capacity IS NULL OR capacity > 0"),
    ("agents", "role_is_known", "role IN ('agent', 'supervisor', 'designer', 'operator', 'admin')"),
    ("tickets", "closed_after_resolving", "closed_at >= resolved_at"),
    ("tickets", "escalated_after_opening", "escalated_at >= opened_at"),
    ("tickets", "few_tags", "cardinality(tags) <= 20"),
    ("tickets", "first_response_after_opening", "first_response_at >= opened_at"),
    (
        "tickets",
        "new_has_nobody",
        "status <> 'new' OR (agent_id IS NULL AND first_response_at IS NULL)",
    ),
    (
        "tickets",
        "offered_has_an_end",
        "(routing_state = 'offered') = (offer_expires_at IS NOT NULL)",
    ),
    ("tickets", "resolved_after_opening", "resolved_at >= opened_at"),
    (
        "tickets",
        "routing_state_is_known",
        "routing_state IN ('waiting', 'offered', 'nobody_available', 'overflowed', 'held', 'done')",
    ),
    (
        "tickets",
        "sla_state_is_known",
        "sla_state IN ('none', 'ok', 'warning', 'breached', 'paused', 'met')",
    ),
)

_TRIGGERS = (
    """CREATE OR REPLACE FUNCTION ticket_events_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- The one narrow way: erasing a person's data may change the reason, and nothing else.
  IF TG_OP = 'UPDATE' AND current_setting('ponte.erasing', true) = 'on'
     AND to_jsonb(NEW) - 'reason' = to_jsonb(OLD) - 'reason' THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'ticket_events is append-only: % of event % refused', TG_OP, OLD.id
    USING ERRCODE = 'restrict_violation';
END $$
""",
    """CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ticket_events
FOR EACH ROW EXECUTE FUNCTION ticket_events_append_only()
""",
    """CREATE OR REPLACE FUNCTION ponte_refuse_audit_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'UPDATE' AND current_setting('ponte.audit_cut', true) = 'on' THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION '% of % is refused: the audit log is only added to', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'insufficient_privilege';
END $$
""",
    """CREATE OR REPLACE TRIGGER audit_log_rows_stay BEFORE UPDATE OR DELETE ON audit_log
FOR EACH ROW EXECUTE FUNCTION ponte_refuse_audit_change()
""",
    """CREATE OR REPLACE TRIGGER audit_seals_rows_stay BEFORE UPDATE OR DELETE ON audit_seals
FOR EACH ROW EXECUTE FUNCTION ponte_refuse_audit_change()
""",
    """CREATE OR REPLACE TRIGGER audit_cuts_rows_stay BEFORE UPDATE OR DELETE ON audit_cuts
FOR EACH ROW EXECUTE FUNCTION ponte_refuse_audit_change()
""",
    """CREATE OR REPLACE TRIGGER audit_log_is_not_emptied BEFORE TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION ponte_refuse_audit_change()
""",
    """CREATE OR REPLACE TRIGGER audit_seals_is_not_emptied BEFORE TRUNCATE ON audit_seals
FOR EACH STATEMENT EXECUTE FUNCTION ponte_refuse_audit_change()
""",
    """CREATE OR REPLACE TRIGGER audit_cuts_is_not_emptied BEFORE TRUNCATE ON audit_cuts
FOR EACH STATEMENT EXECUTE FUNCTION ponte_refuse_audit_change()
""",
)


def _bring_old_rows_along() -> None:
    """Tickets of before, as the new rules want them."""
    op.execute(
        "UPDATE tickets SET status = 'open' WHERE status = 'new'"
        " AND (agent_id IS NOT NULL OR first_response_at IS NOT NULL)"
    )
    op.execute(
        "UPDATE tickets SET first_response_at = GREATEST(first_response_at, opened_at),"
        " escalated_at = GREATEST(escalated_at, opened_at),"
        " resolved_at = GREATEST(resolved_at, opened_at)"
        " WHERE first_response_at < opened_at OR escalated_at < opened_at"
        " OR resolved_at < opened_at"
    )
    op.execute("UPDATE tickets SET closed_at = resolved_at WHERE closed_at < resolved_at")
    op.execute("UPDATE tickets SET tags = tags[1:20] WHERE cardinality(tags) > 20")
    op.execute(
        "UPDATE tickets SET routing_state = CASE"
        " WHEN status IN ('resolved', 'closed') THEN 'done'"
        " WHEN agent_id IS NOT NULL THEN 'held' ELSE 'waiting' END,"
        " vip = contacts.vip FROM contacts WHERE contacts.id = tickets.contact_id"
    )


def _change_checks() -> None:
    op.drop_constraint("role_is_known", "agents", type_="check")
    for table, name, condition in _NEW_CHECKS:
        op.create_check_constraint(name, table, condition)


def _take_back_checks() -> None:
    op.execute("DROP TRIGGER append_only ON ticket_events")
    op.execute("DROP FUNCTION ticket_events_append_only")
    for table, name, _ in _NEW_CHECKS:
        op.drop_constraint(name, table, type_="check")
    op.execute("UPDATE agents SET role = 'agent' WHERE role IN ('designer', 'operator')")
    op.create_check_constraint(
        "role_is_known", "agents", "role IN ('agent', 'supervisor', 'admin')"
    )


def upgrade() -> None:
    op.create_table(
        "audit_cuts",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("mac", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_table(
        "audit_log",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_audit_log_action", "audit_log", ["action", "id"], unique=False)
    op.create_index("ix_audit_log_actor", "audit_log", ["actor", "id"], unique=False)
    op.create_index("ix_audit_log_at", "audit_log", ["at", "id"], unique=False)
    op.create_index("ix_audit_log_subject", "audit_log", ["subject", "id"], unique=False)
    op.create_table(
        "audit_seals",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entry_id", sa.UUID(), nullable=False),
        sa.Column("prev_hash", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("entry_id"),
    )
    op.create_table(
        "audit_waiting",
        sa.Column("entry_id", sa.UUID(), nullable=False),
        sa.PrimaryKeyConstraint("entry_id"),
    )
    op.create_table(
        "erased_identities",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.UUID(), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("forced", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest", "contact_id"),
    )
    op.create_index(
        op.f("ix_erased_identities_digest"), "erased_identities", ["digest"], unique=False
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.UUID(), nullable=True),
        sa.Column("owner", sa.UUID(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(status IS NULL) = (body IS NULL)", name="an_answer_is_whole"),
        sa.CheckConstraint("body IS NULL OR acted_at IS NOT NULL", name="an_answer_follows_an_act"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("actor", "key", name="uq_idempotency_keys_key"),
    )
    op.create_index("ix_idempotency_keys_old", "idempotency_keys", ["created_at"], unique=False)
    op.create_index("ix_idempotency_keys_subject", "idempotency_keys", ["subject_id"], unique=False)
    op.create_table(
        "quality_periods",
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seed", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("strata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("scorecard", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("drawn_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("period"),
    )
    op.create_table(
        "retention_runs",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ran_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("kind"),
    )
    op.create_table(
        "runbook_versions",
        sa.Column("runbook", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("document", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("first_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("runbook", "version"),
    )
    op.create_table(
        "sla_rule_periods",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("spread_to", sa.UUID(), nullable=True),
        sa.Column("spread_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("since"),
    )
    op.create_table(
        "agent_presence",
        sa.Column("agent_id", sa.UUID(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_seconds", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("last_assigned_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'offline') = (expires_at IS NULL)", name="present_has_an_end"),
        sa.CheckConstraint("state IN ('online', 'busy', 'away', 'offline')", name="state_is_known"),
        sa.CheckConstraint("lease_seconds > 0", name="lease_is_positive"),
        sa.ForeignKeyConstraint(
            ["agent_id"],
            ["agents.id"],
        ),
        sa.PrimaryKeyConstraint("agent_id"),
    )
    op.create_index(
        "ix_agent_presence_expires",
        "agent_presence",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("expires_at IS NOT NULL"),
    )
    op.create_table(
        "agent_shifts",
        sa.Column("agent_id", sa.UUID(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("weekly", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("days_off", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"],
            ["agents.id"],
        ),
        sa.PrimaryKeyConstraint("agent_id"),
    )
    op.create_table(
        "agent_teams",
        sa.Column("agent_id", sa.UUID(), nullable=False),
        sa.Column("team_id", sa.UUID(), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"],
            ["agents.id"],
        ),
        sa.ForeignKeyConstraint(
            ["team_id"],
            ["teams.id"],
        ),
        sa.PrimaryKeyConstraint("agent_id", "team_id"),
    )
    op.create_index(op.f("ix_agent_teams_team_id"), "agent_teams", ["team_id"], unique=False)
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["agent_id"],
            ["agents.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token_hash"),
    )
    op.create_index(
        "ix_api_tokens_agent_id_created_at", "api_tokens", ["agent_id", "created_at"], unique=False
    )
    op.create_table(
        "password_resets",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.UUID(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"],
            ["agents.id"],
        ),
        sa.PrimaryKeyConstraint("token_hash"),
        sa.UniqueConstraint("agent_id"),
    )
    op.create_table(
        "privacy_jobs",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.UUID(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cutoff", sa.DateTime(timezone=True), nullable=False),
        sa.Column("person", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("progress", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "(state IN ('done', 'failed')) = (finished_at IS NOT NULL)", name="ended"
        ),
        sa.CheckConstraint("kind IN ('export', 'erase')", name="kind_is_known"),
        sa.CheckConstraint(
            "state IN ('pending', 'running', 'settling', 'done', 'failed')", name="state_is_known"
        ),
        sa.ForeignKeyConstraint(
            ["contact_id"],
            ["contacts.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        op.f("ix_privacy_jobs_contact_id"), "privacy_jobs", ["contact_id"], unique=False
    )
    op.create_index(
        "ix_privacy_jobs_due",
        "privacy_jobs",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("state NOT IN ('done', 'failed')"),
    )
    op.create_index(
        "uq_privacy_jobs_one_running",
        "privacy_jobs",
        ["contact_id", "kind"],
        unique=True,
        postgresql_where=sa.text("state NOT IN ('done', 'failed')"),
    )
    op.create_table(
        "privacy_exports",
        sa.Column("job_id", sa.UUID(), nullable=False),
        sa.Column("contact_id", sa.UUID(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["contact_id"],
            ["contacts.id"],
        ),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["privacy_jobs.id"],
        ),
        sa.PrimaryKeyConstraint("job_id"),
    )
    op.create_index(
        op.f("ix_privacy_exports_contact_id"), "privacy_exports", ["contact_id"], unique=False
    )
    op.create_index(
        op.f("ix_privacy_exports_expires_at"), "privacy_exports", ["expires_at"], unique=False
    )
    op.create_table(
        "quality_samples",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("ticket_id", sa.UUID(), nullable=False),
        sa.Column("agent_id", sa.UUID(), nullable=False),
        sa.Column("team_id", sa.UUID(), nullable=True),
        sa.Column("stratum", sa.Text(), nullable=False),
        sa.Column("probability", sa.Float(), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.Column("second", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("reviewer_id", sa.UUID(), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dispute", sa.Text(), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_by", sa.UUID(), nullable=True),
        sa.Column("settlement", sa.Text(), nullable=True),
        sa.CheckConstraint("state <> 'disputed' OR dispute IS NOT NULL", name="dispute_has_words"),
        sa.CheckConstraint(
            "state = 'pending' OR reviewer_id IS NOT NULL", name="begun_has_a_reviewer"
        ),
        sa.CheckConstraint(
            "state IN ('pending', 'in_review', 'done', 'disputed', 'settled')",
            name="state_is_known",
        ),
        sa.CheckConstraint(
            "state NOT IN ('done', 'disputed', 'settled') OR done_at IS NOT NULL",
            name="done_has_a_time",
        ),
        sa.CheckConstraint("probability > 0 AND probability <= 1", name="probability_is_one"),
        sa.CheckConstraint("reviewer_id <> agent_id", name="nobody_judges_themselves"),
        sa.CheckConstraint("score IS NULL OR (score >= 0 AND score <= 100)", name="score_range"),
        sa.CheckConstraint("weight >= 1", name="weight_is_one_or_more"),
        sa.ForeignKeyConstraint(
            ["agent_id"],
            ["agents.id"],
        ),
        sa.ForeignKeyConstraint(
            ["period"],
            ["quality_periods.period"],
        ),
        sa.ForeignKeyConstraint(
            ["reviewer_id"],
            ["agents.id"],
        ),
        sa.ForeignKeyConstraint(
            ["settled_by"],
            ["agents.id"],
        ),
        sa.ForeignKeyConstraint(
            ["team_id"],
            ["teams.id"],
        ),
        sa.ForeignKeyConstraint(
            ["ticket_id"],
            ["tickets.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("period", "ticket_id"),
    )
    op.create_index(
        "ix_quality_samples_agent", "quality_samples", ["agent_id", "state", "id"], unique=False
    )
    op.create_index(
        "ix_quality_samples_state", "quality_samples", ["state", "period", "id"], unique=False
    )
    op.create_index("ix_quality_samples_ticket", "quality_samples", ["ticket_id"], unique=False)
    op.create_table(
        "routing_decisions",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("ticket_id", sa.UUID(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.UUID(), nullable=True),
        sa.Column("queue_key", sa.Text(), nullable=False),
        sa.Column("needs", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("relaxed", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("candidates", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("policy_version", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "outcome IN ('waiting', 'offered', 'nobody_available', 'overflowed', 'held', 'done')",
            name="outcome_is_known",
        ),
        sa.ForeignKeyConstraint(
            ["agent_id"],
            ["agents.id"],
        ),
        sa.ForeignKeyConstraint(
            ["ticket_id"],
            ["tickets.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_routing_decisions_decided", "routing_decisions", ["decided_at"], unique=False
    )
    op.create_index(
        "ix_routing_decisions_ticket",
        "routing_decisions",
        ["ticket_id", "decided_at"],
        unique=False,
    )
    op.create_table(
        "routing_exclusions",
        sa.Column("ticket_id", sa.UUID(), nullable=False),
        sa.Column("agent_id", sa.UUID(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"],
            ["agents.id"],
        ),
        sa.ForeignKeyConstraint(
            ["ticket_id"],
            ["tickets.id"],
        ),
        sa.PrimaryKeyConstraint("ticket_id", "agent_id"),
    )
    op.create_index(
        op.f("ix_routing_exclusions_agent_id"), "routing_exclusions", ["agent_id"], unique=False
    )
    op.create_table(
        "sla_clocks",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("ticket_id", sa.UUID(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("cycle", sa.Integer(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("calendar", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("target_seconds", sa.Integer(), nullable=False),
        sa.Column("consumed_seconds", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("warn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("met_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("breached_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("next_check_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "segments",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'"),
            nullable=False,
        ),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(state = 'breached') = (breached_at IS NOT NULL)", name="breach_time"),
        sa.CheckConstraint("(state = 'paused') = (paused_at IS NOT NULL)", name="pause_time"),
        sa.CheckConstraint(
            "metric IN ('first_response', 'next_response', 'resolution', 'total_resolution', 'level')",
            name="metric_is_known",
        ),
        sa.CheckConstraint("state <> 'met' OR met_at IS NOT NULL", name="met_has_a_time"),
        sa.CheckConstraint(
            "state IN ('running', 'paused', 'met', 'breached', 'cancelled')", name="state_is_known"
        ),
        sa.CheckConstraint("consumed_seconds >= 0", name="consumed_is_not_negative"),
        sa.CheckConstraint("cycle >= 1", name="cycle_starts_at_one"),
        sa.CheckConstraint("target_seconds > 0", name="target_is_positive"),
        sa.ForeignKeyConstraint(
            ["ticket_id"],
            ["tickets.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("ticket_id", "metric", "cycle"),
    )
    op.create_index(
        "ix_sla_clocks_due",
        "sla_clocks",
        ["next_check_at", "id"],
        unique=False,
        postgresql_where=sa.text("next_check_at IS NOT NULL"),
    )
    op.create_table(
        "ticket_runbooks",
        sa.Column("ticket_id", sa.UUID(), nullable=False),
        sa.Column("runbook", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("pinned_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["runbook", "version"],
            ["runbook_versions.runbook", "runbook_versions.version"],
        ),
        sa.ForeignKeyConstraint(
            ["ticket_id"],
            ["tickets.id"],
        ),
        sa.PrimaryKeyConstraint("ticket_id", "runbook"),
    )
    op.create_table(
        "ticket_search",
        sa.Column("ticket_id", sa.UUID(), nullable=False),
        sa.Column("contact_id", sa.UUID(), nullable=False),
        sa.Column("words", postgresql.TSVECTOR(), nullable=False),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("ticket_id"),
    )
    op.create_index(
        op.f("ix_ticket_search_contact_id"), "ticket_search", ["contact_id"], unique=False
    )
    op.create_index(
        "ix_ticket_search_words", "ticket_search", ["words"], unique=False, postgresql_using="gin"
    )
    op.create_table(
        "attachments",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("ticket_id", sa.UUID(), nullable=False),
        sa.Column("message_id", sa.UUID(), nullable=True),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.UUID(), nullable=True),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column(
            "source",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "(state = 'refused') = (problem IS NOT NULL)", name="refused_has_a_reason"
        ),
        sa.CheckConstraint(
            "(state = 'stored') = (sha256 IS NOT NULL AND size IS NOT NULL)",
            name="stored_has_content",
        ),
        sa.CheckConstraint(
            "author IN ('customer', 'bot', 'agent', 'system')", name="author_is_known"
        ),
        sa.CheckConstraint("state IN ('pending', 'stored', 'refused')", name="state_is_known"),
        sa.CheckConstraint("size > 0", name="size_is_positive"),
        sa.ForeignKeyConstraint(
            ["agent_id"],
            ["agents.id"],
        ),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["messages.id"],
        ),
        sa.ForeignKeyConstraint(
            ["ticket_id"],
            ["tickets.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("message_id"),
    )
    op.create_index(
        "ix_attachments_due",
        "attachments",
        ["next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "ix_attachments_ticket", "attachments", ["ticket_id", "created_at"], unique=False
    )
    op.create_index(
        "uq_attachments_content",
        "attachments",
        ["ticket_id", "sha256", "filename"],
        unique=True,
        postgresql_where=sa.text("author = 'agent'"),
    )
    op.create_table(
        "escalation_firings",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("ticket_id", sa.UUID(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("rule_version", sa.Text(), nullable=False),
        sa.Column("occasion", sa.Text(), nullable=False),
        sa.Column("event_id", sa.UUID(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"],
            ["ticket_events.id"],
        ),
        sa.ForeignKeyConstraint(
            ["ticket_id"],
            ["tickets.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("ticket_id", "rule", "occasion"),
    )
    op.create_table(
        "quality_reviews",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("sample_id", sa.UUID(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("reviewer_id", sa.UUID(), nullable=False),
        sa.Column("answers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("critical", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.CheckConstraint("part IN ('first', 'second', 'settlement')", name="part_is_known"),
        sa.ForeignKeyConstraint(
            ["reviewer_id"],
            ["agents.id"],
        ),
        sa.ForeignKeyConstraint(
            ["sample_id"],
            ["quality_samples.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("sample_id", "part"),
    )
    op.create_index("ix_quality_reviews_reviewer", "quality_reviews", ["reviewer_id"], unique=False)
    op.create_table(
        "runbook_marks",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("ticket_id", sa.UUID(), nullable=False),
        sa.Column("runbook", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("agent_id", sa.UUID(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.CheckConstraint("kind <> 'noted' OR note IS NOT NULL", name="a_note_has_words"),
        sa.CheckConstraint("kind IN ('ticked', 'unticked', 'noted')", name="kind_is_known"),
        sa.ForeignKeyConstraint(
            ["agent_id"],
            ["agents.id"],
        ),
        sa.ForeignKeyConstraint(
            ["ticket_id", "runbook"],
            ["ticket_runbooks.ticket_id", "ticket_runbooks.runbook"],
        ),
        sa.ForeignKeyConstraint(
            ["ticket_id"],
            ["tickets.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("seq"),
    )
    op.create_index(
        "ix_runbook_marks_ticket", "runbook_marks", ["ticket_id", "runbook", "seq"], unique=False
    )
    op.create_table(
        "sla_alerts",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("clock_id", sa.UUID(), nullable=False),
        sa.Column("ticket_id", sa.UUID(), nullable=False),
        sa.Column("threshold", sa.Text(), nullable=False),
        sa.Column("passed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("detected_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.Column("silence", sa.Text(), nullable=True),
        sa.CheckConstraint("silence IN ('cooldown', 'breach_told')", name="silence_is_known"),
        sa.CheckConstraint("threshold IN ('warning', 'breach')", name="threshold_is_known"),
        sa.CheckConstraint("told = (silence IS NULL)", name="silence_has_a_reason"),
        sa.ForeignKeyConstraint(
            ["clock_id"],
            ["sla_clocks.id"],
        ),
        sa.ForeignKeyConstraint(
            ["ticket_id"],
            ["tickets.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("clock_id", "threshold"),
    )
    op.create_index("ix_sla_alerts_detected", "sla_alerts", ["detected_at"], unique=False)
    op.create_index(
        "ix_sla_alerts_ticket",
        "sla_alerts",
        ["ticket_id", "threshold", "detected_at"],
        unique=False,
    )
    op.create_table(
        "attachment_contents",
        sa.Column("attachment_id", sa.UUID(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["attachment_id"], ["attachments.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("attachment_id"),
    )
    # A session without an id cannot be listed: everybody logs in once again.
    op.execute("DELETE FROM agent_sessions")
    op.add_column("agent_sessions", sa.Column("id", sa.UUID(), nullable=False))
    op.add_column("agent_sessions", sa.Column("user_agent", sa.Text(), nullable=True))
    op.create_unique_constraint("agent_sessions_id_key", "agent_sessions", ["id"])
    op.add_column(
        "agents",
        sa.Column("scoped_to_teams", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.add_column("agents", sa.Column("capacity", sa.Integer(), nullable=True))
    op.execute(
        "INSERT INTO agent_teams (agent_id, team_id)"
        " SELECT id, team_id FROM agents WHERE team_id IS NOT NULL"
    )
    op.drop_constraint(op.f("agents_team_id_fkey"), "agents", type_="foreignkey")
    op.drop_column("agents", "team_id")
    op.add_column("contacts", sa.Column("legal_hold_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("contacts", sa.Column("legal_hold_reason", sa.Text(), nullable=True))
    op.add_column("contacts", sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True))
    # Old events get their numbers in the order in which they were written.
    op.add_column("ticket_events", sa.Column("seq", sa.BigInteger(), nullable=True))
    op.execute(
        "UPDATE ticket_events SET seq = numbered.place FROM"
        " (SELECT id, row_number() OVER (ORDER BY at, id) AS place FROM ticket_events) AS numbered"
        " WHERE numbered.id = ticket_events.id"
    )
    op.alter_column("ticket_events", "seq", nullable=False)
    op.execute("ALTER TABLE ticket_events ALTER seq ADD GENERATED BY DEFAULT AS IDENTITY")
    op.execute(
        "SELECT setval(pg_get_serial_sequence('ticket_events', 'seq'),"
        " (SELECT COALESCE(max(seq), 0) + 1 FROM ticket_events), false)"
    )
    op.drop_index(op.f("ix_ticket_events_ticket"), table_name="ticket_events")
    op.create_index("ix_ticket_events_ticket", "ticket_events", ["ticket_id", "seq"], unique=False)
    op.create_unique_constraint("ticket_events_seq_key", "ticket_events", ["seq"])
    op.add_column(
        "tickets", sa.Column("sla_state", sa.Text(), server_default="none", nullable=False)
    )
    op.add_column(
        "tickets",
        sa.Column("sla_stale", sa.Boolean(), server_default=sa.text("true"), nullable=False),
    )
    op.add_column("tickets", sa.Column("updated_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        "UPDATE tickets SET updated_at = GREATEST(opened_at, (SELECT max(at) FROM ticket_events"
        " WHERE ticket_events.ticket_id = tickets.id))"
    )
    op.alter_column("tickets", "updated_at", nullable=False)
    op.add_column(
        "tickets", sa.Column("unanswered_since", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column(
        "tickets", sa.Column("reopened", sa.Integer(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column(
        "tickets", sa.Column("vip", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column(
        "tickets", sa.Column("routing_state", sa.Text(), server_default="waiting", nullable=False)
    )
    op.add_column("tickets", sa.Column("routing_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("tickets", sa.Column("waiting_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "tickets", sa.Column("offer_expires_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column("tickets", sa.Column("overflowed_from", sa.Text(), nullable=True))
    op.add_column("tickets", sa.Column("preferred_agent_id", sa.UUID(), nullable=True))
    op.add_column("tickets", sa.Column("nobody_told_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "tickets",
        sa.Column(
            "serve_rank",
            sa.Interval(),
            sa.Computed(
                "LEAST(sla_expires_at - TIMESTAMPTZ '2000-01-01 00:00:00+00', opened_at - TIMESTAMPTZ '2000-01-01 00:00:00+00' + CASE priority WHEN 'urgent' THEN INTERVAL '3600 seconds' WHEN 'high' THEN INTERVAL '14400 seconds' WHEN 'normal' THEN INTERVAL '86400 seconds' WHEN 'low' THEN INTERVAL '259200 seconds' END) - CASE priority WHEN 'urgent' THEN INTERVAL '3600 seconds' WHEN 'high' THEN INTERVAL '1200 seconds' WHEN 'normal' THEN INTERVAL '0 seconds' WHEN 'low' THEN INTERVAL '0 seconds' END - CASE WHEN vip THEN INTERVAL '1800 seconds' ELSE INTERVAL '0 seconds' END",
                persisted=True,
            ),
            nullable=False,
        ),
    )
    op.drop_index(op.f("ix_tickets_agent_id"), table_name="tickets")
    op.drop_index(op.f("ix_tickets_list"), table_name="tickets")
    op.drop_index(op.f("ix_tickets_queue_id"), table_name="tickets")
    op.create_index(
        "ix_tickets_agent_urgency",
        "tickets",
        [
            "agent_id",
            sa.literal_column("(tickets.status IN ('resolved', 'closed'))"),
            "serve_rank",
            "number",
        ],
        unique=False,
    )
    op.create_index("ix_tickets_channel", "tickets", ["channel"], unique=False)
    op.create_index("ix_tickets_company", "tickets", ["company_id"], unique=False)
    op.create_index(
        "ix_tickets_due",
        "tickets",
        [
            sa.literal_column("(tickets.status IN ('resolved', 'closed'))"),
            sa.literal_column(
                "(coalesce(tickets.sla_expires_at, TIMESTAMPTZ '9999-01-01 00:00:00+00'))"
            ),
            "number",
        ],
        unique=False,
    )
    op.create_index("ix_tickets_language", "tickets", ["language"], unique=False)
    op.create_index("ix_tickets_level", "tickets", ["level"], unique=False)
    op.create_index(
        "ix_tickets_next",
        "tickets",
        ["queue_id", "serve_rank", "number"],
        unique=False,
        postgresql_where=sa.text("agent_id IS NULL AND status IN ('new', 'open')"),
    )
    op.create_index(
        "ix_tickets_nobody",
        "tickets",
        ["routing_since"],
        unique=False,
        postgresql_where=sa.text("routing_state = 'nobody_available' AND nobody_told_at IS NULL"),
    )
    op.create_index(
        "ix_tickets_offers",
        "tickets",
        ["offer_expires_at"],
        unique=False,
        postgresql_where=sa.text("offer_expires_at IS NOT NULL"),
    )
    op.create_index("ix_tickets_opened", "tickets", ["opened_at"], unique=False)
    op.create_index("ix_tickets_priority", "tickets", ["priority"], unique=False)
    op.create_index(
        "ix_tickets_queue_urgency",
        "tickets",
        [
            "queue_id",
            sa.literal_column("(tickets.status IN ('resolved', 'closed'))"),
            "serve_rank",
            "number",
        ],
        unique=False,
    )
    op.create_index(
        "ix_tickets_reopened",
        "tickets",
        ["id"],
        unique=False,
        postgresql_where=sa.text("reopened > 0"),
    )
    op.create_index("ix_tickets_severity", "tickets", ["severity"], unique=False)
    op.create_index(
        "ix_tickets_sla_stale",
        "tickets",
        ["id"],
        unique=False,
        postgresql_where=sa.text("sla_stale"),
    )
    op.create_index("ix_tickets_sla_state", "tickets", ["sla_state"], unique=False)
    op.create_index("ix_tickets_status", "tickets", ["status"], unique=False)
    op.create_index("ix_tickets_tags", "tickets", ["tags"], unique=False, postgresql_using="gin")
    op.create_index("ix_tickets_team", "tickets", ["team_id"], unique=False)
    op.create_index(
        "ix_tickets_unanswered",
        "tickets",
        ["unanswered_since", "id"],
        unique=False,
        postgresql_where=sa.text("unanswered_since IS NOT NULL AND level <> 'N3'"),
    )
    op.create_index("ix_tickets_updated", "tickets", ["updated_at", "number"], unique=False)
    op.create_index(
        "ix_tickets_urgency",
        "tickets",
        [sa.literal_column("(tickets.status IN ('resolved', 'closed'))"), "serve_rank", "number"],
        unique=False,
    )
    op.create_index(
        "ix_tickets_worked_on",
        "tickets",
        ["agent_id"],
        unique=False,
        postgresql_where=sa.text("agent_id IS NOT NULL AND status IN ('new', 'open')"),
    )
    op.create_foreign_key(
        "tickets_preferred_agent_id_fkey", "tickets", "agents", ["preferred_agent_id"], ["id"]
    )
    _bring_old_rows_along()
    _change_checks()
    for statement in _TRIGGERS:
        op.execute(statement)


def downgrade() -> None:
    _take_back_checks()
    op.drop_constraint("tickets_preferred_agent_id_fkey", "tickets", type_="foreignkey")
    op.drop_index(
        "ix_tickets_worked_on",
        table_name="tickets",
        postgresql_where=sa.text("agent_id IS NOT NULL AND status IN ('new', 'open')"),
    )
    op.drop_index("ix_tickets_urgency", table_name="tickets")
    op.drop_index("ix_tickets_updated", table_name="tickets")
    op.drop_index(
        "ix_tickets_unanswered",
        table_name="tickets",
        postgresql_where=sa.text("unanswered_since IS NOT NULL AND level <> 'N3'"),
    )
    op.drop_index("ix_tickets_team", table_name="tickets")
    op.drop_index("ix_tickets_tags", table_name="tickets", postgresql_using="gin")
    op.drop_index("ix_tickets_status", table_name="tickets")
    op.drop_index("ix_tickets_sla_state", table_name="tickets")
    op.drop_index(
        "ix_tickets_sla_stale", table_name="tickets", postgresql_where=sa.text("sla_stale")
    )
    op.drop_index("ix_tickets_severity", table_name="tickets")
    op.drop_index(
        "ix_tickets_reopened", table_name="tickets", postgresql_where=sa.text("reopened > 0")
    )
    op.drop_index("ix_tickets_queue_urgency", table_name="tickets")
    op.drop_index("ix_tickets_priority", table_name="tickets")
    op.drop_index("ix_tickets_opened", table_name="tickets")
    op.drop_index(
        "ix_tickets_offers",
        table_name="tickets",
        postgresql_where=sa.text("offer_expires_at IS NOT NULL"),
    )
    op.drop_index(
        "ix_tickets_nobody",
        table_name="tickets",
        postgresql_where=sa.text("routing_state = 'nobody_available' AND nobody_told_at IS NULL"),
    )
    op.drop_index(
        "ix_tickets_next",
        table_name="tickets",
        postgresql_where=sa.text("agent_id IS NULL AND status IN ('new', 'open')"),
    )
    op.drop_index("ix_tickets_level", table_name="tickets")
    op.drop_index("ix_tickets_language", table_name="tickets")
    op.drop_index("ix_tickets_due", table_name="tickets")
    op.drop_index("ix_tickets_company", table_name="tickets")
    op.drop_index("ix_tickets_channel", table_name="tickets")
    op.drop_index("ix_tickets_agent_urgency", table_name="tickets")
    op.create_index(op.f("ix_tickets_queue_id"), "tickets", ["queue_id"], unique=False)
    op.create_index(
        op.f("ix_tickets_list"), "tickets", ["status", "priority", "opened_at"], unique=False
    )
    op.create_index(op.f("ix_tickets_agent_id"), "tickets", ["agent_id"], unique=False)
    op.drop_column("tickets", "serve_rank")
    op.drop_column("tickets", "nobody_told_at")
    op.drop_column("tickets", "preferred_agent_id")
    op.drop_column("tickets", "overflowed_from")
    op.drop_column("tickets", "offer_expires_at")
    op.drop_column("tickets", "waiting_since")
    op.drop_column("tickets", "routing_since")
    op.drop_column("tickets", "routing_state")
    op.drop_column("tickets", "vip")
    op.drop_column("tickets", "reopened")
    op.drop_column("tickets", "unanswered_since")
    op.drop_column("tickets", "updated_at")
    op.drop_column("tickets", "sla_stale")
    op.drop_column("tickets", "sla_state")
    op.drop_constraint("ticket_events_seq_key", "ticket_events", type_="unique")
    op.drop_index("ix_ticket_events_ticket", table_name="ticket_events")
    op.create_index(
        op.f("ix_ticket_events_ticket"), "ticket_events", ["ticket_id", "id"], unique=False
    )
    op.drop_column("ticket_events", "seq")
    op.drop_column("contacts", "erased_at")
    op.drop_column("contacts", "legal_hold_reason")
    op.drop_column("contacts", "legal_hold_at")
    op.add_column("agents", sa.Column("team_id", sa.UUID(), autoincrement=False, nullable=True))
    op.create_foreign_key(op.f("agents_team_id_fkey"), "agents", "teams", ["team_id"], ["id"])
    op.drop_column("agents", "capacity")
    op.drop_column("agents", "scoped_to_teams")
    op.drop_constraint("agent_sessions_id_key", "agent_sessions", type_="unique")
    op.drop_column("agent_sessions", "user_agent")
    op.drop_column("agent_sessions", "id")
    op.drop_table("attachment_contents")
    op.drop_index("ix_sla_alerts_ticket", table_name="sla_alerts")
    op.drop_index("ix_sla_alerts_detected", table_name="sla_alerts")
    op.drop_table("sla_alerts")
    op.drop_index("ix_runbook_marks_ticket", table_name="runbook_marks")
    op.drop_table("runbook_marks")
    op.drop_index("ix_quality_reviews_reviewer", table_name="quality_reviews")
    op.drop_table("quality_reviews")
    op.drop_table("escalation_firings")
    op.drop_index(
        "uq_attachments_content",
        table_name="attachments",
        postgresql_where=sa.text("author = 'agent'"),
    )
    op.drop_index("ix_attachments_ticket", table_name="attachments")
    op.drop_index(
        "ix_attachments_due",
        table_name="attachments",
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.drop_table("attachments")
    op.drop_index("ix_ticket_search_words", table_name="ticket_search", postgresql_using="gin")
    op.drop_index(op.f("ix_ticket_search_contact_id"), table_name="ticket_search")
    op.drop_table("ticket_search")
    op.drop_table("ticket_runbooks")
    op.drop_index(
        "ix_sla_clocks_due",
        table_name="sla_clocks",
        postgresql_where=sa.text("next_check_at IS NOT NULL"),
    )
    op.drop_table("sla_clocks")
    op.drop_index(op.f("ix_routing_exclusions_agent_id"), table_name="routing_exclusions")
    op.drop_table("routing_exclusions")
    op.drop_index("ix_routing_decisions_ticket", table_name="routing_decisions")
    op.drop_index("ix_routing_decisions_decided", table_name="routing_decisions")
    op.drop_table("routing_decisions")
    op.drop_index("ix_quality_samples_ticket", table_name="quality_samples")
    op.drop_index("ix_quality_samples_state", table_name="quality_samples")
    op.drop_index("ix_quality_samples_agent", table_name="quality_samples")
    op.drop_table("quality_samples")
    op.drop_index(op.f("ix_privacy_exports_expires_at"), table_name="privacy_exports")
    op.drop_index(op.f("ix_privacy_exports_contact_id"), table_name="privacy_exports")
    op.drop_table("privacy_exports")
    op.drop_index(
        "uq_privacy_jobs_one_running",
        table_name="privacy_jobs",
        postgresql_where=sa.text("state NOT IN ('done', 'failed')"),
    )
    op.drop_index(
        "ix_privacy_jobs_due",
        table_name="privacy_jobs",
        postgresql_where=sa.text("state NOT IN ('done', 'failed')"),
    )
    op.drop_index(op.f("ix_privacy_jobs_contact_id"), table_name="privacy_jobs")
    op.drop_table("privacy_jobs")
    op.drop_table("password_resets")
    op.drop_index("ix_api_tokens_agent_id_created_at", table_name="api_tokens")
    op.drop_table("api_tokens")
    op.drop_index(op.f("ix_agent_teams_team_id"), table_name="agent_teams")
    op.drop_table("agent_teams")
    op.drop_table("agent_shifts")
    op.drop_index(
        "ix_agent_presence_expires",
        table_name="agent_presence",
        postgresql_where=sa.text("expires_at IS NOT NULL"),
    )
    op.drop_table("agent_presence")
    op.drop_table("sla_rule_periods")
    op.drop_table("runbook_versions")
    op.drop_table("retention_runs")
    op.drop_table("quality_periods")
    op.drop_index("ix_idempotency_keys_subject", table_name="idempotency_keys")
    op.drop_index("ix_idempotency_keys_old", table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
    op.drop_index(op.f("ix_erased_identities_digest"), table_name="erased_identities")
    op.drop_table("erased_identities")
    op.drop_table("audit_waiting")
    op.drop_table("audit_seals")
    op.drop_index("ix_audit_log_subject", table_name="audit_log")
    op.drop_index("ix_audit_log_at", table_name="audit_log")
    op.drop_index("ix_audit_log_actor", table_name="audit_log")
    op.drop_index("ix_audit_log_action", table_name="audit_log")
    op.drop_table("audit_log")
    op.drop_table("audit_cuts")
    op.execute("DROP FUNCTION ponte_refuse_audit_change")
