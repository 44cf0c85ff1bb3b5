"""The gate of one process alone: for when Redis is away."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kit.clock import Clock
from notifications.domain.breaker import Breaker, BreakerState
from notifications.domain.jobs import JobName
from notifications.domain.pauses import Pause
from notifications.services.ports import Outcome, Passage
from notifications.shared_state.job_gate import JobGate, signal_of


@dataclass(frozen=True, slots=True)
class Transition:
    """The breaker of a job name went from one state to another.

    Attributes:
        job_name: Whose breaker.
        before: State before.
        after: State after.
        breaker: All of it, after.
        at: When, by the clock that decided.
    """

    job_name: JobName
    before: BreakerState
    after: BreakerState
    breaker: Breaker
    at: datetime


Told = Callable[[Transition], None]
"""Hears of every transition that this process made; must not block."""


@dataclass(slots=True)
class LocalGate:
    """See the module's text; a `Gate`.

    Attributes:
        clock: The process's.
        told: Hears of every transition.
    """

    clock: Clock
    told: Told = lambda _: None
    jobs: defaultdict[JobName, JobGate] = field(default_factory=lambda: defaultdict(JobGate))

    async def admit(self, job_name: JobName, recipients: Sequence[str]) -> Sequence[Passage]:
        """See `Gate.admit`."""
        job = self.jobs[job_name]
        now = self.clock.now()
        before = job.breaker.state
        passages = job.admit(recipients, now)
        if job.breaker.state is not before:
            self.told(Transition(job_name, before, job.breaker.state, job.breaker, now))
        return passages

    async def report(self, job_name: JobName, outcomes: Sequence[Outcome]) -> None:
        """See `Gate.report`."""
        job = self.jobs[job_name]
        now = self.clock.now()
        signals = [signal_of(outcome, outcome.recipient) for outcome in outcomes]
        for change in job.report(signals, now):
            self.told(Transition(job_name, change.before, change.after, job.breaker, now))

    async def closed_for(self, job_names: Sequence[JobName]) -> Mapping[JobName, timedelta]:
        """See `Gate.closed_for`."""
        now = self.clock.now()
        waits = {job_name: self.jobs[job_name].waits(now)[0] for job_name in job_names}
        return {job_name: wait for job_name, wait in waits.items() if wait}

    def adopt(self, job_name: JobName, breaker: Breaker, pause: Pause) -> None:
        """Remember what all processes together know, for when only this one is asked."""
        self.jobs[job_name].breaker = breaker
        self.jobs[job_name].pause = pause
