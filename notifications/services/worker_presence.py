"""A worker process shows that it lives by an advisory lock; PostgreSQL takes it at its death.

Decision: docs/decisions/0011-worker-presence.md. The lock belongs to a connection: a killed process
loses it at once, a lost machine when the keep-alives go unanswered, a hung one keeps it (the lease
of its claims runs out all the same).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import psycopg
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

log = structlog.get_logger()

LOCK_CLASS = 0x506F6E74
"""First half of the advisory lock's key ("Pont"); the second is the process's own."""

GONE_AFTER = timedelta(seconds=10)
"""A key that was missing for so long belongs to nobody. A live worker whose connection broke, also
by a restart of PostgreSQL, has its lock again within two seconds of being able to."""

LONGEST_STEP = timedelta(seconds=2)
"""Between two looks no more than this counts as missing: what nobody saw proves nothing (the
database was away, the sweeping machine slept, its clock was set)."""

LOOK_SECONDS = 10.0
"""A connection that says nothing is tried this often: a cut cable makes no noise."""

ANSWER_SECONDS = 5.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 1.0

# Where the server supports it, PostgreSQL itself notices a lost machine within half a minute. They
# mean nothing on a socket file.
_KEEPALIVES = (
    "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
    " -c application_name=ponte-presence"
)


class WorkerPresence:
    """Holds the lock of one worker process, and takes it again whenever it is lost."""

    def __init__(self, url: str, new_key: Callable[[], int]) -> None:
        """`url` is for libpq; `new_key` draws a number of 31 bits."""
        self._url = url
        self._new_key = new_key
        self._key = new_key()
        self._held = asyncio.Event()
        self._owned = False

    def key(self) -> int | None:
        """The key to put on claims; None while the lock is not held: then only the lease counts."""
        return self._key if self._held.is_set() else None

    async def held(self) -> None:
        """Wait until the lock is held."""
        await self._held.wait()

    async def run(self) -> None:
        """Hold the lock until cancelled."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                async with await self._connect() as connection:
                    if await self._lock(connection):
                        pause = FIRST_PAUSE_SECONDS
                        self._held.set()
                        log.info("presence.held", worker=self._key)
                        await self._watch(connection)
            except (psycopg.Error, OSError, TimeoutError) as error:
                log.warning("presence.lost", worker=self._key, error_type=type(error).__name__)
            finally:
                self._held.clear()
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _connect(self) -> psycopg.AsyncConnection[tuple[object, ...]]:
        return await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, connect_timeout=5, options=_KEEPALIVES
        )

    async def _lock(self, connection: psycopg.AsyncConnection[tuple[object, ...]]) -> bool:
        found = await connection.execute(
            "SELECT pg_try_advisory_lock(%s, %s)", (LOCK_CLASS, self._key)
        )
        (held,) = await found.fetchone() or (False,)
        if held:
            self._owned = True
        elif not self._owned:
            self._key = self._new_key()  # somebody else's; one in two thousand million
        # Else our own old connection has it, which the server has not missed yet.
        return bool(held)

    async def _watch(self, connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
        """Return never; raise as soon as the connection is gone."""
        while True:
            # Nobody sends anything here: it is the cheapest way to hear that the line breaks.
            async for _ in connection.notifies(timeout=LOOK_SECONDS):
                pass
            async with asyncio.timeout(ANSWER_SECONDS):
                await connection.execute("SELECT 1")


@dataclass(slots=True)
class Attendance:
    """Which worker keys are gone, as one sweeping process has seen it over time."""

    gone_after: timedelta = GONE_AFTER
    _missing_for: dict[int, timedelta] = field(default_factory=dict)
    _last_look: datetime | None = None
    _server_start: object = None

    async def gone(self, session: AsyncSession, *, now: datetime) -> frozenset[int]:
        """Keys on claims whose process has been missing for `gone_after`."""
        start = (await session.execute(_SERVER_START)).scalar_one()
        missing = frozenset((await session.execute(_MISSING, {"class": LOCK_CLASS})).scalars())
        if start != self._server_start:  # everybody lost their lock: they begin anew
            self._missing_for.clear()
            self._server_start = start
        return self._note(missing, now)

    def _note(self, missing: Collection[int], now: datetime) -> frozenset[int]:
        passed = timedelta() if self._last_look is None else now - self._last_look
        step = min(max(passed, timedelta()), LONGEST_STEP)
        self._last_look = now
        before = self._missing_for
        self._missing_for = {
            key: before[key] + step if key in before else timedelta() for key in missing
        }
        return frozenset(
            key for key, since in self._missing_for.items() if since >= self.gone_after
        )


_SERVER_START = text("SELECT pg_postmaster_start_time()")
_MISSING = text(
    """
    SELECT DISTINCT claimed_by FROM notifications
    WHERE state = 'sending' AND claimed_by IS NOT NULL AND claimed_by NOT IN (
      SELECT objid::bigint::integer FROM pg_locks
      WHERE locktype = 'advisory' AND objsubid = 2 AND granted AND classid::bigint = :class
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    )
    """
)
