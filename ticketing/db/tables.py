"""Tables of Ponte, one class each, in PostgreSQL.

Constraints repeat the domain's rules on purpose: a bug in a service must not be able to store what
the domain forbids. Times are `timestamptz`, ids are UUID version 7 made by `kit.ids`.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Text,
    UniqueConstraint,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from kit.ids import new_id
from ticketing.domain.enums import (
    Author,
    Control,
    DeliveryState,
    Direction,
    HandoffState,
    Level,
    Lifecycle,
    Priority,
    Role,
    Severity,
    TicketStatus,
    TurnState,
)

JSON = dict[str, Any]


class Base(DeclarativeBase):
    """Declarative base with the column types used everywhere."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads this class attribute
        datetime: DateTime(timezone=True),
        uuid.UUID: UUID(as_uuid=True),
        str: Text,
        JSON: JSONB,
        list[str]: ARRAY(Text),
    }


def one_of(column: str, enum: type[StrEnum]) -> CheckConstraint:
    """CHECK that repeats an enumeration."""
    allowed = ", ".join(f"'{member.value}'" for member in enum)
    return CheckConstraint(f"{column} IN ({allowed})", name=f"{column}_is_known")


class Company(Base):
    """A customer company (B2B); most contacts have none."""

    __tablename__ = "companies"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(unique=True)


class Team(Base):
    """A department of agents."""

    __tablename__ = "teams"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(unique=True)


class Queue(Base):
    """Where a ticket waits for a person; mirrored from `handoff.yml` when a process starts."""

    __tablename__ = "queues"
    __table_args__ = (one_of("level", Level),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    key: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    level: Mapped[str]
    team_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("teams.id"))


class Contact(Base):
    """A person who writes to us."""

    __tablename__ = "contacts"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str | None]
    phone: Mapped[str | None]
    email: Mapped[str | None]
    photo_url: Mapped[str | None]
    vip: Mapped[bool] = mapped_column(Boolean, default=False, server_default=sql("false"))
    segment: Mapped[str | None]
    company_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("companies.id"))
    created_at: Mapped[datetime]


class ContactIdentity(Base):
    """One way a contact is known on a channel: BSUID, phone, e-mail, web session."""

    __tablename__ = "contact_identities"
    __table_args__ = (UniqueConstraint("channel", "kind", "value"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    contact_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("contacts.id"), index=True)
    channel: Mapped[str]
    kind: Mapped[str]
    value: Mapped[str]
    address: Mapped[str]
    """What the channel wants as recipient: the number exactly as it wrote to us, or the BSUID."""
    created_at: Mapped[datetime]


class WebhookItem(Base):
    """One item of a webhook, stored before anything else happens; `dedup_key` makes it once."""

    __tablename__ = "webhook_items"
    __table_args__ = (
        UniqueConstraint("channel", "dedup_key"),
        Index("ix_webhook_items_waiting", "received_at", postgresql_where=sql("done_at IS NULL")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    channel: Mapped[str]
    dedup_key: Mapped[str]
    kind: Mapped[str]
    """message | status | echo | notice."""
    raw: Mapped[JSON]
    item: Mapped[JSON]
    """What the channel's parser made of it (`channels.codec`)."""
    received_at: Mapped[datetime]
    correlation_id: Mapped[str]
    attempts: Mapped[int] = mapped_column(Integer, default=0, server_default=sql("0"))
    error: Mapped[str | None]
    done_at: Mapped[datetime | None]


class Conversation(Base):
    """The thread with a contact on one channel; its id is Rasa's sender id."""

    __tablename__ = "conversations"
    __table_args__ = (
        one_of("lifecycle", Lifecycle),
        one_of("control", Control),
        CheckConstraint("control_epoch >= 0", name="control_epoch_is_not_negative"),
        Index(
            "uq_conversations_one_open",
            "contact_id",
            "channel",
            "account_id",
            unique=True,
            postgresql_where=sql("lifecycle = 'open'"),
        ),
        Index(
            "ix_conversations_silence",
            "silence_due_at",
            postgresql_where=sql("silence_due_at IS NOT NULL"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    contact_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("contacts.id"), index=True)
    channel: Mapped[str]
    account_id: Mapped[str]
    """Our own address on the channel (WhatsApp: phone number id)."""
    address: Mapped[str]
    """The customer's address on the channel, as the channel wants it for sending."""
    lifecycle: Mapped[str] = mapped_column(default=Lifecycle.OPEN.value)
    control: Mapped[str] = mapped_column(default=Control.BOT.value)
    control_epoch: Mapped[int] = mapped_column(Integer, default=0)
    language: Mapped[str] = mapped_column(default="pt")
    language_state: Mapped[JSON] = mapped_column(default=dict)
    clarification: Mapped[JSON | None]
    """The open clarifying question: options, the original turn, how many were asked."""
    understanding: Mapped[JSON] = mapped_column(default=dict)
    """Counters the rules read: failures, clarifications_asked, already_offered, last_question."""
    waiting: Mapped[JSON | None]
    """The open question the customer has not answered (`ticketing.domain.waiting`)."""
    silence_due_at: Mapped[datetime | None]
    """When a silent customer is reminded of it, or it ends; None: nothing is due."""
    leave_form: Mapped[bool] = mapped_column(Boolean, default=False, server_default=sql("false"))
    """A form of Rasa's was left here; Rasa leaves it before the next turn it runs."""
    last_customer_message_at: Mapped[datetime | None]
    last_message_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    """A turn is running until then, unless its process died."""


class Message(Base):
    """One message: from the customer, to the customer, or an internal note."""

    __tablename__ = "messages"
    __table_args__ = (
        one_of("direction", Direction),
        one_of("author", Author),
        CheckConstraint(
            "delivery IS NULL OR delivery IN ("
            + ", ".join(f"'{state.value}'" for state in DeliveryState)
            + ")",
            name="delivery_is_known",
        ),
        CheckConstraint(
            "(direction = 'outbound') = (delivery IS NOT NULL)",
            name="only_outbound_has_delivery",
        ),
        UniqueConstraint("channel", "provider_id", name="uq_messages_provider_id"),
        UniqueConstraint("turn_id", "part", name="uq_messages_turn_part"),
        Index("ix_messages_conversation", "conversation_id", "sent_at", "id"),
        Index(
            "ix_messages_to_deliver",
            "next_attempt_at",
            postgresql_where=sql("delivery IN ('pending', 'sending', 'unknown')"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    conversation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("conversations.id"))
    channel: Mapped[str]
    direction: Mapped[str]
    author: Mapped[str]
    agent_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("agents.id"))
    ticket_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("tickets.id"), index=True)
    kind: Mapped[str]
    text: Mapped[str | None]
    data: Mapped[JSON] = mapped_column(default=dict)
    """Buttons, media ids, location and other parts of the message, by kind."""
    provider_id: Mapped[str | None]
    sent_at: Mapped[datetime]
    """When it was written, by the provider's clock for inbound messages."""
    created_at: Mapped[datetime]
    correlation_id: Mapped[str]
    # -- only for outbound --------------------------------------------------------------------
    turn_id: Mapped[uuid.UUID | None]
    """The turn this answers; with `part` it makes an answer exist once."""
    part: Mapped[int | None]
    control_epoch: Mapped[int | None]
    """Epoch it was computed under; a bot message with a stale epoch is dropped, not sent."""
    delivery: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(Integer, default=0, server_default=sql("0"))
    next_attempt_at: Mapped[datetime | None]
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    delivery_error: Mapped[JSON | None]


class Turn(Base):
    """One customer message that waits for, or has had, its answer. Its id is the message's id."""

    __tablename__ = "turns"
    __table_args__ = (
        one_of("state", TurnState),
        Index(
            "ix_turns_waiting",
            "conversation_id",
            "sent_at",
            postgresql_where=sql("state <> 'done'"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(ForeignKey("messages.id"), primary_key=True)
    conversation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("conversations.id"))
    state: Mapped[str] = mapped_column(default=TurnState.PENDING.value)
    sent_at: Mapped[datetime]
    created_at: Mapped[datetime]
    first_tried_at: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    finished_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    """answered | clarified | handed_off | to_agent | ignored | merged."""
    after: Mapped[JSON | None]
    """What the turn left in its conversation (`ticketing.domain.history.STATE`), so that a replay
    can tell where a conversation went another way. Empty in turns of older releases."""
    merged_into: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("turns.id"), index=True)
    """The turn that answers this message too, when many waited at once."""
    correlation_id: Mapped[str]


class Decision(Base):
    """Decision record: what the rules saw, every rule with match or not, and the outcome."""

    __tablename__ = "decisions"
    __table_args__ = (
        CheckConstraint("outcome IN ('stay', 'clarify', 'handoff')", name="outcome_is_known"),
        Index("ix_decisions_created", "created_at", "id"),  # the backtest reads in this order
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    conversation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("conversations.id"), index=True)
    turn_id: Mapped[uuid.UUID] = mapped_column(unique=True)
    outcome: Mapped[str]
    reason: Mapped[str | None]
    rule: Mapped[str]
    """rule@policy version."""
    level: Mapped[str | None]
    """With `queue`, `priority` and `understanding` a copy out of `decision`, which is big: reports
    read these alone. Empty in records of older releases."""
    queue: Mapped[str | None]
    priority: Mapped[str | None]
    understanding: Mapped[str | None]
    snapshot: Mapped[JSON]
    decision: Mapped[JSON]
    versions: Mapped[JSON]
    """policy, calendar, model."""
    created_at: Mapped[datetime]
    correlation_id: Mapped[str]


class Handoff(Base):
    """A conversation handed to people, with a life of its own; at most one open at a time."""

    __tablename__ = "handoffs"
    __table_args__ = (
        one_of("state", HandoffState),
        CheckConstraint("(state = 'ended') = (ended_at IS NOT NULL)", name="ended_has_a_time"),
        Index(
            "uq_handoffs_one_open",
            "conversation_id",
            unique=True,
            postgresql_where=sql("ended_at IS NULL"),
        ),
        UniqueConstraint("turn_id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    conversation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("conversations.id"), index=True)
    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id"), index=True)
    turn_id: Mapped[uuid.UUID | None]
    decision_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("decisions.id"))
    control_epoch: Mapped[int]
    state: Mapped[str]
    reason: Mapped[str]
    rule: Mapped[str | None]
    evidence: Mapped[JSON] = mapped_column(default=dict)
    from_level: Mapped[str | None]
    to_level: Mapped[str]
    queue_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("queues.id"))
    skills: Mapped[list[str]] = mapped_column(default=list)
    requested_at: Mapped[datetime]
    queued_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    ended_as: Mapped[str | None]
    """resolved | returned_to_bot | closed."""


class Ticket(Base):
    """What people work on. Requirement names: status, priority, severity, level, SLA and times."""

    __tablename__ = "tickets"
    __table_args__ = (
        one_of("status", TicketStatus),
        one_of("priority", Priority),
        one_of("severity", Severity),
        one_of("level", Level),
        CheckConstraint(
            "sla_target_minutes IS NULL OR sla_target_minutes > 0", name="sla_target_is_positive"
        ),
        CheckConstraint(
            "(status IN ('resolved', 'closed')) = (resolved_at IS NOT NULL)",
            name="resolved_has_a_time",
        ),
        CheckConstraint("(status = 'closed') = (closed_at IS NOT NULL)", name="closed_has_a_time"),
        Index("ix_tickets_list", "status", "priority", "opened_at"),
        Index(
            "uq_tickets_one_open",
            "conversation_id",
            unique=True,
            postgresql_where=sql("status NOT IN ('resolved', 'closed')"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    number: Mapped[int] = mapped_column(BigInteger, Identity(start=1001), unique=True)
    version: Mapped[int] = mapped_column(Integer, default=1)
    conversation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("conversations.id"), index=True)
    contact_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("contacts.id"), index=True)
    company_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("companies.id"))
    team_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("teams.id"))
    queue_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("queues.id"), index=True)
    agent_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("agents.id"), index=True)
    channel: Mapped[str]
    subject: Mapped[str]
    status: Mapped[str] = mapped_column(default=TicketStatus.NEW.value)
    priority: Mapped[str]
    severity: Mapped[str]
    level: Mapped[str]
    skills: Mapped[list[str]] = mapped_column(default=list)
    tags: Mapped[list[str]] = mapped_column(default=list)
    language: Mapped[str] = mapped_column(default="pt")
    escalation_reason: Mapped[str | None]
    escalated_at: Mapped[datetime | None]
    sla_target_minutes: Mapped[int | None]
    sla_expires_at: Mapped[datetime | None]
    opened_at: Mapped[datetime]
    first_response_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    last_message_at: Mapped[datetime | None]
    correlation_id: Mapped[str]


class TicketEvent(Base):
    """What happened to a ticket: who, why, from where to where. Never changed, never deleted."""

    __tablename__ = "ticket_events"
    __table_args__ = (Index("ix_ticket_events_ticket", "ticket_id", "id"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id"))
    kind: Mapped[str]
    """opened | taken | replied | noted | escalated | priority_changed | resolved | ..."""
    actor: Mapped[str]
    """bot | system | agent:<uuid>."""
    reason: Mapped[str | None]
    data: Mapped[JSON] = mapped_column(default=dict)
    at: Mapped[datetime]
    correlation_id: Mapped[str]


class Agent(Base):
    """A person of the support team."""

    __tablename__ = "agents"
    __table_args__ = (one_of("role", Role),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    email: Mapped[str] = mapped_column(unique=True)
    """Lower case."""
    name: Mapped[str]
    password_hash: Mapped[str]
    role: Mapped[str]
    team_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("teams.id"))
    levels: Mapped[list[str]] = mapped_column(default=list)
    skills: Mapped[list[str]] = mapped_column(default=list)
    languages: Mapped[list[str]] = mapped_column(default=list)
    active: Mapped[bool] = mapped_column(Boolean, default=True)
    on_duty: Mapped[bool] = mapped_column(Boolean, default=True)
    created_at: Mapped[datetime]
    failed_logins: Mapped[int] = mapped_column(Integer, default=0)
    locked_until: Mapped[datetime | None]


class AgentQueue(Base):
    """Which queues an agent serves; an agent with no row serves all."""

    __tablename__ = "agent_queues"

    agent_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("agents.id"), primary_key=True)
    queue_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("queues.id"), primary_key=True)


class AgentSession(Base):
    """A login. Only the hash of the token is stored."""

    __tablename__ = "agent_sessions"

    token_hash: Mapped[str] = mapped_column(primary_key=True)
    agent_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("agents.id"), index=True)
    csrf_token: Mapped[str]
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class OutboxEvent(Base):
    """A domain event written in the transaction that caused it; the relay carries it onward."""

    __tablename__ = "outbox_events"
    __table_args__ = (
        Index("ix_outbox_waiting", "id", postgresql_where=sql("published_at IS NULL")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    topic: Mapped[str]
    """ticket.opened | ticket.escalated | ..."""
    version: Mapped[int] = mapped_column(Integer, default=1)
    payload: Mapped[JSON]
    correlation_id: Mapped[str]
    created_at: Mapped[datetime]
    published_at: Mapped[datetime | None]


class Notification(Base):
    """One notice to one recipient on one channel; `idempotency_key` makes it exist once."""

    __tablename__ = "notifications"
    __table_args__ = (
        one_of("state", DeliveryState),
        CheckConstraint(
            "job_name IN ('notify-user', 'send-email', 'send-whatsapp', 'send-sms', 'send-push')",
            name="job_name_is_known",
        ),
        Index(
            "ix_notifications_waiting",
            "next_attempt_at",
            postgresql_where=sql("state IN ('pending', 'sending', 'unknown')"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    idempotency_key: Mapped[str] = mapped_column(unique=True)
    job_name: Mapped[str]
    event: Mapped[str]
    """The policy event: ticket-opened, ticket-escalation, ticket-priority-high, ..."""
    recipient: Mapped[str]
    """E-mail address or E.164 number."""
    language: Mapped[str] = mapped_column(default="pt")
    context: Mapped[JSON] = mapped_column(default=dict)
    ticket_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("tickets.id"), index=True)
    state: Mapped[str] = mapped_column(default=DeliveryState.PENDING.value)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    next_attempt_at: Mapped[datetime | None]
    enqueued_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    provider_id: Mapped[str | None]
    error: Mapped[JSON | None]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    correlation_id: Mapped[str]


class Lease(Base):
    """Who leads a job that only one process may do at a time (relay, sweeps)."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    until: Mapped[datetime]


class PolicyVersion(Base):
    """Every version of `handoff.yml` that took a decision: old decisions stay explainable."""

    __tablename__ = "policy_versions"

    version: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str]
    first_used_at: Mapped[datetime]
