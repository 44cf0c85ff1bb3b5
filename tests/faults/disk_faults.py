"""F20, first half: the database's disk is full. What cannot be kept must not be accepted."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from tests.faults.customers import Written, customer, write
from tests.faults.deaths import pause
from tests.faults.lab import Lab
from tests.faults.measured import Measured
from tests.faults.produce import Wanted, produce
from tests.faults.sizes import Sizes
from tests.ponte.waiting import wait_until

_STORED = """
SELECT provider_id, count(*) AS times FROM messages WHERE direction = 'inbound' GROUP BY 1
"""


def full_disk(lab: Lab, sizes: Sizes) -> Measured:
    """F20. Needs a lab whose database lies on a disk of its own."""
    result = Measured("F20a", "the database's disk is full")
    if lab.disk is None:
        result.skipped = "needs the right to mount a small disk"
        return result
    lab.begin()
    lab.behave(channels=["bot"])
    ballast = lab.disk / "ballast"
    answers: list[Written] = []
    fill(ballast)
    try:
        end = time.monotonic() + 30
        number = 0
        while time.monotonic() < end and sum(one.status >= 500 for one in answers) < 5:
            fill(ballast)
            number += 1
            answers.append(write(lab, customer(number), "x" * 3000, wamid=f"wamid.full.{number}"))
    finally:
        ballast.unlink()
    lab.postgres.start()  # it may have ended itself: a service manager starts it again
    accepted = {one.wamid for one in answers if one.status == 200}
    refused = [one for one in answers if one.status != 200]
    again = [_until_taken(lab, one) for one in refused]
    lab.accepted |= produce(lab.database_url, Wanted(sizes.some // 4))
    lab.settle(seconds=120)
    result.judge(lab.tally(), dup=0)
    statuses = sorted({one.status for one in answers})
    said_no = any(one.status >= 500 for one in answers)
    result.must("5xx, not 200, for what is not kept", said_no, statuses)
    understood = all(one.status == 200 or one.status >= 500 for one in answers)
    result.must("nothing else is answered", understood, statuses)
    wanted = accepted | {one.wamid for one in again}
    stored: dict[str, int] = {}

    def all_there() -> bool:
        stored.update({row["provider_id"]: row["times"] for row in lab.sql(_STORED)})
        return wanted <= set(stored)

    with contextlib.suppress(AssertionError):
        wait_until(all_there, "the messages", seconds=30)
    lost = wanted - set(stored)
    result.must("every 200 is a message", not lost, f"{len(lost)} of {len(wanted)} lost")
    twice = [wamid for wamid, times in stored.items() if times > 1]
    result.must("and one only", not twice, f"{len(twice)} twice")
    return result


def fill(path: Path) -> None:
    """Write until there is no room."""
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        for block in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(block))
        os.fsync(file.fileno())


def _until_taken(lab: Lab, one: Written) -> Written:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        again = write(lab, one.phone, "x", wamid=one.wamid)
        if again.status == 200:
            return again
        pause(0.5)
    return one
