"""DLQ_AUDIT_FILE: what operators did with dead letters, one JSON line each, outside the database.

The database record comes first and never depends on this file: a full disk or a missing folder is
reported, and the lines that are missing are written when it is back (`AuditFile.add` writes only
those that are not there yet). Several processes may write at once: every writer holds a lock.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

MAX_BYTES = 10 * 1024 * 1024
"""Of one file; some 20,000 actions."""

KEPT = 9
"""Numbered files beside the present one: `.1` is the one before it."""

LOOKED_THROUGH = 2
"""Files that are searched for lines that are there already: the present one and the one before."""

_MODE = 0o600  # it names operators


class AuditFileError(OSError):
    """The file cannot be written: which, and why."""


class AuditFile:
    """Appends lines, each once, and starts a new file when it grows too large.

    Args:
        path: The present file; `<path>.lock` is the lock, `<path>.1` and so on the older ones.
        max_bytes: Start a new file beyond this.
        kept: Older files that are kept; the next one goes.
    """

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES, kept: int = KEPT) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._kept = kept

    def add(self, records: Sequence[Mapping[str, Any]]) -> int:
        """Write the records that are not in the file yet; how many. They are on the disk then.

        A record is known by its `action_id` and `result`.

        Raises:
            AuditFileError: when it cannot be written.
        """
        if not records:
            return 0
        try:
            with self._locked():
                self._check_kind()
                there = self._known()
                missing = [record for record in records if _key(record) not in there]
                for record in missing:
                    self._append(_line(record))
                return len(missing)
        except OSError as error:
            message = f"DLQ_AUDIT_FILE {self.path}: cannot be written ({error.strerror or error})"
            raise AuditFileError(message) from error

    def _check_kind(self) -> None:
        if self.path.exists() and not self.path.is_file():
            raise OSError(errno.EINVAL, "expected a regular file")

    def _append(self, line: bytes) -> None:
        self._rotate(len(line))
        is_new = not self.path.exists()
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _MODE)
        try:
            size = os.fstat(descriptor).st_size
            if size and not self._ends_with_a_line():
                line = b"\n" + line  # what a writer that died left half
            try:
                _write_whole(descriptor, line)
                os.fsync(descriptor)
                if is_new:
                    self._keep_name()
            except OSError:
                # Half a line is worse than none: the next try writes it whole.
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)

    def _keep_name(self) -> None:
        # Without it a new file's bytes are on the disk, and after a power cut its name is not.
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _ends_with_a_line(self) -> bool:
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"

    def _rotate(self, more: int) -> None:
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return
        if size == 0 or size + more <= self._max_bytes:
            return
        for number in range(self._kept, 0, -1):
            older = self._numbered(number)
            if not older.exists():
                continue
            if number == self._kept:
                older.unlink()
            else:
                older.rename(self._numbered(number + 1))
        if self._kept:
            self.path.rename(self._numbered(1))
        else:
            self.path.unlink()

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _known(self) -> set[tuple[str, str]]:
        found: set[tuple[str, str]] = set()
        files = [self.path, *(self._numbered(number) for number in range(1, LOOKED_THROUGH))]
        for path in files:
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                for line in file:
                    with contextlib.suppress(ValueError):  # half a line of a writer that died
                        record = json.loads(line)
                        if isinstance(record, dict):
                            found.add(_key(record))
        return found

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        # A file of its own: the log itself is renamed while the lock is held.
        lock = os.open(self.path.with_name(f"{self.path.name}.lock"), os.O_RDWR | os.O_CREAT, _MODE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _key(record: Mapping[str, Any]) -> tuple[str, str]:
    return str(record.get("action_id")), str(record.get("result"))


def _line(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(record, ensure_ascii=False, sort_keys=True) + "\n").encode()


def _write_whole(descriptor: int, line: bytes) -> None:
    if os.write(descriptor, line) != len(line):
        raise OSError(errno.ENOSPC, "no space left on the device")
