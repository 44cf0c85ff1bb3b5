"""What tickets are found by."""

from __future__ import annotations

import uuid

from sqlalchemy import ForeignKey, Index
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from ticketing.db.base import Base


class TicketSearch(Base):
    """The folded words of a ticket: number, subject, messages, and who it is about.

    Made of other rows and nothing else (`ponte tickets reindex`), so it may be deleted with them.
    """

    __tablename__ = "ticket_search"
    __table_args__ = (Index("ix_ticket_search_words", "words", postgresql_using="gin"),)

    ticket_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("tickets.id", ondelete="CASCADE"), primary_key=True
    )
    contact_id: Mapped[uuid.UUID] = mapped_column(index=True)
    words: Mapped[str] = mapped_column(TSVECTOR)
