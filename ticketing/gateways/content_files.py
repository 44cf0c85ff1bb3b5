"""Open the files that designers edit: `runbooks/*.yml` and `quality.yml`."""

from __future__ import annotations

from pathlib import Path

from ticketing.domain.runbook import RunbookBook
from ticketing.domain.runbook_file import KnownNames, RunbooksError, parse_runbooks

MAX_BYTES = 200_000
"""A runbook has about 5,000; more is another file, or an attack on the parser."""


class UnreadableFileError(ValueError):
    """A file cannot be opened, is no text, or is too long."""

    def __init__(self, path: Path, problem: str) -> None:
        self.path = path
        super().__init__(f"{path.name}:1: file: {problem}")


def load_runbooks(folder: Path, *, known: KnownNames | None = None) -> RunbookBook:
    """The runbooks of a folder; no folder is an empty book.

    Raises:
        RunbooksError: something in them is wrong; lists all of it.
    """
    files: dict[str, str] = {}
    unreadable: list[str] = []
    for path in runbook_paths(folder):
        try:
            files[path.name] = read_text(path)
        except UnreadableFileError as error:
            unreadable.append(str(error))
    if unreadable:
        raise RunbooksError(unreadable)
    return parse_runbooks(files, known=known or KnownNames())


def runbook_paths(folder: Path) -> list[Path]:
    """The files of a folder that are runbooks, by name; left-overs of editors are not."""
    return sorted(path for path in folder.glob("*.yml") if not path.name.startswith("."))


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        UnreadableFileError: it cannot be opened, is no text, or is too long.
    """
    try:
        with path.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no UTF-8"
        problem = f"cannot be read ({reason}); expected a UTF-8 text file"
        raise UnreadableFileError(path, problem) from error
    if len(content) > MAX_BYTES:
        problem = f"is too long; expected at most {MAX_BYTES} bytes"
        raise UnreadableFileError(path, problem)
    return text
