"""`python -m benchmarks.sla`: what the SLA monitor costs on a desk with 1,000,000 open tickets.

Measured are a sweep that finds nothing due, and one that finds 10,000 broken promises at once, all
with alerts, events, outbox rows and log lines. Beside them, on the same rows in the same run, the
way of a monitor that reads every open clock and compares (as Chatwoot's does): without its alerts,
so in its favour. Filling is not counted.

Exit code 0; 1 when a sweep took longer than its limit or an alert is missing or double.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import structlog

from benchmarks import million_tickets
from benchmarks.million_tickets import NOW, Desk
from kit.clock import FakeClock
from ponte.embedded.postgres import EmbeddedPostgres
from ticketing.db.engine import Database, make_engine
from ticketing.services.sla_sweep import SlaSweep, Swept

_IDLE_SWEEPS = 30
_IDLE_LIMIT_MS = 50.0
_DUE_LIMIT_SECONDS = 60.0
_BATCH, _COOLDOWN = 200, timedelta(minutes=15)  # as in .env.example


@dataclass(frozen=True, slots=True)
class Result:
    """Times in seconds."""

    idle: list[float]
    naive: float
    naive_read: int
    due: float
    swept: Swept
    idle_after: float
    problems: list[str]


async def measure(url: str, due: int) -> Result:
    """Sweep with nothing due, read everything, sweep with much due."""
    db = Database(make_engine(url, pool_size=1))
    clock = FakeClock(NOW)
    sweep = SlaSweep(db, clock, batch=_BATCH, cooldown=_COOLDOWN)
    problems: list[str] = []
    try:
        await sweep.run()  # opens the connection
        idle = []
        for _ in range(_IDLE_SWEEPS):
            began = time.perf_counter()
            found = await sweep.run()
            idle.append(time.perf_counter() - began)
            if found != Swept():
                problems.append(f"an idle sweep found {found}")
        naive, read = await asyncio.to_thread(read_all, url, now=NOW)
        with psycopg.connect(url, autocommit=True) as connection:
            clocks = million_tickets.make_due(connection, due, now=NOW)
        began = time.perf_counter()
        swept = await sweep.run()
        seconds = time.perf_counter() - began
        began = time.perf_counter()
        again = await sweep.run()
        idle_after = time.perf_counter() - began
        if again != Swept():
            problems.append(f"the sweep after it found {again}")
        problems += await asyncio.to_thread(check, url, clocks)
        return Result(idle, naive, read, seconds, swept, idle_after, problems)
    finally:
        await db.close()


def read_all(url: str, *, now: datetime) -> tuple[float, int]:
    """Every running clock read in batches of 1000 and compared: seconds, and how many."""
    began, read, late = time.perf_counter(), 0, 0
    with (
        psycopg.connect(url) as connection,
        connection.cursor(name="open_clocks") as cursor,
    ):
        cursor.itersize = 1000
        cursor.execute(
            "SELECT c.id, c.metric, c.due_at, c.warn_at, t.status, t.number FROM sla_clocks c "
            "JOIN tickets t ON t.id = c.ticket_id WHERE c.state = 'running'"
        )
        for _, _, due_at, warn_at, _, _ in cursor:
            read += 1
            late += due_at <= now or warn_at <= now
    return time.perf_counter() - began, read


def check(url: str, clocks: int) -> list[str]:
    """What is not as it should be after `clocks` promises were broken."""
    wanted = {
        "alerts of breaches": "SELECT count(*) FROM sla_alerts WHERE threshold = 'breach'",
        "alerts of warnings": "SELECT count(*) FROM sla_alerts WHERE threshold = 'warning'",
        "breached clocks": "SELECT count(*) FROM sla_clocks WHERE state = 'breached'",
        "breached tickets": "SELECT count(*) FROM tickets WHERE sla_state = 'breached'",
        "events of breaches": "SELECT count(*) FROM ticket_events WHERE kind = 'sla_breached'",
        "outbox events": "SELECT count(*) FROM outbox_events WHERE topic = 'sla.breached'",
    }
    with psycopg.connect(url) as connection:
        found = {
            name: connection.execute(query.encode()).fetchone() for name, query in wanted.items()
        }
    return [
        f"{name}: expected {clocks:,}, found {row[0]:,}"
        for name, row in found.items()
        if row is not None and row[0] != clocks
    ]


def table(result: Result, *, tickets: int) -> str:
    """The result as Markdown."""
    idle = statistics.median(result.idle)
    alerts = result.swept.breaches
    rows = [
        ("sweep, nothing due: median", f"{idle * 1000:.1f} ms", f"<= {_IDLE_LIMIT_MS:.0f} ms"),
        ("sweep, nothing due: slowest", f"{max(result.idle) * 1000:.1f} ms", ""),
        (
            f"reading all {result.naive_read:,} running clocks",
            f"{result.naive:.2f} s",
            f"{result.naive / idle:,.0f} times the idle sweep",
        ),
        (
            f"sweep, {alerts:,} broken promises at once",
            f"{result.due:.2f} s",
            f"<= {_DUE_LIMIT_SECONDS:.0f} s; {alerts / result.due:,.0f} a second",
        ),
        ("sweep right after it", f"{result.idle_after * 1000:.1f} ms", ""),
    ]
    lines = [f"| {tickets:,} open tickets | measured | bar |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {value} | {bar} |" for name, value, bar in rows)])


def main(arguments: Sequence[str]) -> int:
    """Fill, measure, print; the exit code."""
    options = _parser().parse_args(arguments)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(Path(os.devnull).open("w")),  # noqa: SIM115
    )
    with tempfile.TemporaryDirectory(prefix="ponte-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = EmbeddedPostgres(
            folder / "data", folder / "run", durable=False, databases=("ponte",)
        )
        server.start()
        try:
            million_tickets.prepare(server.url())
            million_tickets.fill(server.url(), Desk(tickets=options.tickets, messages=1), say=say)
            result = asyncio.run(measure(server.url(), options.due))
        finally:
            server.stop()
    print(f"\n{os.cpu_count()} CPUs, embedded PostgreSQL 18 (128 MB of buffers, fsync off):\n")
    print(table(result, tickets=options.tickets))
    slow = statistics.median(result.idle) * 1000 > _IDLE_LIMIT_MS or result.due > _DUE_LIMIT_SECONDS
    for problem in result.problems:
        print(f"bench: {problem}", file=sys.stderr)
    return 1 if slow or result.problems else 0


def say(text: str) -> None:
    """Progress, for the person who waits."""
    print(f"[bench] {text}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sla",
        description="Measure the SLA monitor on very many open tickets.",
        epilog="example: python -m benchmarks.sla --tickets 50000 --due 1000",
    )
    parser.add_argument("--tickets", type=int, default=1_000_000)
    parser.add_argument("--due", type=int, default=10_000, help="promises broken at once")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
