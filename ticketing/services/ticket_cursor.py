"""Orders of ticket lists, and the cursor that says where a page ended.

A cursor holds the sort and the last row's sort values, as URL-safe text. It is checked when it
comes back: it is opaque to readers, not secret.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Interval, literal, literal_column
from sqlalchemy.types import TypeEngine

from ticketing.db.tables import Ticket
from ticketing.db.ticket_indexes import TICKET_DUE, TICKET_IS_OVER

_ONE = timedelta(microseconds=1)


class Sort(StrEnum):
    """Order of a list."""

    URGENCY = "urgency"
    """Who must be served first (`ticketing.domain.routing.order`); what is over comes last."""
    NEWEST = "newest"
    OLDEST = "oldest"
    DUE = "due"
    """The SLA clock that runs out first; tickets without a clock, then what is over, come last."""
    UPDATED = "updated"
    """What something happened to last."""

    @property
    def falls(self) -> bool:
        """Whether the highest value comes first."""
        return self in {Sort.NEWEST, Sort.UPDATED}


class InvalidCursorError(ValueError):
    """The cursor was not made by this list."""

    def __init__(self) -> None:
        super().__init__(
            "cursor: is not a cursor of this list; expected the `next_cursor` of an earlier "
            "answer with the same sort"
        )


@dataclass(frozen=True, slots=True)
class SortKey:
    """One column of an order, and how its values are written into a cursor and read from it."""

    column: ColumnElement[Any]
    type: TypeEngine[Any]
    read: Callable[[Any], Any]


def sort_keys(sort: Sort) -> tuple[SortKey, ...]:
    """The columns that order the list totally; each list is an index of `tickets`."""
    number = SortKey(Ticket.number.expression, Ticket.number.type, _whole)
    over_column: ColumnElement[bool] = literal_column(f"({TICKET_IS_OVER})")
    over = SortKey(over_column, over_column.type, _flag)
    if sort is Sort.URGENCY:
        rank = SortKey(Ticket.serve_rank.expression, Interval(), _span)
        return (over, rank, number)
    if sort is Sort.DUE:
        due: ColumnElement[datetime] = literal_column(f"({TICKET_DUE})", Ticket.opened_at.type)
        return (over, SortKey(due, Ticket.opened_at.type, _moment), number)
    if sort is Sort.UPDATED:
        column = Ticket.updated_at.expression
        return (SortKey(column, column.type, _moment), number)
    return (number,)


def make_cursor(sort: Sort, values: Sequence[Any]) -> str:
    """Where a page ended: the sort values of its last row."""
    document = [sort.value, *(_written(value) for value in values)]
    return base64.urlsafe_b64encode(orjson.dumps(document)).rstrip(b"=").decode()


def read_cursor(cursor: str, sort: Sort) -> list[ColumnElement[Any]]:
    """The position that a cursor stands for, as SQL values.

    Raises:
        InvalidCursorError: when it is of another sort or was not made here.
    """
    keys = sort_keys(sort)
    try:
        padded = cursor.encode() + b"=" * (-len(cursor) % 4)
        values = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if not isinstance(values, list) or values[:1] != [sort.value]:
            raise InvalidCursorError
        pairs = zip(keys, values[1:], strict=True)
        return [literal(key.read(value), key.type) for key, value in pairs]
    except (ValueError, TypeError, OverflowError, binascii.Error) as error:
        raise InvalidCursorError from error


def _written(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, timedelta):
        return value // _ONE
    return value


def _whole(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return value  # what a bigint holds
    raise InvalidCursorError


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise InvalidCursorError


def _span(value: Any) -> timedelta:
    span = timedelta(microseconds=_whole(value))
    # Longer than there are years: not a time since an epoch.
    return datetime(2000, 1, 1, tzinfo=UTC) + span - datetime(2000, 1, 1, tzinfo=UTC)


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None or not math.isfinite(moment.timestamp()):
        raise InvalidCursorError
    return moment.astimezone(UTC)
