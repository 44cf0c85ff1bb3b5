"""Which of our own processes holds the other end of a connection (Linux: proc_net(5))."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

_LOCAL, _INODE = 1, 9

FRESH_SECONDS = 0.25
"""How long a look serves for other connections: a hundred are opened at one instant, and a look
reads thousands of lines, during which nobody gets an answer."""


@dataclass(slots=True)
class Owners:
    """Who holds which local port, of the processes that were asked for."""

    _pids: frozenset[int] = frozenset()
    _owners: dict[int, int] = field(default_factory=dict)
    _until: float = 0.0

    def of(self, port: int, *, among: Collection[int]) -> int | None:
        """The process, one of `among`, whose socket has this local port; None when none has."""
        fresh = time.monotonic() < self._until and self._pids == frozenset(among)
        if not fresh or port not in self._owners:
            self._look(frozenset(among))
        return self._owners.get(port)

    def _look(self, pids: frozenset[int]) -> None:
        by_inode = {inode: pid for pid in pids for inode in _sockets_of(pid)}
        self._owners = {}
        for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split(maxsplit=_INODE + 1)
            pid = by_inode.get(fields[_INODE])
            if pid is not None:
                self._owners[int(fields[_LOCAL].rpartition(":")[2], 16)] = pid
        self._pids = pids
        self._until = time.monotonic() + FRESH_SECONDS


def _sockets_of(pid: int) -> list[str]:
    found = []
    try:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            name = str(link.readlink())
            if name.startswith("socket:["):
                found.append(name[len("socket:[") : -1])
    except OSError:
        pass  # it ended meanwhile
    return found
