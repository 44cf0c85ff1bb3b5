"""Each rule of the gate by itself, in memory and in Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Protocol

import pytest
import pytest_asyncio

from kit.clock import FakeClock
from notifications.domain.failure import Consequence, Failure, FailureKind
from notifications.domain.jobs import JobName
from notifications.services.ports import Outcome, Passage
from notifications.shared_state.job_gate import JobGate, signal_of
from notifications.shared_state.redis_gate import RedisGate, connect

JOB = JobName.SEND_SMS
ANA, RUI = "+5511911111111", "+5511922222222"
TRANSIENT = Failure(FailureKind.TRANSIENT, "503")
TIMEOUT = Failure(FailureKind.UNKNOWN, "deadline")
STOPPED = Failure(FailureKind.STOP_CHANNEL, "20003")
PERMANENT = Failure(FailureKind.PERMANENT, "21211")
STRIKE = Failure(FailureKind.TRANSIENT, "30003", consequence=Consequence.STRIKE_RECIPIENT)


def limited(seconds: float | None = None, *, ours: bool = False) -> Failure:
    return Failure(
        FailureKind.RATE_LIMITED,
        "20429",
        retry_after=None if seconds is None else timedelta(seconds=seconds),
        consequence=Consequence.SLOW_NUMBER,
        wait_is_ours=ours,
    )


SLOW_ANA = Failure(FailureKind.RATE_LIMITED, "131056", consequence=Consequence.SLOW_RECIPIENT)


def name_of(value: object) -> str:
    """Short names of cases: the codes."""
    if isinstance(value, Failure):
        return value.code
    if isinstance(value, list):
        return "-".join("ok" if one is None else one.code for one in value)
    return str(value)


class Driver(Protocol):
    """One gate, in memory or in Redis."""

    async def ask(self, *recipients: str) -> Sequence[Passage]: ...

    async def end(self, *ends: tuple[Passage | None, Failure | None]) -> list[str]: ...

    def wait(self, seconds: float) -> None: ...


class Pure:
    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.gate = JobGate()

    async def ask(self, *recipients: str) -> Sequence[Passage]:
        return self.gate.admit(recipients or (ANA,), self.clock.now())

    async def end(self, *ends: tuple[Passage | None, Failure | None]) -> list[str]:
        signals = [signal_of(one, one.recipient) for one in outcomes(ends)]
        return [one.after.value for one in self.gate.report(signals, self.clock.now())]

    def wait(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))


class Shared:
    def __init__(self, clock: FakeClock, gate: RedisGate) -> None:
        self.clock = clock
        self.gate = gate

    async def ask(self, *recipients: str) -> Sequence[Passage]:
        return (await self.gate.admit(JOB, recipients or (ANA,)))[0]

    async def end(self, *ends: tuple[Passage | None, Failure | None]) -> list[str]:
        _, changes = await self.gate.report(JOB, outcomes(ends))
        return [one.after.value for one in changes]

    def wait(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))


def outcomes(ends: Sequence[tuple[Passage | None, Failure | None]]) -> list[Outcome]:
    return [
        Outcome(
            ANA,
            failure,
            probe=passage.probe if passage else False,
            generation=passage.generation if passage else 0,
        )
        for passage, failure in ends
    ]


@pytest_asyncio.fixture(params=["python", "redis"], loop_scope="session")
async def gate(
    request: pytest.FixtureRequest, clock: FakeClock, redis_url: str
) -> AsyncIterator[Driver]:
    if request.param == "python":
        yield Pure(clock)
        return
    shared = RedisGate(connect(redis_url), recipient_key="key", now=clock.now)
    yield Shared(clock, shared)
    await shared.close()


async def open_it(gate: Driver, failure: Failure = TRANSIENT) -> None:
    (passage,) = await gate.ask()
    assert "open" in await gate.end(*[(passage, failure)] * 5)


@pytest.mark.parametrize(
    ("failures", "opens"),
    [
        ([TRANSIENT] * 4, False),
        ([TRANSIENT] * 5, True),
        ([TIMEOUT, TRANSIENT, TIMEOUT, TRANSIENT, TIMEOUT], True),
        ([TRANSIENT] * 4 + [None] + [TRANSIENT] * 4, False),
        ([TRANSIENT] * 4 + [PERMANENT, STRIKE, TRANSIENT], True),
        ([PERMANENT] * 20, False),
        ([STRIKE] * 20, False),
        ([SLOW_ANA] * 20, False),
        ([limited()] * 20, False),
        ([STOPPED], True),
        ([Failure(FailureKind.UNKNOWN, "unknown_outcome")] * 9, False),
        ([Failure(FailureKind.UNKNOWN, "internal_error")] * 5, True),
    ],
    ids=name_of,
)
async def test_what_opens_the_breaker(
    gate: Driver, failures: list[Failure | None], opens: bool
) -> None:
    (passage,) = await gate.ask()
    changes = await gate.end(*[(passage, failure) for failure in failures])

    assert changes == (["open"] if opens else [])


async def test_after_a_minute_one_single_probe_leaves(gate: Driver) -> None:
    await open_it(gate)
    gate.wait(59.999)
    held = await gate.ask(ANA, RUI)
    assert [(one.allowed, one.reason) for one in held] == [(False, "breaker_open")] * 2
    assert held[0].wait == timedelta(milliseconds=1)
    gate.wait(0.001)
    passages = await gate.ask(RUI, ANA, ANA)

    assert [(one.allowed, one.probe) for one in passages] == [
        (True, True),
        (False, False),
        (False, False),
    ]
    assert passages[1].wait == timedelta(seconds=5)
    assert not (await gate.ask())[0].allowed


@pytest.mark.parametrize("answer", [None, PERMANENT, STRIKE, limited()], ids=name_of)
async def test_a_probe_that_is_answered_closes_it(gate: Driver, answer: Failure | None) -> None:
    await open_it(gate)
    gate.wait(60)
    (probe,) = await gate.ask()

    assert await gate.end((probe, answer)) == ["closed"]
    # and four failures are not five
    (passage,) = await gate.ask() if answer is None else (None,)
    assert await gate.end(*[(passage, TRANSIENT)] * 4) == []


@pytest.mark.parametrize(
    ("failure", "seconds"), [(TRANSIENT, 60), (TIMEOUT, 60), (STOPPED, 600)], ids=name_of
)
async def test_a_probe_that_fails_opens_it_again(
    gate: Driver, failure: Failure, seconds: float
) -> None:
    await open_it(gate)
    gate.wait(60)
    (probe,) = await gate.ask()

    assert await gate.end((probe, failure)) == ["open"]
    gate.wait(seconds - 0.001)
    assert not (await gate.ask())[0].allowed
    gate.wait(0.001)
    assert (await gate.ask())[0].probe


async def test_a_refused_account_is_asked_again_after_ten_minutes(gate: Driver) -> None:
    (passage,) = await gate.ask()
    await gate.end((passage, STOPPED))
    gate.wait(599.999)
    assert (await gate.ask())[0].wait == timedelta(milliseconds=1)
    gate.wait(0.001)
    assert (await gate.ask())[0].probe


async def test_a_probe_whose_process_died_gives_up_its_place(gate: Driver) -> None:
    await open_it(gate)
    gate.wait(60)
    (lost,) = await gate.ask()
    gate.wait(119.999)
    assert not (await gate.ask())[0].allowed
    gate.wait(0.001)
    (probe,) = await gate.ask()
    assert probe.probe
    # The lost one was only slow: its word is not the probe's any more.
    assert await gate.end((lost, None)) == []
    assert await gate.end((lost, TRANSIENT)) == []
    assert await gate.end((probe, None)) == ["closed"]


async def test_what_began_before_the_opening_changes_nothing(gate: Driver) -> None:
    old, late = (await gate.ask())[0], (await gate.ask())[0]
    await open_it(gate)
    assert await gate.end((old, None)) == []  # open
    gate.wait(60)
    (probe,) = await gate.ask()
    assert await gate.end((old, None), (old, STOPPED), (None, None)) == []  # half-open
    await gate.end((probe, None))
    if late.generation:
        assert await gate.end(*[(late, TRANSIENT)] * 5) == []  # closed again


async def test_what_began_in_an_earlier_life_does_not_count(gate: Driver) -> None:
    for _ in range(2):
        await open_it(gate)
        gate.wait(60)
        (probe,) = await gate.ask()
        await gate.end((probe, None))
        (old,) = await gate.ask()
    await gate.end(*[(old, TRANSIENT)] * 4)
    await open_it(gate)
    gate.wait(60)
    (probe,) = await gate.ask()
    await gate.end((probe, None))

    assert await gate.end(*[(old, TRANSIENT)] * 5) == []
    assert await gate.end((old, STOPPED)) == []


@pytest.mark.parametrize(
    ("failure", "seconds"),
    [
        (limited(), 5),
        (limited(30), 30),
        (limited(0.0004), 5),
        (limited(-3), 5),
        (limited(3600), 120),
        (limited(300, ours=True), 300),
        (limited(86400, ours=True), 600),
        (Failure(FailureKind.RATE_LIMITED, "429"), 5),
    ],
    ids=name_of,
)
async def test_nothing_leaves_before_the_pause_is_over(
    gate: Driver, failure: Failure, seconds: float
) -> None:
    (passage,) = await gate.ask()
    assert await gate.end((passage, failure)) == []
    gate.wait(seconds - 0.001)
    (held,) = await gate.ask(RUI)
    assert (held.allowed, held.reason, held.wait) == (False, "slowed", timedelta(milliseconds=1))
    gate.wait(0.001)
    assert (await gate.ask(RUI))[0].allowed


async def test_pauses_that_follow_each_other_grow(gate: Driver) -> None:
    lengths = []
    for _ in range(9):
        (passage,) = await gate.ask()
        assert passage.allowed
        await gate.end((passage, limited()))
        (held,) = await gate.ask()
        lengths.append(held.wait.total_seconds())
        gate.wait(held.wait.total_seconds())

    assert lengths == [5, 10, 20, 40, 80, 160, 320, 600, 600]


async def test_limits_met_at_the_same_time_are_one(gate: Driver) -> None:
    passages = await gate.ask(*[ANA] * 20)
    await gate.end(*[(passage, limited()) for passage in passages])
    assert (await gate.ask())[0].wait == timedelta(seconds=5)
    # A longer word from one of them still holds.
    await gate.end((passages[0], limited(40)))
    assert (await gate.ask())[0].wait == timedelta(seconds=40)


async def test_after_a_pause_one_leaves_and_then_a_few(gate: Driver) -> None:
    (passage,) = await gate.ask()
    await gate.end((passage, limited()))
    gate.wait(5)
    counts = []
    for _ in range(6):
        passages = [one for one in await gate.ask(*[ANA] * 50) if one.allowed]
        counts.append(len(passages))
        await gate.end(*[(one, None) for one in passages])

    assert counts == [1, 2, 4, 8, 16, 32]
    assert all(one.allowed for one in await gate.ask(*[ANA] * 200))


async def test_while_it_ramps_up_the_others_come_back_in_a_second(gate: Driver) -> None:
    (passage,) = await gate.ask()
    await gate.end((passage, limited()))
    gate.wait(5)
    one, other = await gate.ask(ANA, RUI)
    assert one.allowed
    assert (other.allowed, other.reason, other.wait) == (False, "slowed", timedelta(seconds=1))
    # Its process died: after five seconds another one may try.
    gate.wait(4.999)
    assert not (await gate.ask())[0].allowed
    gate.wait(0.001)
    assert [one.allowed for one in await gate.ask(ANA, ANA)] == [True, False]


async def test_a_pause_is_forgotten_after_ten_quiet_minutes(gate: Driver) -> None:
    for _ in range(3):
        (passage,) = await gate.ask()
        await gate.end((passage, limited()))
        gate.wait(40)
    gate.wait(600)
    (passage,) = await gate.ask()
    await gate.end((passage, limited()))
    assert (await gate.ask())[0].wait == timedelta(seconds=5)


async def test_one_recipient_pauses_alone_for_powers_of_four(gate: Driver) -> None:
    waits = []
    for _ in range(6):
        (passage,) = await gate.ask()
        await gate.end((passage, SLOW_ANA))
        ana, rui = await gate.ask(ANA, RUI)
        assert (ana.allowed, ana.reason) == (False, "recipient_slowed")
        assert rui.allowed
        waits.append(ana.wait.total_seconds())
        gate.wait(ana.wait.total_seconds())
    assert waits == [1, 4, 16, 64, 256, 256]

    (passage,) = await gate.ask()
    await gate.end((passage, None))
    await gate.end((passage, SLOW_ANA))
    assert (await gate.ask())[0].wait == timedelta(seconds=1)


async def test_a_clock_that_was_set_back_holds_nobody(gate: Driver) -> None:
    await open_it(gate)
    await gate.end((None, limited()), (None, SLOW_ANA))
    gate.wait(-3600)

    assert (await gate.ask())[0].probe


async def test_a_paused_recipient_is_not_the_probe(gate: Driver) -> None:
    (passage,) = await gate.ask()
    for _ in range(4):
        await gate.end((passage, SLOW_ANA))
        gate.wait(100)
    await open_it(gate)
    gate.wait(60)
    await gate.end((passage, SLOW_ANA))
    ana, rui = await gate.ask(ANA, RUI)

    assert (ana.allowed, ana.reason) == (False, "recipient_slowed")
    assert rui.probe
