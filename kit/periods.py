"""Points in time as people type them: `24h`, `2026-10-01`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

FORMS = "30d, 12h, 45m or 2w before now, 2026-10-01, or 2026-10-01T08:00 (with an offset or Z)"

_UNITS = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_BEFORE_NOW = re.compile(r"(\d{1,6})([mhdw])")


class MomentError(ValueError):
    """The text is no point in time; says which forms are."""


def read_moment(text: str, *, now: datetime, zone: str) -> datetime:
    """The moment a text means.

    Args:
        text: One of `FORMS`.
        now: For the forms that count back from it.
        zone: IANA name, for dates and times that name no offset.

    Raises:
        MomentError: It is none of them.
    """
    typed = text.strip()
    counted = _BEFORE_NOW.fullmatch(typed)
    try:
        if counted is not None:
            return now - int(counted[1]) * _UNITS[counted[2]]
        moment = datetime.fromisoformat(typed)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))
        _ = aware.timestamp()  # within the years that can be counted
    except (ValueError, OverflowError) as error:
        message = f"got {text!r}; expected {FORMS}"
        raise MomentError(message) from error
    return aware
