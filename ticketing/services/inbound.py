"""From a webhook to rows: every item is stored once, before anything else happens to it.

`store` is what the answer 200 stands for. `process` turns a stored item into a message and a turn,
or applies a status; it may run again after a crash, any number of times, with the same result.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from channels.codec import item_from_json, item_to_json, kind_of
from channels.message import (
    InboundItem,
    InboundMessage,
    MessageKind,
    StatusUpdate,
    stable_hash,
)
from kit.ids import new_id
from kit.json import storable, storable_text
from ticketing.db.engine import Database
from ticketing.db.tables import (
    Message,
    Turn,
    WebhookItem,
)
from ticketing.domain.enums import Author, Direction, TurnState
from ticketing.services import contacts, deliveries, late_copies, ticket_search
from ticketing.services.notice_inbox import NoticeInbox

log = structlog.get_logger()

# A clock ahead of ours must not put a message behind everything that is written later.
_FUTURE_TOLERANCE = timedelta(minutes=5)

_NOT_OURS = ("twilio",)  # about notices, not conversations: whoever stores these applies them

_LONGEST_KEY = 512  # characters; PostgreSQL refuses index rows beyond about 2,700 bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """What `store` did.

    Attributes:
        groups: Ids of the new items; those of one customer stand in one group, oldest first, so
            that they can be processed in order while other customers do not wait.
        duplicates: How many of the items were known already.
        processed: How many new items are processed already.
    """

    groups: tuple[tuple[uuid.UUID, ...], ...]
    duplicates: int
    processed: int = 0

    @property
    def count(self) -> int:
        """How many items are new."""
        return self.processed + sum(len(group) for group in self.groups)


@dataclass(frozen=True, slots=True)
class Processed:
    """What `process` did.

    Attributes:
        conversation_id: Conversation that has a new turn waiting; None when nothing waits.
    """

    conversation_id: uuid.UUID | None = None


async def store(
    db: Database, items: Sequence[InboundItem], *, now: datetime, correlation_id: str
) -> Stored:
    """Store every item that is not known yet, in one transaction.

    Two deliveries of one item at the same moment meet at the unique key: one of them waits for the
    other's commit and then finds the row.
    """
    if not items:
        return Stored((), 0)
    rows = {item.dedup_key: _row(item, now=now, correlation_id=correlation_id) for item in items}
    # Sorted, so that two batches that share items take their locks in one order.
    values = [rows[key] for key in sorted(rows)]
    async with db.transaction() as session:
        statement = (
            insert(WebhookItem)
            .values(values)
            .on_conflict_do_nothing(index_elements=["channel", "dedup_key"])
            .returning(WebhookItem.id)
        )
        new = set((await session.scalars(statement)).all())
    groups: dict[str, list[tuple[datetime, uuid.UUID]]] = {}
    for item in {item.dedup_key: item for item in items}.values():
        row_id = rows[item.dedup_key]["id"]
        if row_id in new:
            moment = item.timestamp or now
            groups.setdefault(_group(item), []).append((moment, row_id))
    ordered = tuple(
        tuple(row_id for _, row_id in sorted(group, key=lambda entry: entry[0]))
        for group in groups.values()
    )
    return Stored(ordered, len(items) - len(new))


def _key(item: InboundItem) -> str:
    """The item's key, short enough for an index whatever a provider may send."""
    key = storable_text(item.dedup_key)
    return key if len(key) <= _LONGEST_KEY else f"long:{stable_hash(key)}"


def _group(item: InboundItem) -> str:
    if isinstance(item, InboundMessage):
        return item.sender.user_id or item.sender.phone or item.dedup_key
    if isinstance(item, StatusUpdate):
        return item.provider_id
    return item.dedup_key


def _row(item: InboundItem, *, now: datetime, correlation_id: str) -> dict[str, Any]:
    return {
        "id": new_id(),
        "channel": item.channel,
        "dedup_key": _key(item),
        "kind": kind_of(item),
        "raw": storable(item.raw),
        "item": storable(item_to_json(item)),
        "received_at": now,
        "correlation_id": correlation_id,
        "attempts": 0,
    }


async def store_and_process(
    db: Database,
    item: InboundItem,
    *,
    now: datetime,
    correlation_id: str,
    privacy_key: str = "",
    notices: NoticeInbox | None = None,
) -> Processed | None:
    """`store` and `process` for a webhook of one item, in one transaction; None if it was known.

    Most webhooks hold one item, and a customer waits for its answer: this saves a commit. Whatever
    goes wrong undoes both, and the caller takes the long road, which stores first.
    """
    values = _row(item, now=now, correlation_id=correlation_id)
    async with db.transaction() as session:
        new = await session.scalar(
            insert(WebhookItem)
            .values(**values, done_at=now)
            .on_conflict_do_nothing(index_elements=["channel", "dedup_key"])
            .returning(WebhookItem.id)
        )
        if new is None:
            return None
        row = WebhookItem(**values)
        done = await _meaning(session, item, row=row, privacy_key=privacy_key, notices=notices)
        if row.error is not None:
            kept = {"error": row.error, "raw": row.raw, "item": row.item}
            await session.execute(update(WebhookItem).where(WebhookItem.id == new).values(**kept))
        return done


async def process(
    db: Database,
    item_id: uuid.UUID,
    *,
    now: datetime,
    privacy_key: str = "",
    notices: NoticeInbox | None = None,
) -> Processed:
    """Make of a stored item what it means; doing it again changes nothing.

    An item that cannot be processed keeps its row, with the error and the number of attempts.
    """
    try:
        async with db.transaction() as session:
            return await _process(
                session, item_id, now=now, privacy_key=privacy_key, notices=notices
            )
    except Exception as error:
        log.exception("inbound.item_failed", message_id=str(item_id))
        async with db.transaction() as session:
            await session.execute(
                update(WebhookItem)
                .where(WebhookItem.id == item_id)
                .values(attempts=WebhookItem.attempts + 1, error=type(error).__name__)
            )
        return Processed()


async def waiting(db: Database, *, before: datetime, limit: int = 200) -> list[uuid.UUID]:
    """Stored items that nobody has processed since `before`: what a dead process left behind."""
    max_attempts = 20  # then it is an operator's matter; the row stays and `doctor` counts it
    async with db.transaction() as session:
        found = await session.scalars(
            select(WebhookItem.id)
            .where(
                WebhookItem.done_at.is_(None),
                WebhookItem.channel.not_in(_NOT_OURS),
                WebhookItem.received_at < before,
                WebhookItem.attempts < max_attempts,
            )
            .order_by(WebhookItem.received_at)
            .limit(limit)
        )
        return list(found)


async def _process(
    session: AsyncSession,
    item_id: uuid.UUID,
    *,
    now: datetime,
    privacy_key: str,
    notices: NoticeInbox | None,
) -> Processed:
    row = await session.scalar(
        select(WebhookItem).where(WebhookItem.id == item_id).with_for_update()
    )
    if row is None or row.done_at is not None:
        return Processed()
    row.done_at = now
    row.error = None
    item = item_from_json(row.kind, row.item, row.raw)
    return await _meaning(session, item, row=row, privacy_key=privacy_key, notices=notices)


async def _meaning(
    session: AsyncSession,
    item: InboundItem,
    *,
    row: WebhookItem,
    privacy_key: str,
    notices: NoticeInbox | None,
) -> Processed:
    """What an item does; `row` tells when it came and under which key."""
    if isinstance(item, InboundMessage):
        if await late_copies.forget_message(session, item, row=row, key=privacy_key):
            return Processed()
        if notices is not None and await notices.pressed(session, item):
            return Processed()
        return await _message(session, item, row=row)
    if isinstance(item, StatusUpdate):
        applied = await deliveries.apply_status(session, item, now=row.received_at)
        if not applied and await late_copies.forget_status(session, item, row=row, key=privacy_key):
            return Processed()
        if not applied and notices is not None:
            # In this transaction: a process that dies here has not taken the item off the list,
            # and what a status proves of a notice of unknown fate is not lost.
            await notices.status(session, item)
        return Processed()
    log.info("inbound.noted", kind=row.kind, correlation_id=row.correlation_id)
    return Processed()


async def _message(session: AsyncSession, item: InboundMessage, *, row: WebhookItem) -> Processed:
    if not item.sender.known:
        row.error = "the sender cannot be recognised: neither user id nor phone"
        return Processed()
    conversation = await contacts.known_conversation(session, item)
    if conversation is None:
        contact = await contacts.contact_of(session, item, now=row.received_at)
        conversation = await contacts.conversation_of(
            session, item, contact=contact, now=row.received_at
        )
        # After the conversation's lock, as everything that writes search words.
        await ticket_search.index_contact(session, contact.id)
    written_at = _moment(item.timestamp, received_at=row.received_at)
    message_id = new_id()
    inserted = await session.scalar(
        insert(Message)
        .values(
            id=message_id,
            conversation_id=conversation.id,
            channel=item.channel,
            direction=Direction.INBOUND.value,
            author=Author.CUSTOMER.value,
            kind=item.kind.value,
            text=None if item.text is None else storable_text(item.text),
            data=_message_data(row.item),
            provider_id=row.dedup_key,
            sent_at=written_at,
            created_at=row.received_at,
            correlation_id=row.correlation_id,
        )
        .on_conflict_do_nothing(constraint="uq_messages_provider_id")
        .returning(Message.id)
    )
    if inserted is None:
        return Processed()
    conversation.last_message_at = row.received_at
    conversation.last_customer_message_at = max(
        written_at, conversation.last_customer_message_at or written_at
    )
    if not item.needs_answer:
        return Processed()
    session.add(
        Turn(
            id=message_id,
            conversation_id=conversation.id,
            state=TurnState.PENDING.value,
            sent_at=written_at,
            created_at=row.received_at,
            attempts=0,
            correlation_id=row.correlation_id,
        )
    )
    return Processed(conversation_id=conversation.id)


def _message_data(item: dict[str, Any]) -> dict[str, Any]:
    kept = ("reply_id", "media", "location", "data", "context_id", "referral", "group_id", "errors")
    return {name: item[name] for name in kept if item.get(name)}


def _moment(timestamp: datetime | None, *, received_at: datetime) -> datetime:
    if timestamp is None or timestamp > received_at + _FUTURE_TOLERANCE:
        return received_at
    return timestamp


READABLE_KINDS = frozenset(
    {
        MessageKind.TEXT.value,
        MessageKind.BUTTON_REPLY.value,
        MessageKind.LIST_REPLY.value,
        MessageKind.BUTTON.value,
    }
)
