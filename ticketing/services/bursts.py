"""Answer many waiting messages of a customer as one turn, and know what a button press may run.

The messages that are merged keep their rows and their order; their turns end as `merged` and name
the turn that answers them, in the transaction that claims it. So a process that dies meanwhile
changes nothing: the turn that is left is run again with the same texts.
"""

from __future__ import annotations

import uuid
from datetime import datetime

import structlog
from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.tables import Message, Turn
from ticketing.domain.burst import MOST_MERGED
from ticketing.domain.enums import Direction, TurnState
from ticketing.services import ticket_search
from ticketing.services.customer_messages import Written
from ticketing.services.inbound import READABLE_KINDS

log = structlog.get_logger()

MERGED = "merged"


async def merge_waiting(
    session: AsyncSession, conversation_id: uuid.UUID, *, now: datetime
) -> tuple[Turn, Message, tuple[str, ...]] | None:
    """Make one turn of the waiting messages at the head of a conversation.

    Typed texts are read together by the turn of the newest. Of button presses in a row the newest
    counts. A message that was tried before, or that the bot cannot read, is never merged.

    Returns:
        The turn to run, its message and the texts of those it answers besides, oldest first; None
        when the first two that wait cannot be merged.
    """
    rows = (
        await session.execute(
            select(Turn, Message)
            .join(Message, Message.id == Turn.id)
            .where(Turn.conversation_id == conversation_id, Turn.state != TurnState.DONE.value)
            .order_by(Turn.sent_at, Turn.id)
            .limit(MOST_MERGED)
            .with_for_update(of=Turn)
        )
    ).all()
    run: list[tuple[Turn, Message]] = []
    for turn, message in rows:
        if not _may_merge(turn, message):
            break
        if run and _is_press(message) != _is_press(run[0][1]):
            break
        run.append((turn, message))
    if len(run) < 2:  # noqa: PLR2004 - one message is no run
        return None
    *earlier, (turn, message) = run
    await session.execute(
        update(Turn)
        .where(Turn.id.in_([one.id for one, _ in earlier]))
        .values(state=TurnState.DONE.value, outcome=MERGED, finished_at=now, merged_into=turn.id)
    )
    log.info("turn.merged", turn_id=str(turn.id), count=len(earlier))
    texts = () if _is_press(message) else tuple(one.text or "" for _, one in earlier)
    return turn, message, texts


async def merged_texts(session: AsyncSession, turn_id: uuid.UUID) -> tuple[str, ...]:
    """The texts that a turn answers besides its own, oldest first: for a turn that runs again."""
    found = await session.execute(
        select(Message)
        .join(Turn, Turn.id == Message.id)
        .where(Turn.merged_into == turn_id)
        .order_by(Turn.sent_at, Turn.id)
    )
    messages = list(found.scalars())
    return tuple(one.text or "" for one in messages if not _is_press(one))


async def put_on_ticket(
    session: AsyncSession, turn_id: uuid.UUID, *, ticket_id: uuid.UUID
) -> list[Written]:
    """Show the agent the turn's message and those it answers besides; returns them."""
    merged = select(Turn.id).where(Turn.merged_into == turn_id)
    rows = await session.execute(
        update(Message)
        .where(or_(Message.id == turn_id, Message.id.in_(merged)))
        .values(ticket_id=ticket_id)
        .returning(Message.id, Message.text, Message.sent_at)
    )
    messages = [Written(*row) for row in rows]
    words = " ".join(message.text for message in messages if message.text)
    await ticket_search.add_words(session, ticket_id, words)
    return messages


async def offered_reply(
    session: AsyncSession, conversation_id: uuid.UUID, reply_id: str | None
) -> str | None:
    """The id of a pressed button if this conversation has offered that button; else None.

    The id comes back over the network. One that we never wrote ("/restart", another customer's
    order) runs nothing: the press is then the text on its button, typed.
    """
    if reply_id is None:
        return None
    found = await session.scalar(
        select(Message.id)
        .where(
            Message.conversation_id == conversation_id,
            Message.direction == Direction.OUTBOUND.value,
            or_(
                Message.data.contains({"buttons": [{"id": reply_id}]}),
                Message.data.contains({"button_payloads": [reply_id]}),
            ),
        )
        .limit(1)
    )
    if found is None:
        log.warning("turn.reply_not_offered", conversation_id=str(conversation_id))
        return None
    return reply_id


def _may_merge(turn: Turn, message: Message) -> bool:
    fresh = turn.attempts == 0 and turn.next_attempt_at is None
    return fresh and message.kind in READABLE_KINDS


def _is_press(message: Message) -> bool:
    return bool(message.data.get("reply_id"))
