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
from ticketing.domain.sla_alerts import Silence


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
        # With the id the sweep goes on behind the last one, whatever became of that.
        Index(
            "ix_sla_clocks_due",
            "next_check_at",
            "id",
            postgresql_where=sql("next_check_at IS NOT NULL"),
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
    ended_at: Mapped[datetime | None]
    """When it was over: kept, or void."""
    reason: Mapped[str | None]
    """Why it is void, or why it has no due time."""
    next_check_at: Mapped[datetime | None]
    segments: Mapped[list[dict[str, Any]]] = mapped_column(
        JSONB, default=list, server_default=sql("'[]'")
    )
    """Stretches: {from, to, running, reason, worked_seconds, target_seconds, calendar, policy}."""
    updated_at: Mapped[datetime]


class SlaRulePeriod(Base):
    """Rules and calendars that were in force from a moment on; kept for good.

    A clock is measured by what was promised at the time, so the rules of an open ticket's whole
    life must be known, also after `sla.yml` or a calendar was changed.
    """

    __tablename__ = "sla_rule_periods"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    version: Mapped[str]
    """Of the rules and of every calendar."""
    since: Mapped[datetime] = mapped_column(unique=True)
    content: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """`ticketing.domain.sla.rules_json`."""
    spread_to: Mapped[uuid.UUID | None]
    """Open tickets up to this id have been marked to follow these rules."""
    spread_at: Mapped[datetime | None]
    """When all of them had been."""


class SlaAlert(Base):
    """A clock passed a threshold; one row per clock and threshold, whoever sweeps."""

    __tablename__ = "sla_alerts"
    __table_args__ = (
        one_of("threshold", SlaThreshold),
        one_of("silence", Silence),
        CheckConstraint("told = (silence IS NULL)", name="silence_has_a_reason"),
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
    """False: somebody was told the same shortly before, or is told something graver."""
    silence: Mapped[str | None]
    """Why nobody was told (`ticketing.domain.sla_alerts.Silence`)."""
