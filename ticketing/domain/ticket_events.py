"""What every event of a ticket keeps: from where to where, and what it left.

The shape is written down in `docs/ticket-events.md`; clocks, replay and reports read it.
"""

from __future__ import annotations

from typing import Any

from ticketing.domain.ticket import TicketState

FACTS = ("status", "priority", "severity", "level", "queue", "agent", "tags")
"""What an event may change; `from_X` and `to_X` stand in its data for each that it did."""


def facts_of(state: TicketState) -> dict[str, Any]:
    """The facts of a ticket as they stand in events: JSON values, queues by key."""
    return {
        "status": state.status.value,
        "priority": state.priority.value,
        "severity": state.severity.value,
        "level": state.level.value,
        "queue": state.queue_key,
        "agent": None if state.agent_id is None else str(state.agent_id),
        "tags": sorted(state.tags),
    }


def from_to(before: TicketState | None, after: TicketState) -> dict[str, Any]:
    """`from_X` and `to_X` for everything that changed; a new ticket has only `to_X`, for all."""
    new = facts_of(after)
    if before is None:
        return {f"to_{name}": value for name, value in new.items()}
    old = facts_of(before)
    changed = [name for name in FACTS if old[name] != new[name]]
    return {
        key: value
        for name in changed
        for key, value in ((f"from_{name}", old[name]), (f"to_{name}", new[name]))
    }
