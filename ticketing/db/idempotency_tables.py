"""Requests that may come twice: which key stands for which request, and what was answered."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, Index, SmallInteger, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from kit.ids import new_id
from ticketing.db.base import Base


class IdempotencyKey(Base):
    """One request that carried an `Idempotency-Key`.

    The row is claimed before the request is done, marked in the transaction that does it, and
    answered in that same transaction where the service can say its answer there.
    """

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        UniqueConstraint("actor", "key", name="uq_idempotency_keys_key"),
        CheckConstraint("(status IS NULL) = (body IS NULL)", name="an_answer_is_whole"),
        CheckConstraint("body IS NULL OR acted_at IS NOT NULL", name="an_answer_follows_an_act"),
        Index("ix_idempotency_keys_old", "created_at"),
        Index("ix_idempotency_keys_subject", "subject_id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    actor: Mapped[str]
    """agent:<uuid>: keys of two people never meet."""
    key: Mapped[str]
    route: Mapped[str]
    """Name of the operation."""
    request_hash: Mapped[str]
    """SHA-256 of path, query and body; the same key with another hash is refused."""
    subject_id: Mapped[uuid.UUID | None]
    """The object of the path (a ticket, mostly), so that an erasure finds its answers."""
    owner: Mapped[uuid.UUID]
    """Who does it now; a process that lost its claim cannot commit any more."""
    lease_until: Mapped[datetime]
    acted_at: Mapped[datetime | None]
    """Set by the transaction that did something: from then on it is never done again by chance."""
    status: Mapped[int | None] = mapped_column(SmallInteger)
    body: Mapped[str | None]
    """The JSON that was answered."""
    created_at: Mapped[datetime]
