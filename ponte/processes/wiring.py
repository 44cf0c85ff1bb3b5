"""What every process builds the same way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import structlog
from sanic import Sanic

from channels.http_transport import AiohttpTransport
from handoff.policy import HandoffPolicy
from handoff.policy_file import parse_policy, policy_text
from kit import metrics
from kit.clock import SystemClock
from kit.logging import configure_logging
from ponte.holiday_dates import holiday_dates
from ponte.settings import Settings
from ticketing.db.engine import Database, make_engine
from ticketing.services import decisions, handoffs

log = structlog.get_logger()

_OPEN_CONNECTIONS_SECONDS = 3.0
"""How long a stop waits for requests that are being answered. Sanic's 15 s are longer than the
supervisor waits before it kills."""

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 5.0

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """The handoff policy, the text it was read from, and what tells that the file has changed."""

    policy: HandoffPolicy
    source: str
    stamp: Stamp | None


Stamp = tuple[int, int, int]
"""Inode, time of change and size: an editor either writes the file again or puts another there."""


def configure_process(settings: Settings, name: str) -> None:
    """Logging and metrics for a process of this name."""
    configure_logging(
        process=name,
        json_lines=settings.ponte_log_format == "json",
        level=settings.ponte_log_level,
    )
    if not metrics.share(settings.metrics_dir, name):
        log.warning("metrics.not_shared", path=str(settings.metrics_dir))


def make_clock(settings: Settings) -> SystemClock:
    """The machine's clock, moved for demonstrations only."""
    return SystemClock(timedelta(seconds=settings.ponte_clock_offset_seconds))


def make_database(settings: Settings, *, pool_size: int = 10) -> Database:
    """The database of the settings."""
    return Database(make_engine(settings.ponte_database_url, pool_size=pool_size))


def make_http(*, most_connections: int = 200) -> httpx.AsyncClient:
    """The HTTP client of a process; the caller closes it."""
    return httpx.AsyncClient(transport=AiohttpTransport(most_connections=most_connections))


def read_policy(path: Path = ROOT / "handoff.yml") -> LoadedPolicy:
    """The policy file of this checkout.

    Raises:
        PolicyError: listing everything that is wrong in it, by line.
    """
    stamp = stamp_of(path)  # before the text: a change in between is seen at the next look
    source = policy_text(path)
    policy = parse_policy(source, filename=str(path), holiday_dates=holiday_dates)
    return LoadedPolicy(policy, source, stamp)


def stamp_of(path: Path) -> Stamp | None:
    """What changes when the file does; None while there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


async def put_in_force(db: Database, loaded: LoadedPolicy, *, now: datetime) -> None:
    """Make the database know a policy that is about to decide: its queues and its text."""
    async with db.transaction() as session:
        await handoffs.sync_queues(session, policy=loaded.policy)
        await decisions.remember_policy(
            session, version=loaded.policy.version, source=loaded.source, now=now
        )


def make_jitter() -> Callable[[], float]:
    """Numbers in [0, 1) for retry delays; they need no secrecy."""
    return random.random


async def until_done(name: str, job: Callable[[], Awaitable[None]]) -> None:
    """Do something once, trying again while the database is away: a process starts without it."""
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return await job()
        except Exception:
            log.exception("start.job_failed", job_name=name, retry_in_seconds=pause)
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


def serve(app: Sanic[Any, Any], *, host: str, port: int) -> int:
    """Serve in this process until SIGTERM; one process, one event loop."""
    app.config.GRACEFUL_SHUTDOWN_TIMEOUT = _OPEN_CONNECTIONS_SECONDS
    app.run(
        host=host,
        port=port,
        single_process=True,
        access_log=False,
        motd=False,
        debug=False,
    )
    return 0
