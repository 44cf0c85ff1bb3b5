"""Change who controls a conversation, under its row lock."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.tables import Conversation
from ticketing.domain import control
from ticketing.domain.control import ControlError, ControlState
from ticketing.domain.enums import Control

__all__ = [
    "ControlError",
    "ConversationNotFoundError",
    "forget_question",
    "lock_conversation",
    "queue",
    "requeue",
    "return_to_bot",
    "state_of",
    "take",
]


class ConversationNotFoundError(Exception):
    """No conversation has this id."""

    def __init__(self, conversation_id: uuid.UUID) -> None:
        self.conversation_id = conversation_id
        super().__init__(f"conversation {conversation_id} does not exist")


async def lock_conversation(session: AsyncSession, conversation_id: uuid.UUID) -> Conversation:
    """The conversation, locked until the transaction ends. Lock it before any of its tickets.

    Raises:
        ConversationNotFoundError: when there is none.
    """
    found = await session.scalar(
        select(Conversation).where(Conversation.id == conversation_id).with_for_update()
    )
    if found is None:
        raise ConversationNotFoundError(conversation_id)
    return found


def state_of(conversation: Conversation) -> ControlState:
    """Who has control of this conversation."""
    return ControlState(Control(conversation.control), conversation.control_epoch)


def queue(conversation: Conversation) -> None:
    """From bot to queued; see `ticketing.domain.control.queue`."""
    _apply(conversation, control.queue)


def requeue(conversation: Conversation) -> None:
    """From human or queued to queued, new epoch."""
    _apply(conversation, control.requeue)


def take(conversation: Conversation) -> None:
    """Any -> human, new epoch."""
    _apply(conversation, control.take)


def return_to_bot(conversation: Conversation) -> None:
    """From queued or human to bot; the bot starts without an open question."""
    _apply(conversation, control.return_to_bot)
    forget_question(conversation)


def forget_question(conversation: Conversation) -> None:
    """Nothing is open any more, on our side nor in Rasa, where a form may still be asking."""
    fresh: dict[str, Any] = {}
    conversation.clarification = None
    conversation.understanding = fresh
    conversation.waiting = None
    conversation.silence_due_at = None
    conversation.leave_form = True


def _apply(conversation: Conversation, change: Callable[[ControlState], ControlState]) -> None:
    after = change(state_of(conversation))
    conversation.control = after.control.value
    conversation.control_epoch = after.epoch
