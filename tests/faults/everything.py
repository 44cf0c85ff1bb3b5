"""ALL: everything fails at once, for two minutes; then quiet, and the books are compared."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import cycle
from typing import Any

from notifications.domain.jobs import Channel
from tests.faults.deaths import delays, pause, quantile
from tests.faults.lab import Lab
from tests.faults.measured import Measured
from tests.faults.produce import Steady, Wanted, address, produce, ticket_payload
from tests.faults.sizes import Sizes
from tests.ponte.waiting import wait_until

_WAITING_EVENTS = """
SELECT 1 FROM outbox_events WHERE published_at IS NULL AND topic = 'ticket.escalated' LIMIT 1
"""
_EVENTS = "SELECT DISTINCT split_part(idempotency_key, ':', 1) AS event FROM notifications"

CHANNELS = (Channel.EMAIL, Channel.WHATSAPP, Channel.SMS, Channel.PUSH)
TROUBLE: tuple[dict[str, Any], ...] = (
    {"do": "error", "status": 500, "share": 0.15},
    {"do": "error", "status": 429, "code": 130429, "retry_after": "1", "share": 0.1},
    {"do": "drop", "share": 0.1},
    {"do": "reset", "share": 0.05},
    {"do": "garbage", "share": 0.02},
    {"do": "hang", "share": 0.01},
)
REFUSALS: Mapping[Channel, dict[str, Any]] = {
    Channel.EMAIL: {"status": 550, "code": 550},
    Channel.WHATSAPP: {"status": 400, "code": 131026},
    Channel.SMS: {"status": 400, "code": 21211},
    Channel.PUSH: {"status": 404},
}
"""How each provider says for good that somebody cannot be reached."""

NOBODY = range(40, 48)
"""Numbers of recipients whom no provider knows."""

REFUSED: tuple[dict[str, Any], ...] = tuple(
    {"do": "error", "recipient": address(number, channel)} | REFUSALS[channel]
    for number in NOBODY
    for channel in [CHANNELS[number % len(CHANNELS)]]
)
AWKWARD: Mapping[str, Mapping[str, Any]] = {
    "whatsapp": {"late": (0.2, 10.0), "doubled": 0.1, "shuffled": True},
    "sms": {"late": (0.2, 10.0), "doubled": 0.1, "shuffled": True, "missing": 0.3},
}
"""Statuses come late, twice and in any order; of a third of the SMS the list alone tells."""

STEP_SECONDS = 5.0
SETTLE_SECONDS = 900
"""After the storm: breakers cool down, retries wait up to minutes, unknown ones for a status."""


def everything(lab: Lab, sizes: Sizes) -> Measured:
    """ALL."""
    result = Measured("ALL", f"everything at once for {sizes.everything_seconds} s")
    lab.begin(schedulers=2)
    lab.tell(tidings=AWKWARD, list_lag_seconds=2.0)
    lab.behave(*REFUSED, *TROUBLE, delay=0.02)
    once = once_at_most(lab, sizes)
    draw = random.Random(20)  # the same storm every time
    event = ticket_payload(lab.database_url)
    with Steady(lab.database_url, sizes.per_second, CHANNELS, event=event) as traffic:
        _storm(lab, sizes.everything_seconds, draw)
    lab.accepted |= traffic.accepted
    mend(lab)
    with contextlib.suppress(AssertionError):
        wait_until(lambda: not lab.sql(_WAITING_EVENTS), "the outbox to be empty", seconds=120)
    books(lab, sizes, result, once)
    silent = traffic.events - {row["event"] for row in lab.sql(_EVENTS)}
    text = f"{len(traffic.events)} events of the outbox became notices"
    result.must(text, not silent, f"{len(silent)} did not")
    result.notes.append(f"{traffic.refused} transactions of the producer were refused")
    return result


def once_at_most(lab: Lab, sizes: Sizes) -> set[str]:
    """Some notices that may go out once only; their ids."""
    wanted = Wanted(sizes.some, CHANNELS, at_most_once=True, first=2_000_000)
    once = produce(lab.database_url, wanted)
    lab.accepted |= once
    return once


def books(lab: Lab, sizes: Sizes, result: Measured, once: set[str]) -> None:
    """Wait until it is quiet, and compare what was accepted with what the provider has."""
    began = time.monotonic()
    lab.settle(seconds=SETTLE_SECONDS, alerts=sizes.long)
    settled = time.monotonic() - began
    found = lab.tally()
    result.judge(found, dup=None)
    reasons = lab.sql("SELECT reason, count(*) AS n FROM dead_letters GROUP BY 1")
    by_reason = {row["reason"]: row["n"] for row in reasons}
    nameless = [reason for reason in by_reason if not reason]
    result.must("every dead letter has its reason", not nameless, by_reason or "no dead letters")
    left = lab.under_way(alerts=sizes.long)
    result.must("nothing is still under way", left == 0, f"{left} after {settled:.0f} s of quiet")
    told = {name: found.doubled_by_channel.get(name, 0) for name in ("whatsapp", "sms")}
    result.must("whatsapp and sms doubled 0: they tell afterwards", not any(told.values()), told)
    by = dict(found.doubled_by_channel)
    result.must("e-mail and push repeat under the same id", by.keys() <= SAME_ID | told.keys(), by)
    again = [key for key in found.doubled if key in once]
    result.must("at most once: doubled 0", not again, f"{len(again)}")
    p99 = quantile(delays(lab), 0.99)
    result.notes.append(f"{found.held} alerts wait for the end of their window")
    result.notes.append(f"p99 of the delay {p99:.0f} s, settled {settled:.0f} s after the storm")


SAME_ID = {"email", "push"}
"""Channels on which a repeat replaces the first copy: same Message-ID, same collapse key."""


def _storm(lab: Lab, seconds: float, draw: random.Random) -> None:
    end = time.monotonic() + seconds
    faults = _faults(lab, draw)
    while time.monotonic() < end:
        began = time.monotonic()
        _kill_a_worker(lab)
        next(faults)()
        pause(max(0.0, STEP_SECONDS - (time.monotonic() - began)))


def _faults(lab: Lab, draw: random.Random) -> Iterator[Callable[[], None]]:
    """One after the other, again and again."""

    def redis_dies() -> None:
        lab.kill_engine(lab.redis)
        pause(2)
        lab.redis.start()

    def postgres_restarts() -> None:
        lab.kill_engine(lab.postgres)
        lab.postgres.start()

    def redis_stalls() -> None:
        assert lab.redis.process is not None
        lab.pause_process(lab.redis.process)
        pause(2)
        lab.continue_process(lab.redis.process)

    def worker_stalls() -> None:
        workers = lab.running("worker")
        victim = draw.choice(workers)
        victim.pause()
        pause(3)
        victim.go_on()

    def scheduler_dies() -> None:
        lab.running("scheduler")[0].kill()
        lab.start("scheduler")

    def web_dies() -> None:
        for program in lab.running("web"):
            program.kill()
        lab.start("web")

    def queue_is_emptied() -> None:
        lab.redis_do(lambda client: client.flushall())

    return cycle(
        (
            redis_dies,
            worker_stalls,
            postgres_restarts,
            scheduler_dies,
            redis_stalls,
            web_dies,
            queue_is_emptied,
        )
    )


def _kill_a_worker(lab: Lab) -> None:
    workers = lab.running("worker")
    if workers:
        workers[0].kill()
    for _ in range(2 - len(lab.running("worker"))):
        lab.start("worker")


def mend(lab: Lab) -> None:
    """Everything works again but for whom nobody knows; whoever is missing is started."""
    lab.behave(*REFUSED)
    for engine in (lab.postgres, lab.redis):
        engine.start()
    lab.ensure(workers=2, schedulers=2)
