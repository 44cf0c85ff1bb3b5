"""What to do about an error of the WhatsApp Cloud API: one table, code by code.

Meta asks to build on `error.code` and `error_data.details`; sources disagree on the HTTP status of
one code (131056 is seen as 400, 403 and 429), so the code decides where it is known.
Source: developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes (copy of 2026-09-11);
the actions are ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, Literal

from channels.inbound import ProviderError
from channels.whatsapp import fields

FailureKind = Literal["transient", "permanent", "stop_channel", "unknown"]

TOO_MANY_REQUESTS = 429
UNAUTHORIZED = 401
FORBIDDEN = 403
REQUEST_TIMEOUT = 408
SERVER_ERROR = 500
_HTTP_SUCCESS = range(200, 300)


class Action(StrEnum):
    """What the sender does next."""

    RETRY = "retry"  # exponential with jitter, 5 or 6 attempts
    RETRY_ONCE = "retry_once"  # 2 attempts: often our own request
    RETRY_LATER = "retry_later"  # after `retry_after`, a template is syncing
    SLOW_NUMBER = "slow_number"  # retry 5 s to 10 min and slow the whole business number
    PAIR_LIMIT = "pair_limit"  # this recipient after 4^X s, the others go on
    USE_TEMPLATE = "use_template"  # the 24 h window is closed
    FALL_BACK = "fall_back"  # another channel; suspend this one after repeats
    DISABLE_CONTACT = "disable_contact"
    USE_PHONE = "use_phone"  # a BSUID is not allowed for this message
    DROP = "drop"  # our bug or our template: never again, alert
    STOP_CHANNEL = "stop_channel"  # park the queue, call a person
    CHECK_STATUS = "check_status"  # may have been sent: wait for a status before a resend


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table: what a code means for the message and what to do."""

    kind: FailureKind
    action: Action
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class SendFailure:
    """A message that was not accepted, or whose fate is not known.

    Attributes:
        kind: transient (may work later), permanent (never for this message), stop_channel (nothing
            can be sent at all) or unknown (it may have been sent).
        action: What to do next.
        code: Meta's error code, None when there was none.
        http_status: HTTP status, None when there was no answer.
        retry_after: How long to wait at least, when it is known.
        detail: What Meta says, for a person to read; never holds the message's words.
    """

    kind: FailureKind
    action: Action
    code: int | None = None
    http_status: int | None = None
    retry_after: timedelta | None = None
    detail: str = ""


_TABLE: tuple[tuple[str, Rule], ...] = (
    # Temporary faults of Meta; 131057: the number is being upgraded, at most a minute.
    ("2 131000 131016 133004 131057", Rule("transient", Action.RETRY)),
    # "Unknown API": may also be a bad request.
    ("1", Rule("transient", Action.RETRY_ONCE)),
    # Meta could not fetch the linked file.
    ("131053", Rule("transient", Action.RETRY_ONCE)),
    # Throughput of the app (4), of the account (80007) or of the number (130429).
    ("4 80007 130429", Rule("transient", Action.SLOW_NUMBER, timedelta(seconds=5))),
    # More than 1 message / 6 s to one person: first retry after 4^0 s.
    ("131056", Rule("transient", Action.PAIR_LIMIT, timedelta(seconds=1))),
    # The template is still being synced.
    ("134101", Rule("transient", Action.RETRY_LATER, timedelta(minutes=10))),
    # 24 h window closed.
    ("131047", Rule("permanent", Action.USE_TEMPLATE)),
    # Marketing cap of the person, undeliverable, part of an experiment of Meta's.
    ("131049 131026 130472", Rule("permanent", Action.FALL_BACK)),
    # The person stopped marketing; we blocked the person.
    ("131050 130403", Rule("permanent", Action.DISABLE_CONTACT)),
    # A BSUID cannot receive this kind of template.
    ("131062", Rule("permanent", Action.USE_PHONE)),
    # A test number may write to five listed people only.
    ("131030", Rule("permanent", Action.DROP)),
    # Our request or our template is wrong.
    (
        "33 100 131008 131009 131021 131051 132000 132001 132005 132007 132012 132018 135000",
        Rule("permanent", Action.DROP),
    ),
    # Template or flow paused or disabled: stop using it.
    ("132015 132016 132068 132069", Rule("permanent", Action.DROP)),
    # Token, permission, registration.
    ("0 3 10 190 131005 131045 131037 133010", Rule("stop_channel", Action.STOP_CHANNEL)),
    # Account, billing, spam.
    (
        "368 131031 130497 131042 131048 131064 134011",
        Rule("stop_channel", Action.STOP_CHANNEL),
    ),
)
_RULES: Mapping[int, Rule] = {
    int(code): rule for codes, rule in _TABLE for code in codes.split()
} | {code: Rule("stop_channel", Action.STOP_CHANNEL) for code in range(200, 300)}  # permissions

_PERMANENT = Rule("permanent", Action.DROP)
_TRANSIENT = Rule("transient", Action.RETRY)
_SLOW = Rule("transient", Action.SLOW_NUMBER, timedelta(seconds=5))
_STOP = Rule("stop_channel", Action.STOP_CHANNEL)
# A delay beyond a day is a broken header; the caller caps it further as it likes.
_LONGEST_WAIT = timedelta(days=1)


def classify(
    http_status: int,
    body: bytes,
    headers: Mapping[str, str],
    *,
    now: datetime | None = None,
) -> SendFailure:
    """What a refusal of the Graph API means.

    Args:
        http_status: Status of the answer.
        body: Its body; anything at all.
        headers: Its headers, names in any case.
        now: The present, for a `Retry-After` given as a date; without it such a date is ignored.

    Returns:
        The failure. An unknown code goes by the HTTP status: 5xx and 408 transient, 429 slows the
        number, 401 and a 403 stop the channel, any other 4xx is permanent.
    """
    error = _error_of(body)
    failure = classify_provider_error(error, http_status=http_status)
    asked = _retry_after(headers, now)
    if asked is None:
        return failure
    wait = max(asked, failure.retry_after or asked)
    return SendFailure(
        kind=failure.kind,
        action=failure.action,
        code=failure.code,
        http_status=http_status,
        retry_after=wait if failure.kind == "transient" else None,
        detail=failure.detail,
    )


def classify_provider_error(error: ProviderError, *, http_status: int | None = None) -> SendFailure:
    """What an error in an answer or in a `failed` status means.

    Without an HTTP status (a status webhook) an unknown code is permanent: Meta has given up on the
    message, and sending it again could repeat it.
    """
    rule = _rule(error, http_status)
    return SendFailure(
        kind=rule.kind,
        action=rule.action,
        code=error.code,
        http_status=http_status,
        retry_after=rule.retry_after,
        detail=_detail(error, http_status),
    )


def _rule(error: ProviderError, http_status: int | None) -> Rule:
    known = _RULES.get(error.code) if error.code is not None else None
    if known is None:
        return _rule_of_status(error.code, http_status)
    # Code 0 also stands for "no code"; a server error with it is a server error.
    server_error = http_status is not None and http_status >= SERVER_ERROR
    return _TRANSIENT if error.code == 0 and server_error else known


def _rule_of_status(code: int | None, http_status: int | None) -> Rule:
    """The safe default for a code that is not in the table, or none at all."""
    if http_status is None:
        return _PERMANENT
    if http_status in _HTTP_SUCCESS:
        return Rule("unknown", Action.CHECK_STATUS)
    if http_status == TOO_MANY_REQUESTS:
        return _SLOW
    if http_status >= SERVER_ERROR or http_status == REQUEST_TIMEOUT:
        return _TRANSIENT
    refused = http_status == UNAUTHORIZED or (http_status == FORBIDDEN and code is None)
    return _STOP if refused else _PERMANENT


def _error_of(body: bytes) -> ProviderError:
    try:
        payload = fields.storable(json.loads(body))
    except (ValueError, RecursionError):
        return ProviderError(code=None)
    error = fields.mapping(fields.mapping(payload).get("error"))
    found = fields.errors([error])[0]
    if error.get("is_transient") is True and found.code not in _RULES:
        return ProviderError(2, found.title, found.message, found.details)
    return found


def _detail(error: ProviderError, http_status: int | None) -> str:
    words = " - ".join(part for part in (error.title, error.message, error.details) if part)
    # Long enough for every message of Meta's table, short enough for a log and a list.
    return (words or f"HTTP {http_status}")[:500]


def _retry_after(headers: Mapping[str, str], now: datetime | None) -> timedelta | None:
    """RFC 9110 section 10.2.3: seconds, or a date."""
    value: Any = next(
        (value for name, value in headers.items() if name.lower() == "retry-after"), None
    )
    if not isinstance(value, str):
        return None
    seconds = fields.number(value)
    if seconds is None:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return None
        if now is None:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - now).total_seconds()
    return timedelta(seconds=min(max(seconds, 0.0), _LONGEST_WAIT.total_seconds()))
