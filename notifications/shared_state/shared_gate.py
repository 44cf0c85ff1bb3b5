"""The gate that workers and the sweep use: Redis for all, the process's own memory without it.

It never raises for a Redis that is away or slow and never holds a notice up because of it. What
Redis said last is kept in memory, so that an open breaker stays open when Redis goes; when it is
back its word holds again, and what this process learnt alone is forgotten: five failures more at
worst.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from redis.exceptions import RedisError

from kit.clock import Clock
from kit.metrics import counter, gauge
from notifications.domain.breaker import Breaker, BreakerState
from notifications.domain.jobs import JobName
from notifications.domain.pauses import Pause
from notifications.services.ports import Outcome, Passage
from notifications.shared_state.job_gate import Change
from notifications.shared_state.local_gate import LocalGate, Told, Transition
from notifications.shared_state.redis_gate import Look, RedisGate, connect

log = structlog.get_logger()

AWAY_FOR = timedelta(seconds=1)
"""After a failure Redis is left alone for so long: a Redis that is slow would cost every batch its
time-out."""

STATE = gauge(
    "ponte_breaker_state",
    "State of the breaker of a job name: 0 closed, 1 half-open (one probe), 2 open.",
    ("job",),
)
PAUSED = gauge(
    "ponte_notifications_paused",
    "1 while a limit of the provider keeps the notices of a job name back.",
    ("job",),
)
TRANSITIONS = counter(
    "ponte_breaker_transitions_total", "Changes of the breaker of a job name.", ("job", "to")
)
AWAY = counter(
    "ponte_breaker_redis_away_total",
    "Times that a process had to decide without Redis whether notices may leave.",
)

_NUMBERS = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}

ResultT = TypeVar("ResultT")


class SharedGate:
    """See the module's text; a `Gate`.

    Args:
        shared: What all processes share.
        clock: The process's.
        told: Hears of every transition this process made; must not block.
        away_for: See `AWAY_FOR`.
    """

    def __init__(
        self,
        shared: RedisGate,
        clock: Clock,
        *,
        told: Told = lambda _: None,
        away_for: timedelta = AWAY_FOR,
    ) -> None:
        self._shared = shared
        self._clock = clock
        self._told = told
        self._away_for = away_for
        self._away_until: datetime | None = None
        self.local = LocalGate(clock, self._note)

    async def close(self) -> None:
        """Close the connections to Redis."""
        await self._shared.close()

    async def admit(self, job_name: JobName, recipients: Sequence[str]) -> Sequence[Passage]:
        """See `Gate.admit`."""
        found = await self._ask(lambda: self._shared.admit(job_name, recipients))
        if found is None:
            return await self.local.admit(job_name, recipients)
        passages, look, changes = found
        self._learn(job_name, look, changes)
        return passages

    async def report(self, job_name: JobName, outcomes: Sequence[Outcome]) -> None:
        """See `Gate.report`."""
        if not outcomes:
            return
        found = await self._ask(lambda: self._shared.report(job_name, outcomes))
        if found is None:
            await self.local.report(job_name, outcomes)
            return
        look, changes = found
        self._learn(job_name, look, changes)

    async def closed_for(self, job_names: Sequence[JobName]) -> Mapping[JobName, timedelta]:
        """See `Gate.closed_for`."""
        found = await self.looks(job_names)
        if found is None:
            return await self.local.closed_for(job_names)
        waits = {job_name: look.waits() for job_name, look in found.items()}
        return {job_name: wait for job_name, wait in waits.items() if wait}

    async def looks(self, job_names: Sequence[JobName]) -> Mapping[JobName, Look] | None:
        """What all processes together know of each job name; None while Redis is away."""
        found = await self._ask(lambda: self._shared.look(job_names))
        for job_name, look in (found or {}).items():
            self._learn(job_name, look, ())
        return found

    async def _ask(self, question: Callable[[], Awaitable[ResultT]]) -> ResultT | None:
        now = self._clock.now()
        away = self._away_until
        # A clock that was set back must not keep Redis away for longer.
        if away is not None and timedelta() < away - now <= self._away_for:
            return None
        try:
            answer = await question()
        except (RedisError, OSError, TimeoutError) as error:
            if self._away_until is None:
                log.warning("gate.redis_away", error_type=type(error).__name__)
            self._away_until = now + self._away_for
            AWAY.inc()
            return None
        if self._away_until is not None:
            log.info("gate.redis_back")
            self._away_until = None
        return answer

    def _learn(self, job_name: JobName, look: Look, changes: Sequence[Change]) -> None:
        # In this process's time: only how long it waits is the same on all clocks.
        ahead = self._clock.now() - look.now
        self.local.adopt(job_name, _moved(look.breaker, ahead), _moved_pause(look.pause, ahead))
        STATE.labels(job=job_name.value).set(_NUMBERS[look.breaker.state])
        PAUSED.labels(job=job_name.value).set(int(bool(look.pause.waits(look.now))))
        for change in changes:
            transition = Transition(job_name, change.before, change.after, look.breaker, look.now)
            self._note(transition)

    def _note(self, transition: Transition) -> None:
        job, state = transition.job_name.value, transition.after
        STATE.labels(job=job).set(_NUMBERS[transition.breaker.state])
        TRANSITIONS.labels(job=job, to=state.value).inc()
        write = log.info if state is BreakerState.CLOSED else log.warning
        write("breaker.changed", job_name=job, state=state.value, code=transition.breaker.code)
        self._told(transition)


def make_gate(
    redis_url: str, *, recipient_key: str, clock: Clock, told: Told = lambda _: None
) -> SharedGate:
    """The gate of a process of this installation; it connects with its first use."""
    return SharedGate(RedisGate(connect(redis_url), recipient_key=recipient_key), clock, told=told)


def _moved(breaker: Breaker, by: timedelta) -> Breaker:
    return replace(breaker, until=breaker.until + by, changed_at=breaker.changed_at + by)


def _moved_pause(pause: Pause, by: timedelta) -> Pause:
    return replace(pause, until=pause.until + by, granted_at=pause.granted_at + by)
