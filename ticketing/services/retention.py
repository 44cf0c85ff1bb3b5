"""Remove what is older than its period, in small batches; doing it again finds nothing.

Each batch is a transaction of its own, so that nobody waits for long and a death loses nothing.
Contacts with a legal hold are left alone.
"""

# ruff: noqa: S608 - the fragments are ours; the moment is a parameter

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import exists, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.engine import Database
from ticketing.db.privacy_tables import PrivacyJob, RetentionRun
from ticketing.db.tables import Contact, Conversation, Ticket
from ticketing.domain.audit_chain import Keys
from ticketing.domain.privacy import JobKind
from ticketing.domain.retention import Kind
from ticketing.services import audit_sealing, contact_erasure
from ticketing.services.audit import record
from ticketing.services.contact_erasure import ErasureRefusedError
from ticketing.services.contact_lookup import ENDED

log = structlog.get_logger()

BATCH = 500
MOST_CONTACTS = 200
"""Erasures begun a run; the rest tomorrow. Each goes through every store."""

EVERY = timedelta(days=1)

_HELD = "(SELECT id FROM contacts WHERE legal_hold_at IS NOT NULL)"
_SILENT = (
    "(SELECT id FROM conversations WHERE coalesce(last_message_at, created_at) < :before "
    f"AND contact_id NOT IN {_HELD})"
)
_QUIET_TICKETS = (
    "(SELECT id FROM tickets WHERE status IN ('resolved', 'closed') "
    "AND coalesce(last_message_at, opened_at) < :before "
    f"AND contact_id NOT IN {_HELD})"
)


@dataclass(frozen=True, slots=True)
class Sweep:
    """What of one table is too old. `change` None: the rows go."""

    table: str
    key: str
    old: str
    change: str | None = None

    @property
    def count_sql(self) -> str:
        """How many rows are too old."""
        return f"SELECT count(*) FROM {self.table} WHERE {self.old}"

    @property
    def batch_sql(self) -> str:
        """Remove or empty the next of them; rows that somebody works on are left for later."""
        some = (
            f"SELECT {self.key} FROM {self.table} WHERE {self.old} "
            f"LIMIT {BATCH} FOR UPDATE SKIP LOCKED"
        )
        verb = f"DELETE FROM {self.table}"
        if self.change is not None:
            verb = f"UPDATE {self.table} SET {self.change}"
        return f"{verb} WHERE {self.key} IN ({some})"


SWEEPS: dict[Kind, tuple[Sweep, ...]] = {
    Kind.RAW_WEBHOOKS: (
        Sweep("webhook_items", "id", "received_at < :before AND done_at IS NOT NULL"),
    ),
    Kind.MESSAGE_CONTENTS: (
        Sweep(
            "messages",
            "id",
            "sent_at < :before AND (text IS NOT NULL OR data <> '{}' OR provider_id IS NOT NULL) "
            "AND (delivery IS NULL OR delivery NOT IN ('pending', 'sending', 'unknown')) "
            f"AND conversation_id IN {_SILENT}",
            "text = NULL, data = '{}', provider_id = NULL, delivery_error = NULL",
        ),
        Sweep("attachments", "id", f"created_at < :before AND ticket_id IN {_QUIET_TICKETS}"),
        Sweep("ticket_search", "ticket_id", f"ticket_id IN {_QUIET_TICKETS}"),
    ),
    Kind.DECISION_VALUES: (
        Sweep(
            "decisions",
            "id",
            "created_at < :before AND (snapshot->'entities' <> '{}' "
            "OR decision->'evaluations' <> '[]') AND conversation_id NOT IN (SELECT id FROM "
            f"conversations WHERE contact_id IN {_HELD})",
            "snapshot = snapshot || '{\"entities\": {}}', "
            "decision = decision || '{\"evaluations\": []}'",
        ),
        Sweep(
            "handoffs",
            "id",
            "requested_at < :before AND evidence <> '{}' AND ended_at IS NOT NULL "
            "AND conversation_id NOT IN (SELECT id FROM conversations WHERE contact_id IN "
            f"{_HELD})",
            "evidence = '{}'",
        ),
    ),
    Kind.NOTIFICATIONS: (
        # Dead ones stay until an operator has decided, and their notices with them.
        Sweep("dead_letters", "id", "closed_at < :before AND state IN ('recovered', 'discarded')"),
        Sweep(
            "notifications",
            "id",
            "created_at < :before AND finished_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM "
            "dead_letters d WHERE d.notification_id = notifications.id) AND NOT EXISTS (SELECT 1 "
            "FROM notifications f WHERE f.digest_id = notifications.id)",
        ),
        # A person's no is kept for ever; what was wrong with a number half a year ago is not known.
        Sweep("recipient_addresses", "id", "since < :before AND state <> 'opted_out'"),
    ),
    Kind.OUTBOX_EVENTS: (Sweep("outbox_events", "id", "published_at < :before"),),
    Kind.SESSIONS: (Sweep("agent_sessions", "token_hash", "expires_at < :before"),),
}


async def count(db: Database, kind: Kind, *, before: datetime) -> int:
    """How many rows of a kind are too old; nothing is changed."""
    async with db.transaction() as session:
        if kind is Kind.CONTACTS:
            return len(await silent_contacts(session, before=before, limit=1_000_000))
        total = 0
        for sweep in SWEEPS.get(kind, ()):
            total += await session.scalar(text(sweep.count_sql), {"before": before}) or 0
        return total


async def remove(db: Database, kind: Kind, *, before: datetime) -> int:
    """Remove or empty all rows of a kind that are too old; how many."""
    total = 0
    for sweep in SWEEPS.get(kind, ()):
        while True:
            async with db.transaction() as session:
                done = await session.execute(text(sweep.batch_sql), {"before": before})
                changed = int(getattr(done, "rowcount", 0))
            total += changed
            if changed < BATCH:
                break
    return total


async def silent_contacts(
    session: AsyncSession, *, before: datetime, limit: int = MOST_CONTACTS
) -> Sequence[uuid.UUID]:
    """Contacts nothing was heard of since, without an open ticket or a hold, not erased yet."""
    spoke = exists().where(
        Conversation.contact_id == Contact.id,
        func.coalesce(Conversation.last_message_at, Conversation.created_at) >= before,
    )
    works = exists().where(Ticket.contact_id == Contact.id, Ticket.status.not_in(ENDED))
    begun = exists().where(
        PrivacyJob.contact_id == Contact.id, PrivacyJob.kind == JobKind.ERASE.value
    )
    found = await session.scalars(
        select(Contact.id)
        .where(
            Contact.created_at < before,
            Contact.legal_hold_at.is_(None),
            Contact.erased_at.is_(None),
            ~spoke,
            ~works,
            ~begun,
        )
        .order_by(Contact.id)
        .limit(limit)
    )
    return list(found)


async def held_conversations(db: Database) -> list[str]:
    """Ids of the conversations of contacts with a legal hold, as Rasa knows them."""
    async with db.transaction() as session:
        found = await session.scalars(
            select(Conversation.id)
            .join(Contact, Contact.id == Conversation.contact_id)
            .where(Contact.legal_hold_at.is_not(None))
        )
        return [str(value) for value in found]


async def erase_silent(
    db: Database, *, key: str, before: datetime, now: datetime, correlation_id: str
) -> int:
    """Begin the erasure of contacts who were silent for too long; how many."""
    async with db.transaction() as session:
        found = await silent_contacts(session, before=before)
    begun = 0
    for contact_id in found:
        try:
            await contact_erasure.begin(
                db,
                contact_id,
                key=key,
                requested_by="system",
                now=now,
                correlation_id=correlation_id,
            )
        except ErasureRefusedError:
            continue  # they wrote meanwhile
        begun += 1
    return begun


async def remove_audit(db: Database, keys: Keys, *, before: datetime, now: datetime) -> int:
    """Cut the old end off the audit log; how many entries."""
    total = 0
    while done := await audit_sealing.cut_before(db, keys, before=before, now=now):
        total += done
    return total


async def remove_exports(db: Database, *, now: datetime) -> int:
    """Remove exports whose time is over."""
    async with db.transaction() as session:
        rows = await session.execute(
            text("DELETE FROM privacy_exports WHERE expires_at <= :now"), {"now": now}
        )
        return int(getattr(rows, "rowcount", 0))


async def is_due(db: Database, kind: str, *, now: datetime) -> bool:
    """Whether a kind was not looked at for a day."""
    async with db.transaction() as session:
        last = await session.scalar(select(RetentionRun.ran_at).where(RetentionRun.kind == kind))
    return last is None or last <= now - EVERY


async def note_run(
    db: Database, kind: str, removed: int, *, actor: str, now: datetime, correlation_id: str
) -> None:
    """Write down that a kind was looked at; into the audit log when something went."""
    async with db.transaction() as session:
        await session.execute(
            insert(RetentionRun)
            .values(kind=kind, ran_at=now, removed=removed)
            .on_conflict_do_update(
                index_elements=["kind"], set_={"ran_at": now, "removed": removed}
            )
        )
        if removed:
            await record(
                session,
                actor=actor,
                action="retention.removed",
                subject=f"retention:{kind}",
                data={"count": removed},
                now=now,
                correlation_id=correlation_id,
            )
    log.info("retention.ran", kind=kind, count=removed)
