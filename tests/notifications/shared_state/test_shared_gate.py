"""Redis for all, the process's own memory without it; and what Redis holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis as redis_client
from redis.exceptions import ConnectionError as RedisConnectionError

from kit.clock import FakeClock, SystemClock
from kit.metrics import exposition
from notifications.domain.failure import Consequence, Failure, FailureKind
from notifications.domain.jobs import JobName
from notifications.services.ports import Outcome
from notifications.shared_state.local_gate import Transition
from notifications.shared_state.redis_gate import RedisGate, connect
from notifications.shared_state.shared_gate import SharedGate, make_gate

JOB = JobName.SEND_WHATSAPP
ANA = "+5511911111111"
TRANSIENT = Failure(FailureKind.TRANSIENT, "503")
FAILED = Outcome(ANA, TRANSIENT)


class Switch:
    """A gate in Redis that can be away."""

    def __init__(self, gate: RedisGate) -> None:
        self.gate = gate
        self.away = False
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any) -> Any:
            self.asked += 1
            if self.away:
                raise RedisConnectionError
            return await getattr(self.gate, name)(*args)

        return call


@asynccontextmanager
async def gates(
    redis_url: str, clock: FakeClock, count: int = 1
) -> AsyncIterator[list[tuple[SharedGate, Switch, list[Transition]]]]:
    made = []
    for _ in range(count):
        switch = Switch(RedisGate(connect(redis_url), recipient_key="key", now=clock.now))
        told: list[Transition] = []
        made.append((SharedGate(switch, clock, told=told.append), switch, told))  # type: ignore[arg-type]
    yield made
    for _, switch, _ in made:
        await switch.gate.close()


def states(told: list[Transition]) -> list[str]:
    return [one.after.value for one in told]


async def test_two_processes_share_a_breaker_and_one_of_them_tells(
    redis_url: str, clock: FakeClock
) -> None:
    async with gates(redis_url, clock, 2) as ((one, _, told), (other, _, other_told)):
        await one.report(JOB, [FAILED] * 3)
        await other.report(JOB, [FAILED] * 2)
        assert states(other_told) == ["open"]
        assert states(told) == []
        assert not (await one.admit(JOB, [ANA]))[0].allowed
        clock.advance(timedelta(seconds=60))
        passages = [*await one.admit(JOB, [ANA]), *await other.admit(JOB, [ANA])]
        assert [passage.probe for passage in passages] == [True, False]
        await one.report(JOB, [Outcome(ANA, None, True, passages[0].generation)])
        assert states(told) == ["half_open", "closed"]
        assert (await other.admit(JOB, [ANA]))[0].allowed
        assert other_told[0].breaker.code == "503"


async def test_of_many_processes_that_ask_at_once_one_probes(
    redis_url: str, clock: FakeClock
) -> None:
    async with gates(redis_url, clock, 20) as made:
        await made[0][0].report(JOB, [FAILED] * 5)
        clock.advance(timedelta(seconds=60))
        asked = await asyncio.gather(*(gate.admit(JOB, [ANA] * 5) for gate, _, _ in made))
        assert sum(passage.probe for passages in asked for passage in passages) == 1
        assert sum(passage.allowed for passages in asked for passage in passages) == 1


async def test_without_redis_the_process_decides_alone(redis_url: str, clock: FakeClock) -> None:
    async with gates(redis_url, clock) as ((gate, switch, told),):
        switch.away = True
        assert (await gate.admit(JOB, [ANA]))[0].allowed
        await gate.report(JOB, [FAILED] * 5)
        assert states(told) == ["open"]
        assert (await gate.admit(JOB, [ANA]))[0].reason == "breaker_open"
        assert set(await gate.closed_for(list(JobName))) == {JOB}
        switch.away = False
        clock.advance(timedelta(seconds=1))
        assert (await gate.admit(JOB, [ANA]))[0].allowed  # Redis knows of no failure


async def test_what_redis_said_holds_while_it_is_away(redis_url: str, clock: FakeClock) -> None:
    async with gates(redis_url, clock) as ((gate, switch, told),):
        await gate.report(JOB, [FAILED] * 5)
        switch.away = True
        assert (await gate.admit(JOB, [ANA]))[0].reason == "breaker_open"
        clock.advance(timedelta(seconds=60))
        (probe,) = await gate.admit(JOB, [ANA])
        assert probe.probe
        await gate.report(JOB, [Outcome(ANA, None, True, probe.generation)])
        assert states(told) == ["open", "half_open", "closed"]


async def test_redis_that_is_away_is_asked_once_a_second(redis_url: str, clock: FakeClock) -> None:
    async with gates(redis_url, clock) as ((gate, switch, _),):
        switch.away = True
        for _ in range(10):
            await gate.admit(JOB, [ANA])
        assert switch.asked == 1
        clock.advance(timedelta(seconds=-100))  # the clock was set back
        await gate.admit(JOB, [ANA])
        assert switch.asked == 2


async def test_a_redis_that_hangs_costs_a_fifth_of_a_second(clock: FakeClock) -> None:
    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    gate = make_gate(f"redis://127.0.0.1:{port}/0", recipient_key="", clock=clock)
    started = asyncio.get_running_loop().time()
    (passage,) = await gate.admit(JOB, [ANA])
    took = asyncio.get_running_loop().time() - started
    assert passage.allowed
    assert took < 2
    server.close()
    await gate.close()


async def test_by_redis_own_time_a_wrong_clock_opens_nothing(redis_url: str) -> None:
    fast = FakeClock(datetime(2050, 1, 1, tzinfo=UTC))
    right = make_gate(redis_url, recipient_key="key", clock=SystemClock())
    wrong = make_gate(redis_url, recipient_key="key", clock=fast)
    await right.report(JOB, [FAILED] * 5)

    (passage,) = await wrong.admit(JOB, [ANA])

    assert not passage.allowed
    assert timedelta(seconds=50) < passage.wait <= timedelta(seconds=60)
    # Also when only its memory is left.
    (alone,) = await wrong.local.admit(JOB, [ANA])
    assert timedelta(seconds=50) < alone.wait <= timedelta(seconds=60)
    await right.close()
    await wrong.close()


async def test_every_key_ends_and_none_holds_an_address(redis_url: str) -> None:
    gate = make_gate(redis_url, recipient_key="key", clock=SystemClock())
    limit = Failure(FailureKind.RATE_LIMITED, "429")
    slow = Failure(FailureKind.RATE_LIMITED, "131056", consequence=Consequence.SLOW_RECIPIENT)
    await gate.report(JOB, [Outcome(ANA, limit), Outcome(ANA, slow), *[FAILED] * 5])
    await gate.close()
    with redis_client.Redis.from_url(redis_url) as client:
        keys = client.keys("*")
        lives = [client.pttl(key) for key in keys]
    assert len(keys) == 3
    assert all(life > 0 for life in lives)
    assert not any(b"5511911111111" in key for key in keys)


async def test_a_redis_that_lost_everything_lets_everything_leave(
    redis_url: str, clock: FakeClock
) -> None:
    async with gates(redis_url, clock) as ((gate, _, told),):
        await gate.report(JOB, [FAILED] * 5)
        with redis_client.Redis.from_url(redis_url) as client:
            client.flushall()
            client.script_flush()
        assert (await gate.admit(JOB, [ANA]))[0].allowed
        assert states(told) == ["open"]


async def test_metrics_say_what_is_closed(redis_url: str, clock: FakeClock) -> None:
    async with gates(redis_url, clock) as ((gate, _, _),):
        await gate.report(JobName.SEND_PUSH, [FAILED] * 5)
        text = exposition().decode()
        assert 'ponte_breaker_state{job="send-push"} 2.0' in text
        assert 'ponte_breaker_transitions_total{job="send-push",to="open"}' in text
        assert 'ponte_notifications_paused{job="send-push"} 0.0' in text
        await gate.report(
            JobName.SEND_PUSH, [Outcome(ANA, Failure(FailureKind.RATE_LIMITED, "429"))]
        )
        assert 'ponte_notifications_paused{job="send-push"} 1.0' in exposition().decode()


@pytest.mark.parametrize("outcomes", [[], [Outcome(ANA, None)]])
async def test_a_success_says_little(
    redis_url: str, clock: FakeClock, outcomes: list[Outcome]
) -> None:
    async with gates(redis_url, clock) as ((gate, _, told),):
        await gate.report(JOB, outcomes)
        assert await gate.admit(JOB, []) == []
        assert told == []
