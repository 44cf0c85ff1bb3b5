"""The audit log: entries that are only ever added, and the seals that chain them.

An entry is written in the transaction of the act, without a lock; the sealer
(`ticketing.services.audit_sealing`) gives it its place afterwards. So nothing in `audit_log` or
`audit_seals` is ever updated, and a trigger refuses to. Entries hold ids, never personal data: an
erasure leaves them as they are.
"""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import DDL, BigInteger, Index, event
from sqlalchemy.orm import Mapped, mapped_column

from kit.ids import new_id
from ticketing.db.base import JSON, Base

CUT_SETTING = "ponte.audit_cut"
"""Set to `on` for one transaction by the retention of the log, which removes its oldest part."""


class AuditEntry(Base):
    """Who did what to what. Never changed; removed only from the old end, by the retention."""

    __tablename__ = "audit_log"
    __table_args__ = (
        Index("ix_audit_log_at", "at", "id"),
        Index("ix_audit_log_subject", "subject", "id"),
        Index("ix_audit_log_actor", "actor", "id"),
        Index("ix_audit_log_action", "action", "id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    at: Mapped[datetime]
    actor: Mapped[str]
    """agent:<uuid> | system | cli | bot."""
    action: Mapped[str]
    """thing.done, such as agent.disabled."""
    subject: Mapped[str]
    """kind:id."""
    data: Mapped[JSON]
    correlation_id: Mapped[str]


class AuditWaiting(Base):
    """An entry that has no seal yet."""

    __tablename__ = "audit_waiting"

    entry_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)


class AuditSeal(Base):
    """A place in the chain (`ticketing.domain.audit_chain`)."""

    __tablename__ = "audit_seals"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    entry_id: Mapped[uuid.UUID] = mapped_column(unique=True)
    prev_hash: Mapped[str]
    hash: Mapped[str]
    key_id: Mapped[str]
    sealed_at: Mapped[datetime]


class AuditCut(Base):
    """Where the log begins after its oldest part was removed: a checkpoint of the last one gone."""

    __tablename__ = "audit_cuts"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[str]
    at: Mapped[datetime]
    key_id: Mapped[str]
    mac: Mapped[str]


PROTECTION: tuple[str, ...] = (
    f"""
    CREATE OR REPLACE FUNCTION ponte_refuse_audit_change() RETURNS trigger
    LANGUAGE plpgsql AS $$
    BEGIN
      IF TG_OP <> 'UPDATE' AND current_setting('{CUT_SETTING}', true) = 'on' THEN
        RETURN OLD;
      END IF;
      RAISE EXCEPTION '% of % is refused: the audit log is only added to', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
    END $$
    """,
    *(
        f"""
        CREATE OR REPLACE TRIGGER {table}_rows_stay BEFORE UPDATE OR DELETE ON {table}
        FOR EACH ROW EXECUTE FUNCTION ponte_refuse_audit_change()
        """
        for table in ("audit_log", "audit_seals", "audit_cuts")
    ),
    *(
        f"""
        CREATE OR REPLACE TRIGGER {table}_is_not_emptied BEFORE TRUNCATE ON {table}
        FOR EACH STATEMENT EXECUTE FUNCTION ponte_refuse_audit_change()
        """
        for table in ("audit_log", "audit_seals", "audit_cuts")
    ),
)
"""Statements that make the triggers; a migration runs the same."""

# After every table is there: `create_all` gives tests the same protection as a migration.
for _statement in PROTECTION:
    event.listen(
        Base.metadata,
        "after_create",
        DDL(_statement.replace("%", "%%")),  # type: ignore[no-untyped-call]
    )
