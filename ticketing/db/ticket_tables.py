"""What people work on: handoffs, tickets and their events."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Computed,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Interval,
    UniqueConstraint,
    event,
)
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from kit.ids import new_id
from ticketing.db.base import JSON, Base, one_of
from ticketing.domain.enums import (
    HandoffState,
    Level,
    Priority,
    RoutingState,
    Severity,
    SlaState,
    TicketStatus,
)
from ticketing.domain.routing.order import serve_rank_sql
from ticketing.domain.ticket_tags import MAX_TAGS


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


def _opened_at(context: Any) -> datetime:
    opened_at: datetime = context.get_current_parameters()["opened_at"]
    return opened_at


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
        # The same rules, by the same names: `ticketing.domain.ticket_rules`.
        CheckConstraint(
            "status <> 'new' OR (agent_id IS NULL AND first_response_at IS NULL)",
            name="new_has_nobody",
        ),
        CheckConstraint("first_response_at >= opened_at", name="first_response_after_opening"),
        CheckConstraint("escalated_at >= opened_at", name="escalated_after_opening"),
        CheckConstraint("resolved_at >= opened_at", name="resolved_after_opening"),
        CheckConstraint("closed_at >= resolved_at", name="closed_after_resolving"),
        CheckConstraint(f"cardinality(tags) <= {MAX_TAGS}", name="few_tags"),
        # What rules of escalation look at: `ticketing.services.escalation`.
        Index(
            "ix_tickets_unanswered",
            "unanswered_since",
            "id",
            postgresql_where=sql("unanswered_since IS NOT NULL AND level <> 'N3'"),
        ),
        Index("ix_tickets_reopened", "id", postgresql_where=sql("reopened > 0")),
        one_of("sla_state", SlaState),
        # Whose clocks have not followed the last event: `services.sla_repair` finds them.
        Index("ix_tickets_sla_stale", "id", postgresql_where=sql("sla_stale")),
        one_of("routing_state", RoutingState),
        CheckConstraint(
            "(routing_state = 'offered') = (offer_expires_at IS NOT NULL)",
            name="offered_has_an_end",
        ),
        # What waits for a person, next one first: `ticketing.domain.routing.order`.
        Index(
            "ix_tickets_next",
            "queue_id",
            "serve_rank",
            "number",
            postgresql_where=sql("agent_id IS NULL AND status IN ('new', 'open')"),
        ),
        Index(
            "ix_tickets_offers",
            "offer_expires_at",
            postgresql_where=sql("offer_expires_at IS NOT NULL"),
        ),
        Index(
            "ix_tickets_nobody",
            "routing_since",
            postgresql_where=sql("routing_state = 'nobody_available' AND nobody_told_at IS NULL"),
        ),
        # What people work on, however many tickets there are.
        Index(
            "ix_tickets_worked_on",
            "agent_id",
            postgresql_where=sql("agent_id IS NOT NULL AND status IN ('new', 'open')"),
        ),
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
    queue_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("queues.id"))
    agent_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("agents.id"))
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
    sla_state: Mapped[str] = mapped_column(
        default=SlaState.NONE.value, server_default=SlaState.NONE.value
    )
    sla_stale: Mapped[bool] = mapped_column(Boolean, default=True, server_default=sql("true"))
    """Whether its clocks have still to follow its last event, or changed rules."""
    opened_at: Mapped[datetime]
    first_response_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    last_message_at: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(default=_opened_at)
    """Of the newest event; a history never goes back behind it."""
    unanswered_since: Mapped[datetime | None]
    """Since when the customer waits for a person at this level: `domain.ticket_waiting`."""
    reopened: Mapped[int] = mapped_column(Integer, default=0, server_default=sql("0"))
    """How many times it was taken up again."""
    correlation_id: Mapped[str]
    # -- where the router stands with it ------------------------------------------------------
    vip: Mapped[bool] = mapped_column(Boolean, default=False, server_default=sql("false"))
    """The contact's mark, copied: it decides the place in the queue."""
    routing_state: Mapped[str] = mapped_column(
        default=RoutingState.WAITING.value, server_default=RoutingState.WAITING.value
    )
    routing_since: Mapped[datetime | None]
    """When that state began; empty: at the opening."""
    waiting_since: Mapped[datetime | None]
    """When it began to wait in its present queue; empty: at the opening."""
    offer_expires_at: Mapped[datetime | None]
    """Until when the agent who was asked may take it."""
    overflowed_from: Mapped[str | None]
    """Key of the queue where nobody took it in time."""
    preferred_agent_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("agents.id"))
    """Who had it and is away; gets it back if they are there when it is given out."""
    nobody_told_at: Mapped[datetime | None]
    """When the customer was told that nobody is there; they are told once."""
    serve_rank: Mapped[timedelta] = mapped_column(
        Interval, Computed(serve_rank_sql(), persisted=True)
    )
    """By when it should be served, as time since `order.EPOCH`; the smallest is next."""


class TicketEvent(Base):
    """What happened to a ticket: who, why, from where to where. Never changed, never deleted."""

    __tablename__ = "ticket_events"
    __table_args__ = (Index("ix_ticket_events_ticket", "ticket_id", "seq"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    seq: Mapped[int] = mapped_column(BigInteger, Identity(), unique=True)
    """Order of a ticket's events: they are written under its lock, so it is theirs too."""
    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id"))
    kind: Mapped[str]
    """opened | taken | replied | ...: `docs/ticket-events.md`."""
    actor: Mapped[str]
    """bot | customer | system | agent:<uuid>."""
    reason: Mapped[str | None]
    data: Mapped[JSON] = mapped_column(default=dict)
    at: Mapped[datetime]
    correlation_id: Mapped[str]


APPEND_ONLY = """
CREATE OR REPLACE FUNCTION ticket_events_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- The one narrow way: erasing a person's data may change the reason, and nothing else.
  IF TG_OP = 'UPDATE' AND current_setting('ponte.erasing', true) = 'on'
     AND to_jsonb(NEW) - 'reason' = to_jsonb(OLD) - 'reason' THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'ticket_events is append-only: % of event % refused', TG_OP, OLD.id
    USING ERRCODE = 'restrict_violation';
END $$
"""
APPEND_ONLY_TRIGGER = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ticket_events
FOR EACH ROW EXECUTE FUNCTION ticket_events_append_only()
"""
"""A history that can be rewritten quietly proves nothing. The migration runs both statements."""

for _statement in (APPEND_ONLY, APPEND_ONLY_TRIGGER):
    # DDL formats with %, which the text of the exception contains.
    _ddl = DDL(_statement.replace("%", "%%"))  # type: ignore[no-untyped-call]
    event.listen(TicketEvent.__table__, "after_create", _ddl)
