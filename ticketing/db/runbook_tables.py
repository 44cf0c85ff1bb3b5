"""Which steps of which runbook were done on a ticket, by whom."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
)
from sqlalchemy.orm import Mapped, mapped_column

from kit.ids import new_id
from ticketing.db.base import JSON, Base, one_of
from ticketing.domain.runbook import MarkKind


class RunbookVersion(Base):
    """Every version of a runbook that somebody worked by: its ticks stay readable for ever."""

    __tablename__ = "runbook_versions"

    runbook: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(primary_key=True)
    document: Mapped[JSON]
    """names, demands_steps, steps (`ticketing.services.runbook_views.document_of`)."""
    first_used_at: Mapped[datetime]


class TicketRunbook(Base):
    """The version a ticket is worked by: that of the first mark, whatever the file says later."""

    __tablename__ = "ticket_runbooks"
    __table_args__ = (
        ForeignKeyConstraint(
            ["runbook", "version"], ["runbook_versions.runbook", "runbook_versions.version"]
        ),
    )

    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id"), primary_key=True)
    runbook: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str]
    pinned_at: Mapped[datetime]


class RunbookMark(Base):
    """A tick, an untick or a note. Rows are added, never changed; the last one of a step counts."""

    __tablename__ = "runbook_marks"
    __table_args__ = (
        one_of("kind", MarkKind),
        CheckConstraint("kind <> 'noted' OR note IS NOT NULL", name="a_note_has_words"),
        ForeignKeyConstraint(
            ["ticket_id", "runbook"], ["ticket_runbooks.ticket_id", "ticket_runbooks.runbook"]
        ),
        Index("ix_runbook_marks_ticket", "ticket_id", "runbook", "seq"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    seq: Mapped[int] = mapped_column(BigInteger, Identity(), unique=True)
    """Order in which they were written; a ticket's are written one after another."""
    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id"))
    runbook: Mapped[str]
    step: Mapped[str]
    kind: Mapped[str]
    note: Mapped[str | None]
    """An agent's words; may name the customer, so it is erased with them."""
    agent_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("agents.id"))
    at: Mapped[datetime]
    correlation_id: Mapped[str]
