"""Put jobs in: all as quickly as possible, or one after another. Standard library only."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable


def main(put_in: Callable[[int], object]) -> None:
    """`produce FIRST COUNT` or `idle FIRST COUNT`; idle prints each job's number and time."""
    what, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    draw = random.Random(first)  # noqa: S311 - pauses only
    put_in(first)  # the connection is made
    for job in range(first + 1, first + count):
        if what == "idle":
            time.sleep(draw.uniform(0.2, 0.5))
            print(job, f"{time.monotonic():.6f}", flush=True)
        put_in(job)
