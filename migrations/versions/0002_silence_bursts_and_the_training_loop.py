"""Silence, bursts, decisions a report can read, and the training loop.

Revision: 0002
Before it: 0001

Runs in one transaction with `lock_timeout` 5 s (migrations/env.py): a migration that cannot get its
lock fails and can be tried again, instead of holding up every customer behind it.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "training_watermarks",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "training_candidates",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("suggested_intent", sa.Text(), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("nearest_intent", sa.Text(), nullable=True),
        sa.Column("similarity", sa.Float(), nullable=True),
        sa.Column("group_key", sa.Text(), nullable=False),
        sa.Column("turn_id", sa.UUID(), nullable=False),
        sa.Column("conversation_id", sa.UUID(), nullable=False),
        sa.Column("sightings", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("intent", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint("(state = 'new') = (decided_at IS NULL)", name="decided_has_a_time"),
        sa.CheckConstraint(
            "state <> 'accepted' OR intent IS NOT NULL", name="accepted_has_an_intent"
        ),
        sa.CheckConstraint("state IN ('new', 'accepted', 'rejected')", name="state_is_known"),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("language", "key"),
        sa.UniqueConstraint("turn_id"),
    )
    op.create_index(
        op.f("ix_training_candidates_conversation_id"),
        "training_candidates",
        ["conversation_id"],
        unique=False,
    )
    op.create_index(
        "ix_training_candidates_inbox",
        "training_candidates",
        ["language", "group_key", "id"],
        unique=False,
    )
    op.create_table(
        "training_sightings",
        sa.Column("turn_id", sa.UUID(), nullable=False),
        sa.Column("candidate_id", sa.UUID(), nullable=True),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["candidate_id"], ["training_candidates.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("turn_id"),
    )
    op.create_index(
        op.f("ix_training_sightings_candidate_id"),
        "training_sightings",
        ["candidate_id"],
        unique=False,
    )
    op.create_table(
        "handoff_reviews",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("conversation_id", sa.UUID(), nullable=False),
        sa.Column("turn_id", sa.UUID(), nullable=False),
        sa.Column("ticket_id", sa.UUID(), nullable=True),
        sa.Column("agent_id", sa.UUID(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("true_intent", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "earlier",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'"),
            nullable=False,
        ),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.CheckConstraint("verdict IN ('right', 'wrong', 'late')", name="verdict_is_known"),
        sa.ForeignKeyConstraint(
            ["agent_id"],
            ["agents.id"],
        ),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.id"],
        ),
        sa.ForeignKeyConstraint(
            ["ticket_id"],
            ["tickets.id"],
        ),
        sa.ForeignKeyConstraint(
            ["turn_id"],
            ["messages.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("turn_id", "agent_id"),
    )
    op.create_index("ix_handoff_reviews_at", "handoff_reviews", ["at"], unique=False)
    op.create_index(
        op.f("ix_handoff_reviews_conversation_id"),
        "handoff_reviews",
        ["conversation_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_handoff_reviews_ticket_id"), "handoff_reviews", ["ticket_id"], unique=False
    )
    op.add_column(
        "conversations",
        sa.Column("waiting", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    )
    op.add_column(
        "conversations", sa.Column("silence_due_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column(
        "conversations",
        sa.Column("leave_form", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.create_index(
        "ix_conversations_silence",
        "conversations",
        ["silence_due_at"],
        unique=False,
        postgresql_where=sa.text("silence_due_at IS NOT NULL"),
    )
    op.add_column("decisions", sa.Column("level", sa.Text(), nullable=True))
    op.add_column("decisions", sa.Column("queue", sa.Text(), nullable=True))
    op.add_column("decisions", sa.Column("priority", sa.Text(), nullable=True))
    op.add_column("decisions", sa.Column("understanding", sa.Text(), nullable=True))
    op.create_index("ix_decisions_created", "decisions", ["created_at", "id"], unique=False)
    op.add_column(
        "turns", sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=True)
    )
    op.add_column("turns", sa.Column("merged_into", sa.UUID(), nullable=True))
    op.create_index(op.f("ix_turns_merged_into"), "turns", ["merged_into"], unique=False)
    op.create_foreign_key("turns_merged_into_fkey", "turns", "turns", ["merged_into"], ["id"])


def downgrade() -> None:
    op.drop_constraint("turns_merged_into_fkey", "turns", type_="foreignkey")
    op.drop_index(op.f("ix_turns_merged_into"), table_name="turns")
    op.drop_column("turns", "merged_into")
    op.drop_column("turns", "after")
    op.drop_index("ix_decisions_created", table_name="decisions")
    op.drop_column("decisions", "understanding")
    op.drop_column("decisions", "priority")
    op.drop_column("decisions", "queue")
    op.drop_column("decisions", "level")
    op.drop_index(
        "ix_conversations_silence",
        table_name="conversations",
        postgresql_where=sa.text("silence_due_at IS NOT NULL"),
    )
    op.drop_column("conversations", "leave_form")
    op.drop_column("conversations", "silence_due_at")
    op.drop_column("conversations", "waiting")
    op.drop_index(op.f("ix_handoff_reviews_ticket_id"), table_name="handoff_reviews")
    op.drop_index(op.f("ix_handoff_reviews_conversation_id"), table_name="handoff_reviews")
    op.drop_index("ix_handoff_reviews_at", table_name="handoff_reviews")
    op.drop_table("handoff_reviews")
    op.drop_index(op.f("ix_training_sightings_candidate_id"), table_name="training_sightings")
    op.drop_table("training_sightings")
    op.drop_index("ix_training_candidates_inbox", table_name="training_candidates")
    op.drop_index(op.f("ix_training_candidates_conversation_id"), table_name="training_candidates")
    op.drop_table("training_candidates")
    op.drop_table("training_watermarks")
