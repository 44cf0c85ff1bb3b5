"""WORST: everything at once, of what the fault table does not have.

PostgreSQL stands still, clocks are set, workers sleep past their leases and wake up, Redis comes
back empty, the web process dies while statuses come late, twice and in any order, and the provider
answers when nobody listens any more.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from itertools import cycle

from notifications.services.claims import LEASE
from tests.faults.deaths import pause
from tests.faults.everything import (
    AWKWARD,
    CHANNELS,
    REFUSED,
    STEP_SECONDS,
    TROUBLE,
    books,
    mend,
    once_at_most,
)
from tests.faults.lab import Lab
from tests.faults.measured import Measured
from tests.faults.produce import Steady
from tests.faults.program import Program
from tests.faults.sizes import Sizes
from tests.faults.stepping import FILE

PAST_THE_LEASE = LEASE.total_seconds() + 10
STALL_SECONDS = 5.0
AN_HOUR = 3600
LATE = (
    {"do": "late", "share": 0.05, "seconds": 15.0},
    {"do": "drip", "share": 0.05, "seconds": 15.0},
)


def worst(lab: Lab, sizes: Sizes) -> Measured:
    """WORST. In the short form nobody sleeps as long as a lease."""
    result = Measured("WORST", f"what the table does not have, {sizes.everything_seconds} s")
    lab.alone()
    lab.modules = {kind: f"tests.faults.stepping {kind}" for kind in ("worker", "scheduler")}
    _set_clocks(lab, 0)
    try:
        lab.begin(workers=3, schedulers=2)
        lab.tell(tidings=AWKWARD, list_lag_seconds=2.0)
        lab.behave(*REFUSED, *TROUBLE, *LATE, delay=0.02)
        once = once_at_most(lab, sizes)
        asleep = PAST_THE_LEASE if sizes.long else STALL_SECONDS * 2
        with (
            Steady(lab.database_url, sizes.per_second // 2, CHANNELS) as traffic,
            _Sleeper(lab, asleep),
        ):
            _storm(lab, max(sizes.everything_seconds, asleep + 10))
        lab.accepted |= traffic.accepted
        _set_clocks(lab, 0)
        mend(lab)
        books(lab, sizes, result, once)
    finally:
        lab.alone()
        lab.modules = {}
    return result


def _storm(lab: Lab, seconds: float) -> None:
    draw = random.Random(7)  # the same storm every time
    end = time.monotonic() + seconds
    faults = _faults(lab, draw)
    while time.monotonic() < end:
        began = time.monotonic()
        next(faults)()
        pause(max(0.0, STEP_SECONDS - (time.monotonic() - began)))


def _faults(lab: Lab, draw: random.Random) -> Iterator[Callable[[], None]]:
    """One after the other, again and again."""

    def database_stalls() -> None:
        lab.stall_database(STALL_SECONDS)

    def redis_comes_back_empty() -> None:
        lab.redis_do(lambda client: client.flushall())
        lab.kill_engine(lab.redis)
        lab.redis.start()

    def web_dies() -> None:
        for program in lab.running("web"):
            program.kill()
        pause(2)
        lab.start("web")

    def a_worker_dies() -> None:
        draw.choice(_awake(lab)).kill()
        lab.start("worker")

    def the_scheduler_dies() -> None:
        lab.running("scheduler")[0].kill()
        lab.start("scheduler")

    return cycle(
        (
            database_stalls,
            lambda: _set_clocks(lab, AN_HOUR),
            web_dies,
            a_worker_dies,
            lambda: _set_clocks(lab, 0),
            redis_comes_back_empty,
            lambda: _set_clocks(lab, -AN_HOUR),
            the_scheduler_dies,
            lambda: _set_clocks(lab, 0),
        )
    )


def _awake(lab: Lab) -> list[Program]:
    return [one for one in lab.running("worker") if not one.is_paused]


def _set_clocks(lab: Lab, seconds: int) -> None:
    part = lab.folder / f"{FILE}.part"
    part.write_text(str(seconds), encoding="ascii")
    part.replace(lab.folder / FILE)


class _Sleeper:
    """Stops a worker in the middle of its work and lets it go on after a while."""

    def __init__(self, lab: Lab, seconds: float) -> None:
        self._lab = lab
        self._seconds = seconds
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sleeper")

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _run(self) -> None:
        pause(3)
        sleeper = self._lab.running("worker")[-1]
        sleeper.pause()
        pause(self._seconds)
        sleeper.go_on()
