"""The chain of the audit log: what a seal is computed over, and what a check finds. Pure.

A seal's hash covers its number, the hash before it, and every field of its entry; it is an
HMAC-SHA256 with a key that is not in the database. So whoever can write to the database, but does
not have the key, can neither change an entry nor take one out nor put one in without breaking a
hash. What the chain alone does not show is a tail that was cut off: checkpoints outside the
database do (`docs/decisions/0010-audit-chain.md`).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

START = "0" * 64
"""What the first seal has as the hash before it."""

PERSONAL = "<personal data>"

_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-f]{16,64}")
_EMAIL = re.compile(r"\S@[\w-]+(\.[\w-]+)*\.[A-Za-z]{2,}")
_PHONE = re.compile(r"(?:\+|\b)\d[\d\s().-]{8,}\d")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?")


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was done, as the log has it.

    Attributes:
        id: Of the row.
        at: When.
        actor: Who: `agent:<uuid>`, `system`, `cli`, `bot`.
        action: What, such as `agent.disabled`.
        subject: To what, as `kind:id`.
        data: More, without personal data.
        correlation_id: Of the request or job.
    """

    id: str
    at: datetime
    actor: str
    action: str
    subject: str
    data: Mapping[str, Any]
    correlation_id: str


@dataclass(frozen=True, slots=True)
class Seal:
    """A place in the chain.

    Attributes:
        seq: 1, 2, 3, ... without gaps.
        entry_id: The entry that it seals.
        prev_hash: Hash of the seal before.
        hash: `seal_hash` of both.
        key_id: Which key made it (`key_id`).
    """

    seq: int
    entry_id: str
    prev_hash: str
    hash: str
    key_id: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far the chain went at a moment, kept outside the database.

    Attributes:
        seq: Number of the newest seal.
        hash: Its hash.
        at: When that was.
        key_id: The key of `mac`.
        mac: HMAC over the rest, so that a checkpoint cannot be made up either.
    """

    seq: int
    hash: str
    at: datetime
    key_id: str
    mac: str


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing that is not as it was written.

    Attributes:
        seq: Where in the chain.
        kind: altered | missing | inserted | reordered | unknown_key | truncated | checkpoint.
        entry_id: The entry, when there is one.
        detail: What differs, in one sentence.
    """

    seq: int
    kind: str
    entry_id: str | None
    detail: str


class AuditKeyError(ValueError):
    """A key is missing or not usable; the text says which."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of the log, the newest first: it seals, all of them check."""

    secrets: tuple[bytes, ...]

    @classmethod
    def of(cls, values: Iterable[str]) -> Keys:
        """Keys out of a setting.

        Raises:
            AuditKeyError: when there is none.
        """
        secrets = tuple(value.encode() for value in values if value)
        if not secrets:
            message = "PONTE_AUDIT_KEY: missing; expected 32 characters or more"
            raise AuditKeyError(message)
        return cls(secrets)

    @property
    def newest(self) -> bytes:
        """The key that seals."""
        return self.secrets[0]

    def find(self, wanted: str) -> bytes | None:
        """The key with this id."""
        return next((secret for secret in self.secrets if key_id(secret) == wanted), None)


def key_id(secret: bytes) -> str:
    """What tells keys apart and gives nothing of them away."""
    return hmac.new(secret, b"ponte audit key id", hashlib.sha256).hexdigest()[:12]


def canonical(seq: int, prev_hash: str, entry: Entry) -> bytes:
    """The bytes that a seal is computed over: JSON, keys sorted, no spaces, UTF-8, times in UTC."""
    document = {
        "seq": seq,
        "prev_hash": prev_hash,
        "id": entry.id,
        "at": _utc(entry.at),
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "data": entry.data,
        "correlation_id": entry.correlation_id,
    }
    return _json(document)


def seal_hash(secret: bytes, seq: int, prev_hash: str, entry: Entry) -> str:
    """HMAC-SHA256 in hexadecimal."""
    return hmac.digest(secret, canonical(seq, prev_hash, entry), "sha256").hex()


def seal_all(secret: bytes, last: Seal | None, entries: Iterable[Entry]) -> list[Seal]:
    """Seals for entries in the order given, behind the last one."""
    seq, previous = (0, START) if last is None else (last.seq, last.hash)
    name = key_id(secret)
    made = []
    for entry in entries:
        seq += 1
        now = seal_hash(secret, seq, previous, entry)
        made.append(Seal(seq, entry.id, previous, now, name))
        previous = now
    return made


def make_checkpoint(secret: bytes, seal: Seal, *, at: datetime) -> Checkpoint:
    """A checkpoint at a seal."""
    name = key_id(secret)
    return Checkpoint(seal.seq, seal.hash, at, name, _mac(secret, seal.seq, seal.hash, at))


def genuine(keys: Keys, checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint was made with one of our keys and not changed since."""
    secret = keys.find(checkpoint.key_id)
    if secret is None:
        return False
    wanted = _mac(secret, checkpoint.seq, checkpoint.hash, checkpoint.at)
    return hmac.compare_digest(wanted, checkpoint.mac)


@dataclass(slots=True)
class ChainCheck:
    """Walks along the chain; `faults` says what is wrong with each place, in order.

    Attributes:
        keys: All keys that may have sealed.
        seq: The place reached.
        hash: The hash there, which the next seal has to name.
    """

    keys: Keys
    seq: int = 0
    hash: str = START

    def look(self, seal: Seal, entry: Entry | None) -> Fault | None:
        """Look at the next place; its entry is None when the row is gone."""
        wanted = self.seq + 1
        if seal.seq != wanted:
            return Fault(
                wanted, "missing", None, f"seal {wanted} is gone; the next one there is {seal.seq}"
            )
        if entry is None:
            return Fault(wanted, "missing", seal.entry_id, "the entry of this seal is gone")
        if seal.prev_hash != self.hash:
            return Fault(
                wanted,
                "reordered",
                seal.entry_id,
                "prev_hash is not the hash of the seal before: seals were exchanged, put in or "
                "rewritten",
            )
        secret = self.keys.find(seal.key_id)
        if secret is None:
            return Fault(
                wanted,
                "unknown_key",
                seal.entry_id,
                f"sealed with key {seal.key_id}, which PONTE_AUDIT_KEY does not hold",
            )
        if not hmac.compare_digest(seal_hash(secret, wanted, self.hash, entry), seal.hash):
            return Fault(
                wanted,
                "altered",
                seal.entry_id,
                f"the entry is not what was sealed: it now says {_shown(entry)}",
            )
        self.seq, self.hash = wanted, seal.hash
        return None


def first_fault(
    keys: Keys, places: Iterable[tuple[Seal, Entry | None]], *, after: Seal | None = None
) -> Fault | None:
    """The first fault of a whole chain; None when there is none."""
    check = ChainCheck(keys)
    if after is not None:
        check.seq, check.hash = after.seq, after.hash
    return next(_faults(check, places), None)


def without_personal(value: Any) -> Any:
    """The same data, with whatever looks like a phone number or an e-mail address taken out.

    Entries outlive the persons' data, so this is a net below callers, who give ids only.
    """
    if isinstance(value, str):
        if _ID.fullmatch(value) or _TIME.fullmatch(value):
            return value
        return PERSONAL if _EMAIL.search(value) or _PHONE.search(_ID.sub("", value)) else value
    if isinstance(value, Mapping):
        return {str(key): without_personal(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [without_personal(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return without_personal(str(value))


def _faults(check: ChainCheck, places: Iterable[tuple[Seal, Entry | None]]) -> Iterator[Fault]:
    for seal, entry in places:
        fault = check.look(seal, entry)
        if fault is not None:
            yield fault


def _shown(entry: Entry) -> str:
    return (
        f"at={_utc(entry.at)} actor={entry.actor} action={entry.action} "
        f"subject={entry.subject} data={_json(dict(entry.data)).decode()}"
    )


def _mac(secret: bytes, seq: int, head: str, at: datetime) -> str:
    text = _json({"checkpoint": seq, "hash": head, "at": _utc(at)})
    return hmac.digest(secret, text, "sha256").hex()


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _json(document: Any) -> bytes:
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()
