"""The header `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

LONGEST = timedelta(days=1)
"""A delay beyond a day is a broken header; callers cap it further as they like."""


def retry_after(headers: Mapping[str, str], *, now: datetime | None) -> timedelta | None:
    """How long a server asks to wait; None when it does not say, or not in a readable way.

    Args:
        headers: Names in any case.
        now: The present, for a date; without it a date is ignored.
    """
    values = [value for name, value in headers.items() if name.lower() == "retry-after"]
    waits = [_wait(value, now) for value in values]
    return max((wait for wait in waits if wait is not None), default=None)


def _wait(value: str, now: datetime | None) -> timedelta | None:
    try:
        # Two such headers in one, as some clients join them: the longer one holds.
        seconds = max(float(part) for part in value.split(","))
    except ValueError:
        return _until(value, now)
    if math.isnan(seconds):
        return None
    return _bounded(seconds)


def _until(value: str, now: datetime | None) -> timedelta | None:
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if now is None:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return _bounded((moment - now).total_seconds())


def _bounded(seconds: float) -> timedelta:
    return timedelta(seconds=min(max(seconds, 0.0), LONGEST.total_seconds()))
