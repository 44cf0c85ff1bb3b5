"""What Rasa remembers of a conversation: its own database, tables `events` and `turns`.

Rasa knows a conversation by its id, never by a number; the words of the customer stand in its
events. `bot/tracker_store.py` says what the tables are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from ticketing.domain.privacy import Person
from ticketing.services.person_stores import Part, StoreError

_COLUMNS = {"events": "sender_id", "turns": "conversation_id"}
CONNECT_TIMEOUT_SECONDS = 5


@dataclass(frozen=True, slots=True)
class RasaStore:
    """One of Rasa's tables.

    Attributes:
        url: PONTE_RASA_DATABASE_URL; empty: an erasure refuses rather than forget it.
        table: `events` or `turns`.
    """

    url: str
    table: str

    @property
    def name(self) -> str:
        """For people."""
        return f"rasa.{self.table}"

    async def count(self, person: Person, *, cutoff: datetime) -> int:
        """See `PersonStore`."""
        del cutoff  # the conversations are over: everything of them goes
        rows = await self._run("SELECT count(*) FROM {} WHERE {} = ANY(%s)", person)
        return int(rows[0][0]) if rows else 0

    async def erase(self, person: Person, *, cutoff: datetime) -> int:
        """See `PersonStore`."""
        del cutoff
        return len(await self._run("DELETE FROM {} WHERE {} = ANY(%s) RETURNING 1", person))

    async def export(self, person: Person, *, cutoff: datetime) -> Sequence[Part]:
        """What the bot read and understood; technical events are left out."""
        del cutoff
        if self.table != "events":
            return ()
        rows = await self._run(
            "SELECT timestamp, data FROM {} WHERE {} = ANY(%s) AND type_name = 'user' ORDER BY id",
            person,
        )
        return (Part("bot.json", [_understood(moment, data) for moment, data in rows]),)

    async def _run(self, statement: LiteralString, person: Person) -> list[tuple[Any, ...]]:
        if not self.url:
            message = "PONTE_RASA_DATABASE_URL: missing; without it Rasa's trackers would stay"
            raise StoreError(message)
        query = sql.SQL(statement).format(
            sql.Identifier(self.table), sql.Identifier(_COLUMNS[self.table])
        )
        wanted = [str(value) for value in person.conversation_ids]
        try:
            async with await psycopg.AsyncConnection.connect(
                self.url, connect_timeout=CONNECT_TIMEOUT_SECONDS
            ) as connection:
                # Rasa makes its tables at its first start; before that there is nothing.
                found = await connection.execute("SELECT to_regclass(%s)", (self.table,))
                row = await found.fetchone()
                if row is None or row[0] is None:
                    return []
                done = await connection.execute(query, (wanted,))
                return list(await done.fetchall())
        except (psycopg.Error, OSError) as error:
            message = f"Rasa's database does not answer ({type(error).__name__})"
            raise StoreError(message) from error


def _understood(moment: float, data: str) -> dict[str, Any]:
    event = json.loads(data)
    parsed = event.get("parse_data") or {}
    return {
        "at": datetime.fromtimestamp(moment, tz=UTC).isoformat(),
        "text": event.get("text"),
        "intent": (parsed.get("intent") or {}).get("name"),
        "confidence": (parsed.get("intent") or {}).get("confidence"),
        "entities": [
            {"name": found.get("entity"), "value": found.get("value")}
            for found in parsed.get("entities") or ()
        ],
    }
