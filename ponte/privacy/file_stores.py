"""Files of an installation on one machine: caught mails, log files, the simulator's memory.

Mails that name the person are removed whole. Log files hold ids only (`kit.logging`); should a line
name the person all the same, the line is blanked in place, so that the process that writes the file
goes on. The simulator stands for the customers' telephones: its database is emptied of them too.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes
from email.policy import default as default_policy
from pathlib import Path

from ticketing.domain.privacy import Person
from ticketing.services.person_stores import Part, StoreError

_SHORTEST_NAME = 5
"""Characters: a shorter name alone is a word like others."""


@dataclass(frozen=True, slots=True)
class MailStore:
    """The mails that `ponte up` keeps instead of sending them."""

    folder: Path

    @property
    def name(self) -> str:
        """For people."""
        return "mailbox"

    async def count(self, person: Person, *, cutoff: datetime) -> int:
        """See `PersonStore`."""
        del cutoff
        return len(await asyncio.to_thread(self._found, person))

    async def erase(self, person: Person, *, cutoff: datetime) -> int:
        """See `PersonStore`."""
        del cutoff
        found = await asyncio.to_thread(self._found, person)
        for path in found:
            path.unlink(missing_ok=True)
        return len(found)

    async def export(self, person: Person, *, cutoff: datetime) -> Sequence[Part]:
        """Nothing: these are notices to agents."""
        del person, cutoff
        return ()

    def _found(self, person: Person) -> list[Path]:
        needles = _needles(person)
        if not self.folder.is_dir():
            return []
        return [
            path
            for path in sorted(self.folder.iterdir())
            if path.suffix in {".eml", ".part"} and _mail_names(path.read_bytes(), needles)
        ]


@dataclass(frozen=True, slots=True)
class LogStore:
    """Log files of the processes."""

    folder: Path

    @property
    def name(self) -> str:
        """For people."""
        return "log files"

    async def count(self, person: Person, *, cutoff: datetime) -> int:
        """See `PersonStore`."""
        del cutoff
        return await asyncio.to_thread(self._walk, person, remove=False)

    async def erase(self, person: Person, *, cutoff: datetime) -> int:
        """See `PersonStore`."""
        del cutoff
        return await asyncio.to_thread(self._walk, person, remove=True)

    async def export(self, person: Person, *, cutoff: datetime) -> Sequence[Part]:
        """Nothing: logs hold ids."""
        del person, cutoff
        return ()

    def _walk(self, person: Person, *, remove: bool) -> int:
        needles = [form.encode() for form in person.addresses]
        if not self.folder.is_dir() or not needles:
            return 0
        return sum(
            _blank_lines(path, needles, remove=remove)
            for path in sorted(self.folder.iterdir())
            if path.is_file()
        )


@dataclass(frozen=True, slots=True)
class SimulatorStore:
    """The simulator's SQLite file, when this machine has one."""

    path: Path

    @property
    def name(self) -> str:
        """For people."""
        return "simulator"

    async def count(self, person: Person, *, cutoff: datetime) -> int:
        """See `PersonStore`."""
        del cutoff
        return await asyncio.to_thread(self._run, person, _count_customer)

    async def erase(self, person: Person, *, cutoff: datetime) -> int:
        """See `PersonStore`. A new message of the person after this makes them anew."""
        return await asyncio.to_thread(
            self._run, person, lambda line, key: _erase_customer(line, key, cutoff)
        )

    async def export(self, person: Person, *, cutoff: datetime) -> Sequence[Part]:
        """Nothing: it stands for the person's own telephone."""
        del person, cutoff
        return ()

    def _run(self, person: Person, work: Callable[[sqlite3.Connection, str], int]) -> int:
        if not self.path.is_file():
            return 0
        addresses = person.addresses
        marks = ", ".join("?" for _ in addresses)
        try:
            with closing(sqlite3.connect(self.path, timeout=5)) as line, line:
                line.execute("PRAGMA secure_delete = ON")  # else the words stay in free pages
                keys = line.execute(
                    f"SELECT key FROM customers WHERE phone IN ({marks}) OR wa_id IN ({marks}) "  # noqa: S608 - only marks
                    f"OR user_id IN ({marks})",
                    (*addresses, *addresses, *addresses),
                ).fetchall()
                return sum(work(line, key) for (key,) in keys)
        except sqlite3.Error as error:
            message = f"the simulator's file cannot be used ({type(error).__name__})"
            raise StoreError(message) from error


def _count_customer(line: sqlite3.Connection, key: str) -> int:
    return int(
        line.execute("SELECT count(*) FROM messages WHERE customer = ?", (key,)).fetchone()[0]
    )


def _erase_customer(line: sqlite3.Connection, key: str, cutoff: datetime) -> int:
    moment = cutoff.timestamp()
    done = line.execute(
        "DELETE FROM messages WHERE customer = ? AND timestamp <= ?", (key, moment)
    ).rowcount
    line.execute(
        "DELETE FROM events WHERE (instr(lane, ?1) OR instr(contact, ?1)) AND due <= ?2",
        (key, moment),
    )
    left = line.execute("SELECT count(*) FROM messages WHERE customer = ?", (key,)).fetchone()[0]
    if not left:
        line.execute("DELETE FROM customers WHERE key = ?", (key,))
    return done


def _needles(person: Person) -> list[bytes]:
    texts = [*person.addresses]
    if person.name and len(person.name) >= _SHORTEST_NAME:
        texts.append(person.name)
    return [text.encode() for text in texts]


def _mail_names(content: bytes, needles: Sequence[bytes]) -> bool:
    """Whether a mail names the person, in whatever way its headers and parts are encoded."""
    mail = message_from_bytes(content, policy=default_policy)
    shown = [content, *(str(value).encode() for value in mail.values())]
    for part in mail.walk():
        body = part.get_payload(decode=True)
        shown.append(body if isinstance(body, bytes) else b"")
    return any(needle in text for needle in needles for text in shown)


def _blank_lines(path: Path, needles: Sequence[bytes], *, remove: bool) -> int:
    """Lines with a needle; with `remove` they become blanks of the same length, in place."""
    found = 0
    with path.open("r+b" if remove else "rb") as file:
        start = 0
        for line in iter(file.readline, b""):
            end = start + len(line)
            if any(needle in line for needle in needles):
                found += 1
                if remove:
                    file.seek(start)
                    file.write(b" " * (len(line.rstrip(b"\n"))))
                    file.seek(end)
            start = end
    return found
