"""What no ticket may ever be. The database repeats these rules as CHECK constraints."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ticketing.domain.enums import TicketStatus
from ticketing.domain.ticket_tags import MAX_TAGS

_OVER = (TicketStatus.RESOLVED, TicketStatus.CLOSED)


@dataclass(frozen=True, slots=True)
class Facts:
    """The part of a ticket that the rules are about."""

    status: TicketStatus
    has_agent: bool
    opened_at: datetime
    first_response_at: datetime | None = None
    resolved_at: datetime | None = None
    closed_at: datetime | None = None
    escalated_at: datetime | None = None
    tags: int = 0


def violations(facts: Facts) -> tuple[str, ...]:
    """Every rule that the ticket breaks; empty for a ticket that may exist."""
    over = facts.status in _OVER
    closed = facts.status is TicketStatus.CLOSED
    broken = {
        "resolved_has_a_time": over != (facts.resolved_at is not None),
        "closed_has_a_time": closed != (facts.closed_at is not None),
        "new_has_nobody": facts.status is TicketStatus.NEW
        and (facts.has_agent or facts.first_response_at is not None),
        "first_response_after_opening": _earlier(facts.first_response_at, facts.opened_at),
        "escalated_after_opening": _earlier(facts.escalated_at, facts.opened_at),
        "resolved_after_opening": _earlier(facts.resolved_at, facts.opened_at),
        "closed_after_resolving": _earlier(facts.closed_at, facts.resolved_at),
        "few_tags": facts.tags > MAX_TAGS,
    }
    return tuple(rule for rule, is_broken in broken.items() if is_broken)


def _earlier(moment: datetime | None, than: datetime | None) -> bool:
    return moment is not None and than is not None and moment < than
