"""Stored decisions in bulk, for reports over many of them.

They are read by COPY, in the order of time, without the big `decision` document. Several readers
share one view of the database (an exported snapshot) and split the conversations between them, so
that each reader has whole conversations in their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import psycopg
from psycopg import sql

from handoff.backtest import Stored, StoredTurn
from ticketing.db.engine import without_driver

_UNIT, _QUOTE = b"\x02", b"\x01"
"""Delimiter and quote of the CSV: JSONB text never holds a control character, it escapes them."""

_TEXTS = 6  # columns of `Stored`, the rule with its version


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which decisions. Times are of the decision, `until` is outside; None: no limit."""

    since: datetime | None
    until: datetime | None
    language: str | None = None
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """One of `parts` equal shares of the conversations, `part` from 0, in a shared view."""

    view: str
    part: int = 0
    parts: int = 1


@contextmanager
def connect(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection for reading, outside the pool: it is busy for as long as the report takes."""
    with psycopg.connect(
        without_driver(url), connect_timeout=5, autocommit=True, options="-c TimeZone=UTC"
    ) as connection:
        yield connection


@contextmanager
def shared_view(connection: psycopg.Connection[Any]) -> Iterator[str]:
    """Hold a view of the database as it is now; its name lets other connections share it."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        row = connection.execute("SELECT pg_export_snapshot()").fetchone()
        if row is None:
            message = "PostgreSQL exported no snapshot"
            raise LookupError(message)
        yield str(row[0])


def count(connection: psycopg.Connection[Any], wanted: Wanted) -> int:
    """How many decisions there are in the period, before the filters."""
    statement = sql.SQL("SELECT count(*) FROM decisions WHERE {}").format(
        _conditions(Wanted(wanted.since, wanted.until))
    )
    row = connection.execute(statement).fetchone()
    return 0 if row is None else int(row[0])


def read(url: str, wanted: Wanted, share: Share) -> Iterator[StoredTurn]:
    """The decisions of one share, oldest first."""
    belongs = sql.SQL("(uuid_hash(conversation_id) & 2147483647) % {} = {}").format(
        sql.Literal(share.parts), sql.Literal(share.part)
    )
    conditions = _conditions(wanted)
    if share.parts > 1:
        conditions = sql.SQL("{} AND {}").format(conditions, belongs)
    statement = _COPY.format(conditions=conditions)
    with connect(url) as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(share.view)))
        # The rows lie on the disk in the order of the index; sorting them would write them again.
        connection.execute("SET LOCAL enable_sort = off")
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            yield from _turns(copy)


_COPY = sql.SQL(
    """
    COPY (
      SELECT conversation_id, turn_id, created_at, outcome, rule, coalesce(reason, ''),
        CASE WHEN outcome = 'handoff' THEN coalesce(level, decision ->> 'level') END,
        CASE WHEN outcome = 'handoff' THEN coalesce(queue, decision ->> 'queue') END,
        coalesce(understanding, decision ->> 'understanding'),
        snapshot
      FROM decisions WHERE {conditions} ORDER BY created_at, id
    ) TO STDOUT (FORMAT csv, DELIMITER E'\\x02', QUOTE E'\\x01')
    """
)


def _conditions(wanted: Wanted) -> sql.Composable:
    parts: list[sql.Composable] = [sql.SQL("true")]
    if wanted.since is not None:
        parts.append(sql.SQL("created_at >= {}").format(sql.Literal(wanted.since)))
    if wanted.until is not None:
        parts.append(sql.SQL("created_at < {}").format(sql.Literal(wanted.until)))
    for name in ("language", "channel"):
        value = getattr(wanted, name)
        if value is not None:
            parts.append(
                sql.SQL("snapshot ->> {} = {}").format(sql.Literal(name), sql.Literal(value))
            )
    return sql.SQL(" AND ").join(parts)


def _turns(rows: Any) -> Iterator[StoredTurn]:
    known: dict[bytes, tuple[str, Stored]] = {}
    for row in rows:
        head, _, snapshot = bytes(row).rpartition(_UNIT)
        conversation_id, turn_id, at, texts = head.split(_UNIT, 3)
        found = known.get(texts)
        if found is None:
            found = known[texts] = _decided(texts)
        version, decided = found
        yield StoredTurn(
            conversation_id.decode(),
            turn_id.decode(),
            at.decode().replace(" ", "T") + ":00",
            version,
            decided,
            orjson.loads(snapshot),
        )


def _decided(texts: bytes) -> tuple[str, Stored]:
    """The columns between the times and the snapshot; few combinations exist."""
    fields = [_text(field) for field in texts.split(_UNIT)]
    if len(fields) != _TEXTS:
        message = f"a decision has {len(fields)} text columns; expected {_TEXTS}"
        raise ValueError(message)
    outcome, rule, reason, level, queue, understanding = fields
    name, _, version = (rule or "").rpartition("@")
    return version, Stored(
        outcome or "", name or version, reason or "", level, queue, understanding
    )


def _text(field: bytes) -> str | None:
    if not field:
        return None
    if field.startswith(_QUOTE):
        field = field[1:-1].replace(_QUOTE * 2, _QUOTE)
    return field.decode()


def ticket_numbers(connection: psycopg.Connection[Any], turn_ids: Sequence[str]) -> dict[str, int]:
    """The tickets that these turns opened, by turn."""
    rows = connection.execute(
        "SELECT h.turn_id::text, t.number FROM handoffs h JOIN tickets t ON t.id = h.ticket_id "
        "WHERE h.turn_id = ANY(%s::uuid[])",
        [list(turn_ids)],
    )
    return {str(turn_id): int(number) for turn_id, number in rows}


def reviews(connection: psycopg.Connection[Any], wanted: Wanted) -> dict[str, str]:
    """What agents said of decisions, by turn; empty where reviews are not kept.

    Of several reviews of one turn the last one counts.
    """
    known = connection.execute(
        "SELECT count(*) FROM information_schema.columns WHERE table_schema = current_schema() "
        "AND table_name = 'handoff_reviews' AND column_name IN ('turn_id', 'verdict', 'at')"
    ).fetchone()
    if known is None or known[0] != len(_REVIEW_COLUMNS):
        return {}
    statement = sql.SQL(
        "SELECT r.turn_id::text, r.verdict FROM handoff_reviews r "
        "JOIN decisions ON decisions.turn_id = r.turn_id WHERE {} ORDER BY r.at"
    ).format(_conditions(wanted))
    return {str(turn_id): str(verdict) for turn_id, verdict in connection.execute(statement)}


_REVIEW_COLUMNS = ("turn_id", "verdict", "at")
