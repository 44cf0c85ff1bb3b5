"""Who is there, when they work, and why a ticket went where it went."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from kit.ids import new_id
from ticketing.db.base import JSON, Base, one_of
from ticketing.domain.enums import PresenceState, RoutingState

__all__ = ["AgentPresence", "AgentShift", "RoutingDecision", "RoutingExclusion"]


class AgentPresence(Base):
    """What an agent said of themselves last. Without a row they never said anything.

    The router gives work to, and takes work from, nobody but people with a row.
    """

    __tablename__ = "agent_presence"
    __table_args__ = (
        one_of("state", PresenceState),
        CheckConstraint("(state = 'offline') = (expires_at IS NULL)", name="present_has_an_end"),
        CheckConstraint("lease_seconds > 0", name="lease_is_positive"),
        Index(
            "ix_agent_presence_expires",
            "expires_at",
            postgresql_where=sql("expires_at IS NOT NULL"),
        ),
    )

    agent_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("agents.id"), primary_key=True)
    state: Mapped[str]
    since: Mapped[datetime]
    """When this state began."""
    seen_at: Mapped[datetime]
    """The last sign of them."""
    lease_seconds: Mapped[int]
    """Each sign is good for so long."""
    expires_at: Mapped[datetime | None]
    set_by: Mapped[str]
    """agent:<uuid> or system."""
    reason: Mapped[str | None]
    """Why the system set it: expired | not_accepted | agent_silent."""
    last_assigned_at: Mapped[datetime | None]
    """When the router last gave them a ticket: the longest idle comes first."""


class AgentShift(Base):
    """When an agent works; without a row, whenever they say they are there."""

    __tablename__ = "agent_shifts"

    agent_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("agents.id"), primary_key=True)
    time_zone: Mapped[str]
    weekly: Mapped[JSON]
    """Day (mon ... sun) to intervals such as "09:00-18:00"."""
    days_off: Mapped[list[str]]
    """ISO dates."""
    changed_at: Mapped[datetime]
    changed_by: Mapped[str]


class RoutingDecision(Base):
    """One choice of the router: who got a ticket, or why nobody did."""

    __tablename__ = "routing_decisions"
    __table_args__ = (
        one_of("outcome", RoutingState),
        Index("ix_routing_decisions_ticket", "ticket_id", "decided_at"),
        Index("ix_routing_decisions_decided", "decided_at"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id"))
    outcome: Mapped[str]
    """offered | held (somebody asked for the next ticket) | nobody_available | overflowed."""
    trigger: Mapped[str]
    """auto | next_ticket | overflow."""
    agent_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("agents.id"))
    queue_key: Mapped[str]
    needs: Mapped[JSON]
    relaxed: Mapped[list[str]]
    candidates: Mapped[JSON]
    """`listed`: verdicts; `others`: how many more, by reason."""
    policy_version: Mapped[str]
    decided_at: Mapped[datetime]
    correlation_id: Mapped[str]


class RoutingExclusion(Base):
    """Who shall not get a ticket again so soon."""

    __tablename__ = "routing_exclusions"

    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id"), primary_key=True)
    agent_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("agents.id"), primary_key=True, index=True
    )
    until: Mapped[datetime]
    reason: Mapped[str]
