"""A short, private folder for unix sockets.

A socket's path may have 107 bytes (unix(7)), less than many project paths, so the folder lies in
the machine's temporary folder, named after a hash of the data directory.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path


def socket_folder(data_dir: Path, *, account: tuple[int, int] | None = None) -> Path:
    """A folder of mode 0700 that only the server's account (and root) can enter.

    The name can be guessed, so a folder somebody else put there first is not used: then a fresh
    one with a random name is made.
    """
    uid, gid = account if account is not None else (os.geteuid(), os.getegid())
    digest = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:12]
    folder = Path(tempfile.gettempdir(), f"ponte-{uid}-{digest}")
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not _is_private(folder, owners={uid, os.geteuid()}):
            folder = Path(tempfile.mkdtemp(prefix=f"ponte-{uid}-"))
    if account is not None:
        os.chown(folder, uid, gid, follow_symlinks=False)
    return folder


def _is_private(folder: Path, *, owners: set[int]) -> bool:
    facts = folder.lstat()
    return (
        stat.S_ISDIR(facts.st_mode)
        and facts.st_uid in owners
        and stat.S_IMODE(facts.st_mode) & 0o077 == 0
    )
