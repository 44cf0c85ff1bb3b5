"""One of Ponte's processes in the lab: ended by signals, and what was done to it is noted."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kit.clock import SystemClock
from tests.faults.causes import Stop


def now_seconds() -> float:
    """Seconds since 1970."""
    return SystemClock().now().timestamp()


@dataclass(slots=True)
class Program:
    """One of Ponte's processes."""

    name: str
    kind: str
    log: Path
    changes: Mapping[str, str]
    process: subprocess.Popen[bytes]
    stops: list[Stop]
    """Of all programs of the lab: when which one was killed or stood still."""
    _paused_at: float | None = None

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def is_paused(self) -> bool:
        return self._paused_at is not None

    def kill(self) -> None:
        """SIGKILL, no warning."""
        self.kill_soon()
        self.process.wait()

    def kill_soon(self) -> None:
        """SIGKILL; does not wait for it."""
        self.stops.append(Stop(self.process.pid, now_seconds()))
        self.process.kill()

    def pause(self) -> None:
        """SIGSTOP."""
        self._paused_at = now_seconds()
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)
        if self._paused_at is not None:
            self.stops.append(Stop(self.process.pid, self._paused_at, now_seconds()))
            self._paused_at = None

    def end(self, *, patience_seconds: float = 40) -> tuple[float, int]:
        """SIGTERM; the seconds it took and the exit code."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(patience_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            code = -signal.SIGKILL
        return time.monotonic() - began, code
