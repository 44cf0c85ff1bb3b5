"""Exports and erasures of a person's data: the jobs, the finished files, what stays forgotten."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    UniqueConstraint,
)
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from kit.ids import new_id
from ticketing.db.base import JSON, Base, one_of
from ticketing.domain.privacy import JobKind, JobState


class PrivacyJob(Base):
    """One export or erasure of a contact; its progress makes it restartable at any point."""

    __tablename__ = "privacy_jobs"
    __table_args__ = (
        one_of("kind", JobKind),
        one_of("state", JobState),
        CheckConstraint("(state IN ('done', 'failed')) = (finished_at IS NOT NULL)", name="ended"),
        Index(
            "uq_privacy_jobs_one_running",
            "contact_id",
            "kind",
            unique=True,
            postgresql_where=sql("state NOT IN ('done', 'failed')"),
        ),
        Index(
            "ix_privacy_jobs_due", "due_at", postgresql_where=sql("state NOT IN ('done', 'failed')")
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    kind: Mapped[str]
    contact_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("contacts.id"), index=True)
    state: Mapped[str]
    requested_by: Mapped[str]
    """The actor's label."""
    requested_at: Mapped[datetime]
    cutoff: Mapped[datetime]
    """What came in later is not of this job: the person may write again, as somebody new."""
    person: Mapped[JSON] = mapped_column(default=dict)
    """Ids and identities needed to find everything (`ticketing.domain.privacy.Person`); emptied
    when the job ends: while an erasure runs, this is the last place that knows the person."""
    progress: Mapped[JSON] = mapped_column(default=dict)
    """Store -> how many rows or files were written or erased."""
    due_at: Mapped[datetime]
    """When it is taken up next: its start, a retry, or the second look of an erasure."""
    lease_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(Integer, default=0, server_default=sql("0"))
    error: Mapped[str | None]
    """Type of the last error, and the store; no message of it, which could hold data."""
    finished_at: Mapped[datetime | None]
    correlation_id: Mapped[str]


class PrivacyExport(Base):
    """A finished export, kept for some days."""

    __tablename__ = "privacy_exports"

    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("privacy_jobs.id"), primary_key=True)
    contact_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("contacts.id"), index=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    sha256: Mapped[str]
    made_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class ErasedIdentity(Base):
    """A keyed hash of an identity that was erased: late copies and restored backups are known."""

    __tablename__ = "erased_identities"
    __table_args__ = (UniqueConstraint("digest", "contact_id"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    digest: Mapped[str] = mapped_column(index=True)
    """HMAC-SHA256 of channel, kind and value with PONTE_PRIVACY_KEY."""
    contact_id: Mapped[uuid.UUID]
    """The contact as it was known; an id of nobody any more."""
    erased_at: Mapped[datetime]
    forced: Mapped[bool] = mapped_column(Boolean, default=False, server_default=sql("false"))


class RetentionRun(Base):
    """When what is too old was last removed, by kind; one leader does it once a day."""

    __tablename__ = "retention_runs"

    kind: Mapped[str] = mapped_column(primary_key=True)
    ran_at: Mapped[datetime]
    removed: Mapped[int] = mapped_column(Integer)
