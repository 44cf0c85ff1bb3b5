"""What a job has to say, version 1: read from a producer's words, or checked on a stored row.

A job names what it is (`job_name`, never guessed), whom it is for, and what its words are made of.
Every mistake is told at once, each with the field and what was expected there.

    job_name         one of `JobName`; obligatory
    version          1; what is not named is the present version
    recipient        of send-email an e-mail address, of send-whatsapp and send-sms a number in
                     E.164, of send-push a token of FCM
    user             of notify-user, in the place of `recipient`: an agent's id or e-mail, or "admin"
    event            one of `PolicyEvent`; of notify-user `user-notice` when it is not named
    language         pt (default), en or es; of notify-user the user's own
    context          what the words are made of; `source` (who says so) is obligatory in it
    correlation_id   follows the cause through logs and rows
    idempotency_key  the producer's name for this job: the same key is done once
"""

from __future__ import annotations

import json
import re
import unicodedata
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.headerregistry import Address
from typing import Any

from notifications.domain.jobs import (
    CHANNEL_OF_JOB,
    PAYLOAD_VERSION,
    Channel,
    InvalidJobNameError,
    JobName,
    parse_job_name,
)
from notifications.domain.notice_facts import LONGEST_BODY, LONGEST_TITLE, is_path
from notifications.domain.occasions import PolicyEvent
from notifications.domain.phone import is_e164
from notifications.domain.recipients import LANGUAGES
from ticketing.domain.people import InvalidAgentError, check_email

ADMIN_USER = "admin"
"""The user of notify-user that NOTIFICATIONS_ADMIN_USER_ID and NOTIFICATIONS_ADMIN_PHONE name."""

LONGEST_TOKEN = 2000
"""Characters. Tokens of FCM have some 150; no index of PostgreSQL takes a key beyond 2700 bytes,
and a row's key holds its recipient."""
SHORTEST_TOKEN = 20
LONGEST_KEY = 200
LONGEST_SOURCE = 100
LONGEST_LINK = 500
LONGEST_CONTEXT = 16 * 1024
"""Bytes of JSON: facts of a notice are a few hundred; what is more belongs behind the link."""
DEEPEST_CONTEXT = 5
"""Levels. Facts lie in one, texts by language in two."""

FIELDS = (
    "job_name",
    "version",
    "recipient",
    "user",
    "event",
    "language",
    "context",
    "correlation_id",
    "idempotency_key",
)
OWN_KEYS = frozenset({"digest", "event", "form", "nobody_on_duty", "user"})
"""Keys of a context that Ponte writes itself."""

JOB_NAMES = tuple(member.value for member in JobName)
EVENTS = tuple(member.value for member in PolicyEvent)

_TOKEN = re.compile(r"[!-~]+")
_PLAIN = re.compile(r"[ -~]+")

_EXPECTED_ADDRESS = {
    Channel.EMAIL: "an e-mail address such as ana@example.com",
    Channel.WHATSAPP: "a number in E.164 such as +5511912345678",
    Channel.SMS: "a number in E.164 such as +5511912345678",
    Channel.PUSH: f"a token of FCM, {SHORTEST_TOKEN} to {LONGEST_TOKEN} characters without spaces",
}
_EXPECTED_USER = f'an agent\'s id or e-mail address, or "{ADMIN_USER}"'


@dataclass(frozen=True, slots=True)
class ContractProblem:
    """One wrong field, what is wrong with it, and what may stand there where that is a list."""

    field: str
    detail: str
    allowed: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.field}: {self.detail}"


class ContractError(ValueError):
    """A job is not as the contract wants it; `problems` names every wrong field."""

    def __init__(self, *problems: ContractProblem) -> None:
        self.problems = problems
        super().__init__("; ".join(str(problem) for problem in problems))


@dataclass(frozen=True, slots=True)
class JobPayload:
    """A job that is as the contract wants it.

    Attributes:
        job_name: What is to be done.
        version: Of the payload.
        address: Where to: the recipient, or of notify-user the user.
        event: Whose policy says how urgent it is, how long it is of use, what is told together.
        language: Of the words; None: the user's own.
        context: What the words are made of.
        ticket_id: The ticket it is about, out of the context.
        correlation_id: Follows the cause.
        idempotency_key: The producer's.
    """

    job_name: JobName
    version: int
    address: str
    event: PolicyEvent
    language: str | None
    context: Mapping[str, Any]
    ticket_id: uuid.UUID | None
    correlation_id: str
    idempotency_key: str

    @property
    def channel(self) -> Channel | None:
        """The channel it leaves by; None for notify-user, whose notices choose theirs."""
        return CHANNEL_OF_JOB.get(self.job_name)


def parse_job(raw: Mapping[str, Any]) -> JobPayload:
    """The job that a producer describes.

    Raises:
        ContractError: naming every field that is missing, wrong or unknown, and what was expected;
            for a job name or an event with the list of those that exist.
    """
    reader = _Reader(raw)
    reader.known_fields()
    job_name = reader.job_name()
    version = reader.version()
    event = reader.event(job_name)
    address = reader.address(job_name)
    language = reader.language(job_name)
    context = reader.context(event)
    correlation_id = reader.plain_text("correlation_id", LONGEST_KEY)
    idempotency_key = reader.plain_text("idempotency_key", LONGEST_KEY)
    if reader.problems or job_name is None or event is None:
        raise ContractError(*reader.problems)
    ticket_id = context.get("ticket_id")
    return JobPayload(
        job_name=job_name,
        version=version,
        address=address,
        event=event,
        language=language,
        context=context,
        ticket_id=None if ticket_id is None else uuid.UUID(ticket_id),
        correlation_id=correlation_id,
        idempotency_key=idempotency_key,
    )


def problems_of_row(
    *,
    job_name: object,
    version: object,
    event: object,
    recipient: str,
    context: object,
) -> tuple[ContractProblem, ...]:
    """What keeps a stored notice from being sent; nothing when it can be.

    A row is checked for what sending needs, not for what a producer has to say: older rows may lack
    a `source`, and words of theirs that are too long are cut.
    """
    problems: list[ContractProblem] = []
    known = _job_name(job_name, problems)
    if version != PAYLOAD_VERSION:
        problems.append(_unknown_version(version))
    if event not in EVENTS:
        problems.append(_unknown_event(event))
    user = context.get("user") if isinstance(context, Mapping) else None
    if not recipient and not (known is JobName.NOTIFY_USER and user):
        problems.append(ContractProblem("recipient", "is empty; expected an address"))
    elif known is not None and (expected := address_problem(known, recipient or str(user))):
        problems.append(ContractProblem("recipient", f"expected {expected}"))
    if not isinstance(context, Mapping):
        problems.append(ContractProblem("context", "expected an object"))
    return tuple(problems)


def address_problem(job_name: JobName, address: object) -> str | None:
    """What was expected as recipient of a job, or None when the address has that form."""
    channel = CHANNEL_OF_JOB.get(job_name)
    text = address if isinstance(address, str) else ""
    match channel:
        case None:
            good = text == ADMIN_USER or _is_id(text) or _is_email(text)
        case Channel.EMAIL:
            good = _is_email(text)
        case Channel.WHATSAPP | Channel.SMS:
            good = is_e164(text)
        case Channel.PUSH:
            good = SHORTEST_TOKEN <= len(text) <= LONGEST_TOKEN and bool(_TOKEN.fullmatch(text))
    if good:
        return None
    return _EXPECTED_USER if channel is None else _EXPECTED_ADDRESS[channel]


def _is_email(text: str) -> bool:
    """Whether a sender can write to it: the rules of `notifications.senders.email`."""
    local, _, domain = text.rpartition("@")
    try:
        checked = check_email(text)
        # Senders carry no other part before the @: few mail servers speak SMTPUTF8.
        Address(addr_spec=f"{local}@{domain.encode('idna').decode()}")
    except (InvalidAgentError, ValueError, IndexError, HeaderParseError):
        return False
    return checked == text.lower() and local.isascii()


def _is_id(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _job_name(value: object, problems: list[ContractProblem]) -> JobName | None:
    try:
        return parse_job_name(value)
    except InvalidJobNameError as error:
        detail = str(error).removeprefix("job_name: ")
        problems.append(ContractProblem("job_name", detail, error.allowed))
        return None


def _unknown_version(value: object) -> ContractProblem:
    return ContractProblem("version", f"expected {PAYLOAD_VERSION}, got {_shown(value)}")


def _unknown_event(value: object) -> ContractProblem:
    given = "is missing" if value is None or value == "" else f"{_shown(value)} is not known"
    return ContractProblem("event", f"{given}; expected one of {', '.join(EVENTS)}", EVENTS)


def _shown(value: object) -> str:
    """A wrong value in an error, cut; a structure is named by its kind only."""
    if isinstance(value, str):
        return repr(value[:60])
    simple = value is None or isinstance(value, bool | int | float)
    return str(value)[:60] if simple else f"a {type(value).__name__}"


class _Reader:
    """Reads one field after the other and keeps what is wrong with them."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.raw = raw
        self.problems: list[ContractProblem] = []

    def _wrong(self, field: str, detail: str, allowed: tuple[str, ...] = ()) -> None:
        self.problems.append(ContractProblem(field, detail, allowed))

    def known_fields(self) -> None:
        for name in self.raw:
            if name not in FIELDS:
                detail = f"is not a known field; expected {', '.join(FIELDS)}"
                self._wrong(_field_name(name), detail, FIELDS)

    def job_name(self) -> JobName | None:
        return _job_name(self.raw.get("job_name"), self.problems)

    def version(self) -> int:
        value = self.raw.get("version", PAYLOAD_VERSION)
        if isinstance(value, bool) or value != PAYLOAD_VERSION:
            self.problems.append(_unknown_version(value))
        return PAYLOAD_VERSION

    def event(self, job_name: JobName | None) -> PolicyEvent | None:
        value = self.raw.get("event")
        if value is None and job_name is JobName.NOTIFY_USER:
            return PolicyEvent.USER_NOTICE
        if not isinstance(value, str) or value not in EVENTS:
            self.problems.append(_unknown_event(value))
            return None
        return PolicyEvent(value)

    def address(self, job_name: JobName | None) -> str:
        if job_name is None:
            return ""  # what belongs here is not known
        to_user = job_name is JobName.NOTIFY_USER
        name, other = ("user", "recipient") if to_user else ("recipient", "user")
        if self.raw.get(other) is not None:
            self._wrong(other, f"{job_name.value} takes no {other}; expected {name}")
        value = self.raw.get(name)
        address = value.strip() if isinstance(value, str) else ""
        expected = address_problem(job_name, address)
        if expected is not None:
            given = "is missing; " if value is None or value == "" else ""
            # What was given is not repeated: it may be a person's address with a slip in it.
            self._wrong(name, f"{given}expected {expected}")
        return address

    def language(self, job_name: JobName | None) -> str | None:
        value = self.raw.get("language")
        if job_name is JobName.NOTIFY_USER:
            if value is not None:
                detail = "notify-user takes no language; the user's own is used"
                self._wrong("language", detail)
            return None
        if value is None:
            return LANGUAGES[0]
        if not isinstance(value, str) or value not in LANGUAGES:
            detail = f"expected one of {', '.join(LANGUAGES)}, got {_shown(value)}"
            self._wrong("language", detail, LANGUAGES)
            return None
        return value

    def plain_text(self, name: str, longest: int) -> str:
        value = self.raw.get(name)
        if isinstance(value, str) and len(value) <= longest and _PLAIN.fullmatch(value.strip()):
            return value.strip()
        given = "is missing; " if value is None or value == "" else ""
        self._wrong(name, f"{given}expected 1 to {longest} printable ASCII characters")
        return ""

    def context(self, event: PolicyEvent | None) -> Mapping[str, Any]:
        value = self.raw.get("context")
        if not isinstance(value, Mapping):
            given = "is missing; " if value is None else ""
            self._wrong("context", f"{given}expected an object with at least `source`")
            return {}
        if not self._is_json(value):
            return {}
        source = value.get("source")
        if not isinstance(source, str) or not source.strip() or len(source) > LONGEST_SOURCE:
            detail = f"expected who says so, a text of 1 to {LONGEST_SOURCE} characters"
            self._wrong("context.source", detail)
        for key in sorted(OWN_KEYS & value.keys()):
            self._wrong(f"context.{key}", "is written by Ponte itself; expected another key")
        self._words(value, event)
        self._link_and_ticket(value)
        return value

    def _is_json(self, value: Mapping[str, Any]) -> bool:
        before = len(self.problems)
        for place, detail in _not_json(value, "context", 1):
            self._wrong(place, detail)
        if len(self.problems) > before:
            return False
        size = len(json.dumps(value, ensure_ascii=False).encode())
        if size > LONGEST_CONTEXT:
            self._wrong("context", f"expected at most {LONGEST_CONTEXT} bytes of JSON, got {size}")
            return False
        return True

    def _words(self, context: Mapping[str, Any], event: PolicyEvent | None) -> None:
        for key, longest in (("title", LONGEST_TITLE), ("body", LONGEST_BODY)):
            if context.get(key) is not None:
                self._one_text(f"context.{key}", context[key], longest)
        told = any(context.get(key) is not None for key in ("title", "body"))
        if event is PolicyEvent.USER_NOTICE and not told:
            detail = "is missing; user-notice expects a title, a body, or both"
            self._wrong("context.title", detail)

    def _one_text(self, place: str, value: object, longest: int) -> None:
        texts = value if isinstance(value, Mapping) else {"": value}
        expected = f"expected a text of 1 to {longest} characters"
        if not texts or set(texts) - {*LANGUAGES, ""}:
            self._wrong(place, f"{expected}, or one for each of {', '.join(LANGUAGES)}", LANGUAGES)
            return
        for language, text in texts.items():
            where = f"{place}.{language}" if language else place
            if not isinstance(text, str) or not _is_visible(text) or len(text) > longest:
                self._wrong(where, expected)

    def _link_and_ticket(self, context: Mapping[str, Any]) -> None:
        link = context.get("link")
        if link is not None and not (
            isinstance(link, str) and len(link) <= LONGEST_LINK and is_path(link)
        ):
            detail = "expected a path of the console such as /console/tickets, no whole address"
            self._wrong("context.link", detail)
        ticket_id = context.get("ticket_id")
        if ticket_id is not None and not (isinstance(ticket_id, str) and _is_id(ticket_id)):
            detail = "expected the id of a ticket, such as 019f2c3a-7d10-7c11-8a53-0242ac120002"
            self._wrong("context.ticket_id", detail)


def _is_visible(text: str) -> bool:
    return any(unicodedata.category(character)[0] not in "CZ" for character in text)


def _field_name(name: object) -> str:
    """A name that was given, as it can be shown."""
    return "".join(part for part in str(name)[:60] if part.isprintable()) or "(empty)"


def _not_json(value: object, place: str, depth: int) -> list[tuple[str, str]]:
    """Places of a context that cannot be stored as JSON, each with what was expected there."""
    if isinstance(value, str):
        bad = any(character == "\x00" or _is_half(character) for character in value)
        return [(place, "expected a text without NUL and without halves of characters")] * bad
    if value is None or isinstance(value, bool | int):
        return []
    if isinstance(value, float):
        finite = value == value and abs(value) != float("inf")  # noqa: PLR0124 - NaN is not itself
        return [] if finite else [(place, "expected a number that is not infinite")]
    if not isinstance(value, Mapping | list | tuple):
        return [(place, "expected a value of JSON")]
    if depth > DEEPEST_CONTEXT:
        return [(place, f"expected at most {DEEPEST_CONTEXT} levels")]
    if isinstance(value, Mapping):
        found: list[tuple[str, str]] = []
        for key, item in value.items():
            inside = f"{place}.{_field_name(key)}"
            if not isinstance(key, str) or _not_json(key, inside, depth):
                found.append((inside, "expected a text as key"))
            else:
                found += _not_json(item, inside, depth + 1)
        return found
    return [
        one
        for index, item in enumerate(value)
        for one in _not_json(item, f"{place}.{index}", depth + 1)
    ]


def _is_half(character: str) -> bool:
    return unicodedata.category(character) == "Cs"


def json_schema() -> dict[str, Any]:
    """The contract as JSON Schema, for the API's description: without what its headers say.

    It describes; `parse_job` decides, and knows what the schema cannot say.
    """
    text = {"type": "string", "minLength": 1}
    languages = {"type": "object", "properties": dict.fromkeys(LANGUAGES, text)}
    by_language = {**languages, "additionalProperties": False, "minProperties": 1}
    return {
        "type": "object",
        "required": ["job_name", "context"],
        "additionalProperties": False,
        "properties": {
            "job_name": {"type": "string", "enum": list(JOB_NAMES)},
            "version": {"type": "integer", "const": PAYLOAD_VERSION, "default": PAYLOAD_VERSION},
            "recipient": {
                **text,
                "description": "Of send-...: an e-mail address, a number in E.164, a push token.",
            },
            "user": {**text, "description": f"Of notify-user: {_EXPECTED_USER}."},
            "event": {
                "type": "string",
                "enum": list(EVENTS),
                "description": "Of notify-user user-notice when it is not named.",
            },
            "language": {"type": "string", "enum": list(LANGUAGES)},
            "context": {
                "type": "object",
                "required": ["source"],
                "description": "What the words are made of; at most 16 KB.",
                "properties": {
                    "source": {**text, "maxLength": LONGEST_SOURCE},
                    "title": {"anyOf": [{**text, "maxLength": LONGEST_TITLE}, by_language]},
                    "body": {"anyOf": [{**text, "maxLength": LONGEST_BODY}, by_language]},
                    "link": {**text, "maxLength": LONGEST_LINK, "pattern": "^/(?!/)"},
                    "ticket_id": {"type": "string", "format": "uuid"},
                },
            },
        },
    }
