"""Tables of messages with their intents: CSV files with the columns `text` and `intent`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

COLUMNS = ("text", "intent")
_SHOWN_ROWS = 5
# csv's own limit is 131,072 characters; a message of WhatsApp has at most 4,096.
_FIELD_CHARACTERS = 1_000_000


class TableError(ValueError):
    """The file cannot be used; the text names file, row and what was expected."""


@dataclass(frozen=True, slots=True)
class Row:
    """One message.

    Attributes:
        number: Row as a spreadsheet counts: the header is row 1.
        text: What was written; may hold line breaks.
        intent: What it means.
    """

    number: int
    text: str
    intent: str


@dataclass(frozen=True, slots=True)
class Table:
    """A file that was read.

    Attributes:
        name: The file as it was named on the command line.
        rows: At least one.
        without_text: Numbers of the rows that have an intent and no text; they are among `rows`.
    """

    name: str
    rows: tuple[Row, ...]
    without_text: tuple[int, ...] = ()

    @property
    def intents(self) -> frozenset[str]:
        """Every intent in it."""
        return frozenset(row.intent for row in self.rows)


def read_table(path: Path) -> Table:
    """Read a CSV file: UTF-8 (a byte order mark is fine), commas, a header with text and intent.

    Other columns are ignored. Fields may be quoted and hold commas, quotes and line breaks.

    Raises:
        TableError: the first thing that is wrong.
    """
    text = _decoded(path)
    csv.field_size_limit(_FIELD_CHARACTERS)
    # strict: a quote that is never closed would swallow the rest of the file as one message.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    records = _records(reader, path)
    header = next(iter(records), (1, []))[1]
    places = _places(header, path)
    rows = [_row(number, record, header, places, path) for number, record in records[1:]]
    if not rows:
        message = f"{path}: expected at least one row below the header, found none"
        raise TableError(message)
    empty = tuple(row.number for row in rows if not row.text.strip())
    return Table(str(path), tuple(rows), empty)


def _decoded(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        message = f"{path}: no such file; expected a CSV file with the columns text,intent"
        raise TableError(message) from None
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror or error}"
        raise TableError(message) from error
    if not content.strip():
        message = f"{path}: is empty; expected the header text,intent and one message a row"
        raise TableError(message)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        message = (
            f"{path}: line {line} is not UTF-8 (byte 0x{content[error.start]:02x}); "
            f"expected UTF-8: save the file again with that encoding"
        )
        raise TableError(message) from None


def _records(reader: Iterable[list[str]], path: Path) -> list[tuple[int, list[str]]]:
    """Records with their row numbers; blank lines are counted and left out."""
    found: list[tuple[int, list[str]]] = []
    number = 0
    try:
        for number, record in enumerate(reader, start=1):
            if record:
                found.append((number, record))
    except csv.Error as error:
        message = (
            f"{path}: row {number + 1}: {error}; expected a quoted field to end with a quote and "
            f'quotes inside it to be doubled ("")'
        )
        raise TableError(message) from None
    return found


def _places(header: Sequence[str], path: Path) -> tuple[int, int]:
    """Where the two columns are."""
    names = [name.strip().lower() for name in header]
    wrong = [column for column in COLUMNS if names.count(column) != 1]
    if wrong:
        shown = ",".join(header)
        hint = "; the separator must be a comma" if len(names) == 1 and len(shown) > 6 else ""  # noqa: PLR2004 - longer than one name
        message = f"{path}: row 1: expected the header text,intent, found {shown!r}{hint}"
        raise TableError(message)
    return names.index("text"), names.index("intent")


def _row(
    number: int,
    record: Sequence[str],
    header: Sequence[str],
    places: tuple[int, int],
    path: Path,
) -> Row:
    if len(record) != len(header):
        message = (
            f"{path}: row {number}: expected {len(header)} columns as in the header, found "
            f"{len(record)}; a text with a comma must be in quotes"
        )
        raise TableError(message)
    text, intent = (record[place] for place in places)
    if not intent.strip():
        message = f"{path}: row {number}: column intent is empty; expected the name of an intent"
        raise TableError(message)
    return Row(number, text, intent.strip())


def numbers(rows: Sequence[int]) -> str:
    """`rows 2, 9` or `rows 2, 9, 11, 14, 20 and 31 more`."""
    shown = ", ".join(str(number) for number in rows[:_SHOWN_ROWS])
    more = len(rows) - _SHOWN_ROWS
    return f"row{'s' if len(rows) > 1 else ''} {shown}" + (f" and {more} more" if more > 0 else "")
