"""What is written on a ticket: an agent's words, Ponte's own, and notes."""

from __future__ import annotations

import uuid

from channels.message import OutboundMessage, OutboundTemplate
from kit.ids import new_id
from ticketing.db.tables import Message
from ticketing.domain.customer_texts import CustomerText, customer_text
from ticketing.domain.enums import Author, Control, Direction
from ticketing.services.deliveries import WINDOW, WINDOW_MARGIN
from ticketing.services.outbound import add_agent_message, add_system_message
from ticketing.services.ticket_orders import Opened
from ticketing.services.ticket_search import add_words
from ticketing.services.ticket_work import Work


async def say(
    opened: Opened, text: str, *, closed_window: OutboundTemplate | None = None
) -> Message:
    """The actor's words to the customer, to be delivered after the commit.

    `closed_window` leaves in their place when the channel takes no free text by then.
    """
    work = opened.work
    if work.actor.agent_id is None:
        message = "a reply needs a person as its author"
        raise ValueError(message)
    row = await add_agent_message(
        work.session,
        work.conversation,
        ticket_id=work.ticket.id,
        agent_id=work.actor.agent_id,
        text=text,
        now=work.now,
        correlation_id=work.correlation_id,
        closed_window=closed_window,
    )
    work.ticket.last_message_at = work.now
    opened.to_send.append(row.id)
    return row


async def add_note(work: Work, text: str) -> Message:
    """A remark that the customer never sees."""
    message = Message(
        id=new_id(),
        conversation_id=work.conversation.id,
        channel=work.conversation.channel,
        direction=Direction.INTERNAL.value,
        author=Author.AGENT.value,
        agent_id=work.actor.agent_id,
        ticket_id=work.ticket.id,
        kind="note",
        text=text,
        data={},
        sent_at=work.now,
        created_at=work.now,
        correlation_id=work.correlation_id,
    )
    work.session.add(message)
    await work.session.flush()
    await add_words(work.session, work.ticket.id, text)
    return message


async def say_goodbye(
    opened: Opened, key: CustomerText, *, closing_text: str | None = None
) -> uuid.UUID | None:
    """Tell the customer that people are done; None when nothing is written.

    With `closing_text` those words open the message. Without, nothing is written when the bot had
    control anyway or when the channel would only take a paid template.
    """
    work = opened.work
    words = customer_text(key, language=work.conversation.language, number=work.ticket.number)
    if closing_text is not None:
        row = await say(opened, f"{closing_text}\n\n{words}")
        return row.id
    if work.conversation.control == Control.BOT.value or not _window_open(work):
        return None
    row = await add_system_message(
        work.session,
        work.conversation,
        message=OutboundMessage(text=words),
        ticket_id=work.ticket.id,
        now=work.now,
        correlation_id=work.correlation_id,
    )
    work.ticket.last_message_at = work.now
    opened.to_send.append(row.id)
    return row.id


def _window_open(work: Work) -> bool:
    last = work.conversation.last_customer_message_at
    return last is not None and work.now < last + WINDOW - WINDOW_MARGIN
