"""Forget a person: everywhere, once asked for never half, and again when copies come back.

`begin` cuts the person off in one transaction: identities gone, conversations closed, keyed hashes
left behind. From then on whatever they write is of somebody new. `run` empties store after store,
and a second time when everything that was in flight has landed.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from kit.ids import new_id
from ticketing.db.engine import Database
from ticketing.db.privacy_tables import ErasedIdentity, PrivacyJob
from ticketing.db.tables import Contact, ContactIdentity, Conversation, Turn
from ticketing.domain.enums import Control, Lifecycle, TurnState
from ticketing.domain.privacy import JobKind, JobState, Person, digests, sender_digests
from ticketing.services import privacy_jobs
from ticketing.services.audit import record
from ticketing.services.contact_lookup import (
    ContactNotFoundError,
    OpenTicket,
    open_tickets,
    person_of,
)
from ticketing.services.person_stores import PersonStore

log = structlog.get_logger()

SETTLE = timedelta(minutes=15)
"""Until the second look. Longer than every lease of a turn, a delivery or a notification, and than
a provider's statuses of messages just sent usually take."""

ACTIVE = timedelta(hours=24)
"""A conversation in which something was said since is active: WhatsApp's window."""


class ErasureRefusedError(Exception):
    """The person cannot be forgotten now; `reasons` says everything that is in the way."""

    def __init__(self, reasons: Sequence[str], *, tickets: Sequence[OpenTicket] = ()) -> None:
        self.reasons = tuple(reasons)
        self.tickets = tuple(tickets)
        super().__init__("; ".join(reasons))


class ErasureUnavailableError(Exception):
    """This installation has no PONTE_PRIVACY_KEY: erased customers could not be recognised."""


@dataclass(frozen=True, slots=True)
class ErasurePlan:
    """What an erasure would do.

    Attributes:
        contact_id: Whose.
        counts: Store -> how many rows, keys or files would be changed.
        refused: What is in the way, empty when nothing is.
    """

    contact_id: uuid.UUID
    counts: dict[str, int]
    refused: tuple[str, ...]


async def plan(
    db: Database,
    stores: Sequence[PersonStore],
    contact_id: uuid.UUID,
    *,
    force: bool = False,
    now: datetime,
) -> ErasurePlan:
    """Look and change nothing.

    Raises:
        ContactNotFoundError: no contact has this id.
        StoreError: a store cannot be reached.
    """
    async with db.transaction() as session:
        person = await person_of(session, contact_id)
        refused, _ = await _in_the_way(session, contact_id, force=force, now=now)
    counts = {store.name: await store.count(person, cutoff=now) for store in stores}
    return ErasurePlan(contact_id, counts, refused)


async def begin(
    db: Database,
    contact_id: uuid.UUID,
    *,
    key: str,
    requested_by: str,
    now: datetime,
    correlation_id: str,
    force: bool = False,
) -> uuid.UUID:
    """Cut the person off and write the job; its id. A job that runs already is given back.

    Args:
        db: The database.
        contact_id: Whose data.
        key: PONTE_PRIVACY_KEY.
        requested_by: The actor's label.
        now: The moment; what comes in later is of somebody new.
        correlation_id: Of the request.
        force: Also when the conversation is active.

    Raises:
        ContactNotFoundError: no contact has this id.
        ErasureRefusedError: a ticket is open, the conversation is active, or a legal hold is on.
    """
    async with db.transaction() as session:
        person = await person_of(session, contact_id)
        await _lock_person(session, person)
        person = await person_of(session, contact_id)  # what came while we waited belongs to it
        running = await privacy_jobs.running_job(session, contact_id, JobKind.ERASE)
        if running is not None:
            return running.id
        refused, tickets = await _in_the_way(session, contact_id, force=force, now=now)
        if refused:
            raise ErasureRefusedError(refused, tickets=tickets)
        await _cut_off(session, person, key=key, now=now, forced=force)
        job = await privacy_jobs.add_job(
            session,
            JobKind.ERASE,
            person,
            requested_by=requested_by,
            now=now,
            correlation_id=correlation_id,
        )
        await record(
            session,
            actor=requested_by,
            action="contact.erasure_started",
            subject=f"contact:{contact_id}",
            data={"job_id": str(job.id), "forced": force},
            now=now,
            correlation_id=correlation_id,
        )
        return job.id


async def run(
    db: Database, stores: Sequence[PersonStore], job_id: uuid.UUID, *, clock: Clock
) -> JobState | None:
    """Work on an erasure that is due; its state afterwards, None when there was nothing to do.

    A store that fails puts the job off; what was done stays done.
    """
    job = await privacy_jobs.claim(db, job_id, now=clock.now())
    if job is None:
        return None
    for store in stores:
        try:
            count = await store.erase(job.person, cutoff=job.cutoff)
        except Exception as error:  # the others wait with it: the order matters
            log.exception("privacy.store_failed", path=store.name, error_type=type(error).__name__)
            return await privacy_jobs.put_off(
                db, job.id, error=f"{store.name}: {type(error).__name__}", now=clock.now()
            )
        await privacy_jobs.note_progress(db, job.id, store.name, count, now=clock.now())
    return await _finish(db, job, now=clock.now())


async def _finish(db: Database, job: privacy_jobs.Claimed, *, now: datetime) -> JobState:
    async with db.transaction() as session:
        if not job.second_look:
            await session.execute(
                update(Contact).where(Contact.id == job.person.contact_id).values(erased_at=now)
            )
            await privacy_jobs.settle(session, job.id, until=now + SETTLE)
            return JobState.SETTLING
        row = await session.get_one(PrivacyJob, job.id, with_for_update=True)
        privacy_jobs.end(row, JobState.DONE, now=now)
        await record(
            session,
            actor=job.requested_by,
            action="contact.erased",
            subject=f"contact:{job.person.contact_id}",
            data={"job_id": str(job.id), "stores": row.progress},
            now=now,
            correlation_id=job.correlation_id,
        )
        return JobState.DONE


async def is_late_copy(
    session: AsyncSession,
    *,
    key: str,
    channel: str,
    keys: Sequence[tuple[str, str]],
    written_at: datetime | None,
) -> bool:
    """Whether something was written by, or sent to, somebody forgotten since: a late repetition.

    Args:
        session: A transaction.
        key: PONTE_PRIVACY_KEY; without it nobody is recognised.
        channel: Of the identities.
        keys: (kind, value) of each.
        written_at: When it was written; None: before in any case.
    """
    if not key or not keys:
        return False
    wanted = select(ErasedIdentity.id).where(
        ErasedIdentity.digest.in_(sender_digests(key, channel, keys))
    )
    if written_at is not None:
        wanted = wanted.where(ErasedIdentity.erased_at >= written_at)
    return await session.scalar(wanted.limit(1)) is not None


async def come_back(
    session: AsyncSession, *, key: str, limit: int = 500, after: uuid.UUID | None = None
) -> tuple[list[uuid.UUID], uuid.UUID | None]:
    """Contacts that were forgotten and are there again, as after restoring a backup.

    One page of all contacts; the second value continues, None at the end. A contact counts when one
    of its identities has a hash, and it was known before that hash was written.
    """
    contacts = (
        await session.execute(
            select(Contact.id, Contact.created_at)
            .where(Contact.id > after if after is not None else Contact.id.is_not(None))
            .order_by(Contact.id)
            .limit(limit)
        )
    ).all()
    created = {row.id: row.created_at for row in contacts}
    identities = await session.execute(
        select(
            ContactIdentity.contact_id,
            ContactIdentity.channel,
            ContactIdentity.kind,
            ContactIdentity.value,
        ).where(ContactIdentity.contact_id.in_(created))
    )
    owner: dict[str, uuid.UUID] = {}
    for contact_id, channel, kind, value in identities:
        for digest in sender_digests(key, channel, [(kind, value)]):
            owner[digest] = contact_id
    found = await session.execute(
        select(ErasedIdentity.digest, ErasedIdentity.erased_at).where(
            ErasedIdentity.digest.in_(owner)
        )
    )
    back = {owner[row.digest] for row in found if row.erased_at >= created[owner[row.digest]]}
    return sorted(back), contacts[-1].id if len(contacts) == limit else None


async def add_tombstones(
    session: AsyncSession, rows: Sequence[tuple[str, uuid.UUID, datetime]]
) -> int:
    """Take in (digest, contact id, erased at) from a file kept beside the backups; how many new."""
    if not rows:
        return 0
    done = await session.execute(
        insert(ErasedIdentity)
        .values(
            [
                {"id": new_id(), "digest": digest, "contact_id": contact_id, "erased_at": at}
                for digest, contact_id, at in rows
            ]
        )
        .on_conflict_do_nothing(index_elements=["digest", "contact_id"])
        .returning(ErasedIdentity.id)
    )
    return len(done.all())


async def _in_the_way(
    session: AsyncSession, contact_id: uuid.UUID, *, force: bool, now: datetime
) -> tuple[tuple[str, ...], tuple[OpenTicket, ...]]:
    contact = await session.get(Contact, contact_id)
    if contact is None:
        raise ContactNotFoundError(contact_id)
    reasons = []
    if contact.legal_hold_at is not None:
        reasons.append(f"a legal hold is on since {contact.legal_hold_at.date().isoformat()}")
    tickets = await open_tickets(session, contact_id)
    if tickets:
        listed = ", ".join(f"#{ticket.number} ({ticket.status})" for ticket in tickets)
        reasons.append(f"resolve or close these tickets first: {listed}")
    if not force and await _is_active(session, contact_id, now=now):
        reasons.append(
            "a conversation is active (something was said in the last 24 hours, or a message waits "
            "for its answer): wait, or force it"
        )
    return tuple(reasons), tickets


async def _is_active(session: AsyncSession, contact_id: uuid.UUID, *, now: datetime) -> bool:
    open_ones = select(Conversation.id).where(
        Conversation.contact_id == contact_id, Conversation.lifecycle == Lifecycle.OPEN.value
    )
    spoken = await session.scalar(
        select(Conversation.id)
        .where(Conversation.id.in_(open_ones), Conversation.last_message_at > now - ACTIVE)
        .limit(1)
    )
    waiting = await session.scalar(
        select(Turn.id)
        .where(Turn.conversation_id.in_(open_ones), Turn.state != TurnState.DONE.value)
        .limit(1)
    )
    return spoken is not None or waiting is not None


async def _lock_person(session: AsyncSession, person: Person) -> None:
    """The locks of `contacts.contact_of`, in its order, then the conversations.

    A first message that comes now waits and then finds nobody: it makes a new contact.
    """
    for kind, value in sorted({(kind, value) for _, kind, value, _ in person.identities}):
        await session.execute(
            select(func.pg_advisory_xact_lock(func.hashtextextended(f"{kind}:{value}", 0)))
        )
    await session.execute(
        select(Conversation.id)
        .where(Conversation.contact_id == person.contact_id)
        .order_by(Conversation.id)
        .with_for_update()
    )
    await session.execute(
        select(Contact.id).where(Contact.id == person.contact_id).with_for_update()
    )


async def _cut_off(
    session: AsyncSession, person: Person, *, key: str, now: datetime, forced: bool
) -> None:
    rows = [
        {
            "id": new_id(),
            "digest": digest,
            "contact_id": person.contact_id,
            "erased_at": now,
            "forced": forced,
        }
        for digest in digests(key, person)
    ]
    if rows:
        await session.execute(
            insert(ErasedIdentity)
            .values(rows)
            .on_conflict_do_update(index_elements=["digest", "contact_id"], set_={"erased_at": now})
        )
    await session.execute(
        delete(ContactIdentity).where(ContactIdentity.contact_id == person.contact_id)
    )
    await session.execute(
        update(Conversation)
        .where(
            Conversation.contact_id == person.contact_id,
            Conversation.lifecycle == Lifecycle.OPEN.value,
        )
        .values(
            lifecycle=Lifecycle.CLOSED.value,
            closed_at=now,
            control=Control.BOT.value,
            # An answer that is being computed was made under the old epoch: it is not sent.
            control_epoch=Conversation.control_epoch + 1,
            waiting=None,
            clarification=None,
            silence_due_at=None,
        )
    )
    await session.execute(
        update(Turn)
        .where(
            Turn.conversation_id.in_(person.conversation_ids), Turn.state != TurnState.DONE.value
        )
        .values(state=TurnState.DONE.value, outcome="ignored", finished_at=now)
    )
