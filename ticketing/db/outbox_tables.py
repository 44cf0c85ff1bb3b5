"""What leaves: domain events, notifications, and who leads a job."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from kit.ids import new_id
from ticketing.db.base import JSON, Base, one_of
from ticketing.domain.enums import DeliveryState


class OutboxEvent(Base):
    """A domain event written in the transaction that caused it; the relay carries it onward."""

    __tablename__ = "outbox_events"
    __table_args__ = (
        Index("ix_outbox_waiting", "id", postgresql_where=sql("published_at IS NULL")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    topic: Mapped[str]
    """ticket.opened | ticket.escalated | ..."""
    version: Mapped[int] = mapped_column(Integer, default=1)
    payload: Mapped[JSON]
    correlation_id: Mapped[str]
    created_at: Mapped[datetime]
    published_at: Mapped[datetime | None]


class Notification(Base):
    """One notice to one recipient on one channel; `idempotency_key` makes it exist once."""

    __tablename__ = "notifications"
    __table_args__ = (
        one_of("state", DeliveryState),
        CheckConstraint(
            "job_name IN ('notify-user', 'send-email', 'send-whatsapp', 'send-sms', 'send-push')",
            name="job_name_is_known",
        ),
        Index(
            "ix_notifications_waiting",
            "next_attempt_at",
            postgresql_where=sql("state IN ('pending', 'sending', 'unknown')"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    idempotency_key: Mapped[str] = mapped_column(unique=True)
    job_name: Mapped[str]
    event: Mapped[str]
    """The policy event: ticket-opened, ticket-escalation, ticket-priority-high, ..."""
    recipient: Mapped[str]
    """E-mail address or E.164 number."""
    language: Mapped[str] = mapped_column(default="pt")
    context: Mapped[JSON] = mapped_column(default=dict)
    ticket_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("tickets.id"), index=True)
    state: Mapped[str] = mapped_column(default=DeliveryState.PENDING.value)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    next_attempt_at: Mapped[datetime | None]
    enqueued_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    provider_id: Mapped[str | None]
    error: Mapped[JSON | None]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    correlation_id: Mapped[str]


class Lease(Base):
    """Who leads a job that only one process may do at a time (relay, sweeps)."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    until: Mapped[datetime]
