"""What customers think of how a ticket was dealt with."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from ticketing.db.base import Base


class TicketSatisfaction(Base):
    """The customer's mark of a ticket (CSAT); one for each ticket."""

    __tablename__ = "ticket_satisfaction"
    __table_args__ = (
        CheckConstraint("score BETWEEN 1 AND 5", name="score_is_1_to_5"),
        CheckConstraint("changed_at >= recorded_at", name="changed_after_recording"),
    )

    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id"), primary_key=True)
    score: Mapped[int] = mapped_column(SmallInteger)
    comment: Mapped[str | None]
    """The customer's words."""
    recorded_by: Mapped[str]
    """agent:<uuid>, or the channel that asked."""
    recorded_at: Mapped[datetime]
    changed_at: Mapped[datetime]
