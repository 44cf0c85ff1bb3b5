"""Which waiting ticket is next: the one that must be served first.

Every ticket has a moment by which it should be served:

    serve by = the earlier of (its SLA due time, its opening + the longest wait of its priority)
               - head start of its priority - head start of a VIP

The ticket with the earliest moment is next; of equal ones the smaller number. The moment does not
move while a ticket waits, so it can be stored and indexed, and nobody starves: a ticket that opens
later than another's moment plus the largest head start (`STARVES_NEVER_AFTER`) can never come
before it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ticketing.domain.enums import Priority, RoutingState
from ticketing.domain.routing.choice import Candidate, Needs, unfit

LONGEST_WAIT: Mapping[Priority, timedelta] = {
    Priority.URGENT: timedelta(hours=1),
    Priority.HIGH: timedelta(hours=4),
    Priority.NORMAL: timedelta(hours=24),
    Priority.LOW: timedelta(hours=72),
}
"""For tickets without a running clock, or with a far one: four times the usual target of urgent
and high, a day and three days for the others, so that a weekend does not put them ahead."""

HEAD_START: Mapping[Priority, timedelta] = {
    Priority.URGENT: timedelta(hours=1),
    Priority.HIGH: timedelta(minutes=20),
    Priority.NORMAL: timedelta(0),
    Priority.LOW: timedelta(0),
}
"""An urgent ticket goes before an ordinary one that is due up to an hour earlier: harm grows while
it waits. More would let a stream of urgent tickets break every other promise."""

VIP_HEAD_START = timedelta(minutes=30)
"""Half of what urgent gets: a VIP goes first among equals, never before an emergency."""

STARVES_NEVER_AFTER = max(HEAD_START.values()) + VIP_HEAD_START

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""The database stores the moment as time since then (`tickets.serve_rank`)."""


def serve_by(
    priority: Priority, *, vip: bool, opened_at: datetime, due_at: datetime | None
) -> datetime:
    """The moment by which a ticket should be served; the earliest is next.

    Args:
        priority: Of the ticket.
        vip: Whether the contact is one.
        opened_at: When the ticket was opened; being put back changes nothing.
        due_at: When its most urgent SLA clock runs out; None: none runs.
    """
    longest = opened_at + LONGEST_WAIT[priority]
    base = longest if due_at is None else min(longest, due_at)
    return base - HEAD_START[priority] - (VIP_HEAD_START if vip else timedelta(0))


@dataclass(frozen=True, slots=True)
class WaitingTicket:
    """A ticket that nobody has."""

    ticket_id: uuid.UUID
    number: int
    opened_at: datetime
    needs: Needs
    due_at: datetime | None = None
    state: RoutingState = RoutingState.WAITING
    overflowed: bool = False
    order: tuple[datetime, int] = field(init=False)

    def __post_init__(self) -> None:
        """Work out its place once."""
        moment = serve_by(
            self.needs.priority, vip=self.needs.vip, opened_at=self.opened_at, due_at=self.due_at
        )
        object.__setattr__(self, "order", (moment, self.number))


def in_order(waiting: Iterable[WaitingTicket]) -> list[WaitingTicket]:
    """The tickets, next one first."""
    return sorted(waiting, key=lambda ticket: ticket.order)


def next_ticket(
    agent: Candidate, waiting: Iterable[WaitingTicket], *, now: datetime
) -> WaitingTicket | None:
    """The ticket that this agent should take next; None when none of them is for them.

    Their presence, shift and capacity are not looked at: who asks for work is there.
    """
    fitting = (ticket for ticket in waiting if not unfit(ticket.needs, agent, now=now))
    return min(fitting, key=lambda ticket: ticket.order, default=None)


_STORED_EPOCH = f"TIMESTAMPTZ '{EPOCH:%Y-%m-%d %H:%M:%S}+00'"


def serve_rank_sql() -> str:
    """The same moment as an SQL expression over a ticket's columns: time since `EPOCH`.

    Differences of times are immutable in PostgreSQL where times themselves are not, so the
    database can keep the column up to date by itself (`GENERATED ALWAYS AS ... STORED`).
    """
    return (
        f"LEAST(sla_expires_at - {_STORED_EPOCH}, "
        f"opened_at - {_STORED_EPOCH} + {_by_priority(LONGEST_WAIT)}) "
        f"- {_by_priority(HEAD_START)} "
        f"- CASE WHEN vip THEN {_interval(VIP_HEAD_START)} ELSE {_interval(timedelta(0))} END"
    )


def _by_priority(values: Mapping[Priority, timedelta]) -> str:
    cases = " ".join(
        f"WHEN '{priority.value}' THEN {_interval(value)}" for priority, value in values.items()
    )
    return f"CASE priority {cases} END"


def _interval(value: timedelta) -> str:
    return f"INTERVAL '{round(value.total_seconds())} seconds'"
