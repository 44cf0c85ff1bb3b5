"""A ticket as a line: the value that lists, commands and the ticket's page share."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.tables import Agent, Company, Contact, Conversation, Queue, Team, Ticket
from ticketing.services.deliveries import WINDOW, WINDOW_MARGIN
from ticketing.services.ticket_work import TicketNotFoundError


@dataclass(frozen=True, slots=True)
class TicketSummary:
    """A ticket as a line of a list. Times are UTC; `sla_target_minutes` are working minutes."""

    id: uuid.UUID
    number: int
    version: int
    conversation_id: uuid.UUID
    subject: str
    status: str
    priority: str
    severity: str
    level: str
    queue: str
    queue_name: str
    agent_id: uuid.UUID | None
    agent_name: str | None
    company: str | None
    department: str | None
    contact_id: uuid.UUID
    contact_name: str | None
    contact_phone: str | None
    contact_email: str | None
    contact_photo_url: str | None
    contact_vip: bool
    channel: str
    language: str
    skills: tuple[str, ...]
    tags: tuple[str, ...]
    control: str
    control_epoch: int
    escalation_reason: str | None
    escalated_at: datetime | None
    sla_target_minutes: int | None
    sla_expires_at: datetime | None
    sla_state: str
    opened_at: datetime
    first_response_at: datetime | None
    resolved_at: datetime | None
    closed_at: datetime | None
    last_message_at: datetime | None
    updated_at: datetime
    reply_window_ends_at: datetime | None
    """Until when the channel takes free text (WhatsApp: 24 h after the customer's last message)."""


def ticket_rows() -> Select[Ticket, Queue, Contact, Conversation, str, str, str]:
    """The join from which `summary` reads: agent, company and department names last."""
    return (
        select(Ticket, Queue, Contact, Conversation, Agent.name, Company.name, Team.name)
        .join(Queue, Queue.id == Ticket.queue_id)
        .join(Contact, Contact.id == Ticket.contact_id)
        .join(Conversation, Conversation.id == Ticket.conversation_id)
        .outerjoin(Agent, Agent.id == Ticket.agent_id)
        .outerjoin(Company, Company.id == Ticket.company_id)
        .outerjoin(Team, Team.id == Ticket.team_id)
    )


def summary(row: Sequence[Any]) -> TicketSummary:
    """One row of `ticket_rows` as a value; further columns are ignored."""
    ticket: Ticket = row[0]
    queue: Queue = row[1]
    contact: Contact = row[2]
    conversation: Conversation = row[3]
    agent_name, company, department = row[4:7]
    last = conversation.last_customer_message_at
    return TicketSummary(
        id=ticket.id,
        number=ticket.number,
        version=ticket.version,
        conversation_id=ticket.conversation_id,
        subject=ticket.subject,
        status=ticket.status,
        priority=ticket.priority,
        severity=ticket.severity,
        level=ticket.level,
        queue=queue.key,
        queue_name=queue.name,
        agent_id=ticket.agent_id,
        agent_name=agent_name,
        company=company,
        department=department,
        contact_id=contact.id,
        contact_name=contact.name,
        contact_phone=contact.phone,
        contact_email=contact.email,
        contact_photo_url=contact.photo_url,
        contact_vip=contact.vip,
        channel=ticket.channel,
        language=ticket.language,
        skills=tuple(ticket.skills),
        tags=tuple(ticket.tags),
        control=conversation.control,
        control_epoch=conversation.control_epoch,
        escalation_reason=ticket.escalation_reason,
        escalated_at=ticket.escalated_at,
        sla_target_minutes=ticket.sla_target_minutes,
        sla_expires_at=ticket.sla_expires_at,
        sla_state=ticket.sla_state,
        opened_at=ticket.opened_at,
        first_response_at=ticket.first_response_at,
        resolved_at=ticket.resolved_at,
        closed_at=ticket.closed_at,
        last_message_at=ticket.last_message_at,
        updated_at=ticket.updated_at,
        reply_window_ends_at=None if last is None else last + WINDOW - WINDOW_MARGIN,
    )


async def ticket_summary(session: AsyncSession, ticket_id: uuid.UUID) -> TicketSummary:
    """One ticket as a line.

    Raises:
        TicketNotFoundError: when there is none.
    """
    row = (await session.execute(ticket_rows().where(Ticket.id == ticket_id))).one_or_none()
    if row is None:
        raise TicketNotFoundError(ticket_id)
    return summary(row)
