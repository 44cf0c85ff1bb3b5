"""Every list, filter and search reads an index: on 30,000 tickets no plan scans a whole table.

What a million costs is measured by `python -m benchmarks.tickets`; here stands what makes it so.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from sqlalchemy import event, text

from benchmarks.million_tickets import Desk, fill, prepare
from benchmarks.tickets import Case, cases, cursor_at, fill_words, ponte
from ponte.embedded.postgres import EmbeddedPostgres
from ticketing.db.engine import Database, make_engine

_TICKETS = 30_000
_A_SIXTH = "q='o pedido nao chegou'"
"""So many of these few tickets have these words that reading the whole table is right."""
_BIG = frozenset({"tickets", "messages", "ticket_search", "contacts", "conversations"})


@pytest.fixture(scope="module")
def big_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A database of its own with many tickets."""
    with psycopg.connect(postgres_server.url("ponte"), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS plans WITH (FORCE)")
        connection.execute("CREATE DATABASE plans")
        url = re.sub(r"/ponte(\?|$)", r"/plans\1", postgres_server.url("ponte"))
        prepare(url)
        fill(url, Desk(tickets=_TICKETS, open_share=0.3), say=lambda _: None)
        fill_words(url)
        yield url
        connection.execute("DROP DATABASE plans WITH (FORCE)")


@pytest_asyncio.fixture
async def big(big_url: str) -> AsyncIterator[Database]:
    database = Database(make_engine(big_url))
    yield database
    await database.close()


async def test_no_list_scans_a_table(big: Database) -> None:
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "FROM tickets" in statement or "ticket_search" in statement:
            asked.append((statement, parameters))

    async with big.transaction() as session:
        queues = dict((await session.execute(text("SELECT key, id FROM queues"))).all())
        agent = await session.scalar(text("SELECT id FROM agents ORDER BY id LIMIT 1"))
    listen = ("before_cursor_execute", note)
    scanned: list[str] = []
    for wide in cases(queues["n1_support"], queues["n2_technical"], agent):
        if wide.name.startswith(_A_SIXTH):
            continue
        case: Case = replace(wide, place=wide.place * _TICKETS // 1_000_000)
        cursor = await cursor_at(big, case)
        event.listen(big.engine.sync_engine, *listen)
        await ponte(big, case, cursor)
        event.remove(big.engine.sync_engine, *listen)
        scanned += [f"{case.name}: {found}" for found in await _scans(big, asked)]
        asked.clear()
    assert scanned == []


async def _scans(database: Database, asked: list[tuple[str, Any]]) -> set[str]:
    found: set[str] = set()
    async with database.engine.connect() as connection:
        for statement, parameters in asked:
            if statement.startswith("EXPLAIN"):
                continue
            plan = (
                await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
            ).scalar_one()
            found |= set(_whole_tables(plan[0]["Plan"]))
    return found


def _whole_tables(node: dict[str, Any]) -> Iterator[str]:
    if node["Node Type"].endswith("Seq Scan") and node["Relation Name"] in _BIG:
        yield f"{node['Node Type']} on {node['Relation Name']}"
    for inner in node.get("Plans", ()):
        yield from _whole_tables(inner)
