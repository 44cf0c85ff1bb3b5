"""Show on the terminal what the programs write into their logs.

They write straight into files: so a slow terminal never blocks them, and nothing is lost when the
supervisor dies. This thread reads the files' new ends.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

_INTERVAL_SECONDS = 0.25
_CHUNK = 65_536
# The words of our two log formats, of PostgreSQL, and of Python itself.
_WORTH_SHOWING = re.compile(
    rb'\[(warning|error|critical)\s*\]|"level": ?"(warning|error|critical)"'
    rb"|\b(WARNING|ERROR|CRITICAL|FATAL|PANIC)\b|^Traceback|^\w+(Error|Exception)\b"
)


@dataclass(slots=True)
class _Followed:
    path: Path
    position: int
    inode: int
    rest: bytes = field(default=b"")


class LogFollower:
    """Follows logs until `close()`.

    Args:
        show: Receives name and line.
        everything: All lines, or only those that warn.
    """

    def __init__(self, show: Callable[[str, str], None], *, everything: bool) -> None:
        self._show = show
        self._everything = everything
        self._followed: dict[str, _Followed] = {}
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-follower", daemon=True)
        self._thread.start()

    def follow(self, name: str, path: Path) -> None:
        """Show what is written from now on."""
        inode, size = _facts(path)
        with self._lock:
            self._followed[name] = _Followed(path, size, inode)

    def close(self) -> None:
        """Show what is left, and end."""
        self._done.set()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        while not self._done.wait(_INTERVAL_SECONDS):
            self._look()
        self._look()

    def _look(self) -> None:
        with self._lock:
            followed = list(self._followed.items())
        for name, one in followed:
            for line in _new_lines(one):
                if self._everything or _WORTH_SHOWING.search(line):
                    self._show(name, line.decode("utf-8", "replace"))


def _facts(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_ino, stat.st_size


def _new_lines(one: _Followed) -> list[bytes]:
    inode, size = _facts(one.path)
    if inode != one.inode or size < one.position:
        one.inode, one.position = inode, 0  # put aside as .old, or emptied
    if size == one.position:
        return []
    try:
        with one.path.open("rb") as file:
            file.seek(one.position)
            text = file.read(_CHUNK)
    except OSError:
        return []
    one.position += len(text)
    *lines, one.rest = (one.rest + text).split(b"\n")
    return lines
