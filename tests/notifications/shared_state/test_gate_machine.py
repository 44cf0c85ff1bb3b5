"""The rules in Python, the same rules in Redis by several clients, and a naive oracle."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from notifications.domain.failure import Consequence, Failure, FailureKind
from notifications.domain.jobs import JobName
from notifications.services.ports import Outcome, Passage
from notifications.shared_state.job_gate import Change, JobGate, signal_of
from notifications.shared_state.redis_gate import RedisGate, connect

JOB = JobName.SEND_EMAIL
START = datetime(2026, 3, 10, 13, 0, tzinfo=UTC)
RECIPIENTS = ("a@example.com", "b@example.com", "c@example.com")
NO_WAIT = timedelta()
_prefixes = itertools.count()

FAILURES = {
    "accepted": None,
    "transient": Failure(FailureKind.TRANSIENT, "500"),
    "unknown": Failure(FailureKind.UNKNOWN, "deadline"),
    "stopped": Failure(FailureKind.STOP_CHANNEL, "190"),
    "permanent": Failure(FailureKind.PERMANENT, "131026"),
    "unreachable": Failure(
        FailureKind.TRANSIENT, "30003", consequence=Consequence.STRIKE_RECIPIENT
    ),
    "limited": Failure(
        FailureKind.RATE_LIMITED,
        "429",
        retry_after=timedelta(seconds=30),
        consequence=Consequence.SLOW_NUMBER,
    ),
    "limited without a word": Failure(FailureKind.RATE_LIMITED, "130429"),
    "recipient limited": Failure(
        FailureKind.RATE_LIMITED, "131056", consequence=Consequence.SLOW_RECIPIENT
    ),
}


class Oracle:
    """The breaker as the requirement says it, from the story of what happened; no pauses."""

    def __init__(self) -> None:
        self.story: list[str] = []
        self.life = 0
        """Sends of an earlier life of the breaker do not count."""
        self.open_since: datetime | None = None
        self.pause = NO_WAIT
        self.probe_since: datetime | None = None

    def may_leave(self, now: datetime) -> str:
        """`yes`, `probe` or `no`."""
        if self.open_since is None:
            return "yes"
        if self.probe_since is not None:
            return "no" if now - self.probe_since < timedelta(seconds=120) else "probe"
        return "no" if now - self.open_since < self.pause else "probe"

    def probe_leaves(self, now: datetime) -> int:
        self.probe_since = now
        self.life += 1
        return self.life

    def ended(self, what: str, *, life: int, now: datetime) -> None:
        if life != self.life:
            return
        bad = what in {"transient", "unknown", "stopped"}
        if self.probe_since is not None:
            self.probe_since = None
            self.life += 1
            self.story = []
            if not bad:
                self.open_since = None
                return
            self.open(what, now)
        elif self.open_since is None:
            if bad or what == "accepted":
                self.story.append(what)
            in_a_row = list(
                itertools.takewhile(lambda one: one != "accepted", reversed(self.story))
            )
            if len(in_a_row) >= 5 or "stopped" in in_a_row:
                self.life += 1
                self.open(what, now)

    def open(self, what: str, now: datetime) -> None:
        self.open_since = now
        self.pause = timedelta(minutes=10) if what == "stopped" else timedelta(seconds=60)
        self.story = []


class GateMachine(RuleBasedStateMachine):
    """Sends begin and end in any order, at any time, in three processes."""

    redis_url = ""

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.now = START
        self.pure = JobGate()
        self.oracle = Oracle()
        prefix = f"test:{next(_prefixes)}"
        self.clients = [connect(self.redis_url) for _ in range(3)]
        for client in self.clients:
            # The time is the machine's, so a slow test machine must not look like Redis away.
            client.connection_pool.connection_kwargs["socket_timeout"] = 5
        self.shared = [
            RedisGate(client, recipient_key="key", now=lambda: self.now, prefix=prefix)
            for client in self.clients
        ]
        self.under_way: list[tuple[str, Passage, int]] = []
        self.not_before = START
        self.paused: dict[str, datetime] = {}

    def run(self, call: Any) -> Any:
        return self.runner.run(call)

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            for client in self.clients:
                self.run(client.aclose())
            self.runner.close()

    @rule(seconds=st.sampled_from([0.001, 0.5, 1, 4, 5, 29.999, 30, 60, 119, 120, 600, 1300]))
    def time_passes(self, seconds: float) -> None:
        self.now += timedelta(milliseconds=round(seconds * 1000))

    @rule(
        who=st.integers(0, 2),
        recipients=st.lists(st.sampled_from(RECIPIENTS), min_size=1, max_size=4),
    )
    def ask(self, who: int, recipients: list[str]) -> None:
        pure = self.pure.admit(recipients, self.now)
        shared, _, _ = self.run(self.shared[who].admit(JOB, recipients))
        assert shared == pure
        for recipient, passage in zip(recipients, pure, strict=True):
            word = self.oracle.may_leave(self.now)
            if passage.reason == "breaker_open":
                assert word == "no"
                assert passage.wait > NO_WAIT
            if not passage.allowed:
                continue
            assert word == ("probe" if passage.probe else "yes")
            assert self.now >= self.not_before  # no call before the provider's word
            assert self.now >= self.paused.get(recipient, self.now)
            life = self.oracle.probe_leaves(self.now) if passage.probe else self.oracle.life
            self.under_way.append((recipient, passage, life))

    @rule(
        who=st.integers(0, 2),
        ends=st.lists(
            st.tuples(st.integers(0, 50), st.sampled_from(sorted(FAILURES))),
            min_size=1,
            max_size=6,
        ),
    )
    def end(self, who: int, ends: list[tuple[int, str]]) -> None:
        self._end(who, ends)

    @rule(who=st.integers(0, 2), what=st.sampled_from(["transient", "unknown", "accepted"]))
    def all_end_alike(self, who: int, what: str) -> None:
        self._end(who, [(0, what)] * len(self.under_way))

    def _end(self, who: int, ends: list[tuple[int, str]]) -> None:
        outcomes = []
        before = self.oracle.open_since, self.oracle.probe_since
        for place, what in ends:
            if not self.under_way:
                break
            recipient, passage, life = self.under_way.pop(place % len(self.under_way))
            failure = FAILURES[what]
            outcomes.append(
                Outcome(recipient, failure, probe=passage.probe, generation=passage.generation)
            )
            self.oracle.ended(what, life=life, now=self.now)
            if what == "limited":
                self.not_before = max(self.not_before, self.now + timedelta(seconds=30))
            elif what == "limited without a word":
                self.not_before = max(self.not_before, self.now)
            elif what == "recipient limited":
                self.paused[recipient] = self.now + timedelta(seconds=1)
            elif what == "accepted":
                self.paused.pop(recipient, None)
        if not outcomes:
            return
        signals = [signal_of(outcome, outcome.recipient) for outcome in outcomes]
        pure = self.pure.report(signals, self.now)
        look, shared = self.run(self.shared[who].report(JOB, outcomes))
        assert shared == pure
        assert look.breaker == self.pure.breaker
        assert look.pause == self.pure.pause
        assert all(isinstance(change, Change) for change in pure)
        changed = before != (self.oracle.open_since, self.oracle.probe_since)
        assert changed == bool(pure)

    @invariant()
    def all_know_the_same(self) -> None:
        if not hasattr(self, "shared"):
            return
        look = self.run(self.shared[0].look([JOB]))[JOB]
        assert look.breaker == self.pure.breaker
        assert look.pause == self.pure.pause
        assert look.waits() == self.pure.waits(self.now)[0]
        word = {"closed": "yes", "open": "no", "half_open": "no"}[look.breaker.state.value]
        if look.breaker.waits(self.now) or word == "yes":
            assert self.oracle.may_leave(self.now) == word
        else:
            assert self.oracle.may_leave(self.now) == "probe"


def test_python_redis_and_the_oracle_agree(redis_url: str) -> None:
    machine = type("Machine", (GateMachine,), {"redis_url": redis_url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
