"""`python -m benchmarks.tickets`: lists, filters and searches over 1,000,000 tickets.

A throwaway PostgreSQL is filled (`benchmarks.million_tickets`, not counted), then
`ticketing.services.ticket_list.list_tickets` is called as the API calls it: one transaction, a page
of 50, values and not only ids. Times are of the service, without HTTP. Beside it stands, in the
same run, the naive peer: the same pages by OFFSET and the same searches by ILIKE.

Exit code 0; 1 when a p95 of Ponte is above `--limit`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from benchmarks.measuring import Sample
from benchmarks.million_tickets import AGENTS, QUEUES, RARE_WORD, Desk, fill, prepare
from ponte.embedded.postgres import EmbeddedPostgres
from ticketing.db.engine import Database, make_engine
from ticketing.domain.enums import Level, Priority, Role, Severity, SlaState, TicketStatus
from ticketing.domain.ticket import Actor
from ticketing.services.ticket_cursor import Sort, make_cursor, sort_keys
from ticketing.services.ticket_filter import TicketFilter
from ticketing.services.ticket_list import list_tickets
from ticketing.services.ticket_search import index_tickets

_LIMIT_MS = 100.0
_ROUNDS = 15
_PEER_PATIENCE_MS = 20_000.0
_PAGE = 50

_ACCENTS = "áàâãéêíóôõúüç", "aaaaeeiooouuc"
_WORDS = f"""
INSERT INTO ticket_search (ticket_id, contact_id, words)
SELECT t.id, t.contact_id, array_to_tsvector(array_agg(DISTINCT w.word))
FROM tickets t
JOIN contacts c ON c.id = t.contact_id
JOIN (SELECT ticket_id, string_agg(text, ' ') AS said FROM messages GROUP BY ticket_id) m
  ON m.ticket_id = t.id
CROSS JOIN LATERAL (
  SELECT (regexp_matches(
    translate(lower(concat_ws(' ', t.number, t.subject, c.name, c.email, m.said)),
              '{_ACCENTS[0]}', '{_ACCENTS[1]}'), '[a-z0-9]+', 'g'))[1] AS word
  UNION ALL
  SELECT substr(form, start) FROM (VALUES (ltrim(c.phone, '+')),
    (substr(c.phone, 2, 4) || substr(c.phone, 7))) AS f(form),
    generate_series(1, length(form) - 3) AS start
) AS w
GROUP BY t.id, t.contact_id
"""  # noqa: S608 - the same words as `ticketing.domain.search_words`, which the run checks


@dataclass(frozen=True, slots=True)
class Case:
    """Something people ask the list.

    Attributes:
        name: For the table.
        wanted: The filter.
        sort: The order.
        place: Tickets that come before the page; deep pages start there.
        actor: Who asks; a supervisor who sees all, without one.
        naive: WHERE of the naive peer; None: it is not asked.
    """

    name: str
    wanted: TicketFilter = field(default_factory=TicketFilter)
    sort: Sort = Sort.URGENCY
    place: int = 0
    actor: Actor | None = None
    naive: str | None = None


def fill_words(url: str) -> None:
    """The search rows of all tickets, made by PostgreSQL."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET work_mem = '256MB'")
        connection.execute("DROP INDEX ix_ticket_search_words")
        connection.execute(_WORDS.encode())
        connection.execute("SET maintenance_work_mem = '1GB'")
        connection.execute("CREATE INDEX ix_ticket_search_words ON ticket_search USING gin (words)")
        connection.execute("VACUUM ANALYZE ticket_search")


async def check_words(db: Database, sample: int = 200) -> None:
    """The words that PostgreSQL made are those that Ponte makes.

    Raises:
        LookupError: when they differ.
    """
    async with db.transaction() as session:
        some = text("SELECT id FROM tickets TABLESAMPLE SYSTEM (1) LIMIT :sample")
        ids = (await session.scalars(some, {"sample": sample})).all()
        if await index_tickets(session, list(ids)):
            message = "the benchmark's search words differ from those of ticket_search"
            raise LookupError(message)


def cases(first_queue: uuid.UUID, other_queue: uuid.UUID, agent: uuid.UUID) -> Iterator[Case]:
    """All questions."""
    total = "true"
    for sort in Sort:
        yield Case(f"all, {sort}", sort=sort, naive=total)
    yield from _filters(agent)
    limited = Actor(
        agent_id=agent, role=Role.AGENT, queue_ids=frozenset({first_queue, other_queue})
    )
    yield Case("an agent of two queues", actor=limited, wanted=TicketFilter(open_only=True))
    for place in (1_000, 50_000, 500_000, 950_000):
        for sort in (Sort.URGENCY, Sort.NEWEST):
            yield Case(f"page at {place:,}, {sort}", sort=sort, place=place, naive=total)
    yield from _searches(limited)


def _filters(agent: uuid.UUID) -> Iterator[Case]:
    some: tuple[tuple[str, TicketFilter, str | None], ...] = (
        ("open", TicketFilter(open_only=True), "status NOT IN ('resolved', 'closed')"),
        ("priority=urgent", TicketFilter(priorities=(Priority.URGENT,)), None),
        ("priority=low", TicketFilter(priorities=(Priority.LOW,)), "priority = 'low'"),
        ("severity=S1", TicketFilter(severities=(Severity.S1,)), None),
        ("level=N3", TicketFilter(levels=(Level.N3,)), None),
        ("status=new", TicketFilter(statuses=(TicketStatus.NEW,)), None),
        ("status=closed", TicketFilter(statuses=(TicketStatus.CLOSED,)), None),
        ("queue=n3_risk", TicketFilter(queues=(QUEUES[-1][0],)), None),
        ("queues of N2", TicketFilter(queues=("n2_technical", "n2_billing")), None),
        ("agent=me", TicketFilter(agent_id=agent), None),
        ("agent=none", TicketFilter(unassigned=True), None),
        ("tag=reembolso", TicketFilter(tags=("reembolso",)), None),
        ("tag that nobody has", TicketFilter(tags=("nunca",)), None),
        ("channel=whatsapp", TicketFilter(channels=("whatsapp",)), None),
        ("language=es (none)", TicketFilter(languages=("es",)), None),
        ("sla=ok", TicketFilter(sla=(SlaState.OK,)), None),
        ("sla=breached (none)", TicketFilter(sla=(SlaState.BREACHED,)), None),
    )
    for name, wanted, naive in some:
        yield Case(name, wanted, naive=naive)
        yield Case(f"{name}, newest", wanted, sort=Sort.NEWEST)
    combined = TicketFilter(
        priorities=(Priority.LOW,), levels=(Level.N3,), severities=(Severity.S4,), open_only=True
    )
    yield Case("low, N3, S4, open", combined)


_NAIVE_SEARCH = (
    "(subject ILIKE {like} OR contact_id IN (SELECT id FROM contacts WHERE name ILIKE {like} "
    "OR phone ILIKE {like}) OR id IN (SELECT ticket_id FROM messages WHERE text ILIKE {like}))"
)


def _searches(limited: Actor) -> Iterator[Case]:
    for words in (
        RARE_WORD, "reembolso", "pedido", "o pedido nao chegou", "maria", "beatriz almeida",
        "beatriz almeida cobrado", "91234567", "4567", "4012345", "xyzzy", "a",
    ):  # fmt: skip
        naive = _NAIVE_SEARCH.format(like=f"'%{words}%'")
        for sort in (Sort.URGENCY, Sort.NEWEST):
            asked = naive if sort is Sort.NEWEST else None
            wanted = TicketFilter(text=words)
            yield Case(f"q={words!r}, {sort}", wanted, sort=sort, naive=asked)
    wanted = TicketFilter(text="reembolso", open_only=True)
    yield Case("q='reembolso', open, two queues", wanted, actor=limited)


async def ponte(db: Database, case: Case, cursor: str | None) -> int:
    """One page as the API reads it; how many tickets it has."""
    actor = case.actor or Actor(agent_id=None, role=Role.ADMIN)
    async with db.transaction() as session:
        page = await list_tickets(
            session, actor=actor, wanted=case.wanted, sort=case.sort, limit=_PAGE, cursor=cursor
        )
    return len(page.tickets)


_NAIVE_ORDER = {
    Sort.URGENCY: "CASE priority WHEN 'urgent' THEN 0 WHEN 'high' THEN 1 WHEN 'normal' THEN 2 "
    "ELSE 3 END, sla_expires_at, opened_at",
    Sort.NEWEST: "number DESC",
    Sort.OLDEST: "number",
    Sort.DUE: "sla_expires_at NULLS LAST, number",
    Sort.UPDATED: "updated_at DESC",
}


async def naive(session: AsyncSession, case: Case) -> None:
    """The same page as it is often written: OFFSET, ILIKE, and a count of all."""
    rows = f"SELECT * FROM tickets WHERE {case.naive}"  # noqa: S608 - our own words
    await session.execute(text(f"SELECT count(*) FROM ({rows}) AS t"))  # noqa: S608
    page = f"{rows} ORDER BY {_NAIVE_ORDER[case.sort]} LIMIT {_PAGE} OFFSET {case.place}"
    (await session.execute(text(page))).all()


async def cursor_at(db: Database, case: Case) -> str | None:
    """The cursor of the page that begins after `place` tickets; not counted."""
    if not case.place:
        return None
    keys = [key.column for key in sort_keys(case.sort)]
    order = [key.desc() if case.sort.falls else key.asc() for key in keys]
    async with db.transaction() as session:
        statement = select(*keys).order_by(*order).offset(case.place - 1).limit(1)
        row = (await session.execute(statement)).first()
    return None if row is None else make_cursor(case.sort, tuple(row))


async def measure(rounds: int, act: Callable[[], Awaitable[object]]) -> Sample:
    """The times of so many calls, after one that is not counted."""
    sample = Sample()
    await act()
    for _ in range(rounds):
        began = time.perf_counter()
        await act()
        sample.seconds.append(time.perf_counter() - began)
    return sample


async def run(url: str, *, rounds: int, limit_ms: float, peer: bool, total: int) -> int:
    """Measure every case and print the table; the exit code."""
    db = Database(make_engine(url))
    await check_words(db)
    async with db.transaction() as session:
        rows = await session.execute(text("SELECT key, id FROM queues"))
        ids = {row.key: row.id for row in rows}
        agent = await session.scalar(text("SELECT id FROM agents ORDER BY id LIMIT 1"))
    slow: list[str] = []
    print(f"{'case':44} {'rows':>4} {'p50 ms':>8} {'p95 ms':>8} {'naive p50':>10} {'ratio':>7}")
    for asked in cases(ids["n1_support"], ids["n2_technical"], agent):
        case = replace(asked, place=asked.place * total // 1_000_000)
        cursor = await cursor_at(db, case)
        shown = await ponte(db, case, cursor)
        sample = await measure(rounds, lambda: ponte(db, case, cursor))  # noqa: B023 - at once
        beside = await _beside(db, case) if peer and case.naive else None
        p50, p95 = sample.percentile(0.5), sample.percentile(0.95)
        least = ">" if beside == _PEER_PATIENCE_MS else ""
        ratio = "" if beside is None else f"{least}{beside / p50:.0f}x"
        peer_p50 = "" if beside is None else f"{least}{beside:.0f}"
        line = f"{case.name:44} {shown:4} {p50:8.1f} {p95:8.1f} {peer_p50:>10} {ratio:>7}"
        print(line, flush=True)
        if p95 > limit_ms:
            slow.append(case.name)
    await db.close()
    if slow:
        print(f"above {limit_ms:.0f} ms: {', '.join(slow)}")
    return 1 if slow else 0


async def _beside(db: Database, case: Case) -> float:
    """The peer's time; `_PEER_PATIENCE_MS` when it was not done by then (some take minutes)."""

    async def once() -> None:
        async with db.transaction() as session:
            await session.execute(text(f"SET LOCAL statement_timeout = {_PEER_PATIENCE_MS:.0f}"))
            await naive(session, case)

    try:
        return (await measure(1, once)).percentile(0.5)
    except OperationalError as error:
        if not isinstance(error.orig, psycopg.errors.QueryCanceled):
            raise
        return _PEER_PATIENCE_MS


def main(arguments: list[str] | None = None) -> int:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--tickets", type=int, default=1_000_000)
    parser.add_argument("--open-share", type=float, default=0.2)
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    parser.add_argument("--limit", type=float, default=_LIMIT_MS, help="highest p95 in ms")
    parser.add_argument("--no-naive", action="store_true", help="leave the naive peer out")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="ponte-bench-") as folder:
        server = EmbeddedPostgres(
            Path(folder) / "postgres", Path(folder) / "run", durable=False, databases=("bench",)
        )
        server.start()
        try:
            return _main(server.url("bench"), options)
        finally:
            server.stop()


def _main(url: str, options: Any) -> int:
    began = time.perf_counter()
    prepare(url)
    fill(url, Desk(tickets=options.tickets, open_share=options.open_share))
    fill_words(url)
    print(f"{options.tickets:,} tickets, {AGENTS} agents: {time.perf_counter() - began:.0f} s")
    return asyncio.run(
        run(
            url,
            rounds=options.rounds,
            limit_ms=options.limit,
            peer=not options.no_naive,
            total=options.tickets,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
