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

_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,40}")
_logged: set[tuple[str, str]] = set()


def note_unknown(provider: str, code: str, *, http_status: int | None) -> None:
    """Count a code that is not in the table, and log it the first time."""
    _UNKNOWN.labels(provider=provider).inc()
    # A "code" may be anything a server wrote: only what looks like one is shown.
    shown = code if _CODE.fullmatch(code) else "unreadable"
    if (provider, shown) in _logged or len(_logged) >= _MOST_REMEMBERED:
        return
    _logged.add((provider, shown))
    log.warning("provider_code.unknown", channel=provider, code=shown, http_status=http_status)
