"""Retention over all stores: reads `retention.yml` and runs every kind, once a day."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from kit.ids import new_correlation_id
from ponte.settings import ROOT, Settings
from ticketing.db.engine import Database
from ticketing.domain.audit_chain import Keys
from ticketing.domain.retention import Kind, RetentionError, RetentionPolicy, parse_retention
from ticketing.services import retention
from ticketing.services.person_stores import StoreError

FILE = ROOT / "retention.yml"
EXPORTS = "exports"
TRACKER_BATCH = 500


def load_retention(path: Path = FILE) -> RetentionPolicy:
    """The policy of a file.

    Raises:
        RetentionError: naming every wrong line.
    """
    try:
        source = path.read_text(encoding="utf-8")
        document: Any = YAML(typ="rt").load(io.StringIO(source))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        reason = " ".join(str(error).split())
        raise RetentionError((f"{path.name}: cannot be read: {reason}",)) from error
    section = document.get("retention") if isinstance(document, dict) else None
    marks = getattr(section, "lc", None)
    lines = (
        {} if section is None or marks is None else {key: marks.key(key)[0] + 1 for key in section}
    )
    return parse_retention(document, lines=lines)


@dataclass(frozen=True, slots=True)
class Retention:
    """Removes what is too old."""

    settings: Settings
    db: Database
    policy: RetentionPolicy

    async def count(self, *, now: datetime) -> dict[str, int]:
        """Kind -> how much would go; nothing is changed. The audit log is not counted."""
        found: dict[str, int] = {}
        for kind, kept in self.policy.kept.items():
            before = now - kept
            if kind is Kind.BOT_TRACKERS:
                found[kind.value] = await self._trackers(before, remove=False)
            elif kind is not Kind.AUDIT:
                found[kind.value] = await retention.count(self.db, kind, before=before)
        return found

    async def run(
        self, *, now: datetime, actor: str = "system", always: bool = False
    ) -> dict[str, int]:
        """Kind -> how much went; kinds that had their turn within a day are left out.

        Args:
            now: The moment.
            actor: For the audit log.
            always: Also those that had their turn.
        """
        correlation_id = new_correlation_id()
        done: dict[str, int] = {}
        for name in (EXPORTS, *self.policy.kept):
            if not always and not await retention.is_due(self.db, name, now=now):
                continue
            removed = await self._remove(name, now=now, correlation_id=correlation_id)
            if removed is None:
                continue
            done[str(name)] = removed
            await retention.note_run(
                self.db, str(name), removed, actor=actor, now=now, correlation_id=correlation_id
            )
        return done

    async def _remove(self, name: str, *, now: datetime, correlation_id: str) -> int | None:
        """One kind; None when this process lacks the key for it."""
        if name == EXPORTS:
            return await retention.remove_exports(self.db, now=now)
        kind = Kind(name)
        before = now - self.policy.kept[kind]
        if kind in {Kind.AUDIT, Kind.CONTACTS}:
            return await self._with_key(kind, before, now=now, correlation_id=correlation_id)
        if kind is Kind.BOT_TRACKERS:
            return await self._trackers(before, remove=True)
        return await retention.remove(self.db, kind, before=before)

    async def _with_key(
        self, kind: Kind, before: datetime, *, now: datetime, correlation_id: str
    ) -> int | None:
        if kind is Kind.AUDIT and self.settings.audit_keys:
            keys = Keys.of(self.settings.audit_keys)
            return await retention.remove_audit(self.db, keys, before=before, now=now)
        if kind is Kind.CONTACTS and self.settings.privacy_key:
            return await retention.erase_silent(
                self.db,
                key=self.settings.privacy_key,
                before=before,
                now=now,
                correlation_id=correlation_id,
            )
        return None

    async def _trackers(self, before: datetime, *, remove: bool) -> int:
        """Conversations in Rasa's database that are silent for too long."""
        url = self.settings.ponte_rasa_database_url
        if not url:
            return 0
        held = await retention.held_conversations(self.db)
        old = (
            "SELECT sender_id FROM events WHERE NOT sender_id = ANY(%s) GROUP BY sender_id "
            "HAVING max(timestamp) < %s LIMIT %s"
        )
        try:
            async with await psycopg.AsyncConnection.connect(
                url, autocommit=True, connect_timeout=5
            ) as line:
                there = await (await line.execute("SELECT to_regclass('events')")).fetchone()
                if there is None or there[0] is None:
                    return 0
                total = 0
                limit = TRACKER_BATCH if remove else 1_000_000
                while True:
                    rows = await line.execute(old, (held, before.timestamp(), limit))
                    found = [row[0] for row in await rows.fetchall()]
                    total += len(found)
                    if found and remove:
                        async with line.transaction():
                            await line.execute(
                                "DELETE FROM turns WHERE conversation_id = ANY(%s)", (found,)
                            )
                            await line.execute(
                                "DELETE FROM events WHERE sender_id = ANY(%s)", (found,)
                            )
                    if not remove or len(found) < limit:
                        return total
        except (psycopg.Error, OSError) as error:
            message = f"Rasa's database does not answer ({type(error).__name__})"
            raise StoreError(message) from error
