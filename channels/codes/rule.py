"""One line of the table of provider codes: its shape and its words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Provider(StrEnum):
    """Whose codes these are."""

    WHATSAPP = "whatsapp"
    TWILIO = "twilio"
    FCM = "fcm"
    SMTP = "smtp"


class Kind(StrEnum):
    """What a failure means for the message. `notifications` has the same words."""

    TRANSIENT = "transient"
    """Nothing was sent; the same request may work later."""
    RATE_LIMITED = "rate_limited"
    """Nothing was sent; the provider asks for fewer requests."""
    PERMANENT = "permanent"
    """Nothing was sent, and the same request will never work."""
    STOP_CHANNEL = "stop_channel"
    """The account is refused: nothing at all can leave this way."""
    UNKNOWN = "unknown"
    """It may have been sent."""


class Effect(StrEnum):
    """What a failure means for more than the one message. `notifications` has the same words."""

    NONE = "none"
    SLOW_NUMBER = "slow_number"
    SLOW_RECIPIENT = "slow_recipient"
    STRIKE_RECIPIENT = "strike_recipient"
    DISABLE_RECIPIENT = "disable_recipient"
    OPT_OUT_RECIPIENT = "opt_out_recipient"
    ALERT = "alert"


class Action(StrEnum):
    """What the sender does next: the column that people read."""

    RETRY = "retry"
    """Exponential with jitter."""
    RETRY_ONCE = "retry_once"
    """Two attempts in all: it is often our own request."""
    RETRY_LATER = "retry_later"
    """Not before the rule's own wait."""
    SLOW_NUMBER = "slow_number"
    """Again, and everything else by this number or account more slowly."""
    PAIR_LIMIT = "pair_limit"
    """This recipient later, the others go on."""
    USE_TEMPLATE = "use_template"
    """The 24 h window is closed."""
    FALL_BACK = "fall_back"
    """Another channel; this one is suspended for the recipient after repeats."""
    DISABLE_CONTACT = "disable_contact"
    """Never again to this address."""
    USE_PHONE = "use_phone"
    """A BSUID is not allowed for this message."""
    DROP = "drop"
    """Never again: our request, our template or our configuration."""
    STOP_CHANNEL = "stop_channel"
    """Park everything, call a person."""
    CHECK_STATUS = "check_status"
    """It may have been sent: find out before a resend."""


@dataclass(frozen=True, slots=True)
class CodeRule:
    """What one code means and what to do about it.

    Attributes:
        provider: Whose code.
        code: As the provider writes it.
        meaning: In a few words.
        action: What the sender does next.
        kind: For the message.
        effect: For more than the message.
        wait: Not sooner than this; None: the caller's own delays.
        attempts: So many in all; None: the caller's own number.
        source: Page or specification, with its date.
    """

    provider: Provider
    code: str
    meaning: str
    action: Action
    kind: Kind
    effect: Effect
    wait: timedelta | None
    attempts: int | None
    source: str


Line = tuple[str, str, Action, Kind, Effect, timedelta | None, int | None]
"""Codes with spaces between them, meaning, action, kind, effect, wait, attempts."""


class RepeatedCodeError(ValueError):
    """A code has two lines: nobody could say which one holds."""

    def __init__(self, provider: Provider, code: str) -> None:
        super().__init__(f"{provider.value} {code}: expected one line, got two")


def rules_of(provider: Provider, lines: Iterable[Line], *, source: str) -> Mapping[str, CodeRule]:
    """The rules that lines spell, by code.

    Raises:
        RepeatedCodeError: when a code stands in two lines.
    """
    rules: dict[str, CodeRule] = {}
    for codes, meaning, action, kind, effect, wait, attempts in lines:
        for code in codes.split():
            if code in rules:
                raise RepeatedCodeError(provider, code)
            rules[code] = CodeRule(
                provider, code, meaning, action, kind, effect, wait, attempts, source
            )
    return rules


_SLOW_START = timedelta(seconds=5)
"""First wait after a bare 429: the beginning of Meta's own "5 s to 10 min"."""
TOO_MANY_REQUESTS = 429
UNAUTHORIZED = 401
FORBIDDEN = 403
SERVER_ERROR = 500
GATEWAY_TIMEOUTS = frozenset({504, 524})
"""A gateway passed the request on and got no answer: it may have been carried out. 524 is
Cloudflare's."""
REQUEST_NOT_SEEN = frozenset({*range(300, 400), 407, 408})
"""Said on the way, by somebody who did not look at the request: a redirect (of a gateway, of a page
"we are working on it"), a proxy's login, a request that did not arrive in time."""
HTTP_SUCCESS = range(200, 300)


def rule_of_status(provider: Provider, code: str | None, http_status: int | None) -> CodeRule:
    """The safe default for a code that is not in the table, or for none at all.

    Args:
        provider: Whose answer it was.
        code: The unknown code; None when the answer had none.
        http_status: Of the answer; None when the code came later, in a status report: then the
            provider has given up, and sending again could repeat the message.
    """
    action, kind, effect = _default(code, http_status)
    name = code or (f"http_{http_status}" if http_status is not None else "without_code")
    wait = _SLOW_START if action is Action.SLOW_NUMBER else None
    return CodeRule(
        provider, name, "not in the table", action, kind, effect, wait, None, "the HTTP status"
    )


def _default(code: str | None, http_status: int | None) -> tuple[Action, Kind, Effect]:
    if http_status is None:
        return Action.DROP, Kind.PERMANENT, Effect.NONE
    if http_status in HTTP_SUCCESS or http_status in GATEWAY_TIMEOUTS:
        return Action.CHECK_STATUS, Kind.UNKNOWN, Effect.NONE
    if http_status == TOO_MANY_REQUESTS:
        return Action.SLOW_NUMBER, Kind.RATE_LIMITED, Effect.SLOW_NUMBER
    if http_status >= SERVER_ERROR or http_status in REQUEST_NOT_SEEN:
        return Action.RETRY, Kind.TRANSIENT, Effect.NONE
    # A bare 403 is the account's; one with a code of its own is about the request.
    if http_status == UNAUTHORIZED or (http_status == FORBIDDEN and code is None):
        return Action.STOP_CHANNEL, Kind.STOP_CHANNEL, Effect.ALERT
    return Action.DROP, Kind.PERMANENT, Effect.ALERT
