"""Who may see which ticket, conversation and contact: the one place that decides it.

Supervisors see the queues they supervise (all, or those of their teams), everybody sees the queues
they serve and the tickets they hold. A conversation is seen by who sees a ticket of it, and a
contact by who sees a ticket of theirs; who supervises all queues sees also those without a ticket.
What a person may do to a ticket they see is a further question: `ticketing.domain.ticket`.
"""

from __future__ import annotations

import uuid

from sqlalchemy import ColumnElement, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.tables import Contact, Conversation, Ticket
from ticketing.domain.ticket import Actor


class NotVisibleError(Exception):
    """The ticket or conversation belongs to a queue that this person does not serve."""

    def __init__(self) -> None:
        super().__init__("it belongs to a queue you do not serve; a supervisor can change that")


def may_see(ticket: Ticket, actor: Actor) -> bool:
    """Whether the ticket is of the person's queues, or their own."""
    holds = actor.agent_id is not None and ticket.agent_id == actor.agent_id
    return holds or actor.serves(ticket.queue_id)


def visible_to(actor: Actor) -> ColumnElement[bool]:
    """SQL condition on `tickets`: those this person may see. The same answer as `may_see`."""
    if actor.supervises_all or actor.queue_ids is None:
        return true()
    queue_ids = set(actor.queue_ids)
    if actor.supervises and actor.supervised_ids is not None:
        queue_ids |= actor.supervised_ids
    return or_(Ticket.queue_id.in_(queue_ids), Ticket.agent_id == actor.agent_id)


def conversation_visible_to(actor: Actor) -> ColumnElement[bool]:
    """SQL condition on `conversations`."""
    if actor.supervises_all:
        return true()
    return (
        select(Ticket.id)
        .where(Ticket.conversation_id == Conversation.id, visible_to(actor))
        .correlate(Conversation)
        .exists()
    )


def contact_visible_to(actor: Actor) -> ColumnElement[bool]:
    """SQL condition on `contacts`."""
    if actor.supervises_all:
        return true()
    return (
        select(Ticket.id)
        .where(Ticket.contact_id == Contact.id, visible_to(actor))
        .correlate(Contact)
        .exists()
    )


async def check_conversation(
    session: AsyncSession, conversation_id: uuid.UUID, *, actor: Actor
) -> None:
    """Let somebody read a conversation, or not.

    Raises:
        NotVisibleError: when they see no ticket of it.
    """
    found = select(Conversation.id).where(
        Conversation.id == conversation_id, conversation_visible_to(actor)
    )
    if await session.scalar(found) is None:
        raise NotVisibleError


async def check_contact(session: AsyncSession, contact_id: uuid.UUID, *, actor: Actor) -> None:
    """Let somebody read a contact, or not.

    Raises:
        NotVisibleError: when they see no ticket of theirs.
    """
    found = select(Contact.id).where(Contact.id == contact_id, contact_visible_to(actor))
    if await session.scalar(found) is None:
        raise NotVisibleError
