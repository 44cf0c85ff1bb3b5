"""What people work on: handoffs, tickets and their events."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Integer,
    UniqueConstraint,
)
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from kit.ids import new_id
from ticketing.db.base import JSON, Base, one_of
from ticketing.domain.enums import HandoffState, Level, Priority, Severity, TicketStatus


class Handoff(Base):
    """A conversation handed to people, with a life of its own; at most one open at a time."""

    __tablename__ = "handoffs"
    __table_args__ = (
        one_of("state", HandoffState),
        CheckConstraint("(state = 'ended') = (ended_at IS NOT NULL)", name="ended_has_a_time"),
        Index(
            "uq_handoffs_one_open",
            "conversation_id",
            unique=True,
            postgresql_where=sql("ended_at IS NULL"),
        ),
        UniqueConstraint("turn_id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    conversation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("conversations.id"), index=True)
    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id"), index=True)
    turn_id: Mapped[uuid.UUID | None]
    decision_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("decisions.id"))
    control_epoch: Mapped[int]
    state: Mapped[str]
    reason: Mapped[str]
    rule: Mapped[str | None]
    evidence: Mapped[JSON] = mapped_column(default=dict)
    from_level: Mapped[str | None]
    to_level: Mapped[str]
    queue_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("queues.id"))
    skills: Mapped[list[str]] = mapped_column(default=list)
    requested_at: Mapped[datetime]
    queued_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    ended_as: Mapped[str | None]
    """resolved | returned_to_bot | closed."""


class Ticket(Base):
    """What people work on. Requirement names: status, priority, severity, level, SLA and times."""

    __tablename__ = "tickets"
    __table_args__ = (
        one_of("status", TicketStatus),
        one_of("priority", Priority),
        one_of("severity", Severity),
        one_of("level", Level),
        CheckConstraint(
            "sla_target_minutes IS NULL OR sla_target_minutes > 0", name="sla_target_is_positive"
        ),
        CheckConstraint(
            "(status IN ('resolved', 'closed')) = (resolved_at IS NOT NULL)",
            name="resolved_has_a_time",
        ),
        CheckConstraint("(status = 'closed') = (closed_at IS NOT NULL)", name="closed_has_a_time"),
        Index("ix_tickets_list", "status", "priority", "opened_at"),
        Index(
            "uq_tickets_one_open",
            "conversation_id",
            unique=True,
            postgresql_where=sql("status NOT IN ('resolved', 'closed')"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    number: Mapped[int] = mapped_column(BigInteger, Identity(start=1001), unique=True)
    version: Mapped[int] = mapped_column(Integer, default=1)
    conversation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("conversations.id"), index=True)
    contact_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("contacts.id"), index=True)
    company_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("companies.id"))
    team_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("teams.id"))
    queue_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("queues.id"), index=True)
    agent_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("agents.id"), index=True)
    channel: Mapped[str]
    subject: Mapped[str]
    status: Mapped[str] = mapped_column(default=TicketStatus.NEW.value)
    priority: Mapped[str]
    severity: Mapped[str]
    level: Mapped[str]
    skills: Mapped[list[str]] = mapped_column(default=list)
    tags: Mapped[list[str]] = mapped_column(default=list)
    language: Mapped[str] = mapped_column(default="pt")
    escalation_reason: Mapped[str | None]
    escalated_at: Mapped[datetime | None]
    sla_target_minutes: Mapped[int | None]
    sla_expires_at: Mapped[datetime | None]
    opened_at: Mapped[datetime]
    first_response_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    last_message_at: Mapped[datetime | None]
    correlation_id: Mapped[str]


class TicketEvent(Base):
    """What happened to a ticket: who, why, from where to where. Never changed, never deleted."""

    __tablename__ = "ticket_events"
    __table_args__ = (Index("ix_ticket_events_ticket", "ticket_id", "id"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id"))
    kind: Mapped[str]
    """opened | taken | replied | noted | escalated | priority_changed | resolved | ..."""
    actor: Mapped[str]
    """bot | system | agent:<uuid>."""
    reason: Mapped[str | None]
    data: Mapped[JSON] = mapped_column(default=dict)
    at: Mapped[datetime]
    correlation_id: Mapped[str]
