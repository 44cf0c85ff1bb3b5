"""What leaves: domain events; and who leads a job."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import Index, Integer
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from kit.ids import new_id
from ticketing.db.base import JSON, Base


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


class Lease(Base):
    """Who leads a job that only one process may do at a time (relay, sweeps)."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    until: Mapped[datetime]
