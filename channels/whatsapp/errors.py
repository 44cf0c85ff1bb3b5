"""What to do about an error of the WhatsApp Cloud API; the table is `channels.codes.whatsapp`.

Meta asks to build on `error.code` and `error_data.details`; sources disagree on the HTTP status of
one code (131056 is seen as 400, 403 and 429), so the code decides where it is known.
Source: developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes (copy of 2026-09-11);
the actions are ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from channels.codes.rule import Action, CodeRule, Kind, Provider
from channels.codes.table import rule_for
from channels.codes.whatsapp import RULES
from channels.inbound import ProviderError
from channels.retry_after import retry_after
from channels.whatsapp import fields

__all__ = ["Action", "SendFailure", "classify", "classify_provider_error"]

FailureKind = Literal["transient", "permanent", "stop_channel", "unknown"]

_KIND: Mapping[Kind, FailureKind] = {
    Kind.TRANSIENT: "transient",
    Kind.RATE_LIMITED: "transient",
    Kind.PERMANENT: "permanent",
    Kind.STOP_CHANNEL: "stop_channel",
    Kind.UNKNOWN: "unknown",
}
"""Messages to customers know no kind for rate limits: the action says what to slow down."""


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
        The failure. An unknown code goes by the HTTP status: 5xx, 3xx and 408 transient, 504
        unknown, 429 slows the number, 401 and a 403 stop the channel, any other 4xx is permanent.
    """
    error = _error_of(body)
    failure = classify_provider_error(error, http_status=http_status)
    asked = retry_after(headers, now=now)
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
        kind=_KIND[rule.kind],
        action=rule.action,
        code=error.code,
        http_status=http_status,
        retry_after=rule.wait,
        detail=_detail(error, http_status),
    )


def _rule(error: ProviderError, http_status: int | None) -> CodeRule:
    code = None if error.code is None else str(error.code)
    return rule_for(Provider.WHATSAPP, code, http_status=http_status)


def _error_of(body: bytes) -> ProviderError:
    try:
        payload = fields.storable(json.loads(body))
    except (ValueError, RecursionError):
        return ProviderError(code=None)
    error = fields.mapping(fields.mapping(payload).get("error"))
    found = fields.errors([error])[0]
    if error.get("is_transient") is True and str(found.code) not in RULES:
        return ProviderError(2, found.title, found.message, found.details)
    return found


def _detail(error: ProviderError, http_status: int | None) -> str:
    words = " - ".join(part for part in (error.title, error.message, error.details) if part)
    # Long enough for every message of Meta's table, short enough for a log and a list.
    return (words or f"HTTP {http_status}")[:500]
