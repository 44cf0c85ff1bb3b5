"""The simulator's memory: one SQLite file that survives the death of the process.

Writes run in the event loop on purpose: with a write-ahead log and `synchronous=NORMAL` a commit is
a few dozen microseconds and never waits for the disk, because checkpoints are made elsewhere
(`checkpoint`, from a thread). A killed process loses nothing; a power cut may lose the last
moments.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS customers (
  key TEXT PRIMARY KEY, phone TEXT, wa_id TEXT, user_id TEXT NOT NULL UNIQUE, name TEXT,
  window_from REAL, typing_until REAL NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS messages (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, customer TEXT NOT NULL,
  direction TEXT NOT NULL CHECK (direction IN ('in', 'out')), type TEXT NOT NULL,
  view TEXT NOT NULL, status TEXT NOT NULL, errors TEXT NOT NULL DEFAULT '[]',
  timestamp REAL NOT NULL, callback_data TEXT, revision INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS messages_by_customer ON messages (customer, direction, seq);
CREATE INDEX IF NOT EXISTS messages_by_revision ON messages (customer, revision);
CREATE TABLE IF NOT EXISTS events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, lane TEXT NOT NULL, kind TEXT NOT NULL,
  item TEXT NOT NULL, contact TEXT NOT NULL, due REAL NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0, delivered REAL
);
CREATE INDEX IF NOT EXISTS events_pending ON events (seq) WHERE delivered IS NULL;
CREATE TABLE IF NOT EXISTS faults (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, remaining INTEGER NOT NULL,
  customer TEXT, parameters TEXT NOT NULL
);
"""
# Statuses never go backwards; failed is final.
RANK = {"accepted": 0, "sent": 1, "delivered": 2, "read": 3, "failed": 9}


@dataclass(frozen=True, slots=True)
class Customer:
    """A person with WhatsApp. `window_from` is the epoch second of the last message to us."""

    key: str
    phone: str | None
    wa_id: str | None
    user_id: str
    name: str | None
    window_from: float | None
    typing_until: float

    @property
    def address(self) -> str:
        """What people call them by: "+" and digits, or the user id of someone without a number."""
        return f"+{self.phone}" if self.phone else self.user_id


@dataclass(frozen=True, slots=True)
class Message:
    """A message in either direction. `view` holds text, buttons, sections, template and so on."""

    seq: int
    id: str
    customer: str
    direction: str
    type: str
    view: Mapping[str, Any]
    status: str
    errors: list[Any]
    timestamp: float
    callback_data: str | None
    revision: int


@dataclass(slots=True)
class Event:
    """Something a webhook will tell: one message or one status. `due` is an epoch second."""

    seq: int
    lane: str
    kind: str
    item: dict[str, Any]
    contact: dict[str, Any]
    due: float
    attempts: int = 0
    refused: int = field(default=0)


class Store:
    """The tables, one method per question."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, timeout=5)
        self._db.row_factory = sqlite3.Row
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "wal_autocheckpoint=0"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_SCHEMA)
        row = self._db.execute("SELECT coalesce(max(revision), 0) FROM messages").fetchone()
        self._revision: int = row[0]

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def checkpoint(self) -> None:
        """Fold the log into the file; on a connection of its own, so that a thread may call it."""
        connection = sqlite3.connect(self.path, timeout=5)
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. Holds no `await` inside."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # customers

    def customer(self, key: str) -> Customer | None:
        """By key or by user id."""
        row = self._db.execute(
            "SELECT * FROM customers WHERE key = ?1 OR user_id = ?1", (key,)
        ).fetchone()
        return Customer(**row) if row else None

    def save_customer(
        self, key: str, *, phone: str | None, wa_id: str | None, user_id: str, name: str | None
    ) -> Customer:
        """Make or complete a customer; a name given later replaces the earlier one."""
        self._db.execute(
            "INSERT INTO customers (key, phone, wa_id, user_id, name) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (key) DO UPDATE SET name = coalesce(excluded.name, name),"
            " user_id = excluded.user_id, phone = coalesce(phone, excluded.phone),"
            " wa_id = coalesce(wa_id, excluded.wa_id)",
            (key, phone, wa_id, user_id, name),
        )
        found = self.customer(key)
        if found is None:
            message = "a customer just written is not there"
            raise LookupError(message)
        return found

    def customers(self) -> list[Customer]:
        """All customers, the latest to write first."""
        rows = self._db.execute(
            "SELECT * FROM customers ORDER BY coalesce(window_from, 0) DESC, key"
        )
        return [Customer(**row) for row in rows]

    def open_window(self, key: str, moment: float) -> None:
        """Note a customer's message; a late one does not shorten the window."""
        self._db.execute(
            "UPDATE customers SET window_from = max(coalesce(window_from, 0), ?) WHERE key = ?",
            (moment, key),
        )

    def set_typing(self, key: str, until: float) -> None:
        """Show the typing bubble until an epoch second."""
        self._db.execute("UPDATE customers SET typing_until = ? WHERE key = ?", (until, key))

    # messages

    def add_message(
        self,
        identifier: str,
        *,
        customer: str,
        direction: str,
        type_: str,
        view: Mapping[str, Any],
        status: str,
        timestamp: float,
        callback_data: str | None = None,
    ) -> None:
        """Keep a message."""
        self._revision += 1
        self._db.execute(
            "INSERT INTO messages (id, customer, direction, type, view, status, timestamp,"
            " callback_data, revision) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                identifier,
                customer,
                direction,
                type_,
                json.dumps(view, ensure_ascii=True),
                status,
                timestamp,
                callback_data,
                self._revision,
            ),
        )

    def message(self, identifier: str) -> Message | None:
        """By id."""
        row = self._db.execute("SELECT * FROM messages WHERE id = ?", (identifier,)).fetchone()
        return _message(row) if row else None

    def messages(  # one query, each argument one condition
        self,
        *,
        customer: str | None = None,
        direction: str | None = None,
        after_seq: int = 0,
        after_revision: int = 0,
        since: float = 0.0,
        limit: int = 1000,
    ) -> list[Message]:
        """Messages that fit, oldest first; of more than `limit` the newest."""
        rows = self._db.execute(
            "SELECT * FROM messages WHERE (?1 IS NULL OR customer = ?1)"
            " AND (?2 IS NULL OR direction = ?2) AND seq > ?3 AND revision > ?4"
            " AND timestamp >= ?5 ORDER BY seq DESC LIMIT ?6",
            (customer, direction, after_seq, after_revision, since, limit),
        ).fetchall()
        return [_message(row) for row in reversed(rows)]

    def last_with_options(self, customer: str) -> Message | None:
        """The last message this customer received that offers something to choose."""
        row = self._db.execute(
            "SELECT * FROM messages WHERE customer = ? AND direction = 'out'"
            " AND json_array_length(view, '$.buttons') > 0 AND status != 'failed'"
            " ORDER BY seq DESC LIMIT 1",
            (customer,),
        ).fetchone()
        return _message(row) if row else None

    def raise_status(self, identifier: str, status: str, errors: list[Any]) -> bool:
        """Move a message's status up; False when it is there or further already."""
        found = self.message(identifier)
        if found is None or RANK.get(found.status, 0) >= RANK[status]:
            return False
        self._revision += 1
        self._db.execute(
            "UPDATE messages SET status = ?, errors = ?, revision = ? WHERE id = ?",
            (status, json.dumps(errors), self._revision, identifier),
        )
        return True

    # webhook events

    def add_event(
        self, kind: str, *, lane: str, item: dict[str, Any], contact: dict[str, Any], due: float
    ) -> Event:
        """Queue something to tell."""
        cursor = self._db.execute(
            "INSERT INTO events (lane, kind, item, contact, due) VALUES (?, ?, ?, ?, ?)",
            (lane, kind, json.dumps(item), json.dumps(contact), due),
        )
        return Event(cursor.lastrowid or 0, lane, kind, item, contact, due)

    def pending_events(self) -> list[Event]:
        """What has not been told yet, in order."""
        rows = self._db.execute("SELECT * FROM events WHERE delivered IS NULL ORDER BY seq")
        return [
            Event(
                row["seq"],
                row["lane"],
                row["kind"],
                json.loads(row["item"]),
                json.loads(row["contact"]),
                row["due"],
                row["attempts"],
            )
            for row in rows
        ]

    def mark_delivered(self, sequences: list[int], moment: float) -> None:
        """The callback answered 200."""
        with self.transaction():
            self._db.executemany(
                "UPDATE events SET delivered = ?, attempts = attempts + 1 WHERE seq = ?",
                [(moment, seq) for seq in sequences],
            )

    def mark_attempt(self, sequences: list[int]) -> None:
        """The callback did not answer 200."""
        with self.transaction():
            self._db.executemany(
                "UPDATE events SET attempts = attempts + 1 WHERE seq = ?",
                [(seq,) for seq in sequences],
            )

    def delivery_counts(self) -> dict[str, int]:
        """How many events are pending and delivered, and how many attempts there were."""
        row = self._db.execute(
            "SELECT count(*) FILTER (WHERE delivered IS NULL) AS pending,"
            " count(delivered) AS delivered, coalesce(sum(attempts), 0) AS attempts FROM events"
        ).fetchone()
        return dict(row)

    def forget_delivered(self, before: float) -> None:
        """Drop the log of deliveries older than an epoch second."""
        self._db.execute("DELETE FROM events WHERE delivered < ?", (before,))

    # faults

    def add_fault(
        self, kind: str, *, count: int, customer: str | None, parameters: Mapping[str, Any]
    ) -> int:
        """Plan a fault for the next `count` requests, of one customer or of all."""
        cursor = self._db.execute(
            "INSERT INTO faults (kind, remaining, customer, parameters) VALUES (?, ?, ?, ?)",
            (kind, count, customer, json.dumps(parameters)),
        )
        return cursor.lastrowid or 0

    def faults(self) -> list[dict[str, Any]]:
        """The faults still planned, in order."""
        rows = self._db.execute("SELECT * FROM faults WHERE remaining > 0 ORDER BY seq")
        return [
            {
                "id": row["seq"],
                "kind": row["kind"],
                "remaining": row["remaining"],
                "to": row["customer"],
                **json.loads(row["parameters"]),
            }
            for row in rows
        ]

    def use_fault(self, fault_id: int) -> None:
        """Count one use."""
        self._db.execute("UPDATE faults SET remaining = remaining - 1 WHERE seq = ?", (fault_id,))

    def clear_faults(self) -> int:
        """Forget all faults; returns how many were still planned."""
        cursor = self._db.execute("DELETE FROM faults WHERE remaining > 0")
        return cursor.rowcount


def _message(row: sqlite3.Row) -> Message:
    values = dict(row)
    values["view"] = json.loads(values["view"])
    values["errors"] = json.loads(values["errors"])
    return Message(**values)
