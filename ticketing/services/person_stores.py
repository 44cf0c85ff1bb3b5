"""Stores that hold something of a person, behind one face: count, erase, export."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY, UUID
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import TextClause
from sqlalchemy.types import DateTime, Text

from ticketing.db.attachment_tables import Attachment, AttachmentContent
from ticketing.db.base import Base
from ticketing.db.engine import Database
from ticketing.domain.privacy import Person
from ticketing.services.data_map import TABLES, TableRule, parameters


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an export: a document, or a file.

    Attributes:
        name: File name in the archive, such as `messages.json` or `attachments/1-bill.pdf`.
        content: Rows for a JSON document, or the bytes of a file.
    """

    name: str
    content: list[dict[str, Any]] | bytes


class StoreError(Exception):
    """A store could not be reached or did not do it; the erasure goes on later."""


class PersonStore(Protocol):
    """One place with personal data."""

    @property
    def name(self) -> str:
        """Of the place, for people: `messages`, `rasa.events`."""
        ...

    async def count(self, person: Person, *, cutoff: datetime) -> int:
        """How many rows, keys or files an erasure would change."""
        ...

    async def erase(self, person: Person, *, cutoff: datetime) -> int:
        """Erase; how many. Again, it finds nothing.

        Raises:
            StoreError: when the place cannot be reached.
        """
        ...

    async def export(self, person: Person, *, cutoff: datetime) -> Sequence[Part]:
        """What the place holds, for the person to read."""
        ...


@dataclass(frozen=True, slots=True)
class TableStore:
    """A table of Ponte's database, by its rule."""

    db: Database
    rule: TableRule

    @property
    def name(self) -> str:
        """The table's name."""
        return self.rule.table

    async def count(self, person: Person, *, cutoff: datetime) -> int:
        """See `PersonStore`."""
        async with self.db.transaction() as session:
            statement = _statement(self.rule.count_sql)
            return await session.scalar(statement, _used(statement, person, cutoff)) or 0

    async def erase(self, person: Person, *, cutoff: datetime) -> int:
        """See `PersonStore`; one transaction."""
        async with self.db.transaction() as session:
            await _allow(session, self.rule.before)
            statement = _statement(self.rule.erase_sql)
            result: Any = await session.execute(statement, _used(statement, person, cutoff))
            return int(result.rowcount)

    async def export(self, person: Person, *, cutoff: datetime) -> Sequence[Part]:
        """See `PersonStore`."""
        if not self.rule.export or self.rule.rows is None:
            return ()
        async with self.db.transaction() as session:
            statement = _statement(self.rule.export_sql)
            found = await session.scalars(statement, _used(statement, person, cutoff))
            return (Part(f"{self.rule.table}.json", list(found)),)


@dataclass(frozen=True, slots=True)
class AttachmentFiles:
    """The bytes of a person's files, for the export; their tables' rules erase them."""

    db: Database
    name: str = "attachment files"

    async def count(self, person: Person, *, cutoff: datetime) -> int:
        """See `PersonStore`; the tables count them."""
        del person, cutoff
        return 0

    async def erase(self, person: Person, *, cutoff: datetime) -> int:
        """See `PersonStore`; the tables' rules do it."""
        del person, cutoff
        return 0

    async def export(self, person: Person, *, cutoff: datetime) -> Sequence[Part]:
        """One file each, numbered as `attachments.json` lists them."""
        del cutoff
        async with self.db.transaction() as session:
            rows = await session.execute(
                select(Attachment.filename, AttachmentContent.content)
                .join(AttachmentContent, AttachmentContent.attachment_id == Attachment.id)
                .where(Attachment.ticket_id.in_(person.ticket_ids))
                .order_by(Attachment.created_at, Attachment.id)
            )
            return [
                Part(f"attachments/{number}-{filename}", bytes(content))
                for number, (filename, content) in enumerate(rows, 1)
            ]


def table_stores(db: Database, rules: Iterable[TableRule] = TABLES) -> tuple[TableStore, ...]:
    """A store for every table of this schema that an erasure changes."""
    present = Base.metadata.tables
    return tuple(TableStore(db, rule) for rule in rules if rule.erases and rule.table in present)


async def _allow(session: AsyncSession, settings: Iterable[str]) -> None:
    for name in settings:
        await session.execute(text(f"SET LOCAL {name} = 'on'"))


_TYPES: dict[str, Any] = {
    "contact": UUID(as_uuid=True),
    "conversations": ARRAY(UUID(as_uuid=True)),
    "tickets": ARRAY(UUID(as_uuid=True)),
    "addresses": ARRAY(Text),
    "cutoff": DateTime(timezone=True),
}


def _statement(sql: str) -> TextClause:
    """The statement with typed parameters: an empty array has no type of its own."""
    statement = text(sql)
    names = [name for name in _TYPES if name in statement._bindparams]  # noqa: SLF001
    return statement.bindparams(*(bindparam(name, type_=_TYPES[name]) for name in names))


def _used(statement: TextClause, person: Person, cutoff: datetime) -> dict[str, Any]:
    values = parameters(person, cutoff=cutoff)
    return {name: values[name] for name in statement._bindparams}  # noqa: SLF001
