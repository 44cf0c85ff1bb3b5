"""What a dead letter shows, and which of them may be sent again.

A dead letter holds no address and no free words: the recipient is a keyed hash, the context is cut
down to ids, enums and numbers. What would be sent again is compared by its hash.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Reason(StrEnum):
    """Why there is no further attempt."""

    PERMANENT = "permanent"
    """The same request will never work."""
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    EXPIRED = "expired"
    """It is of no use any more."""
    POISON = "poison"
    """Workers died over it, one after the other."""
    UNKNOWN_OUTCOME = "unknown_outcome"
    """It may have been sent, and twice would be worse than never."""
    RECIPIENT_REFUSES = "recipient_refuses"
    """The person opted out, or the address takes nothing."""
    NO_SENDER = "no_sender"
    """This installation has no sender for its channel."""
    INVALID_JOB = "invalid_job"
    """A job without a known name, or one that cannot be read."""


_SHOWN = frozenset(
    {
        "also",
        "code",
        "consumed_seconds",
        "count",
        "due_at",
        "failed_channel",
        "failed_code",
        "form",
        "from_level",
        "level",
        "metric",
        "minutes",
        "nobody_on_duty",
        "priority",
        "queue_key",
        "reason",
        "seconds",
        "severity",
        "silenced",
        "since",
        "source",
        "subject",
        "target_seconds",
        "threshold",
        "ticket_id",
        "ticket_number",
        "time_zone",
        "topic",
    }
)
"""Keys of a context that hold ids, enums, counts and times."""

_PLAIN = re.compile(r"[A-Za-z0-9_.:/+-]{1,80}")
_PHONE = re.compile(r"\+?[0-9]{8,}")
_BETWEEN_DIGITS = re.compile(r"(?<=[0-9])[-./:](?=[0-9])")
"""`+55-11-98765-4321` is a phone number too."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T[0-9:.+Z-]+")
_LONGEST_LIST = 20
_LONGEST_DETAIL = 300  # characters; details are in our words
_NOT_SENT = frozenset({"form"})
"""Keys of a context that an attempt wrote: they are no part of what is sent."""


def redacted_context(context: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The part of a context that says nothing about a person, and the keys that were left out.

    A key has to be known and its value has to look like an id, an enum, a number or a time: a
    sentence, an e-mail address or a phone number under a known key is left out too.
    """
    shown = {
        key: value for key, value in sorted(context.items()) if key in _SHOWN and _harmless(value)
    }
    return shown, tuple(sorted(key for key in context if key not in shown))


def _harmless(value: object) -> bool:
    if isinstance(value, list):
        return len(value) <= _LONGEST_LIST and all(_harmless(item) for item in value)
    if not isinstance(value, str):
        return value is None or isinstance(value, bool | int | float)
    if not _PLAIN.fullmatch(value):
        return False
    if _UUID.search(value) or _MOMENT.fullmatch(value):
        return True
    return not _PHONE.search(_BETWEEN_DIGITS.sub("", value))


def redacted_detail(detail: str) -> str:
    """Our words about a failure, without what looks like an address or a phone number."""
    without = re.sub(r"\S+@\S+", "(address)", detail)
    without = re.sub(r"\+?\d[\d ().-]{7,}\d", "(number)", without)
    return without[:_LONGEST_DETAIL]


def canonical(document: Mapping[str, Any]) -> bytes:
    """The same bytes for the same JSON, however it was written."""
    return json.dumps(
        document, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str
    ).encode()


def payload_hash(
    *,
    version: int,
    idempotency_key: str,
    job_name: str,
    event: str,
    recipient: str,
    language: str,
    context: Mapping[str, Any],
) -> str:
    """SHA-256 of all that would be sent again; what attempts wrote is no part of it."""
    sent = {key: value for key, value in context.items() if key not in _NOT_SENT}
    document = {
        "version": version,
        "idempotency_key": idempotency_key,
        "job_name": job_name,
        "event": event,
        "recipient": recipient,
        "language": language,
        "context": sent,
    }
    return hashlib.sha256(canonical(document)).hexdigest()


def recipient_hash(key: str, recipient: str) -> str | None:
    """Recognises an address without telling it; None without a key or an address.

    The key is derived from the server's secret for this purpose alone, so that nobody can compare
    these hashes with those of another table.
    """
    if not key or not recipient:
        return None
    own_key = hmac.digest(key.encode(), b"ponte:dead-letters:recipient:v1", "sha256")
    return hmac.new(own_key, normal_recipient(recipient).encode(), "sha256").hexdigest()


def normal_recipient(recipient: str) -> str:
    """An address as it is compared: `ANA@x.COM` is `ana@x.com`, `+55 11 9...` has no spaces."""
    trimmed = recipient.strip()
    if "@" in trimmed:
        return trimmed.lower()
    if trimmed.startswith("+"):
        return "+" + re.sub(r"\D", "", trimmed)
    return trimmed


_SHORT_NUMBER = 8
_SHORT_TOKEN = 12
"""Shorter ones are not shown in part: too little would be hidden."""


def masked_recipient(recipient: str) -> str:
    """An address as operators may see it: `a••@example.com`, `+55••••4567`, `••••9f3a`."""
    if not recipient:
        return ""
    name, at, domain = recipient.rpartition("@")
    if at:
        return f"{name[:1]}••@{domain}"
    if recipient.startswith("+") and len(recipient) > _SHORT_NUMBER:
        return f"{recipient[:3]}••••{recipient[-4:]}"
    # A push token says nothing by its beginning; four characters tell two devices apart.
    return f"••••{recipient[-4:]}" if len(recipient) > _SHORT_TOKEN else "••••"


class Refusal(StrEnum):
    """Why an entry is not reprocessed or discarded."""

    NOT_DEAD = "not_dead"
    """It is on its way again, was recovered or discarded: perhaps by somebody else just now."""
    BUSY = "busy"
    """Another operator, or a late status, is working on it at this moment."""
    NO_NOTICE = "no_notice"
    """A broken job from Redis: there is nothing to send again. Discard it."""
    INVALID_JOB = "invalid_job"
    """Its job name or its payload is not valid."""
    NO_SENDER = "no_sender"
    """This installation has no sender for its channel."""
    BREAKER_OPEN = "breaker_open"
    """Its channel is stopped now: sending it would fail again."""
    MAX_ATTEMPTS = "max_attempts"
    """It was reprocessed MAX_DLQ_ATTEMPT times: it is discarded instead."""
    EXPIRED = "expired"
    """It is of no use any more; an operator may say otherwise."""
    UNKNOWN_OUTCOME = "unknown_outcome"
    """It may have been sent and must not be sent twice; an operator may say otherwise."""
    RECIPIENT_REFUSES = "recipient_refuses"
    """The recipient opted out, or the address takes nothing."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What has to be known of a dead letter before it is sent again.

    Attributes:
        has_notice: A row stands behind it.
        problem: What is wrong with its job name or payload; None when it is valid.
        has_sender: None when nobody here knows.
        refusal_code: Why the recipient may not be written to; None when they may.
    """

    job_name: str
    has_notice: bool
    problem: str | None
    reason: str
    reprocess_count: int
    expires_at: datetime | None
    refusal_code: str | None = None
    has_sender: bool | None = None


@dataclass(frozen=True, slots=True)
class Allowances:
    """What an operator allows, and what holds at the moment.

    Attributes:
        max_reprocesses: MAX_DLQ_ATTEMPT.
        even_expired: Also notices whose time is over.
        even_unknown: Also notices that may have been sent and must not be sent twice.
        stopped: Job names by which nothing may leave now.
    """

    max_reprocesses: int
    even_expired: bool = False
    even_unknown: bool = False
    stopped: frozenset[str] = frozenset()


def why_refused(candidate: Candidate, allowed: Allowances, *, now: datetime) -> Refusal | None:
    """Why the entry is not reprocessed; None when it may be.

    The order matters: what can never be sent comes before what may be sent later, so that an
    operator is not told to wait for a breaker in vain.
    """
    expired = candidate.expires_at is not None and candidate.expires_at <= now
    stands_in_the_way = (
        (not candidate.has_notice, Refusal.NO_NOTICE),
        (candidate.problem is not None, Refusal.INVALID_JOB),
        (candidate.reprocess_count >= allowed.max_reprocesses, Refusal.MAX_ATTEMPTS),
        (candidate.refusal_code is not None, Refusal.RECIPIENT_REFUSES),
        (
            (expired or candidate.reason == Reason.EXPIRED) and not allowed.even_expired,
            Refusal.EXPIRED,
        ),
        (
            candidate.reason == Reason.UNKNOWN_OUTCOME and not allowed.even_unknown,
            Refusal.UNKNOWN_OUTCOME,
        ),
        (candidate.has_sender is False, Refusal.NO_SENDER),
        (candidate.job_name in allowed.stopped, Refusal.BREAKER_OPEN),
    )
    return next((refusal for applies, refusal in stands_in_the_way if applies), None)


AGES = (("1h", 3600), ("24h", 24 * 3600), ("7d", 7 * 24 * 3600))
"""Groups of age in a preview, in seconds: younger than an hour, than a day, than a week, older."""
OLDER = "older"


def age_group(seconds: float) -> str:
    """The group of `AGES` that an entry of this age belongs to."""
    for name, limit in AGES:
        if seconds < limit:
            return name
    return OLDER
