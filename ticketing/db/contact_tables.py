"""Whom we talk to: contacts, the ways they are known, their companies."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import Boolean, ForeignKey, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from kit.ids import new_id
from ticketing.db.base import Base


class Company(Base):
    """A customer company (B2B); most contacts have none."""

    __tablename__ = "companies"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(unique=True)


class Contact(Base):
    """A person who writes to us."""

    __tablename__ = "contacts"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str | None]
    phone: Mapped[str | None]
    email: Mapped[str | None]
    photo_url: Mapped[str | None]
    vip: Mapped[bool] = mapped_column(Boolean, default=False, server_default=sql("false"))
    segment: Mapped[str | None]
    company_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("companies.id"))
    created_at: Mapped[datetime]
    legal_hold_at: Mapped[datetime | None]
    """Since when nothing of this contact may be erased: a court or a claim needs it."""
    legal_hold_reason: Mapped[str | None]
    erased_at: Mapped[datetime | None]
    """The person was forgotten; the row only holds statistics together."""


class ContactIdentity(Base):
    """One way a contact is known on a channel: BSUID, phone, e-mail, web session."""

    __tablename__ = "contact_identities"
    __table_args__ = (UniqueConstraint("channel", "kind", "value"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    contact_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("contacts.id"), index=True)
    channel: Mapped[str]
    kind: Mapped[str]
    value: Mapped[str]
    address: Mapped[str]
    """What the channel wants as recipient: the number exactly as it wrote to us, or the BSUID."""
    created_at: Mapped[datetime]
