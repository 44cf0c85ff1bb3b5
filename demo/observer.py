"""What happened, read from the database: the timeline and the facts that expectations check."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select

from channels.message import SenderIdentity
from channels.whatsapp.identity import identity_keys
from ticketing.db.engine import Database
from ticketing.db.tables import (
    ContactIdentity,
    Conversation,
    Decision,
    Message,
    Notification,
    Queue,
    Ticket,
    Turn,
)
from ticketing.domain.enums import TurnState

_LEFT = {"sent", "delivered", "read"}


@dataclass(frozen=True, slots=True)
class TurnView:
    """A turn that has ended, with its decision and its answer."""

    seconds: float
    outcome: str
    decision: dict[str, Any] | None
    snapshot: dict[str, Any] | None
    replies: list[Message] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ConversationView:
    """Where a conversation stands."""

    id: uuid.UUID
    control: str
    ticket: Ticket | None
    queue: str | None
    notifications: list[Notification] = field(default_factory=list)


class Observer:
    """Reads; changes nothing."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def turn(self, wamid: str) -> TurnView | None:
        """The turn of a customer's message; None while it or its answer is on its way."""
        async with self._db.transaction() as session:
            row = (
                await session.execute(
                    select(Turn, Message)
                    .join(Message, Message.id == Turn.id)
                    .where(Message.provider_id == wamid)
                )
            ).first()
            if row is None or row[0].state != TurnState.DONE.value:
                return None
            turn: Turn = row[0]
            replies = list(
                await session.scalars(
                    select(Message).where(Message.turn_id == turn.id).order_by(Message.part)
                )
            )
            if any(reply.delivery not in _LEFT for reply in replies):
                return None
            record = await session.scalar(select(Decision).where(Decision.turn_id == turn.id))
            ended = turn.finished_at or turn.created_at
            return TurnView(
                seconds=(ended - turn.created_at).total_seconds(),
                outcome=turn.outcome or "",
                decision=record.decision if record else None,
                snapshot=record.snapshot if record else None,
                replies=replies,
            )

    async def conversation(self, phone: str) -> ConversationView | None:
        """The conversation of a phone number."""
        values = [value for _, value in identity_keys(SenderIdentity(phone=phone))]
        async with self._db.transaction() as session:
            found = await session.scalar(
                select(Conversation)
                .join(ContactIdentity, ContactIdentity.contact_id == Conversation.contact_id)
                .where(ContactIdentity.value.in_(values))
                .order_by(Conversation.created_at.desc())
                .limit(1)
            )
            if found is None:
                return None
            ticket = await session.scalar(
                select(Ticket)
                .where(Ticket.conversation_id == found.id)
                .order_by(Ticket.number.desc())
                .limit(1)
            )
            queue = await session.get(Queue, ticket.queue_id) if ticket else None
            notices = (
                list(
                    await session.scalars(
                        select(Notification).where(Notification.ticket_id == ticket.id)
                    )
                )
                if ticket
                else []
            )
            return ConversationView(
                found.id, found.control, ticket, queue.key if queue else None, notices
            )

    async def last_outbound(
        self, phone: str, *, after: datetime, by_bot: bool = False
    ) -> list[Message]:
        """What left for a phone number after a moment: by the bot, or by anybody else."""
        view = await self.conversation(phone)
        if view is None:
            return []
        async with self._db.transaction() as session:
            return list(
                await session.scalars(
                    select(Message)
                    .where(
                        Message.conversation_id == view.id,
                        Message.direction == "outbound",
                        (Message.author == "bot") == by_bot,
                        Message.created_at >= after,
                        Message.delivery.in_(_LEFT),
                    )
                    .order_by(Message.id)
                )
            )
