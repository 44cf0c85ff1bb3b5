"""Tell the admin that a channel is broken, or works again: once over all processes.

The process whose report changed the breaker writes the event at once, beside its work. If it dies
before, or the database is away, `BreakerWatch` finds it out from what Redis knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from notifications.domain.breaker import Breaker, BreakerState
from notifications.domain.jobs import CHANNEL_OF_JOB, JobName
from ticketing.db.engine import Database
from ticketing.domain.operation_alerts import AlertState, Decision, Says, broke, mended
from ticketing.services.operation_alerts import firing_alerts, follow

log = structlog.get_logger()

OPENED, CLOSED = "breaker.opened", "breaker.closed"
_SOURCE = "breaker"


class Seen(Protocol):
    """What is known of a breaker, and by which clock: `shared_state.redis_gate.Look`."""

    @property
    def breaker(self) -> Breaker:
        """The breaker."""
        ...

    @property
    def now(self) -> datetime:
        """When it was looked at."""
        ...


class Changed(Protocol):
    """A change of a breaker: `shared_state.local_gate.Transition`."""

    @property
    def job_name(self) -> JobName:
        """Whose breaker."""
        ...

    @property
    def after(self) -> BreakerState:
        """State after the change."""
        ...

    @property
    def breaker(self) -> Breaker:
        """All of it, after."""
        ...

    @property
    def at(self) -> datetime:
        """When."""
        ...


def alert_name(job_name: JobName) -> str:
    """Name of the alert of a breaker."""
    return f"breaker:{job_name.value}"


async def note_open(
    session: AsyncSession, job_name: JobName, breaker: Breaker, *, at: datetime, now: datetime
) -> Says:
    """The breaker is open since `at`; told when nobody was told yet."""
    return await _follow(session, job_name, breaker, lambda old: broke(old, at=at, now=now), now)


async def note_closed(
    session: AsyncSession,
    job_name: JobName,
    *,
    at: datetime,
    now: datetime,
    seen_at: datetime | None = None,
) -> Says:
    """The breaker is closed since `at`; told when somebody was told that it was open."""

    def decide(before: AlertState | None) -> Decision:
        return mended(before, at=at, now=now, seen_at=seen_at)

    return await _follow(session, job_name, Breaker(), decide, now)


async def _follow(
    session: AsyncSession,
    job_name: JobName,
    breaker: Breaker,
    decide: Callable[..., Decision],
    now: datetime,
) -> Says:
    payload: dict[str, object] = {"source": _SOURCE, "subject": job_name.value}
    channel = CHANNEL_OF_JOB.get(job_name)
    if breaker.state is not BreakerState.CLOSED:
        payload |= {"count": breaker.failures, "code": breaker.code}
        payload |= {"seconds": int(breaker.pause.total_seconds())}
        if channel is not None:
            payload["avoid_channel"] = channel.value
    return await follow(
        session,
        alert_name(job_name),
        decide,
        topics=(OPENED, CLOSED),
        payload=payload,
        now=now,
    )


@dataclass(slots=True)
class BreakerTeller:
    """Hears of every change that this process made, and tells of it without holding it up."""

    db: Database
    clock: Clock
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __call__(self, change: Changed) -> None:
        """Take note; call it from the event loop."""
        if change.after is BreakerState.HALF_OPEN:
            return
        task = asyncio.get_running_loop().create_task(self._tell(change))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """Wait until everything is told."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _tell(self, change: Changed) -> None:
        now = self.clock.now()
        try:
            async with self.db.transaction() as session:
                if change.after is BreakerState.OPEN:
                    await note_open(session, change.job_name, change.breaker, at=change.at, now=now)
                else:
                    await note_closed(session, change.job_name, at=change.at, now=now)
        except Exception as error:  # noqa: BLE001 - `BreakerWatch` comes after it
            log.warning(
                "breaker.not_told",
                job_name=change.job_name.value,
                error_type=type(error).__name__,
            )


Looks = Callable[[], Awaitable[Mapping[JobName, Seen] | None]]
"""What all processes know of the breakers; None while nobody can say."""


@dataclass(frozen=True, slots=True)
class BreakerWatch:
    """Compares what Redis knows with what was told, and makes up for what was not."""

    db: Database
    clock: Clock
    looks: Looks

    async def run(self) -> dict[JobName, Says]:
        """Look once; what was told. While Redis is away nothing is: what was told stays so."""
        found = await self.looks()
        if found is None:
            return {}
        now = self.clock.now()
        told: dict[JobName, Says] = {}
        async with self.db.transaction() as session:
            firing = await firing_alerts(session)
        for job_name, seen in found.items():
            is_open = seen.breaker.state is not BreakerState.CLOSED
            if is_open == (alert_name(job_name) in firing):
                continue
            async with self.db.transaction() as session:
                if is_open:
                    says = await note_open(session, job_name, seen.breaker, at=seen.now, now=now)
                else:
                    at = seen.breaker.changed_at
                    says = await note_closed(session, job_name, at=at, now=now, seen_at=seen.now)
            told[job_name] = says
        return told
