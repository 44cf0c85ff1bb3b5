"""The admin is told of a broken channel once, whoever saw it, and whoever died in between."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from kit.clock import FakeClock
from notifications.domain.breaker import CLOSED, Breaker, BreakerState
from notifications.domain.failure import Failure, FailureKind
from notifications.domain.jobs import JobName
from notifications.domain.pauses import NO_PAUSE
from notifications.services.breaker_alerts import BreakerTeller, BreakerWatch
from notifications.services.ports import Outcome
from notifications.shared_state.local_gate import LocalGate, Transition
from notifications.shared_state.redis_gate import Look, RedisGate, connect
from notifications.shared_state.shared_gate import SharedGate
from ticketing.db.engine import Database
from ticketing.db.tables import OutboxEvent

JOB = JobName.SEND_EMAIL
FAILED = Outcome("a@example.com", Failure(FailureKind.TRANSIENT, "smtp_451"))


async def told(db: Database) -> list[tuple[str, dict[str, Any]]]:
    async with db.transaction() as session:
        events = await session.scalars(select(OutboxEvent).order_by(OutboxEvent.id))
        return [(event.topic, event.payload) for event in events]


async def topics(db: Database) -> list[str]:
    return [topic for topic, _ in await told(db)]


@dataclass
class Redis:
    """What Redis knows, as a test says."""

    looks: Mapping[JobName, Look] | None

    async def __call__(self) -> Mapping[JobName, Look] | None:
        return self.looks


def opened(clock: FakeClock) -> Breaker:
    now = clock.now()
    minute = timedelta(minutes=1)
    return Breaker(BreakerState.OPEN, 5, 7, now + minute, minute, now, "smtp_451")


def seen(breaker: Breaker, clock: FakeClock) -> dict[JobName, Look]:
    return {JOB: Look(breaker, NO_PAUSE, clock.now())}


async def send_and_fail(gate: LocalGate | SharedGate, times: int = 5) -> None:
    await gate.report(JOB, [FAILED] * times)


async def probe(gate: LocalGate | SharedGate, failure: Failure | None) -> None:
    (passage,) = await gate.admit(JOB, ["a@example.com"])
    assert passage.probe
    await gate.report(JOB, [Outcome("a@example.com", failure, True, passage.generation)])


async def test_opening_and_closing_are_told_at_once(db: Database, clock: FakeClock) -> None:
    teller = BreakerTeller(db, clock)
    gate = LocalGate(clock, teller)
    await send_and_fail(gate)
    await teller.drain()
    ((topic, payload),) = await told(db)
    assert topic == "breaker.opened"
    assert payload == {
        "source": "breaker",
        "subject": "send-email",
        "count": 5,
        "code": "smtp_451",
        "seconds": 60,
        "avoid_channel": "email",
        "since": clock.now().isoformat(),
    }
    for failure in (FAILED.failure, FAILED.failure, None):
        clock.advance(timedelta(seconds=60))
        await probe(gate, failure)
        await teller.drain()
    assert await topics(db) == ["breaker.opened", "breaker.closed"]
    assert "avoid_channel" not in (await told(db))[1][1]


async def test_of_many_processes_one_tells(db: Database, clock: FakeClock, redis_url: str) -> None:
    tellers = [BreakerTeller(db, clock) for _ in range(4)]
    shared = [RedisGate(connect(redis_url), recipient_key="k", now=clock.now) for _ in tellers]
    gates = [
        SharedGate(one, clock, told=teller) for one, teller in zip(shared, tellers, strict=True)
    ]
    await asyncio.gather(*(send_and_fail(gate, 3) for gate in gates))
    for teller in tellers:
        await teller.drain()
    assert await topics(db) == ["breaker.opened"]
    for gate in gates:
        await gate.close()


async def test_each_without_redis_they_still_tell_it_once(db: Database, clock: FakeClock) -> None:
    tellers = [BreakerTeller(db, clock) for _ in range(4)]
    await asyncio.gather(*(send_and_fail(LocalGate(clock, teller)) for teller in tellers))
    for teller in tellers:
        await teller.drain()
    assert await topics(db) == ["breaker.opened"]


async def test_what_a_dead_process_did_not_tell_is_told_by_the_scheduler(
    db: Database, clock: FakeClock
) -> None:
    redis = Redis(seen(opened(clock), clock))
    watch = BreakerWatch(db, clock, redis)
    await watch.run()
    await watch.run()
    assert await topics(db) == ["breaker.opened"]
    clock.advance(timedelta(minutes=1))
    redis.looks = seen(Breaker(generation=9, changed_at=clock.now()), clock)
    await asyncio.gather(watch.run(), watch.run())
    assert await topics(db) == ["breaker.opened", "breaker.closed"]


async def test_half_open_is_not_closed(db: Database, clock: FakeClock) -> None:
    redis = Redis(seen(opened(clock), clock))
    watch = BreakerWatch(db, clock, redis)
    await watch.run()
    clock.advance(timedelta(minutes=1))
    half = Breaker(BreakerState.HALF_OPEN, 5, 8, clock.now(), timedelta(minutes=2), clock.now())
    redis.looks = seen(half, clock)
    await watch.run()
    assert await topics(db) == ["breaker.opened"]


async def test_while_redis_is_away_nothing_is_over(db: Database, clock: FakeClock) -> None:
    redis = Redis(seen(opened(clock), clock))
    watch = BreakerWatch(db, clock, redis)
    await watch.run()
    redis.looks = None
    assert await watch.run() == {}
    assert await topics(db) == ["breaker.opened"]


async def test_a_redis_that_lost_everything_has_closed_it(db: Database, clock: FakeClock) -> None:
    redis = Redis(seen(opened(clock), clock))
    watch = BreakerWatch(db, clock, redis)
    await watch.run()
    clock.advance(timedelta(seconds=15))
    redis.looks = seen(CLOSED, clock)
    await watch.run()
    assert await topics(db) == ["breaker.opened", "breaker.closed"]


async def test_a_look_from_before_the_opening_closes_nothing(
    db: Database, clock: FakeClock
) -> None:
    stale = seen(CLOSED, clock)
    clock.advance(timedelta(seconds=1))
    teller = BreakerTeller(db, clock)
    await send_and_fail(LocalGate(clock, teller))
    await teller.drain()
    await BreakerWatch(db, clock, Redis(stale)).run()
    assert await topics(db) == ["breaker.opened"]


async def test_a_channel_that_flaps_is_told_little(db: Database, clock: FakeClock) -> None:
    teller = BreakerTeller(db, clock)
    gate = LocalGate(clock, teller)
    for _ in range(10):
        await send_and_fail(gate)
        clock.advance(timedelta(seconds=60))
        await probe(gate, None)
        clock.advance(timedelta(seconds=10))
        await teller.drain()
    assert await topics(db) == ["breaker.opened", "breaker.closed", "breaker.opened"]
    # The end is told when it has held for five minutes.
    breaker = gate.jobs[JOB].breaker
    redis = Redis(seen(breaker, clock))
    watch = BreakerWatch(db, clock, redis)
    await watch.run()
    assert (await topics(db))[3:] == []
    clock.advance(timedelta(minutes=5))
    redis.looks = seen(breaker, clock)
    await watch.run()
    assert (await topics(db))[3:] == ["breaker.closed"]


async def test_a_database_that_is_away_holds_nobody_up(clock: FakeClock) -> None:
    class Away:
        def transaction(self) -> Any:
            raise OSError

    teller = BreakerTeller(Away(), clock)  # type: ignore[arg-type]
    await send_and_fail(LocalGate(clock, teller))
    await teller.drain()


@pytest.mark.parametrize("after", list(BreakerState))
async def test_a_probe_that_leaves_is_no_news(
    db: Database, clock: FakeClock, after: BreakerState
) -> None:
    teller = BreakerTeller(db, clock)
    before = BreakerState.OPEN
    teller(Transition(JOB, before, after, opened(clock), clock.now()))
    await teller.drain()
    assert await topics(db) == (["breaker.opened"] if after is BreakerState.OPEN else [])
