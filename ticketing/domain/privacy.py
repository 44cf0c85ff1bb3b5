"""Words of exports and erasures, and how a person is recognised in stores. Pure."""

from __future__ import annotations

import hashlib
import hmac
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class JobKind(StrEnum):
    """What is done with a person's data."""

    EXPORT = "export"
    ERASE = "erase"


class JobState(StrEnum):
    """Where a job is."""

    PENDING = "pending"
    RUNNING = "running"
    SETTLING = "settling"
    """An erasure went over everything once; what was in flight then is looked for a second time."""
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Person:
    """Everything by which a person is found.

    Attributes:
        contact_id: The contact.
        identities: (channel, kind, value, address) of each.
        conversation_ids: Rasa knows the person by these.
        ticket_ids: Their tickets.
        name: As it was.
        phone: In any form.
        email: As it was.
    """

    contact_id: uuid.UUID
    identities: tuple[tuple[str, str, str, str], ...] = ()
    conversation_ids: tuple[uuid.UUID, ...] = ()
    ticket_ids: tuple[uuid.UUID, ...] = ()
    name: str | None = None
    phone: str | None = None
    email: str | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every form of their numbers and addresses that a store may hold, the longest first."""
        found: set[str] = set()
        for _, _, value, address in self.identities:
            found |= forms(value) | forms(address)
        found |= forms(self.phone or "") | forms(self.email or "")
        return tuple(sorted(found, key=lambda form: (-len(form), form)))

    def as_json(self) -> dict[str, Any]:
        """To keep it in a job's row."""
        return {
            "contact_id": str(self.contact_id),
            "identities": [list(identity) for identity in self.identities],
            "conversation_ids": [str(value) for value in self.conversation_ids],
            "ticket_ids": [str(value) for value in self.ticket_ids],
            "name": self.name,
            "phone": self.phone,
            "email": self.email,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Person:
        """Out of a job's row."""
        return cls(
            contact_id=uuid.UUID(value["contact_id"]),
            identities=tuple(
                (channel, kind, known_as, address)
                for channel, kind, known_as, address in value["identities"]
            ),
            conversation_ids=tuple(uuid.UUID(text) for text in value["conversation_ids"]),
            ticket_ids=tuple(uuid.UUID(text) for text in value["ticket_ids"]),
            name=value["name"],
            phone=value["phone"],
            email=value["email"],
        )


_BRAZIL_MOBILE = re.compile(r"55(\d\d)(9?)([6-9]\d{7})")
_SHORTEST = 8
"""Characters: a shorter value is found in too many places that have nothing to do with it."""


def forms(value: str) -> set[str]:
    """How a number or address may be written: with and without plus, with and without the ninth 9.

    A Brazilian mobile number has one digit more than WhatsApp's id for it may have.
    """
    value = value.strip()
    if "@" in value:
        return {value.lower(), value}
    digits = re.sub(r"[\s().+-]", "", value)
    if not digits.isdigit():
        return {value} if len(value) >= _SHORTEST else set()
    if len(digits) < _SHORTEST:
        return set()
    found = {digits, f"+{digits}"}
    mobile = _BRAZIL_MOBILE.fullmatch(digits)
    if mobile:
        area, _, rest = mobile.groups()
        for form in (f"55{area}{rest}", f"55{area}9{rest}"):
            found |= {form, f"+{form}"}
    return found


def identity_digest(key: str, channel: str, kind: str, value: str) -> str:
    """What stays of an erased identity: it can be recognised with the key, not read.

    A phone number has few possible values, so a hash without a key could be turned back.
    """
    return hmac.digest(
        key.encode(), f"{channel}\x1f{kind}\x1f{value}".encode(), hashlib.sha256
    ).hex()


def digests(key: str, person: Person) -> dict[str, tuple[str, str]]:
    """Digest -> (channel, kind) of every identity, a phone number in every form of it."""
    found: dict[str, tuple[str, str]] = {}
    for channel, kind, value, address in person.identities:
        for form in _identity_forms(kind, (value, address)):
            found[identity_digest(key, channel, kind, form)] = (channel, kind)
    return found


def sender_digests(key: str, channel: str, keys: Iterable[tuple[str, str]]) -> set[str]:
    """The digests of a sender's identities, to be looked up among the erased ones."""
    return {
        identity_digest(key, channel, kind, form)
        for kind, value in keys
        for form in _identity_forms(kind, (value,))
    }


def _identity_forms(kind: str, values: Iterable[str]) -> set[str]:
    if kind != "phone":
        return {value for value in values if value}
    return {form.lstrip("+") for value in values for form in forms(value)}
