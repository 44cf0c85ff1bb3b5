"""ALL: everything fails at once, for two minutes; then quiet, and the books are compared."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

from notifications.domain.jobs import Channel
from tests.faults.deaths import delays, pause, quantile
from tests.faults.lab import Lab
from tests.faults.measured import Measured
from tests.faults.produce import Steady, ticket_payload
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
STEP_SECONDS = 5.0
SETTLE_SECONDS = 900
"""After the storm: breakers cool down, retries wait up to minutes, unknown ones for a status."""


def everything(lab: Lab, sizes: Sizes) -> Measured:
    """ALL."""
    result = Measured("ALL", f"everything at once for {sizes.everything_seconds} s")
    lab.begin(schedulers=2, web=True)
    lab.behave(*TROUBLE, delay=0.02)
    draw = random.Random(20)  # the same storm every time
    event = ticket_payload(lab.database_url)
    with Steady(lab.database_url, sizes.per_second, CHANNELS, event=event) as traffic:
        _storm(lab, sizes.everything_seconds, draw)
    lab.accepted |= traffic.accepted
    _mend(lab)
    quiet = time.monotonic()
    with contextlib.suppress(AssertionError):
        wait_until(lambda: not lab.sql(_WAITING_EVENTS), "the outbox to be empty", seconds=120)
    # Alerts wait for the end of a digest's window; the short form only counts those that do.
    lab.settle(seconds=SETTLE_SECONDS, alerts=sizes.long)
    settled = time.monotonic() - quiet
    found = lab.tally()
    result.judge(found, dup=None)
    silent = traffic.events - {row["event"] for row in lab.sql(_EVENTS)}
    text = f"{len(traffic.events)} events of the outbox became notices"
    result.must(text, not silent, f"{len(silent)} did not")
    reasons = lab.sql("SELECT reason, count(*) AS n FROM dead_letters GROUP BY 1")
    nameless = [row for row in reasons if not row["reason"]]
    result.must("every dead letter has its reason", not nameless, reasons or "no dead letters")
    left = lab.under_way(alerts=sizes.long)
    result.must("nothing is still under way", left == 0, f"{left} after {settled:.0f} s of quiet")
    told = {name: found.doubled_by_channel.get(name, 0) for name in ("whatsapp", "sms")}
    result.must("whatsapp and sms doubled 0: they tell afterwards", not any(told.values()), told)
    by = dict(found.doubled_by_channel)
    result.must("e-mail and push repeat under the same id", by.keys() <= SAME_ID | told.keys(), by)
    result.notes.append(f"{traffic.refused} transactions of the producer were refused")
    p99 = quantile(delays(lab), 0.99)
    result.notes.append(f"{found.held} alerts wait for the end of their window")
    result.notes.append(f"p99 of the delay {p99:.0f} s, settled {settled:.0f} s after the storm")
    return result


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


def _mend(lab: Lab) -> None:
    """Everything works again; whoever is missing is started, as a service manager would."""
    lab.behave()
    for engine in (lab.postgres, lab.redis):
        engine.start()
    lab.ensure(workers=2, schedulers=2, web=True)
