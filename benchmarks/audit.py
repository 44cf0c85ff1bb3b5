"""How long the audit log takes: writing entries, sealing them, checking a million of them.

    python -m benchmarks.audit --entries 1000000

Starts a PostgreSQL of its own in a temporary folder, with `fsync` off, and prints one JSON
document. Entries are made inside PostgreSQL; the price of `record` is measured apart, in
transactions of its own, on eight connections at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import create_engine, text

from ponte.embedded.postgres import EmbeddedPostgres
from ticketing.db.base import Base
from ticketing.db.engine import Database, make_engine, with_driver
from ticketing.domain.audit_chain import Keys
from ticketing.services.audit import record
from ticketing.services.audit_sealing import seal_waiting, verify

KEYS = Keys((b"a key of the benchmark, 32 characters",))
NOW = datetime(2026, 3, 10, 13, 0, tzinfo=UTC)
WRITERS = 8

FILL = """
WITH made AS (
  INSERT INTO audit_log (id, at, actor, action, subject, data, correlation_id)
  SELECT (lpad(to_hex(n), 12, '0') || '70008000000000000000')::uuid,
         timestamptz '2026-01-01' + n * interval '1 second', 'agent:' || md5((n % 200)::text)::uuid,
         'ticket.taken', 'ticket:' || md5(n::text)::uuid,
         jsonb_build_object('to_agent', md5((n % 200)::text)::uuid, 'from_queue', 'n1_support',
                            'to_status', 'open'), md5(n::text)
  FROM generate_series(1, CAST(:entries AS integer)) AS n RETURNING id
) INSERT INTO audit_waiting (entry_id) SELECT id FROM made
"""


async def measure(url: str, entries: int) -> dict[str, float]:
    """Seconds of each step."""
    db = Database(make_engine(url))
    try:
        found = await _write(db)
        async with db.transaction() as session:
            await session.execute(text(FILL), {"entries": entries})
        async with db.engine.connect() as line:
            await line.execution_options(isolation_level="AUTOCOMMIT")
            await line.execute(text("ANALYZE"))
        begun = time.perf_counter()
        sealed = await seal_waiting(db, KEYS, now=NOW)
        found["seal_seconds"] = time.perf_counter() - begun
        begun = time.perf_counter()
        checked = await verify(db, KEYS, now=NOW + timedelta(minutes=1))
        found["verify_seconds"] = time.perf_counter() - begun
        if checked.fault is not None or checked.seals < entries:
            message = f"the log does not verify: {checked}"
            raise RuntimeError(message)
        found["sealed"] = sealed
        return found
    finally:
        await db.close()


async def _write(db: Database, count: int = 2000) -> dict[str, float]:
    """Entries a second, each in a transaction of its own, several writers at once."""

    async def write(writer: int) -> None:
        for number in range(count // WRITERS):
            async with db.transaction() as session:
                await record(
                    session,
                    actor="system",
                    action="thing.done",
                    subject=f"thing:{writer}-{number}",
                    data={"n": number},
                    now=NOW,
                    correlation_id="bench",
                )

    begun = time.perf_counter()
    await asyncio.gather(*(write(writer) for writer in range(WRITERS)))
    return {"record_per_second": count / (time.perf_counter() - begun)}


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    entries = parser.parse_args().entries
    folder = Path(tempfile.mkdtemp(prefix="ponte-bench-"))
    server = EmbeddedPostgres(folder / "pg", folder / "run", durable=False, databases=("ponte",))
    try:
        server.start()
        url = server.url("ponte")
        engine = create_engine(with_driver(url))
        Base.metadata.create_all(engine)
        engine.dispose()
        found = asyncio.run(measure(url, entries))
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    shown = {name: round(value, 2) for name, value in found.items()}
    print(json.dumps({"entries": entries, **shown}, indent=2))


if __name__ == "__main__":
    main()
