"""Codes of Firebase Cloud Messaging (HTTP v1): `errorCode` of the FcmError detail, else `status`.

INVALID_ARGUMENT stands for two things: with an FcmError detail the token is bad, with a BadRequest
detail our message is. The reader of the answer tells them apart by the codes with a colon.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from channels.codes.rule import Action, CodeRule, Effect, Kind, Line, Provider, rules_of

_SOURCE = "firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode, 2026-10; measured 2026-11-22"
_PERMANENT, _TRANSIENT, _STOP = Kind.PERMANENT, Kind.TRANSIENT, Kind.STOP_CHANNEL

BAD_TOKEN = "INVALID_ARGUMENT"  # noqa: S105 - a code, not a credential
BAD_MESSAGE = "INVALID_ARGUMENT:payload"

_LINES: tuple[Line, ...] = (
    (
        "UNREGISTERED",
        "the app was removed, or the token is old",
        Action.DISABLE_CONTACT,
        _PERMANENT,
        Effect.DISABLE_RECIPIENT,
        None,
        1,
    ),
    (
        BAD_TOKEN,
        "this is no token (FcmError detail)",
        Action.DISABLE_CONTACT,
        _PERMANENT,
        Effect.DISABLE_RECIPIENT,
        None,
        1,
    ),
    (
        BAD_MESSAGE,
        "our message is wrong (BadRequest detail, or none)",
        Action.DROP,
        _PERMANENT,
        Effect.ALERT,
        None,
        1,
    ),
    (
        "SENDER_ID_MISMATCH",
        "the token belongs to another Firebase project",
        Action.DISABLE_CONTACT,
        _PERMANENT,
        Effect.DISABLE_RECIPIENT,
        None,
        1,
    ),
    (
        "NOT_FOUND",
        "no FcmError detail: the project or the address is wrong, not the token",
        Action.DROP,
        _PERMANENT,
        Effect.ALERT,
        None,
        1,
    ),
    (
        "THIRD_PARTY_AUTH_ERROR APNS_AUTH_ERROR",
        "the key for APNs or web push is missing or wrong",
        Action.STOP_CHANNEL,
        _STOP,
        Effect.ALERT,
        None,
        None,
    ),
    (
        "UNAUTHENTICATED PERMISSION_DENIED",
        "the service account is refused",
        Action.STOP_CHANNEL,
        _STOP,
        Effect.ALERT,
        None,
        None,
    ),
    (
        "QUOTA_EXCEEDED RESOURCE_EXHAUSTED",
        "the project's or the device's quota; first retry after a minute",
        Action.SLOW_NUMBER,
        Kind.RATE_LIMITED,
        Effect.SLOW_NUMBER,
        timedelta(seconds=60),
        None,
    ),
    (
        "UNAVAILABLE INTERNAL UNSPECIFIED_ERROR ABORTED CANCELLED UNKNOWN",
        "a fault of FCM's; a repeat replaces the message on the device",
        Action.RETRY,
        _TRANSIENT,
        Effect.NONE,
        None,
        None,
    ),
    (
        "DEADLINE_EXCEEDED",
        "Google's own time was over; it may have been carried out (google.rpc.Code)",
        Action.CHECK_STATUS,
        Kind.UNKNOWN,
        Effect.NONE,
        None,
        None,
    ),
)

RULES: Mapping[str, CodeRule] = rules_of(Provider.FCM, _LINES, source=_SOURCE)
