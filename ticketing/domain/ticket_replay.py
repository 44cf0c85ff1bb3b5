"""A ticket computed again from its events alone, and compared with the row that is stored.

The row is a convenience; the events are what happened. Where the two differ, or where one event
does not begin where the one before ended, somebody wrote past `services.ticket_work`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from ticketing.domain.history import Difference
from ticketing.domain.ticket_events import FACTS
from ticketing.domain.ticket_waiting import unanswered_after


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event, as `docs/ticket-events.md` describes it."""

    kind: str
    at: datetime
    data: Mapping[str, Any]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ReplayedTicket:
    """What the events say of a ticket; the facts as they stand in events (`ticket_events`).

    Not in it, because other rows are the truth for them: SLA columns (the clocks),
    `last_message_at` (the messages).
    """

    status: str
    priority: str
    severity: str
    level: str
    queue: str
    agent: str | None
    tags: tuple[str, ...]
    opened_at: datetime
    first_response_at: datetime | None = None
    escalation_reason: str | None = None
    escalated_at: datetime | None = None
    resolved_at: datetime | None = None
    closed_at: datetime | None = None
    unanswered_since: datetime | None = None
    reopened: int = 0
    version: int | None = None
    """None when an older release did not keep it."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """A ticket played again.

    Attributes:
        ticket: What the events lead to; None when they cannot be followed.
        breaks: Where an event does not begin where the one before ended, or left another status.
        note: Why the events cannot be followed: they come from an older release.
    """

    ticket: ReplayedTicket | None
    breaks: tuple[Difference, ...] = ()
    note: str | None = None


def replay(events: Sequence[StoredEvent]) -> Replayed:
    """Follow a ticket's events, which stand in order of time.

    Breaks are reported and then the event is believed, so that one mistake is reported once.
    """
    if not events or events[0].kind != "opened":
        return Replayed(None, note="its history does not begin with `opened`")
    if any(f"to_{name}" not in events[0].data for name in FACTS):
        return Replayed(None, note="it was opened by an older release, which kept less")
    ticket = _opened(events[0])
    breaks: list[Difference] = []
    for event in events[1:]:
        where = f"event {event.kind} at {event.at.isoformat()}"
        breaks += _breaks(ticket, event, where)
        ticket = _after(ticket, event)
        left = event.data.get("status", ticket.status)
        if left != ticket.status:
            breaks.append(Difference(where, "status", left, ticket.status))
    return Replayed(ticket, tuple(breaks))


def differences(replayed: ReplayedTicket, stored: ReplayedTicket) -> tuple[Difference, ...]:
    """Where the stored row says something else than its events."""
    names = [item.name for item in fields(ReplayedTicket)]
    if replayed.version is None:
        names.remove("version")
    return tuple(
        Difference("row", name, getattr(stored, name), getattr(replayed, name))
        for name in names
        if getattr(stored, name) != getattr(replayed, name)
    )


def _opened(event: StoredEvent) -> ReplayedTicket:
    facts = {name: event.data[f"to_{name}"] for name in FACTS}
    return ReplayedTicket(
        **facts | {"tags": tuple(facts["tags"])},
        opened_at=event.at,
        escalation_reason=event.reason,
        escalated_at=event.at,
        unanswered_since=event.at,
        version=event.data.get("version"),
    )


def _breaks(ticket: ReplayedTicket, event: StoredEvent, where: str) -> list[Difference]:
    """Each `from_X` is what the events before had left."""
    found = []
    for name in FACTS:
        if f"from_{name}" in event.data:
            stated, known = _value(event.data[f"from_{name}"]), getattr(ticket, name)
            if stated != known:
                found.append(Difference(where, f"from_{name}", stated, known))
    return found


def _after(ticket: ReplayedTicket, event: StoredEvent) -> ReplayedTicket:
    changed: dict[str, Any] = {
        name: _value(event.data[f"to_{name}"]) for name in FACTS if f"to_{name}" in event.data
    }
    if "version" in event.data:
        changed["version"] = event.data["version"]
    if event.kind in {"opened", "escalated"}:
        changed |= {"escalation_reason": event.reason, "escalated_at": event.at}
    if event.kind in {"resolved", "returned_to_bot"}:
        changed["resolved_at"] = event.at
    if event.kind == "reopened":
        changed["resolved_at"] = None
    if event.kind == "closed":
        changed["closed_at"] = event.at
    changed["reopened"] = ticket.reopened + (event.kind == "reopened")
    changed["unanswered_since"] = unanswered_after(
        ticket.unanswered_since, kind=event.kind, data=event.data, at=event.at
    )
    if event.data.get("first_response") is True:
        changed["first_response_at"] = event.at
    return replace(ticket, **changed)


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
