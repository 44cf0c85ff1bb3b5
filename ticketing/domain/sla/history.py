"""What happened to a ticket, as far as its clocks care.

Happenings are told in the order of the ticket's log (`seq`), whatever the order they come in: the
log is written under the ticket's lock, so its order is the true one, while the times come from
clocks of several processes and from the customer's provider.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from ticketing.domain.enums import TicketStatus


class HappeningKind(StrEnum):
    """What a clock can begin, end or stand still by; all else is `CHANGED`."""

    OPENED = "opened"
    CUSTOMER_WROTE = "customer_wrote"
    CHANGED = "changed"
    RESOLVED = "resolved"
    RETURNED_TO_BOT = "returned_to_bot"
    CLOSED = "closed"
    MERGED = "merged"
    REOPENED = "reopened"


@dataclass(frozen=True, slots=True)
class Situation:
    """What a policy's `when` and a clock's pauses look at.

    Attributes:
        queue: Key of the queue.
        company: Name of the contact's company.
    """

    status: TicketStatus
    priority: str
    severity: str
    level: str
    queue: str
    channel: str = ""
    company: str | None = None
    vip: bool = False
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Happening:
    """One entry of a ticket's history.

    Attributes:
        kind: What it was.
        at: When it came into force.
        seq: Its place in the ticket's log.
        changes: Fields of the situation and what they are afterwards.
        person_wrote: Whether a person's public words went to the customer with it. Notes, the bot,
            automatic and system messages are none.
        written_at: When the customer wrote it, by the provider's clock; None: `at`.
        asks: Whether the customer's words want an answer; False for "obrigado, tchau".
    """

    kind: HappeningKind
    at: datetime
    seq: int = 0
    changes: Mapping[str, Any] = field(default_factory=dict)
    person_wrote: bool = False
    written_at: datetime | None = None
    asks: bool = True


@dataclass(frozen=True, slots=True)
class History:
    """A ticket's happenings and the situation it was opened in."""

    opened_in: Situation
    happenings: tuple[Happening, ...]


def in_order(happenings: Iterable[Happening]) -> tuple[Happening, ...]:
    """The happenings by their place in the log, with times that never run backwards.

    A worker reads its clock before it waits for the ticket's lock, so an entry may carry an earlier
    time than the one before it; it came into force no sooner than that one. Entries of the same
    place are told apart by what they are, so the order they are given in never counts.
    """
    ordered = sorted(happenings, key=_place)
    result: list[Happening] = []
    for happening in ordered:
        written_at = happening.written_at or happening.at
        # A customer's words end a pause when they were written, not when they arrived.
        at = min(happening.at, written_at)
        if result:
            at = max(at, result[-1].at)
        result.append(replace(happening, at=at, written_at=written_at))
    return tuple(result)


_KINDS = list(HappeningKind)


def _place(happening: Happening) -> tuple[int, datetime, int, str, bool, datetime, bool]:
    """By everything that is known of it, so that two with the same place are the same."""
    changes = repr(sorted((key, str(value)) for key, value in happening.changes.items()))
    return (
        happening.seq,
        happening.at,
        _KINDS.index(happening.kind),
        changes,
        happening.person_wrote,
        happening.written_at or happening.at,
        happening.asks,
    )


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of time in which the situation stayed the same; the last one has no end."""

    begins: datetime
    ends: datetime | None
    situation: Situation


def phases(history: History) -> tuple[Phase, ...]:
    """The situations of a ticket in time order, from its opening on.

    The happenings must be in order. Changes at one moment are one change.
    """
    situation = history.opened_in
    marks: list[tuple[datetime, Situation]] = []
    for happening in history.happenings:
        if happening.kind is not HappeningKind.OPENED:
            situation = replace(situation, **dict(happening.changes))
        if marks and marks[-1][0] == happening.at:
            marks[-1] = (happening.at, situation)
        elif not marks or marks[-1][1] != situation:
            marks.append((happening.at, situation))
    ends: list[datetime | None] = [begins for begins, _ in marks[1:]]
    return tuple(
        Phase(begins, end, found) for (begins, found), end in zip(marks, [*ends, None], strict=True)
    )
