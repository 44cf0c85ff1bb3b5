"""What a job has to say, version 1: read from a producer's words, or checked on a stored row.

A job names what it is (`job_name`, never guessed), whom it is for, and what its words are made of.
Every mistake is told at once, each with the field and what was expected there.

    job_name         one of `JobName`; obligatory
    version          1; what is not named is the present version
    recipient        of send-email an e-mail address, of send-whatsapp and send-sms a number in
                     E.164, of send-push a token of FCM
    user             of notify-user, instead of `recipient`: an agent's id or e-mail, or "admin"
    event            one of `PolicyEvent`; of notify-user `user-notice` when it is not named
    language         pt (default), en or es; of notify-user the user's own
    context          what the words are made of; `source` (who says so) is obligatory in it
    correlation_id   follows the cause through logs and rows
    idempotency_key  the producer's name for this job: the same key is done once
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.headerregistry import Address
from typing import Any

from notifications.domain.job_context import ContractProblem, context_problems, field_name, is_id
from notifications.domain.jobs import (
    CHANNEL_OF_JOB,
    PAYLOAD_VERSION,
    Channel,
    InvalidJobNameError,
    JobName,
    parse_job_name,
)
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

__all__ = [
    "ADMIN_USER",
    "ContractError",
    "ContractProblem",
    "JobPayload",
    "address_problem",
    "parse_job",
    "problems_of_row",
]

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
EXPECTED_USER = f'an agent\'s id or e-mail address, or "{ADMIN_USER}"'


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

    A row is checked for what no sender can do without, not for what a producer has to say: older
    rows may lack a `source`, words that are too long are cut, and whether an address is good is its
    sender's to say: what could have been sent must never be refused here.
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
    if not isinstance(context, Mapping):
        problems.append(ContractProblem("context", "expected an object"))
    return tuple(problems)


def address_problem(job_name: JobName, address: object) -> str | None:
    """What was expected as recipient of a job, or None when the address has that form."""
    channel = CHANNEL_OF_JOB.get(job_name)
    text = address if isinstance(address, str) else ""
    match channel:
        case None:
            good = text == ADMIN_USER or is_id(text) or _is_email(text)
        case Channel.EMAIL:
            good = _is_email(text)
        case Channel.WHATSAPP | Channel.SMS:
            good = is_e164(text)
        case Channel.PUSH:
            good = SHORTEST_TOKEN <= len(text) <= LONGEST_TOKEN and bool(_TOKEN.fullmatch(text))
    if good:
        return None
    return EXPECTED_USER if channel is None else _EXPECTED_ADDRESS[channel]


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
                self._wrong(field_name(name), detail, FIELDS)

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
        self.problems += context_problems(value, event)
        return value if isinstance(value, Mapping) else {}
