"""Files on tickets. The bytes stand in a table of their own, so that lists never read them."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    UniqueConstraint,
)
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from kit.ids import new_id
from ticketing.db.base import JSON, Base, one_of
from ticketing.domain.enums import AttachmentState, Author


class Attachment(Base):
    """One file on a ticket: from an agent, or from the customer by their channel."""

    __tablename__ = "attachments"
    __table_args__ = (
        one_of("state", AttachmentState),
        one_of("author", Author),
        CheckConstraint(
            "(state = 'stored') = (sha256 IS NOT NULL AND size IS NOT NULL)",
            name="stored_has_content",
        ),
        CheckConstraint("size > 0", name="size_is_positive"),
        CheckConstraint("(state = 'refused') = (problem IS NOT NULL)", name="refused_has_a_reason"),
        # The same file twice on one ticket is one attachment: a repeated upload changes nothing.
        Index(
            "uq_attachments_content",
            "ticket_id",
            "sha256",
            "filename",
            unique=True,
            postgresql_where=sql("author = 'agent'"),
        ),
        UniqueConstraint("message_id"),
        Index("ix_attachments_due", "next_attempt_at", postgresql_where=sql("state = 'pending'")),
        Index("ix_attachments_ticket", "ticket_id", "created_at"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id"))
    message_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("messages.id"))
    """The customer's message that it came with."""
    author: Mapped[str]
    agent_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("agents.id"))
    filename: Mapped[str]
    media_type: Mapped[str]
    state: Mapped[str]
    size: Mapped[int | None] = mapped_column(BigInteger)
    """Bytes."""
    sha256: Mapped[str | None]
    source: Mapped[JSON] = mapped_column(default=dict, server_default=sql("'{}'"))
    """Where the channel keeps a customer's file: its media id."""
    problem: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0, server_default=sql("0"))
    next_attempt_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    correlation_id: Mapped[str]


class AttachmentContent(Base):
    """The bytes of an attachment."""

    __tablename__ = "attachment_contents"

    attachment_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("attachments.id", ondelete="CASCADE"), primary_key=True
    )
    content: Mapped[bytes] = mapped_column(LargeBinary)
