"""Running as root: PostgreSQL refuses that, so it gets an account of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

_ACCOUNT = "pgserver"  # the name the wheel's own launcher uses: one account, not two
_LAST_RESORT = "nobody"
_TRAVERSE = stat.S_IXOTH
_READ = stat.S_IROTH


def unprivileged_account() -> tuple[int, int] | None:
    """User and group id for PostgreSQL when we are root; None when we are not.

    The system account is made once. On a machine without `useradd` (small containers) `nobody` is
    used.
    """
    if os.geteuid() != 0:
        return None
    entry = _entry(_ACCOUNT)
    if entry is None:
        _add_system_account(_ACCOUNT)
        # Asked again even when adding failed: two starts at once, and the other one made it.
        entry = _entry(_ACCOUNT) or pwd.getpwnam(_LAST_RESORT)
    return entry.pw_uid, entry.pw_gid


def let_through(path: Path) -> None:
    """Let the other account pass the folders above `path`.

    Only the right to pass (`o+x`) is given, and only where it is missing: it shows no listing and
    no file of those folders.
    """
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if not mode & _TRAVERSE:
            folder.chmod(stat.S_IMODE(mode) | _TRAVERSE)


def let_read(tree: Path) -> None:
    """Let the other account read and run the server's program files."""
    let_through(tree)
    for path in (tree, *tree.rglob("*")):
        if path.is_symlink():
            continue
        mode = path.stat().st_mode
        wanted = _READ | _TRAVERSE if path.is_dir() or mode & stat.S_IXUSR else _READ
        if mode & wanted != wanted:
            path.chmod(stat.S_IMODE(mode) | wanted)


def _entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _add_system_account(name: str) -> None:
    program = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin")
    if program is None:
        return
    subprocess.run(  # noqa: S603 - fixed program and name
        [program, "--system", "--no-create-home", "--shell", "/bin/false", name],
        check=False,
        capture_output=True,
    )
