"""Wait for what another process does: ask often, give up with a clear failure."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


def wait_until(question: Callable[[], object], what: str, *, seconds: float = 15) -> None:
    pause = threading.Event()
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for: {what}"
        pause.wait(0.02)
