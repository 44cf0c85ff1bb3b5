"""What was promised, by clock, and who was warned about it."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, CheckConstraint, ForeignKey, Index, Integer, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from kit.ids import new_id
from ticketing.db.base import Base, one_of
from ticketing.domain.enums import ClockState, SlaMetric, SlaThreshold


class SlaClock(Base):
    """One promise about one ticket: a metric, and its how-manieth cycle.

    The row is what `ticketing.domain.sla` computed from the ticket's history when it last changed;
    the sweep only reads it. `next_check_at` is the next moment at which something has to be said
    about it, so that a sweep costs what is due and not what is open.
    """

    __tablename__ = "sla_clocks"
    __table_args__ = (
        one_of("metric", SlaMetric),
        one_of("state", ClockState),
        UniqueConstraint("ticket_id", "metric", "cycle"),
        CheckConstraint("target_seconds > 0", name="target_is_positive"),
        CheckConstraint("consumed_seconds >= 0", name="consumed_is_not_negative"),
        CheckConstraint("cycle >= 1", name="cycle_starts_at_one"),
        CheckConstraint("state <> 'met' OR met_at IS NOT NULL", name="met_has_a_time"),
        CheckConstraint("(state = 'breached') = (breached_at IS NOT NULL)", name="breach_time"),
        CheckConstraint("(state = 'paused') = (paused_at IS NOT NULL)", name="pause_time"),
        Index(
            "ix_sla_clocks_due", "next_check_at", postgresql_where=sql("next_check_at IS NOT NULL")
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id"))
    metric: Mapped[str]
    cycle: Mapped[int] = mapped_column(Integer)
    policy: Mapped[str]
    """name@version."""
    calendar: Mapped[str]
    """name@version."""
    state: Mapped[str]
    target_seconds: Mapped[int] = mapped_column(Integer)
    consumed_seconds: Mapped[int] = mapped_column(Integer)
    """Working time used up at `updated_at`."""
    started_at: Mapped[datetime]
    paused_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    """When the target is used up; None while paused."""
    warn_at: Mapped[datetime | None]
    met_at: Mapped[datetime | None]
    """When the promise was kept, also if late: the time of the event, not of its detection."""
    breached_at: Mapped[datetime | None]
    """The due time that passed, not the moment somebody looked."""
    next_check_at: Mapped[datetime | None]
    segments: Mapped[list[dict[str, Any]]] = mapped_column(
        JSONB, default=list, server_default=sql("'[]'")
    )
    """Running and paused stretches: {from, to, running, reason}."""
    updated_at: Mapped[datetime]


class SlaAlert(Base):
    """A clock passed a threshold; one row per clock and threshold, whoever sweeps."""

    __tablename__ = "sla_alerts"
    __table_args__ = (
        one_of("threshold", SlaThreshold),
        UniqueConstraint("clock_id", "threshold"),
        Index("ix_sla_alerts_ticket", "ticket_id", "threshold", "detected_at"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    clock_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("sla_clocks.id"))
    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id"))
    threshold: Mapped[str]
    passed_at: Mapped[datetime]
    """When the clock passed it."""
    detected_at: Mapped[datetime]
    """When a sweep saw it."""
    told: Mapped[bool] = mapped_column(Boolean)
    """False: within the cooldown of an earlier alert of this ticket and threshold."""
