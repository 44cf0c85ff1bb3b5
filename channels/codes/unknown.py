"""Codes that are not in the table: counted each time, logged once."""

from __future__ import annotations

import re

import structlog

from kit.metrics import counter

log = structlog.get_logger()

_UNKNOWN = counter(
    "ponte_provider_code_unknown_total",
    "Error codes of a provider that are not in the table, so that the HTTP status decided.",
    ("provider",),
)
_MOST_REMEMBERED = 1000
"""Remembered so that each is logged once; a provider gone mad must not fill the memory."""

_CODE = re.compile(r"(?!.*[0-9]{9})[A-Za-z0-9_.:-]{1,40}")
"""No code of a provider has nine digits in a row; a phone number has."""

UNREADABLE = "unreadable"
_logged: set[tuple[str, str]] = set()


def readable(code: str) -> str:
    """The code if it looks like one: a "code" may be anything a server wrote, also an address."""
    return code if _CODE.fullmatch(code) else UNREADABLE


def note_unknown(provider: str, code: str, *, http_status: int | None) -> None:
    """Count a code that is not in the table, and log it the first time."""
    _UNKNOWN.labels(provider=provider).inc()
    shown = readable(code)
    if (provider, shown) in _logged or len(_logged) >= _MOST_REMEMBERED:
        return
    _logged.add((provider, shown))
    log.warning("provider_code.unknown", channel=provider, code=shown, http_status=http_status)
