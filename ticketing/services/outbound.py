"""Messages on their way to the customer: rows first, sent afterwards by the delivery engine."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from channels.message import OutboundMessage, OutboundTemplate
from kit.ids import new_id
from ticketing.db.tables import Conversation, Message
from ticketing.domain.enums import Author, DeliveryState, Direction
from ticketing.services import ticket_search

CLOSED_WINDOW = "closed_window"
"""In a message's data: the approved template that leaves when the 24 h window is closed."""


async def add_agent_message(
    session: AsyncSession,
    conversation: Conversation,
    *,
    ticket_id: uuid.UUID,
    agent_id: uuid.UUID,
    text: str,
    now: datetime,
    correlation_id: str,
    closed_window: OutboundTemplate | None = None,
) -> Message:
    """An agent's words to the customer. Wake the delivery engine with its id after the commit.

    `closed_window` leaves in their place when the channel takes no free text by then.
    """
    row = _row(
        conversation,
        OutboundMessage(text=text),
        author=Author.AGENT,
        now=now,
        correlation_id=correlation_id,
    )
    if closed_window is not None:
        row.data = {**row.data, CLOSED_WINDOW: closed_window.to_json()}
    row.agent_id = agent_id
    row.ticket_id = ticket_id
    session.add(row)
    await session.flush()
    await ticket_search.add_words(session, ticket_id, row.text)
    return row


async def add_system_message(
    session: AsyncSession,
    conversation: Conversation,
    *,
    message: OutboundMessage,
    ticket_id: uuid.UUID | None,
    now: datetime,
    correlation_id: str,
) -> Message:
    """Ponte's own words (resolved, returned to the bot, ...): never held back by the epoch."""
    row = _row(conversation, message, author=Author.SYSTEM, now=now, correlation_id=correlation_id)
    row.ticket_id = ticket_id
    session.add(row)
    await session.flush()
    if ticket_id is not None:
        await ticket_search.add_words(session, ticket_id, row.text)
    return row


def add_bot_message(
    session: AsyncSession,
    conversation: Conversation,
    *,
    message: OutboundMessage,
    turn_id: uuid.UUID,
    part: int,
    ticket_id: uuid.UUID | None,
    now: datetime,
    correlation_id: str,
) -> Message:
    """The bot's answer to a turn, under the conversation's present epoch.

    `(turn_id, part)` is unique: a turn that is finished twice cannot answer twice.
    """
    row = _row(conversation, message, author=Author.BOT, now=now, correlation_id=correlation_id)
    row.turn_id = turn_id
    row.part = part
    row.ticket_id = ticket_id
    session.add(row)
    return row


def _row(
    conversation: Conversation,
    message: OutboundMessage,
    *,
    author: Author,
    now: datetime,
    correlation_id: str,
) -> Message:
    conversation.last_message_at = now
    return Message(
        id=new_id(),
        conversation_id=conversation.id,
        channel=conversation.channel,
        direction=Direction.OUTBOUND.value,
        author=author.value,
        kind="interactive" if message.buttons else "text",
        text=message.text,
        data=message.to_json(),
        sent_at=now,
        created_at=now,
        correlation_id=correlation_id,
        control_epoch=conversation.control_epoch,
        delivery=DeliveryState.PENDING.value,
        attempts=0,
        next_attempt_at=now,
    )
