"""F3 to F6: Redis is killed, stopped, emptied. The rows are the truth; nothing may be lost."""

from __future__ import annotations

import time

from tests.faults.deaths import delays, finished_after, pause
from tests.faults.lab import Lab
from tests.faults.measured import Measured
from tests.faults.produce import Steady, Wanted, produce
from tests.faults.sizes import Sizes
from tests.ponte.waiting import wait_until

LEASE_AND_MINUTE = 180.0
_REFUSED = {"do": "error", "status": 503, "first_only": True}


def redis_killed(lab: Lab, sizes: Sizes) -> Measured:
    """F3: a tenth of the notices waits for its second try when it happens."""
    result = Measured(
        "F3", f"Redis: kill -9, back after {sizes.outage_seconds} s, {sizes.many} in flight"
    )
    lab.begin()
    lab.behave(_REFUSED | {"share": 0.1}, delay=0.02)
    lab.accepted |= produce(lab.database_url, Wanted(sizes.many))
    wait_until(lambda: lab.taken() >= sizes.many // 4, "a quarter of the notices", seconds=120)
    lab.kill_engine(lab.redis)
    pause(sizes.outage_seconds)
    lab.redis.start()
    lab.behave()
    finished_after(lab)()
    # One second of traffic and what is in flight: some hundred at the pace of the long form.
    result.judge(lab.tally(), dup=sizes.many // 10)
    slowest = max(delays(lab))
    result.must(
        f"none older than {LEASE_AND_MINUTE:.0f} s",
        slowest <= LEASE_AND_MINUTE,
        f"{slowest:.1f} s",
    )
    return result


def refusals_without_redis(lab: Lab, sizes: Sizes) -> Measured:
    """F4: attempts fail while Redis is away: the retries may not be lost with it (L1)."""
    result = Measured("F4", f"{sizes.some} attempts fail while Redis is away")
    lab.begin()
    # Slow refusals: the attempts are under way when Redis goes.
    lab.behave(_REFUSED, delay=0.5)
    lab.accepted |= produce(lab.database_url, Wanted(sizes.some))
    wait_until(lambda: len(lab.calls()) > 0, "the first attempt", seconds=60)
    lab.kill_engine(lab.redis)
    pause(sizes.outage_seconds)
    lab.redis.start()
    lab.behave()
    finished_after(lab)()
    result.judge(lab.tally(), dup=0)
    return result


def redis_stalls(lab: Lab, sizes: Sizes) -> Measured:
    """F5."""
    result = Measured(
        "F5", f"Redis: SIGSTOP for {sizes.stall_seconds:g} s, {sizes.stalls} times (L3, L4)"
    )
    lab.begin()
    lab.behave(delay=0.02)
    server = lab.redis.process
    assert server is not None
    with Steady(lab.database_url, sizes.per_second) as traffic:
        for _ in range(sizes.stalls):
            pause(1.5)
            lab.pause_process(server)
            pause(sizes.stall_seconds)
            lab.continue_process(server)
        pause(1)
    lab.accepted |= traffic.accepted
    began = time.monotonic()
    finished_after(lab)()
    result.judge(lab.tally(), dup=0)
    left = 0
    while time.monotonic() - began < 60:
        left = unacknowledged(lab)
        if left == 0:
            break
        pause(0.5)
    seconds = time.monotonic() - began
    result.must("unacknowledged 0 within 60 s", left == 0, f"{left} after {seconds:.0f} s")
    return result


def redis_emptied(lab: Lab, sizes: Sizes) -> Measured:
    """F6."""
    result = Measured("F6", f"FLUSHALL with {sizes.many} in flight")
    lab.begin()
    lab.behave(delay=0.02)
    lab.accepted |= produce(lab.database_url, Wanted(sizes.many))
    wait_until(lambda: lab.taken() >= sizes.many // 4, "a quarter of the notices", seconds=120)
    lab.redis_do(lambda client: client.flushall())
    seconds = finished_after(lab)()
    result.judge(lab.tally(), dup=0)
    result.must(
        f"all within {LEASE_AND_MINUTE:.0f} s", seconds <= LEASE_AND_MINUTE, f"{seconds:.1f} s"
    )
    return result


def redis_full(lab: Lab, sizes: Sizes) -> Measured:
    """F20, second half: Redis takes nothing more (maxmemory, noeviction)."""
    result = Measured("F20b", "Redis at maxmemory, noeviction")
    lab.begin()
    lab.behave(delay=0.02)
    lab.redis_do(lambda client: client.config_set("maxmemory", "1"))
    try:
        lab.accepted |= produce(lab.database_url, Wanted(sizes.some))
        alert = "SELECT 1 FROM notifications WHERE event = 'backlog-alert'"
        began = time.monotonic()
        while time.monotonic() - began < 75 and not (
            lab.sql(alert) or (not sizes.long and lab.under_way() == 0)
        ):
            pause(0.5)
        told = time.monotonic() - began
        delivered_meanwhile = lab.taken()
    finally:
        lab.redis_do(lambda client: client.config_set("maxmemory", "0"))
    finished_after(lab)()
    result.judge(lab.tally(), dup=0)
    useful = bool(lab.sql(alert)) or delivered_meanwhile >= sizes.some
    result.must(
        "within 60 s an alert, or everything delivered all the same",
        useful and told <= 60,
        f"{delivered_meanwhile} delivered, {told:.0f} s",
    )
    return result


def unacknowledged(lab: Lab) -> int:
    """How many messages lie in the acknowledgement sets of all workers."""

    def count(client: object) -> int:
        keys = list(client.scan_iter("*__acks__*"))  # type: ignore[attr-defined]  # redis-py
        return sum(int(client.scard(key)) for key in keys)  # type: ignore[attr-defined]  # redis-py

    return int(lab.redis_do(count))
