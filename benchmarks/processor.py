"""Processor time by process: says who does the work, and does not depend on who else is busy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Watch:
    """Processes by name, with the children each of them has at the moment (PostgreSQL's backends).

    Attributes:
        pids: Name -> process id.
    """

    pids: Mapping[str, int]

    def seconds(self) -> dict[str, float]:
        """Processor seconds each has used so far; empty where there is no /proc."""
        times = _times()
        own = set(self.pids.values())
        return {
            name: sum(
                used
                for pid, (parent, used) in times.items()
                if pid == root or (parent == root and pid not in own)
            )
            for name, root in self.pids.items()
            if root in times
        }


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Seconds used between two looks."""
    return {name: after[name] - before[name] for name in before if name in after}


def _times() -> dict[int, tuple[int, float]]:
    """Process id -> parent and processor seconds, its ended children included; proc_pid_stat(5)."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # it ended meanwhile
        fields = text.rpartition(")")[2].split()
        ticks = sum(int(field) for field in fields[11:15])
        found[int(path.parent.name)] = (int(fields[1]), ticks / _TICKS)
    return found
