"""A worker or scheduler whose clock can be set while it runs.

    python -m tests.faults.stepping worker|scheduler

The seconds by which it is wrong stand in a file of the lab. Only wall clocks can be set: what
counts passing time (`loop.time()`) goes on, as on a real machine.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path

from kit.clock import SystemClock
from ponte.processes import scheduler, worker
from ponte.settings import Process, Settings

FILE = "clock-offset"
"""In the home folder of the process."""


class SteppingClock(SystemClock):
    """The machine's clock and what the file says."""

    def now(self) -> datetime:
        """See the class."""
        return super().now() + timedelta(seconds=_offset())


def _offset() -> float:
    try:
        return float((Path.home() / FILE).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0.0


def main(kind: str) -> int:
    """Run the process with such a clock."""
    program = {"worker": worker, "scheduler": scheduler}[kind]
    program.make_clock = lambda _: SteppingClock()  # type: ignore[attr-defined]  # a module
    return program.run(Settings.from_environment(Process(kind)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
