"""Lists of tickets: filters, order by urgency, pages by cursor."""

from __future__ import annotations

import base64
import binascii
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import ColumnElement, case, func, literal, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.tables import Contact, Queue, Ticket
from ticketing.domain.enums import Level, Priority, Severity, TicketStatus
from ticketing.domain.ticket import OPEN_STATUSES, PRIORITIES, Actor
from ticketing.services.views import QueueView, TicketSummary, summary, ticket_rows, visible_to

MAX_PAGE = 100
DEFAULT_PAGE = 50

_FAR_FUTURE = datetime(9999, 1, 1, tzinfo=UTC)  # a ticket without a running clock comes last
_OPEN = [status.value for status in OPEN_STATUSES]


class Sort(StrEnum):
    """Order of a list."""

    URGENCY = "urgency"
    """Highest priority first, then the SLA that runs out first, then the longest wait."""
    NEWEST = "newest"


class InvalidCursorError(ValueError):
    """The cursor was not made by this list."""

    def __init__(self) -> None:
        super().__init__(
            "cursor: is not a cursor of this list; expected the `next_cursor` of an earlier "
            "answer with the same sort"
        )


@dataclass(frozen=True, slots=True)
class TicketFilter:
    """Which tickets; empty parts do not filter.

    Attributes:
        statuses: Any of these.
        priorities: Any of these.
        severities: Any of these.
        levels: Any of these.
        queues: Keys, any of these.
        agent_id: Held by this agent.
        unassigned: Held by nobody.
        open_only: Neither resolved nor closed.
        text: Part of the subject or of the contact's name, phone or e-mail; or a ticket number.
    """

    statuses: tuple[TicketStatus, ...] = ()
    priorities: tuple[Priority, ...] = ()
    severities: tuple[Severity, ...] = ()
    levels: tuple[Level, ...] = ()
    queues: tuple[str, ...] = ()
    agent_id: uuid.UUID | None = None
    unassigned: bool = False
    open_only: bool = False
    text: str | None = None


@dataclass(frozen=True, slots=True)
class TicketPage:
    """One page; `next_cursor` is None on the last one."""

    tickets: tuple[TicketSummary, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class DeskCounts:
    """How many open tickets wait for anybody, are mine, and are open at all."""

    waiting: int
    mine: int
    open: int


async def list_tickets(
    session: AsyncSession,
    *,
    actor: Actor,
    wanted: TicketFilter,
    sort: Sort = Sort.URGENCY,
    limit: int = DEFAULT_PAGE,
    cursor: str | None = None,
) -> TicketPage:
    """A page of the tickets that this person may see.

    Raises:
        InvalidCursorError: when the cursor is of another list or broken.
    """
    key, descending = _sort_key(sort)
    statement = ticket_rows().where(visible_to(actor), *_conditions(wanted))
    if cursor is not None:
        position = tuple_(*(literal(value) for value in _read_cursor(cursor, sort)))
        here = tuple_(*key)
        statement = statement.where(here < position if descending else here > position)
    order = [column.desc() if descending else column.asc() for column in key]
    size = max(1, min(limit, MAX_PAGE))
    rows = (
        await session.execute(statement.add_columns(*key).order_by(*order).limit(size + 1))
    ).all()
    shown = [tuple(row) for row in rows[:size]]
    return TicketPage(
        tickets=tuple(summary(row) for row in shown),
        next_cursor=_cursor(sort, shown[-1][-len(key) :]) if len(rows) > size else None,
    )


async def desk_counts(session: AsyncSession, *, actor: Actor) -> DeskCounts:
    """The numbers on the tabs of the desk."""
    row = (
        await session.execute(
            select(
                func.count().filter(Ticket.agent_id.is_(None)),
                func.count().filter(Ticket.agent_id == actor.agent_id),
                func.count(),
            )
            .select_from(Ticket)
            .where(visible_to(actor), Ticket.status.in_(_OPEN))
        )
    ).one()
    return DeskCounts(waiting=row[0], mine=row[1], open=row[2])


async def list_queues(session: AsyncSession, *, actor: Actor) -> tuple[QueueView, ...]:
    """The queues a ticket can be sent to, with what is open in those the person may see."""
    visible = visible_to(actor)
    is_open = Ticket.status.in_(_OPEN)
    rows = await session.execute(
        select(
            Queue,
            func.count(Ticket.id).filter(is_open, visible, Ticket.agent_id.is_(None)),
            func.count(Ticket.id).filter(is_open, visible),
        )
        .outerjoin(Ticket, Ticket.queue_id == Queue.id)
        .group_by(Queue.id)
        .order_by(Queue.level, Queue.key)
    )
    return tuple(
        QueueView(
            id=queue.id,
            key=queue.key,
            name=queue.name,
            level=queue.level,
            waiting=waiting,
            open=open_,
        )
        for queue, waiting, open_ in rows
    )


def _conditions(wanted: TicketFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    for column, values in (
        (Ticket.status, wanted.statuses),
        (Ticket.priority, wanted.priorities),
        (Ticket.severity, wanted.severities),
        (Ticket.level, wanted.levels),
        (Queue.key, wanted.queues),
    ):
        if values:
            conditions.append(column.in_([str(value) for value in values]))
    if wanted.agent_id is not None:
        conditions.append(Ticket.agent_id == wanted.agent_id)
    if wanted.unassigned:
        conditions.append(Ticket.agent_id.is_(None))
    if wanted.open_only:
        conditions.append(Ticket.status.in_(_OPEN))
    if wanted.text and wanted.text.strip():
        conditions.append(_matches(wanted.text.strip()))
    return conditions


def _matches(words: str) -> ColumnElement[bool]:
    digits = words.lstrip("#")
    if digits.isascii() and digits.isdigit() and len(digits) <= _NUMBER_DIGITS:
        by_number = Ticket.number == int(digits)
    else:
        by_number = Ticket.number.is_(None)
    return or_(
        by_number,
        *(
            column.icontains(words, autoescape=True)
            for column in (Ticket.subject, Contact.name, Contact.phone, Contact.email)
        ),
    )


_NUMBER_DIGITS = 18  # more would not fit a bigint


def _sort_key(sort: Sort) -> tuple[tuple[ColumnElement[Any], ...], bool]:
    """Columns that order the list totally, and whether they fall."""
    if sort is Sort.NEWEST:
        return (Ticket.number.expression,), True
    rank = case(
        {priority.value: -place for place, priority in enumerate(PRIORITIES)},
        value=Ticket.priority,
        else_=0,
    )
    running = Ticket.first_response_at.is_(None) & Ticket.resolved_at.is_(None)
    due = case((running, func.coalesce(Ticket.sla_expires_at, _FAR_FUTURE)), else_=_FAR_FUTURE)
    return (rank, due, Ticket.opened_at.expression, Ticket.number.expression), False


def _cursor(sort: Sort, key: Any) -> str:
    values = [
        value.isoformat() if isinstance(value, datetime) else value for value in (sort.value, *key)
    ]
    return base64.urlsafe_b64encode(orjson.dumps(values)).rstrip(b"=").decode()


def _read_cursor(cursor: str, sort: Sort) -> list[Any]:
    try:
        padded = cursor.encode() + b"=" * (-len(cursor) % 4)
        values = orjson.loads(base64.urlsafe_b64decode(padded))
        if not isinstance(values, list) or values[0] != sort.value:
            raise InvalidCursorError
        if sort is Sort.NEWEST:
            (number,) = values[1:]
            return [_whole(number)]
        rank, due, opened_at, number = values[1:]
        return [_whole(rank), _moment(due), _moment(opened_at), _whole(number)]
    except (ValueError, TypeError, IndexError, binascii.Error) as error:
        raise InvalidCursorError from error


def _whole(value: Any) -> int:
    if isinstance(value, int) and abs(value) < 2**63:  # what a bigint holds
        return value
    raise InvalidCursorError


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise InvalidCursorError
    return moment
