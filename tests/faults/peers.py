"""Which of our own processes holds the other end of a connection (Linux: proc_net(5))."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

_LOCAL, _INODE = 1, 9


def owner_of_port(port: int, *, among: Collection[int]) -> int | None:
    """The process, one of `among`, whose socket has this local port; None when none has."""
    wanted = set()
    spelled = f":{port:04X} "
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        if spelled not in line:
            continue  # thousands of connections are read through for each that is new
        fields = line.split()
        if int(fields[_LOCAL].rpartition(":")[2], 16) == port:
            wanted.add(f"socket:[{fields[_INODE]}]")
    for pid in among:
        try:
            opened = [link.readlink() for link in Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:
            continue  # it ended meanwhile
        if any(str(target) in wanted for target in opened):
            return pid
    return None
