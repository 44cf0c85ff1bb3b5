"""Indexes of the ticket list: one for each of its orders, and some for rare values of its filters.

They stand apart from the table because they belong to the list (`ticketing.services.ticket_list`,
`ticket_cursor`): who changes an order there changes its index here.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnClause, Index, literal_column

from ticketing.db.ticket_tables import Ticket

TICKET_IS_OVER = "tickets.status IN ('resolved', 'closed')"
"""SQL: nobody works on it any more. Indexes and queries must say it in the same words."""
TICKET_DUE = "coalesce(tickets.sla_expires_at, TIMESTAMPTZ '9999-01-01 00:00:00+00')"
"""SQL: when its most urgent clock runs out; without a clock, after all others."""

_OVER: ColumnClause[Any] = literal_column(f"({TICKET_IS_OVER})")
_DUE: ColumnClause[Any] = literal_column(f"({TICKET_DUE})")

BY_ORDER = (
    Index("ix_tickets_urgency", _OVER, Ticket.serve_rank, Ticket.number),
    # The filters that are used most have the order by urgency of their own; so has priority,
    # because "low" stands at the far end of that order.
    Index("ix_tickets_priority_urgency", Ticket.priority, _OVER, Ticket.serve_rank, Ticket.number),
    Index("ix_tickets_queue_urgency", Ticket.queue_id, _OVER, Ticket.serve_rank, Ticket.number),
    Index("ix_tickets_agent_urgency", Ticket.agent_id, _OVER, Ticket.serve_rank, Ticket.number),
    Index("ix_tickets_due", _OVER, _DUE, Ticket.number),
    Index("ix_tickets_updated", Ticket.updated_at, Ticket.number),
)
"""Newest and oldest have the unique index on the number."""

BY_VALUE = (
    Index("ix_tickets_opened", Ticket.opened_at),
    Index("ix_tickets_status", Ticket.status),
    Index("ix_tickets_priority", Ticket.priority),  # beside others: the long one above is slower
    Index("ix_tickets_severity", Ticket.severity),
    Index("ix_tickets_level", Ticket.level),
    Index("ix_tickets_channel", Ticket.channel),
    Index("ix_tickets_language", Ticket.language),
    Index("ix_tickets_sla_state", Ticket.sla_state),
    Index("ix_tickets_team", Ticket.team_id),
    Index("ix_tickets_company", Ticket.company_id),
    Index("ix_tickets_tags", Ticket.tags, postgresql_using="gin"),
)
"""For values that few tickets have: those are fetched and sorted. For values that many have,
PostgreSQL walks an order and drops the others. Equal values share their space in the index, so each
of these is a few megabytes for a million tickets."""
