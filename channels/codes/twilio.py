"""Codes of Twilio's Messages resource: in answers, and as `ErrorCode` of status callbacks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from channels.codes.rule import Action, CodeRule, Effect, Kind, Line, Provider, rules_of

_SOURCE = "twilio.com/docs/api/errors, table of 2023-05 and pages of 2026"
_QUARTER_HOUR = timedelta(minutes=15)
_PERMANENT, _TRANSIENT, _STOP = Kind.PERMANENT, Kind.TRANSIENT, Kind.STOP_CHANNEL

_LINES: tuple[Line, ...] = (
    (
        "20429",
        "too many concurrent requests; never processed, safe to repeat",
        Action.SLOW_NUMBER,
        Kind.RATE_LIMITED,
        Effect.SLOW_NUMBER,
        None,
        None,
    ),
    ("20500 20503", "a fault of Twilio's", Action.RETRY, _TRANSIENT, Effect.NONE, None, None),
    (
        "14107 21611 30001",
        "the sender's queue is full, or the rate to one number",
        Action.SLOW_NUMBER,
        Kind.RATE_LIMITED,
        Effect.SLOW_NUMBER,
        timedelta(seconds=60),
        None,
    ),
    (
        "30008 30017 30022 30410 30450",
        "unknown fault, congestion, 10DLC rate, carrier's time-out or a block of 15 to 30 min",
        Action.RETRY_LATER,
        _TRANSIENT,
        Effect.NONE,
        _QUARTER_HOUR,
        3,
    ),
    (
        "30023 30027",
        "the carrier's daily cap: free again after midnight, Pacific time",
        Action.RETRY_LATER,
        _TRANSIENT,
        Effect.NONE,
        # The cap is lifted once a day; a try every six hours meets that within a quarter day.
        timedelta(hours=6),
        5,
    ),
    (
        "30003",
        "the handset is off or out of reach",
        Action.RETRY_LATER,
        _TRANSIENT,
        Effect.STRIKE_RECIPIENT,
        _QUARTER_HOUR,
        2,
    ),
    (
        "30004 30007 21618",
        "blocked or filtered by a carrier",
        Action.DROP,
        _PERMANENT,
        Effect.ALERT,
        None,
        1,
    ),
    (
        "30005 30006 21211 21214 21217 21614 21612",
        "the number does not exist, is a landline or cannot take SMS",
        Action.DISABLE_CONTACT,
        _PERMANENT,
        Effect.DISABLE_RECIPIENT,
        None,
        1,
    ),
    (
        "21610",
        "the person replied STOP; binding by law",
        Action.DISABLE_CONTACT,
        _PERMANENT,
        Effect.OPT_OUT_RECIPIENT,
        None,
        1,
    ),
    (
        "21408 30018 30024 30032 30034 30035 21606 21603 21701 21702 21703 21704 21705 21212",
        "permission for the country, sender or registration: configuration",
        Action.DROP,
        _PERMANENT,
        Effect.ALERT,
        None,
        1,
    ),
    (
        "30036",
        "its validity period was over before it could leave",
        Action.DROP,
        _PERMANENT,
        Effect.NONE,
        None,
        1,
    ),
    (
        "21602 21609 21617 21620 21654 21655 21656 21657 21658",
        "our request is wrong (21617: more than 1600 characters)",
        Action.DROP,
        _PERMANENT,
        Effect.ALERT,
        None,
        1,
    ),
    (
        "20003 20005 30002 20404",
        "credentials or account: refused, suspended or not there",
        Action.STOP_CHANNEL,
        _STOP,
        Effect.ALERT,
        None,
        None,
    ),
    (
        "63001 63003 63016 63018",
        "WhatsApp by way of Twilio, which Ponte does not use",
        Action.DROP,
        _PERMANENT,
        Effect.ALERT,
        None,
        1,
    ),
)

RULES: Mapping[str, CodeRule] = rules_of(Provider.TWILIO, _LINES, source=_SOURCE)
