"""Which tickets were drawn for review, and what was said of them."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Float,
    ForeignKey,
    Index,
    Integer,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from kit.ids import new_id
from ticketing.db.base import JSON, Base, one_of
from ticketing.domain.quality import SampleState


class QualityPeriod(Base):
    """A week whose sample was drawn. The row makes drawing happen once."""

    __tablename__ = "quality_periods"

    period: Mapped[str] = mapped_column(primary_key=True)
    """ISO week, such as 2026-W11."""
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    seed: Mapped[str]
    """Decides the draw; with it anybody can draw the same sample again."""
    plan: Mapped[str]
    """Version of quality.yml."""
    strata: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    """{stratum, population, sampled} in the order of the plan."""
    scorecard: Mapped[JSON]
    """The criteria of that version: later changes of the file do not change these reviews."""
    drawn_at: Mapped[datetime]


class QualitySample(Base):
    """A ticket that was drawn, with its stratum, its chance and its weight."""

    __tablename__ = "quality_samples"
    __table_args__ = (
        one_of("state", SampleState),
        UniqueConstraint("period", "ticket_id"),
        CheckConstraint("probability > 0 AND probability <= 1", name="probability_is_one"),
        CheckConstraint("weight >= 1", name="weight_is_one_or_more"),
        CheckConstraint("score IS NULL OR (score >= 0 AND score <= 100)", name="score_range"),
        CheckConstraint(
            "state NOT IN ('done', 'disputed', 'settled') OR done_at IS NOT NULL",
            name="done_has_a_time",
        ),
        CheckConstraint(
            "state = 'pending' OR reviewer_id IS NOT NULL", name="begun_has_a_reviewer"
        ),
        CheckConstraint("reviewer_id <> agent_id", name="nobody_judges_themselves"),
        CheckConstraint("state <> 'disputed' OR dispute IS NOT NULL", name="dispute_has_words"),
        Index("ix_quality_samples_state", "state", "period", "id"),
        Index("ix_quality_samples_agent", "agent_id", "state", "id"),
        Index("ix_quality_samples_ticket", "ticket_id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    period: Mapped[str] = mapped_column(ForeignKey("quality_periods.period"))
    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id"))
    agent_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("agents.id"))
    """Whose work is judged: the ticket's agent when the sample was drawn."""
    team_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("teams.id"))
    """The ticket's team (department) then; agents may be in several."""
    stratum: Mapped[str]
    probability: Mapped[float] = mapped_column(Float)
    weight: Mapped[float] = mapped_column(Float)
    second: Mapped[bool] = mapped_column(Boolean)
    """Whether a second reviewer judges it too."""
    state: Mapped[str] = mapped_column(default=SampleState.PENDING.value)
    version: Mapped[int] = mapped_column(Integer, default=1)
    reviewer_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("agents.id"))
    claimed_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    score: Mapped[float | None] = mapped_column(Float)
    """In force: the first reviewer's, or that of the settled dispute. None: nothing applied."""
    answered_at: Mapped[datetime | None]
    """When the agent agreed or disagreed."""
    dispute: Mapped[str | None]
    """The agent's words."""
    settled_at: Mapped[datetime | None]
    settled_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("agents.id"))
    settlement: Mapped[str | None]
    """The answer to a dispute."""


class QualityReview(Base):
    """One person's answers about a sampled ticket. Rows are added, never changed."""

    __tablename__ = "quality_reviews"
    __table_args__ = (
        UniqueConstraint("sample_id", "part"),
        CheckConstraint("part IN ('first', 'second', 'settlement')", name="part_is_known"),
        Index("ix_quality_reviews_reviewer", "reviewer_id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    sample_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("quality_samples.id"))
    part: Mapped[str]
    reviewer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("agents.id"))
    answers: Mapped[JSON]
    """Criterion to answer."""
    score: Mapped[float | None] = mapped_column(Float)
    critical: Mapped[list[str]] = mapped_column(default=list)
    """Critical criteria answered with "no"."""
    comment: Mapped[str | None]
    at: Mapped[datetime]
    correlation_id: Mapped[str]
