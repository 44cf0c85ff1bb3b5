"""Slots of the folder that processes count into: who counts in which files, and who is dead.

A slot is `worker-0`: a lock file that its process holds, which the kernel frees when the process
dies, and the files `counter_worker-0.db`, `gauge_livesum_worker-0.db`, ... of `kit.metrics`.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

SLOTS = 64
"""Processes of one name on one machine; each further one counts in memory only."""


def take(folder: Path, process: str) -> tuple[str, int] | None:
    """A slot and its lock (a descriptor, open as long as the process lives); None: none left."""
    for number in range(SLOTS):
        slot = f"{process}-{number}"
        descriptor = _lock(folder / f"{slot}.lock")
        if descriptor is not None:
            return slot, descriptor
    return None


def forget_dead(folder: Path) -> list[str]:
    """Remove what dead processes said of the present (gauges); their counters stay. Their slots."""
    dead = []
    for path in folder.glob("*.lock"):
        descriptor = _lock(path)
        if descriptor is None:
            continue
        slot = path.stem
        for gauge_file in folder.glob(f"gauge_live*_{slot}.db"):
            gauge_file.unlink(missing_ok=True)
        os.close(descriptor)
        dead.append(slot)
    return sorted(dead)


def clear(folder: Path) -> None:
    """Forget everything that was counted there; for a start at which no process runs yet."""
    for pattern in ("*.db", "*.lock"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


def clean(folder: Path, slot: str) -> None:
    """What the slot's last process said of the present, and files that cannot be read."""
    for path in folder.glob(f"*_{slot}.db"):
        if path.name.startswith("gauge_live") or not is_readable(path):
            path.unlink(missing_ok=True)


def is_readable(path: Path) -> bool:
    """Whether the file is there and whole; one that a process is just making is not yet."""
    from prometheus_client.mmap_dict import MmapedDict  # noqa: PLC0415

    try:
        for _ in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]
            pass
    except Exception:  # noqa: BLE001 - gone, empty, or damaged by a power cut: nothing to add up
        return False
    return True


def _lock(path: Path) -> int | None:
    """The descriptor of the lock; None when another one holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
