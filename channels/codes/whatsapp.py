"""Codes of the WhatsApp Cloud API.

Meta asks to build on `error.code`; sources disagree on the HTTP status of one code (131056 is seen
as 400, 403 and 429), so the code decides where it is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from channels.codes.rule import Action, CodeRule, Effect, Kind, Line, Provider, rules_of

_SOURCE = "developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes, 2026-09-11"
_PERMANENT, _STOP = Kind.PERMANENT, Kind.STOP_CHANNEL

_LINES: tuple[Line, ...] = (
    (
        "2 131000 131016 133004 131057",
        "a temporary fault of Meta's; 131057: the number is being upgraded, at most a minute",
        Action.RETRY,
        Kind.TRANSIENT,
        Effect.NONE,
        None,
        None,
    ),
    (
        "1",
        "unknown API error; may also be a bad request",
        Action.RETRY_ONCE,
        Kind.TRANSIENT,
        Effect.NONE,
        None,
        2,
    ),
    (
        "131053",
        "Meta could not fetch the linked file",
        Action.RETRY_ONCE,
        Kind.TRANSIENT,
        Effect.NONE,
        None,
        2,
    ),
    (
        "4 80007 130429",
        "throughput of the app (4), of the account (80007) or of the number (130429)",
        Action.SLOW_NUMBER,
        Kind.RATE_LIMITED,
        Effect.SLOW_NUMBER,
        timedelta(seconds=5),
        None,
    ),
    (
        "131056",
        "more than one message in 6 s to one person",
        Action.PAIR_LIMIT,
        Kind.RATE_LIMITED,
        Effect.SLOW_RECIPIENT,
        timedelta(seconds=1),
        None,
    ),
    (
        "134101",
        "the template is still being synced",
        Action.RETRY_LATER,
        Kind.TRANSIENT,
        Effect.NONE,
        timedelta(minutes=10),
        None,
    ),
    ("131047", "the 24 h window is closed", Action.USE_TEMPLATE, _PERMANENT, Effect.NONE, None, 1),
    (
        "131049",
        "Meta's cap on marketing to this person",
        Action.FALL_BACK,
        _PERMANENT,
        Effect.NONE,
        None,
        1,
    ),
    (
        "131026",
        "undeliverable: no WhatsApp there, or an old one",
        Action.FALL_BACK,
        _PERMANENT,
        Effect.STRIKE_RECIPIENT,
        None,
        1,
    ),
    (
        "130472",
        "the person is part of an experiment of Meta's",
        Action.FALL_BACK,
        _PERMANENT,
        Effect.NONE,
        None,
        1,
    ),
    (
        "131050",
        "the person stopped marketing messages",
        Action.DISABLE_CONTACT,
        _PERMANENT,
        Effect.OPT_OUT_RECIPIENT,
        None,
        1,
    ),
    (
        "130403",
        "we blocked the person",
        Action.DISABLE_CONTACT,
        _PERMANENT,
        Effect.DISABLE_RECIPIENT,
        None,
        1,
    ),
    (
        "131062",
        "a BSUID cannot receive this kind of template",
        Action.USE_PHONE,
        _PERMANENT,
        Effect.NONE,
        None,
        1,
    ),
    (
        "131030",
        "a test number may write to listed people only",
        Action.DROP,
        _PERMANENT,
        Effect.ALERT,
        None,
        1,
    ),
    (
        "33 100 131008 131009 131021 131051 132000 132001 132005 132007 132012 132018 135000",
        "our request or our template is wrong",
        Action.DROP,
        _PERMANENT,
        Effect.ALERT,
        None,
        1,
    ),
    (
        "132015 132016 132068 132069",
        "template or flow paused or disabled: stop using it",
        Action.DROP,
        _PERMANENT,
        Effect.ALERT,
        None,
        1,
    ),
    (
        "0 3 10 190 131005 131045 131037 133010 " + " ".join(str(code) for code in range(200, 300)),
        "token, permission or registration",
        Action.STOP_CHANNEL,
        _STOP,
        Effect.ALERT,
        None,
        None,
    ),
    (
        "368 131031 130497 131042 131048 131064 134011",
        "account, billing or spam",
        Action.STOP_CHANNEL,
        _STOP,
        Effect.ALERT,
        None,
        None,
    ),
)

RULES: Mapping[str, CodeRule] = rules_of(Provider.WHATSAPP, _LINES, source=_SOURCE)
