"""Replies of mail servers: `code`, or `code_enhanced` (RFC 5321, RFC 3463, RFC 4954).

A reply is looked up with its enhanced code first, then by the enhanced code alone (`*_5.1.1`) or
its class (`*_5.7.x`), then by the code alone; what is left goes by its first digit (`4yz`, `5yz`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

from channels.codes.rule import Action, CodeRule, Effect, Kind, Line, Provider, rules_of

_SOURCE = "RFC 5321 4.2, RFC 3463, RFC 4954; replies measured 2026-11-22"
_PERMANENT, _TRANSIENT, _STOP = Kind.PERMANENT, Kind.TRANSIENT, Kind.STOP_CHANNEL
TEMPORARY, FINAL = "4yz", "5yz"
CREDENTIALS = frozenset({"530", "534", "535", "538"})  # RFC 4954

_LINES: tuple[Line, ...] = (
    (
        "*_4.2.2 *_5.2.2 552",
        "the mailbox is full; it may be emptied",
        Action.RETRY_LATER,
        _TRANSIENT,
        Effect.STRIKE_RECIPIENT,
        timedelta(minutes=30),
        None,
    ),
    (
        "421 450 451 452 454 4yz",
        "the server asks to come back (greylisting: 451 4.7.1)",
        Action.RETRY,
        _TRANSIENT,
        Effect.NONE,
        None,
        None,
    ),
    (
        "*_5.1.1 *_5.1.2 *_5.1.3 *_5.1.6 *_5.1.10 *_5.2.1 551 553",
        "the mailbox does not exist or takes no mail",
        Action.DISABLE_CONTACT,
        _PERMANENT,
        Effect.DISABLE_RECIPIENT,
        None,
        1,
    ),
    (
        "*_5.6.x *_5.7.x",
        "a policy: SPF, DKIM, DMARC, reputation, contents; not the recipient's fault",
        Action.DROP,
        _PERMANENT,
        Effect.ALERT,
        None,
        1,
    ),
    (
        "*_5.3.4 *_5.2.3",
        "the mail is too big",
        Action.DROP,
        _PERMANENT,
        Effect.ALERT,
        None,
        1,
    ),
    (
        "530 534 535 538 *_5.7.3 *_5.7.8 *_5.7.9 *_5.7.11",
        "the server refuses SMTP_USER and SMTP_PASS, or wants them",
        Action.STOP_CHANNEL,
        _STOP,
        Effect.ALERT,
        None,
        None,
    ),
    (
        "500 501 502 503 504 555",
        "our command is wrong",
        Action.DROP,
        _PERMANENT,
        Effect.ALERT,
        None,
        1,
    ),
    (
        "550 554 5yz",
        "refused for good, without saying whose fault it is",
        Action.DROP,
        _PERMANENT,
        Effect.NONE,
        None,
        1,
    ),
)

RULES: Mapping[str, CodeRule] = rules_of(Provider.SMTP, _LINES, source=_SOURCE)

_NAME = re.compile(r"(?:smtp_)?(\d{3})(?:_([245]\.\d{1,3}\.\d{1,3}))?")


def keys_of(code: str) -> tuple[str, ...]:
    """Where a reply is looked up, most exact first; `code` is `550`, `550_5.1.1` or `smtp_550`.

    A code that is not a reply has only itself.
    """
    match = _NAME.fullmatch(code)
    if match is None:
        return (code,)
    reply, enhanced = match[1], match[2]
    keys = [f"{reply}_{enhanced}", f"*_{enhanced}"] if enhanced else []
    if reply in CREDENTIALS:
        keys.append(reply)  # 535 5.7.x is about the login, whatever the rest says
    if enhanced:
        keys.append(f"*_{enhanced.rpartition('.')[0]}.x")
    keys.append(reply)
    if reply[0] == "5":
        return (*keys, FINAL)
    # 4yz is temporary by RFC 5321; a reply that makes no sense is treated alike.
    return (*keys, TEMPORARY)
