"""Which tickets a list shows: the filter, and the conditions it means.

Names of queues, teams and companies become ids first, so that an index on the id serves; a name
that does not exist is an error, not an empty list.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Text, any_, literal, literal_column, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from ticketing.db.tables import Company, Queue, Team, Ticket
from ticketing.db.ticket_indexes import TICKET_IS_OVER
from ticketing.domain.enums import Level, Priority, Severity, SlaState, TicketStatus

IS_OVER: ColumnElement[bool] = literal_column(f"({TICKET_IS_OVER})")
"""SQL: the ticket is resolved or closed."""

_NUMBER_DIGITS = 18  # more would not fit a bigint
_MOST_LISTED = 100  # names in an error; a longer list helps nobody


class UnknownFilterError(ValueError):
    """A filter names something that does not exist."""

    def __init__(self, field: str, value: str, allowed: list[str]) -> None:
        self.field = field
        self.allowed = allowed
        expected = f"; expected one of {', '.join(allowed)}" if allowed else ""
        super().__init__(f"{field}: {value!r} does not exist{expected}")


@dataclass(frozen=True, slots=True)
class Range:
    """A stretch of time: from (inclusive) to (exclusive); None is open."""

    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class TicketFilter:
    """Which tickets; empty parts do not filter, several values of one part mean any of them.

    Attributes:
        statuses: Any of these.
        priorities: Any of these.
        severities: Any of these.
        levels: Any of these.
        queues: Keys.
        teams: Names or ids.
        companies: Names or ids.
        agent_id: Held by this agent.
        agent_ids: Held by one of these.
        unassigned: Held by nobody; together with `agent_ids`: by nobody or one of these.
        tags: Has one of these.
        channels: Came in by one of these.
        languages: Of the ticket.
        sla: How its clocks stand.
        contact_id: Of this contact.
        opened: When it was opened.
        updated: When something happened to it last.
        open_only: Neither resolved nor closed.
        text: Words of number, subject, messages and contact, or a piece of a phone number; each
            word may be a beginning. `#` and a number is that ticket alone.
    """

    statuses: tuple[TicketStatus, ...] = ()
    priorities: tuple[Priority, ...] = ()
    severities: tuple[Severity, ...] = ()
    levels: tuple[Level, ...] = ()
    queues: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    companies: tuple[str, ...] = ()
    agent_id: uuid.UUID | None = None
    agent_ids: tuple[uuid.UUID, ...] = ()
    unassigned: bool = False
    tags: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    sla: tuple[SlaState, ...] = ()
    contact_id: uuid.UUID | None = None
    opened: Range = Range()
    updated: Range = Range()
    open_only: bool = False
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a filter means, in SQL.

    Attributes:
        ordered: Conditions that the indexes of an order begin with: a list that has only these is
            read in its order without looking at anything else.
        others: All other conditions.
    """

    ordered: tuple[ColumnElement[bool], ...]
    others: tuple[ColumnElement[bool], ...]

    @property
    def all(self) -> tuple[ColumnElement[bool], ...]:
        """Both kinds."""
        return (*self.ordered, *self.others)


async def conditions(session: AsyncSession, wanted: TicketFilter) -> Conditions:
    """What the filter means, but for its search words.

    Raises:
        UnknownFilterError: when a queue, team or company does not exist.
    """
    others = [*_plain(wanted), *await _named(session, wanted)]
    number = exact_number(wanted.text)
    if number is not None:
        others.append(Ticket.number == number)
    ordered = (*_over(wanted), *_held(wanted), *_one_priority(wanted))
    return Conditions(ordered, tuple(others))


def search_words(wanted: TicketFilter) -> str | None:
    """The words to search for; None when there are none, or when they name one ticket."""
    words = (wanted.text or "").strip()
    return None if not words or exact_number(words) is not None else words


def _plain(wanted: TicketFilter) -> list[ColumnElement[bool]]:
    """Conditions on the ticket's own columns."""
    conditions: list[ColumnElement[bool]] = []
    for column, values in (
        (Ticket.status, wanted.statuses),
        (Ticket.severity, wanted.severities),
        (Ticket.level, wanted.levels),
        (Ticket.channel, wanted.channels),
        (Ticket.language, wanted.languages),
        (Ticket.sla_state, wanted.sla),
    ):
        if values:
            conditions.append(column.in_([str(value) for value in values]))
    if wanted.priorities and not _one_priority(wanted):
        # As an array: of one priority alone PostgreSQL would walk the order, see `_one_priority`.
        priorities = [str(priority) for priority in wanted.priorities]
        conditions.append(Ticket.priority == any_(literal(priorities, ARRAY(Text))))
    if wanted.tags:
        conditions.append(Ticket.tags.overlap(list(wanted.tags)))
    if wanted.contact_id is not None:
        conditions.append(Ticket.contact_id == wanted.contact_id)
    return [
        *conditions,
        *_between(Ticket.opened_at, wanted.opened),
        *_between(Ticket.updated_at, wanted.updated),
    ]


def _between(column: Any, wanted: Range) -> list[ColumnElement[bool]]:
    starts = [] if wanted.start is None else [column >= wanted.start]
    return starts if wanted.end is None else [*starts, column < wanted.end]


def _over(wanted: TicketFilter) -> list[ColumnElement[bool]]:
    """Said also where the statuses say it: it is the first column of the order by urgency."""
    over = {TicketStatus.RESOLVED, TicketStatus.CLOSED}
    if wanted.open_only or (wanted.statuses and over.isdisjoint(wanted.statuses)):
        return [~IS_OVER]
    return [IS_OVER] if wanted.statuses and over.issuperset(wanted.statuses) else []


def _held(wanted: TicketFilter) -> list[ColumnElement[bool]]:
    ids = set(wanted.agent_ids) | ({wanted.agent_id} if wanted.agent_id is not None else set())
    nobody = Ticket.agent_id.is_(None)
    if not ids:
        return [nobody] if wanted.unassigned else []
    held = Ticket.agent_id.in_(sorted(ids))
    return [held | nobody if wanted.unassigned else held]


def _one_priority(wanted: TicketFilter) -> list[ColumnElement[bool]]:
    """One priority has an index in the order by urgency: "low" stands at that order's far end.

    Beside a holder it is a condition like any other: the holder's index has fewer tickets. Beside
    a severity or level too: nothing may have all of them, and then the whole order was walked.
    """
    others = (wanted.severities, wanted.levels, wanted.tags, _held(wanted))
    if len(wanted.priorities) != 1 or any(others):
        return []
    return [Ticket.priority == str(wanted.priorities[0])]


async def _named(session: AsyncSession, wanted: TicketFilter) -> list[ColumnElement[bool]]:
    """Conditions on what is named: the names become ids, so that an index on the id serves."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.queues:
        ids = await _ids_of(session, Queue.id, Queue.key, wanted.queues, field="queue")
        conditions.append(Ticket.queue_id.in_(ids))
    if wanted.teams:
        ids = await _ids_of(session, Team.id, Team.name, wanted.teams, field="team")
        conditions.append(Ticket.team_id.in_(ids))
    if wanted.companies:
        ids = await _ids_of(session, Company.id, Company.name, wanted.companies, field="company")
        conditions.append(Ticket.company_id.in_(ids))
    return conditions


async def _ids_of(
    session: AsyncSession, id_: Any, name: Any, wanted: tuple[str, ...], *, field: str
) -> list[uuid.UUID]:
    given = {value: _as_id(value) for value in wanted}
    by_id = [value for value in given.values() if value is not None]
    rows = await session.execute(select(id_, name).where(name.in_(wanted) | id_.in_(by_id)))
    found = {row[0]: row[1] for row in rows}
    for value, as_id in given.items():
        if value not in found.values() and as_id not in found:
            known = await session.scalars(select(name).order_by(name).limit(_MOST_LISTED + 1))
            names = [str(item) for item in known]
            raise UnknownFilterError(field, value, names if len(names) <= _MOST_LISTED else [])
    return list(found)


def _as_id(value: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(value)
    except ValueError:
        return None


def exact_number(text: str | None) -> int | None:
    """The ticket that `#1234` names."""
    words = (text or "").strip()
    digits = words.removeprefix("#")
    exact = words != digits and digits.isascii() and digits.isdigit()
    return int(digits) if exact and len(digits) <= _NUMBER_DIGITS else None
