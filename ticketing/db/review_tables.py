"""Tables of the loop that makes the bot better: agents' marks, and candidates for examples."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Float, ForeignKey, Index, Integer, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from kit.ids import new_id
from ticketing.db.tables import Base, one_of
from ticketing.domain.review import CandidateState, Verdict


class HandoffReview(Base):
    """What an agent thinks of a turn's decision; one per turn and agent."""

    __tablename__ = "handoff_reviews"
    __table_args__ = (
        one_of("verdict", Verdict),
        UniqueConstraint("turn_id", "agent_id"),
        Index("ix_handoff_reviews_at", "at"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    conversation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("conversations.id"), index=True)
    turn_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("messages.id"))
    ticket_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("tickets.id"), index=True)
    """The ticket that the turn opened; none for a turn that the bot kept."""
    agent_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("agents.id"))
    verdict: Mapped[str]
    true_intent: Mapped[str | None]
    note: Mapped[str | None]
    at: Mapped[datetime]
    earlier: Mapped[list[dict[str, Any]]] = mapped_column(
        JSONB, default=list, server_default=sql("'[]'")
    )
    """Marks of the same agent that this one replaced, oldest first: verdict, true_intent, at."""
    correlation_id: Mapped[str]


class TrainingCandidate(Base):
    """A customer's sentence, free of personal data, that may become a training example."""

    __tablename__ = "training_candidates"
    __table_args__ = (
        one_of("state", CandidateState),
        CheckConstraint("(state = 'new') = (decided_at IS NULL)", name="decided_has_a_time"),
        CheckConstraint("state <> 'accepted' OR intent IS NOT NULL", name="accepted_has_an_intent"),
        UniqueConstraint("language", "key"),
        Index("ix_training_candidates_inbox", "language", "group_key", "id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    state: Mapped[str] = mapped_column(default=CandidateState.NEW.value)
    language: Mapped[str]
    text: Mapped[str]
    key: Mapped[str]
    """The folded text: equal keys are the same sentence."""
    source: Mapped[str]
    """low_confidence | out_of_scope | unsure | marked | chosen | agent."""
    suggested_intent: Mapped[str | None]
    confidence: Mapped[float | None] = mapped_column(Float)
    nearest_intent: Mapped[str | None]
    """Intent of the most alike training example, when one is alike at all."""
    similarity: Mapped[float | None] = mapped_column(Float)
    group_key: Mapped[str]
    turn_id: Mapped[uuid.UUID] = mapped_column(unique=True)
    conversation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("conversations.id"), index=True)
    sightings: Mapped[int] = mapped_column(Integer, default=1, server_default=sql("1"))
    """How many turns said it."""
    created_at: Mapped[datetime]
    intent: Mapped[str | None]
    """What it was accepted as."""
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]
    """agent:<uuid>, or cli."""
    reason: Mapped[str | None]


class TrainingSighting(Base):
    """A turn that was looked at for training; makes collecting repeatable."""

    __tablename__ = "training_sightings"

    turn_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    candidate_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("training_candidates.id", ondelete="CASCADE"), index=True
    )
    result: Mapped[str]
    """candidate | same | example | held_out | unfit."""
    at: Mapped[datetime]


class TrainingWatermark(Base):
    """Up to when a kind of record has been collected."""

    __tablename__ = "training_watermarks"

    name: Mapped[str] = mapped_column(primary_key=True)
    until: Mapped[datetime]
