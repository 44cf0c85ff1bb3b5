"""How far the audit log went, line by line, in a file outside the database."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from ticketing.domain.audit_chain import Checkpoint


class CheckpointFileError(Exception):
    """A file of checkpoints cannot be read; the text names file and line."""


def read_checkpoints(path: Path) -> tuple[Checkpoint, ...]:
    """All checkpoints of a file; none when there is no file yet.

    A last line without its end is left out: its writer died.

    Raises:
        CheckpointFileError: a line is not one of ours.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path}: cannot be read ({error})"
        raise CheckpointFileError(message) from error
    lines = text.split("\n")[:-1]
    return tuple(_parse(path, number, line) for number, line in enumerate(lines, 1) if line)


def append_checkpoint(path: Path, point: Checkpoint) -> bool:
    """Add a line, safely on the disk; False when the newest line says the same."""
    known = read_checkpoints(path)
    if known and (known[-1].seq, known[-1].hash) == (point.seq, point.hash):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        torn = False
        if size:
            file.seek(size - 1)
            torn = file.read(1) != b"\n"
        if torn:  # a writer died in the middle of a line: cut it off
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
        file.write(as_line(point).encode())
        file.flush()
        os.fsync(file.fileno())
    return True


def as_line(point: Checkpoint) -> str:
    """One line of the file."""
    document = {**asdict(point), "at": point.at.isoformat()}
    return json.dumps(document, separators=(",", ":")) + "\n"


def _parse(path: Path, number: int, line: str) -> Checkpoint:
    try:
        found = json.loads(line)
        return Checkpoint(
            seq=int(found["seq"]),
            hash=str(found["hash"]),
            at=datetime.fromisoformat(found["at"]),
            key_id=str(found["key_id"]),
            mac=str(found["mac"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        message = f"{path}: line {number}: expected seq, hash, at, key_id and mac as JSON"
        raise CheckpointFileError(message) from error
