"""From the rows of `ticket_events` (docs/ticket-events.md) to what clocks are computed of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ticketing.domain.enums import TicketStatus
from ticketing.domain.sla.history import Happening, HappeningKind, History, Situation


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One row of a ticket's history.

    Attributes:
        seq: Its place in the log.
    """

    seq: int
    kind: str
    actor: str
    at: datetime
    data: Mapping[str, Any]


_KINDS = {
    kind.value: kind
    for kind in HappeningKind
    if kind not in {HappeningKind.OPENED, HappeningKind.CHANGED}
}
_ALERTS = frozenset({"sla_warning", "sla_breached"})
"""Written by the sweep about clocks; no clock is moved by them."""

_FACTS = ("status", "priority", "severity", "level", "queue", "tags")
_STATUS_AFTER = {
    "resolved": TicketStatus.RESOLVED.value,
    "returned_to_bot": TicketStatus.RESOLVED.value,
    "closed": TicketStatus.CLOSED.value,
    "reopened": TicketStatus.OPEN.value,
}


def history_of(
    events: Sequence[LoggedEvent], *, present: Situation, opened_at: datetime
) -> History:
    """The history of a ticket.

    What an older release did not write into its events is taken from later ones, or from the
    ticket as it is now.

    Args:
        events: All of the ticket's, in any order.
        present: The ticket as it is now.
        opened_at: For a ticket whose history does not begin with `opened`.
    """
    ordered = [
        event for event in sorted(events, key=lambda item: item.seq) if event.kind not in _ALERTS
    ]
    if not ordered or ordered[0].kind != HappeningKind.OPENED:
        ordered.insert(0, LoggedEvent(-1, "opened", "system", opened_at, {}))
    first, *others = ordered
    opened_in = {name: _at_first(name, first, others, present) for name in _FACTS}
    opened_in["status"] = _at_opening(first)
    values = {name: _typed(name, value) for name, value in opened_in.items()}
    situation = Situation(
        **values, channel=present.channel, company=present.company, vip=present.vip
    )
    opening = Happening(HappeningKind.OPENED, first.at, first.seq)
    return History(situation, (opening, *(_happening(event) for event in others)))


def _at_opening(first: LoggedEvent) -> str:
    found = first.data.get("to_status") or first.data.get("status")
    return str(found or TicketStatus.NEW.value)


def _at_first(
    name: str, first: LoggedEvent, others: Sequence[LoggedEvent], present: Situation
) -> Any:
    """A fact at the opening: as `opened` says, else as the first change of it began, else now."""
    for key in (f"to_{name}", "queue_key" if name == "queue" else name):
        if key in first.data:
            return first.data[key]
    for event in others:
        if f"from_{name}" in event.data:
            return event.data[f"from_{name}"]
    return getattr(present, name)


def _happening(event: LoggedEvent) -> Happening:
    kind = _KINDS.get(event.kind, HappeningKind.CHANGED)
    changes = {
        name: _typed(name, event.data[f"to_{name}"])
        for name in _FACTS
        if event.data.get(f"to_{name}") is not None
    }
    if event.kind == HappeningKind.OPENED:
        changes |= _second_opening(event)
    left = event.data.get("status") or _STATUS_AFTER.get(event.kind)
    if left is not None and "status" not in changes:
        changes["status"] = TicketStatus(left)
    return Happening(
        kind=kind,
        at=event.at,
        seq=event.seq,
        changes=changes,
        person_wrote=_person_wrote(event),
        written_at=_written_at(event),
        asks=event.data.get("asks", True) is not False,
    )


def _second_opening(event: LoggedEvent) -> dict[str, Any]:
    """A handoff to a ticket that is open already moves it to where the decision wants it."""
    keys = {"queue": "queue_key", "level": "level", "priority": "priority", "severity": "severity"}
    return {name: event.data[key] for name, key in keys.items() if event.data.get(key)}


def _person_wrote(event: LoggedEvent) -> bool:
    """Only words of a person that went to the customer; a resolution may bring closing words."""
    if not event.actor.startswith("agent:") or event.data.get("automatic") is True:
        return False
    words_with_it = ("answered", "first_response")
    return event.kind == "replied" or any(event.data.get(key) is True for key in words_with_it)


def _written_at(event: LoggedEvent) -> datetime | None:
    sent_at = event.data.get("sent_at") if event.kind == HappeningKind.CUSTOMER_WROTE else None
    if not isinstance(sent_at, str):
        return None
    found = datetime.fromisoformat(sent_at)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def _typed(name: str, value: Any) -> Any:
    if name == "status":
        return TicketStatus(value)
    return frozenset(value or ()) if name == "tags" else value
