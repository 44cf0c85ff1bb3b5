"""Every table by one name: `from ticketing.db.tables import Ticket`.

The classes stand in the modules beside this one, by subject.
"""

from __future__ import annotations

from ticketing.db.base import JSON, Base, one_of
from ticketing.db.contact_tables import Company, Contact, ContactIdentity
from ticketing.db.conversation_tables import (
    Conversation,
    Decision,
    Message,
    PolicyVersion,
    Turn,
    WebhookItem,
    WebhookReception,
)
from ticketing.db.notification_tables import Notification
from ticketing.db.outbox_tables import Lease, OutboxEvent
from ticketing.db.people_tables import Agent, AgentQueue, AgentSession, Queue, Team
from ticketing.db.ticket_tables import Handoff, Ticket, TicketEvent

__all__ = [
    "JSON",
    "Agent",
    "AgentQueue",
    "AgentSession",
    "Base",
    "Company",
    "Contact",
    "ContactIdentity",
    "Conversation",
    "Decision",
    "Handoff",
    "Lease",
    "Message",
    "Notification",
    "OutboxEvent",
    "PolicyVersion",
    "Queue",
    "Team",
    "Ticket",
    "TicketEvent",
    "Turn",
    "WebhookItem",
    "WebhookReception",
    "one_of",
]
