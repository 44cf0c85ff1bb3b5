"""What is said: webhook items, conversations, messages, turns and decisions."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import Boolean, CheckConstraint, ForeignKey, Index, Integer, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from kit.ids import new_id
from ticketing.db.base import JSON, Base, one_of
from ticketing.domain.enums import Author, Control, DeliveryState, Direction, Lifecycle, TurnState


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


class WebhookReception(Base):
    """Whether webhooks can reach us: one row, which every web process writes."""

    __tablename__ = "webhook_reception"

    name: Mapped[str] = mapped_column(primary_key=True)
    since: Mapped[datetime]
    """Since when without a gap."""
    seen_at: Mapped[datetime]


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


class PolicyVersion(Base):
    """Every version of `handoff.yml` that took a decision: old decisions stay explainable."""

    __tablename__ = "policy_versions"

    version: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str]
    first_used_at: Mapped[datetime]
