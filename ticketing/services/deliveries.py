"""Claim, send, record: how a message leaves, and what the provider's statuses say of it.

No transaction is open while a message is being sent. A process that dies in between leaves the row
in `sending`; when its lease runs out the row becomes `unknown`, waits for a status that carries its
id, and only then is sent again.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from channels.message import OutboundMessage, OutboundTemplate, StatusUpdate
from handoff.silence import choice_of
from ticketing.db.engine import Database
from ticketing.db.tables import Conversation, Message
from ticketing.domain import control
from ticketing.domain.delivery import (
    Failure,
    GiveUp,
    TryAgain,
    after_failure,
    raised,
    state_of_status,
)
from ticketing.domain.enums import Author, DeliveryState, Direction
from ticketing.domain.reception import held_until
from ticketing.services.control import state_of
from ticketing.services.due import has_come, has_come_in
from ticketing.services.outbound import CLOSED_WINDOW
from ticketing.services.reception import read_reception
from ticketing.services.stored_statuses import STATUS_PAUSE, named_in_stored_statuses
from ticketing.services.undelivered import tell_undelivered

log = structlog.get_logger()

SEND_LEASE = timedelta(seconds=20)  # longer than the sending client's own time-outs together
WINDOW = timedelta(hours=24)
# Meta computes the customer service window from its own clock; the margin covers the difference.
WINDOW_MARGIN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A claimed message: all that a sender needs."""

    message_id: uuid.UUID
    conversation_id: uuid.UUID
    channel: str
    account_id: str
    address: str
    message: OutboundMessage
    attempt: int
    correlation_id: str
    window_open: bool
    language: str
    closed_window: OutboundTemplate | None = None
    """What leaves in its place when the window is closed; None: the service's general one."""


def dispatch_of(message: Message, conversation: Conversation, *, now: datetime) -> Dispatch:
    """What to send for this claimed row."""
    last = conversation.last_customer_message_at
    return Dispatch(
        message_id=message.id,
        conversation_id=conversation.id,
        channel=conversation.channel,
        account_id=conversation.account_id,
        address=conversation.address,
        message=OutboundMessage.from_json(message.data),
        attempt=message.attempts,
        correlation_id=message.correlation_id,
        window_open=last is not None and now < last + WINDOW - WINDOW_MARGIN,
        language=conversation.language,
        closed_window=_closed_window(message),
    )


def _closed_window(message: Message) -> OutboundTemplate | None:
    described = message.data.get(CLOSED_WINDOW)
    return None if described is None else OutboundTemplate.from_json(described)


def mark_claimed(message: Message, *, owner: str, now: datetime) -> None:
    """Put a row in `sending` under a lease; the caller commits before it sends."""
    message.delivery = DeliveryState.SENDING.value
    message.attempts += 1
    message.lease_owner = owner
    message.lease_until = now + SEND_LEASE
    message.next_attempt_at = None


async def claim(
    db: Database, message_id: uuid.UUID, *, owner: str, now: datetime, unknown_wait: timedelta
) -> Dispatch | None:
    """Take one message for sending; None when it is not its turn, or it must not leave any more.

    One that may have been sent waits for a status of it that is stored and not applied yet, and for
    as long as `unknown_wait` while a status could come.
    """
    async with db.transaction() as session:
        message = await session.get(Message, message_id)
        if message is None or message.direction != Direction.OUTBOUND.value:
            return None
        # The conversation first, then its message: the one order of locks.
        conversation = await session.scalar(
            select(Conversation).where(Conversation.id == message.conversation_id).with_for_update()
        )
        await session.refresh(message, with_for_update=True)
        if conversation is None or not _is_due(message, now=now):
            return None
        held = await _held_until(session, message, unknown_wait=unknown_wait, now=now)
        message.next_attempt_at = held or message.next_attempt_at
        if held is not None or await _has_earlier_waiting(session, message):
            return None
        if not control.may_leave(
            state_of(conversation),
            author=Author(message.author),
            epoch=message.control_epoch,
        ):
            _drop(message, "stale_epoch", "a person took over meanwhile")
            return None
        if _is_overtaken(message, conversation):
            _drop(message, "not_silent", "the customer wrote meanwhile")
            return None
        mark_claimed(message, owner=owner, now=now)
        dispatch = dispatch_of(message, conversation, now=now)
        if dispatch.closed_window is not None:
            # What the customer reads is the template then, and the conversation must say so.
            left_as = None if dispatch.window_open else dispatch.closed_window.name
            message.data = {**message.data, "left_as_template": left_as}
        return dispatch


def _is_due(message: Message, *, now: datetime) -> bool:
    waiting = message.delivery in {DeliveryState.PENDING.value, DeliveryState.UNKNOWN.value}
    return waiting and (
        message.next_attempt_at is None or has_come(message.next_attempt_at, now=now)
    )


async def _held_until(
    session: AsyncSession, message: Message, *, unknown_wait: timedelta, now: datetime
) -> datetime | None:
    """Until when a message waits on, because its status may lie here or could not come."""
    if message.delivery != DeliveryState.UNKNOWN.value:
        return None
    if await named_in_stored_statuses(session, [str(message.id)]):
        return now + STATUS_PAUSE
    reception = await read_reception(session)
    return held_until(reception, made_at=message.created_at, wait=unknown_wait, now=now)


def _is_overtaken(message: Message, conversation: Conversation) -> bool:
    """Whether "are you still there?" would leave late, after the customer has shown to be."""
    offers = any(choice_of(button["id"]) for button in message.data.get("buttons") or ())
    heard = conversation.last_customer_message_at
    return offers and heard is not None and heard > message.created_at


def _drop(message: Message, code: str, detail: str) -> None:
    message.delivery = DeliveryState.DROPPED.value
    message.next_attempt_at = None
    message.delivery_error = {"code": code, "detail": detail}
    log.info("delivery.dropped", message_id=str(message.id), reason=code)


async def _has_earlier_waiting(session: AsyncSession, message: Message) -> bool:
    """Whether an older message of this conversation has still to leave: order is kept."""
    other = aliased(Message)
    found = await session.scalar(
        select(other.id)
        .where(
            other.conversation_id == message.conversation_id,
            other.direction == Direction.OUTBOUND.value,
            other.delivery.in_(
                [DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.UNKNOWN]
            ),
            other.id < message.id,
        )
        .limit(1)
    )
    return found is not None


async def record_sent(db: Database, message_id: uuid.UUID, *, provider_id: str) -> None:
    """The provider accepted it. A status that came first is not overwritten."""
    async with db.transaction() as session:
        message = await session.get(Message, message_id, with_for_update=True)
        if message is None or message.delivery is None:
            return
        message.provider_id = message.provider_id or provider_id
        present = DeliveryState(message.delivery)
        message.delivery = raised(present, DeliveryState.SENT).value
        message.lease_until = None
        message.next_attempt_at = None


async def record_failure(
    db: Database,
    message_id: uuid.UUID,
    *,
    failure: Failure,
    now: datetime,
    jitter: float,
    unknown_wait: timedelta,
) -> TryAgain | GiveUp | None:
    """An attempt failed: plan the next one or give up. None when a status came meanwhile."""
    async with db.transaction() as session:
        message = await session.get(Message, message_id, with_for_update=True)
        if message is None or message.delivery != DeliveryState.SENDING.value:
            return None
        plan = after_failure(
            failure, attempt=message.attempts, jitter=jitter, unknown_wait=unknown_wait
        )
        message.lease_until = None
        message.delivery_error = {
            "code": failure.code,
            "detail": failure.detail,
            "http_status": failure.http_status,
        }
        if isinstance(plan, GiveUp):
            message.delivery = DeliveryState.FAILED.value
            message.next_attempt_at = None
            await tell_undelivered(session, message, now=now)
        else:
            message.delivery = plan.state.value
            message.next_attempt_at = now + plan.delay
            if not plan.spends_attempt:
                message.attempts -= 1
        return plan


async def apply_status(session: AsyncSession, status: StatusUpdate, *, now: datetime) -> bool:
    """Raise a message's state by what the provider reports; False when it is not one of ours.

    A status may come before the answer to our own POST: then the message is found by the id we
    put in `biz_opaque_callback_data`, and learns its provider id from the status.
    """
    message = await _message_of(session, status)
    if message is None or message.delivery is None:
        return False
    reported = state_of_status(status.status)
    if reported is None:
        return True
    message.provider_id = message.provider_id or status.provider_id
    after = raised(DeliveryState(message.delivery), reported)
    if after.value != message.delivery:
        message.delivery = after.value
        message.lease_until = None
        message.next_attempt_at = None
        if after is DeliveryState.FAILED and status.errors:
            first = status.errors[0]
            message.delivery_error = {
                "code": str(first.code),
                "detail": first.details or first.message or first.title or "",
            }
        if after is DeliveryState.FAILED:
            await tell_undelivered(session, message, now=now)
        log.info("delivery.status", message_id=str(message.id), status=after.value)
    return True


async def _message_of(session: AsyncSession, status: StatusUpdate) -> Message | None:
    conditions = [
        and_(Message.channel == status.channel, Message.provider_id == status.provider_id)
    ]
    if status.callback_data is not None:
        try:
            conditions.append(Message.id == uuid.UUID(status.callback_data))
        except ValueError:
            log.info("delivery.foreign_status", status=status.status)
    found: Message | None = await session.scalar(
        select(Message)
        .where(or_(*conditions), Message.direction == Direction.OUTBOUND.value)
        .limit(1)
        .with_for_update()
    )
    return found


async def expire_leases(db: Database, *, now: datetime, unknown_wait: timedelta) -> int:
    """Rows whose sender died become `unknown`, to be sent again if no status comes; their count."""
    async with db.transaction() as session:
        stranded = await session.scalars(
            select(Message)
            .where(
                Message.direction == Direction.OUTBOUND.value,
                Message.delivery == DeliveryState.SENDING.value,
                has_come_in(Message.lease_until, now=now),
            )
            .with_for_update(skip_locked=True)
        )
        count = 0
        for message in stranded:
            message.delivery = DeliveryState.UNKNOWN.value
            message.lease_until = None
            message.next_attempt_at = now + unknown_wait
            count += 1
    return count


async def due(db: Database, *, now: datetime, limit: int = 200) -> list[uuid.UUID]:
    """Messages whose next attempt is due, oldest first."""
    async with db.transaction() as session:
        found = await session.scalars(
            select(Message.id)
            .where(
                Message.delivery.in_([DeliveryState.PENDING, DeliveryState.UNKNOWN]),
                has_come_in(Message.next_attempt_at, now=now),
            )
            .order_by(Message.id)
            .limit(limit)
        )
        return list(found)
