"""Which dead letters are meant: the filters of the command, the API and the page."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, or_, select

from notifications.domain.dead_letters import normal_recipient, recipient_hash
from ticketing.db.notification_tables import DeadLetter, Notification
from ticketing.domain.enums import DeadLetterState

MOST_LISTED = 50
"""Values of one filter that the audit names."""

MOST_LETTERS = 100


class ReversedPeriodError(ValueError):
    """A period that ends before it begins: nothing could match, and nobody means that."""


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """What is wanted; an empty tuple or None filters nothing.

    Attributes:
        since: Failed then or later.
        until: Failed before.
        queue: The queue its job came from.
        recipient: The whole address; it is compared by its keyed hash and stored nowhere.

    Raises:
        ReversedPeriodError: when `until` is not after `since`.
    """

    states: tuple[DeadLetterState, ...] = ()
    job_names: tuple[str, ...] = ()
    error_codes: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    http_status: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    queue: str | None = None
    event: str | None = None
    recipient: str | None = None
    ticket_id: uuid.UUID | None = None
    ids: tuple[uuid.UUID, ...] = ()

    def __post_init__(self) -> None:
        if self.since is not None and self.until is not None and self.until <= self.since:
            message = (
                f"until: expected a time after since ({self.since.isoformat(timespec='seconds')}),"
                f" got {self.until.isoformat(timespec='seconds')}"
            )
            raise ReversedPeriodError(message)

    def conditions(self, *, recipient_key: str) -> list[ColumnElement[bool]]:
        """The filter as SQL, all of which have to hold."""
        wanted: list[ColumnElement[bool]] = []
        for column, values in (
            (DeadLetter.state, [state.value for state in self.states]),
            (DeadLetter.job_name, list(self.job_names)),
            (DeadLetter.error_code, list(self.error_codes)),
            (DeadLetter.reason, list(self.reasons)),
            (DeadLetter.id, list(self.ids)),
        ):
            if values:
                wanted.append(column.in_(values))
        equal: tuple[tuple[Any, object], ...] = (
            (DeadLetter.http_status, self.http_status),
            (DeadLetter.origin_queue, self.queue),
            (DeadLetter.event, self.event),
            (DeadLetter.ticket_id, self.ticket_id),
        )
        wanted += [column == value for column, value in equal if value is not None]
        if self.since is not None:
            wanted.append(DeadLetter.failed_at >= self.since)
        if self.until is not None:
            wanted.append(DeadLetter.failed_at < self.until)
        if self.recipient is not None:
            wanted.append(_to(self.recipient, recipient_key))
        return wanted

    def as_record(self, *, recipient_key: str) -> dict[str, Any]:
        """The filter as JSON for the audit: without an address.

        Long lists are cut (`<name>_count` says how long they were): each entry has an audit row of
        its own, and a line of the audit file that grew with them would push older lines out.
        """
        record: dict[str, Any] = {
            "states": [state.value for state in self.states],
            "job_names": list(self.job_names),
            "error_codes": list(self.error_codes),
            "reasons": list(self.reasons),
            "http_status": self.http_status,
            "since": None if self.since is None else self.since.isoformat(),
            "until": None if self.until is None else self.until.isoformat(),
            "queue": self.queue,
            "event": self.event,
            "ticket_id": None if self.ticket_id is None else str(self.ticket_id),
            "ids": [str(value) for value in self.ids],
        }
        if self.recipient is not None:
            record["recipient_hash"] = recipient_hash(recipient_key, self.recipient) or "no key"
        return _bounded({key: value for key, value in record.items() if value not in (None, [])})


def _bounded(record: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, list):
            shown[key] = [word[:MOST_LETTERS] for word in value[:MOST_LISTED]]
            if len(value) > MOST_LISTED:
                shown[f"{key}_count"] = len(value)
        else:
            shown[key] = value[:MOST_LETTERS] if isinstance(value, str) else value
    return shown


def _to(recipient: str, recipient_key: str) -> ColumnElement[bool]:
    hashed = recipient_hash(recipient_key, recipient)
    # Entries that were made without a key have no hash: their notice still knows its recipient.
    by_notice = DeadLetter.notification_id.in_(
        select(Notification.id).where(
            or_(
                Notification.recipient == recipient.strip(),
                Notification.recipient == normal_recipient(recipient),
            )
        )
    )
    if hashed is None:
        return by_notice
    return or_(DeadLetter.recipient_hash == hashed, DeadLetter.recipient_hash.is_(None) & by_notice)
