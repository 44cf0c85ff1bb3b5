"""How the ids of one page of a ticket list are found, whatever is asked, in bounded time.

Three ways, chosen by PostgreSQL's own estimate of how many tickets fit:

- **Straight**: nothing but the order and the conditions its index begins with. The index is read.
- **Gather**: few fit. All of them are fetched by whatever index finds them, and sorted.
- **Walk**: many fit. The order is walked and each ticket asked, until the page is full. When the
  estimate was wrong (nobody has that tag; low and urgent never meet), the walk ends after
  `LONGEST_WALK` tickets and they are gathered after all.

Left to itself the planner walks a million tickets for a page that never fills: it believes that
what fits is spread evenly and that conditions know nothing of each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Select, func, select, text, tuple_, type_coerce
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.search_tables import TicketSearch
from ticketing.db.tables import Ticket
from ticketing.services.ticket_cursor import Sort, SortKey, sort_keys
from ticketing.services.ticket_search import found_by

FEW = 5_000
"""Tickets that are gathered and sorted without a walk."""
LONGEST_WALK = 15_000
"""Tickets that a walk looks at. Both numbers are such that every list of `benchmarks.tickets` stays
below 100 ms with a million tickets (docs/performance.md); neither is a sharp edge."""

_PLAN_EACH = text(
    "SELECT set_config('plan_cache_mode', 'force_custom_plan', true), "
    "set_config('jit', 'off', true)"
)
"""Rare and frequent values of one filter want different plans, and compiling a plan takes longer
than reading a page."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A list, ready to be read.

    Attributes:
        ordered: Conditions that the order's index serves.
        others: All other conditions.
        query: The `tsquery` of the words; None without a search.
        sort: The order.
    """

    ordered: tuple[ColumnElement[bool], ...]
    others: tuple[ColumnElement[bool], ...]
    query: str | None
    sort: Sort

    @property
    def keys(self) -> tuple[SortKey, ...]:
        """The columns of the order."""
        return sort_keys(self.sort)


async def page_ids(
    session: AsyncSession,
    asked: Asked,
    *,
    after: Sequence[ColumnElement[Any]] | None,
    limit: int,
) -> Sequence[Any]:
    """Rows of a ticket's id and its sort values, in order, after a position."""
    await session.execute(_PLAN_EACH)
    columns = (key.column.label(f"key_{place}") for place, key in enumerate(asked.keys))
    statement = select(Ticket.id, *columns).where(*asked.ordered)
    if after is not None:
        statement = statement.where(_after(asked, after))
    if asked.query is None and not asked.others:
        rows: Sequence[Any] = (
            await session.execute(_in_order(statement, asked).limit(limit))
        ).all()
        return rows
    fitting = _fitting(statement, asked)
    if await _estimate(session, fitting) > FEW:
        walked = await _walk(session, asked, statement, limit=limit)
        if len(walked) == limit:
            return walked
    gathered = fitting.cte("gathered").prefix_with("MATERIALIZED")
    page = select(gathered).order_by(*_order_of(gathered.c, asked)).limit(limit)
    return (await session.execute(page)).all()


async def count_up_to(session: AsyncSession, asked: Asked, most: int) -> int:
    """How many tickets fit, counted no further than `most`."""
    await session.execute(_PLAN_EACH)
    some = _fitting(select(Ticket.id).where(*asked.ordered), asked).limit(most).subquery()
    return await session.scalar(select(func.count()).select_from(some)) or 0


async def _walk(
    session: AsyncSession, asked: Asked, statement: Select[Any], *, limit: int
) -> Sequence[Any]:
    """What fits among the first tickets of the order."""
    fits = [condition.label(f"fits_{place}") for place, condition in enumerate(asked.others)]
    near = _in_order(statement.add_columns(*fits), asked).limit(LONGEST_WALK).subquery("near")
    wanted: list[ColumnElement[Any]] = [near.c[label.name] for label in fits]
    if asked.query is not None:
        # Not a join: a join could be turned round and read all words first.
        has_words = select(found_by(asked.query)).where(TicketSearch.ticket_id == near.c.id)
        wanted.append(type_coerce(has_words.scalar_subquery(), Boolean))
    shown = [near.c.id, *(near.c[f"key_{place}"] for place in range(len(asked.keys)))]
    page = select(*shown).where(*wanted).order_by(*_order_of(near.c, asked)).limit(limit)
    return (await session.execute(page)).all()


async def _estimate(session: AsyncSession, statement: Select[Any]) -> float:
    """How many rows PostgreSQL expects; nothing is read."""
    connection = await session.connection()
    compiled = statement.compile(
        dialect=connection.dialect, compile_kwargs={"render_postcompile": True}
    )
    plan = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {compiled}", compiled.params)
    return float(plan.scalar_one()[0]["Plan"]["Plan Rows"])


def _fitting(statement: Select[Any], asked: Asked) -> Select[Any]:
    found = statement.where(*asked.others)
    if asked.query is None:
        return found
    joined = found.join(TicketSearch, TicketSearch.ticket_id == Ticket.id)
    return joined.where(found_by(asked.query))


def _in_order(statement: Select[Any], asked: Asked) -> Select[Any]:
    return statement.order_by(*(_directed(key.column, asked) for key in asked.keys))


def _order_of(columns: Any, asked: Asked) -> list[ColumnElement[Any]]:
    return [_directed(columns[f"key_{place}"], asked) for place in range(len(asked.keys))]


def _directed(column: ColumnElement[Any], asked: Asked) -> ColumnElement[Any]:
    return column.desc() if asked.sort.falls else column.asc()


def _after(asked: Asked, position: Sequence[ColumnElement[Any]]) -> ColumnElement[bool]:
    here = tuple_(*(key.column for key in asked.keys))
    return here < tuple_(*position) if asked.sort.falls else here > tuple_(*position)
