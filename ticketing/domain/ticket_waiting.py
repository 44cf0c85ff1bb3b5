"""Since when a customer has waited for a person at the ticket's present level."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ticketing.domain.enums import TicketStatus

_ANSWERS = frozenset({"replied", "resolved", "returned_to_bot", "closed"})
_OURS = frozenset({TicketStatus.NEW.value, TicketStatus.OPEN.value})


def unanswered_after(
    since: datetime | None, *, kind: str, data: Mapping[str, Any], at: datetime
) -> datetime | None:
    """Since when the customer waits, after an event; None while they do not wait for us.

    A level that has just got the ticket is given its time from then on. Words that only close a
    talk ("obrigado!") ask for nothing.

    Args:
        since: Since when before the event.
        kind: Of the event.
        data: Of the event, see `docs/ticket-events.md`.
        at: Of the event.
    """
    if kind in _ANSWERS:
        return None
    if kind in {"opened", "reopened"}:
        return at
    if kind == "customer_wrote":
        return since if since is not None or data.get("asks") is False else at
    if kind == "status_changed":
        return (since or at) if data.get("to_status") in _OURS else None
    moved_level = data.get("from_level") != data.get("to_level")
    woken = kind in {"escalated", "de_escalated"} and "to_status" in data
    if woken or (moved_level and since is not None):
        return at
    return since
