"""Whether a time has come, by a clock that may have been set back.

A row whose time lies further ahead than anything here ever waits was written by a clock that was
ahead: it does not wait for as long as that clock was wrong.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, or_

LONGEST_WAIT = timedelta(minutes=15)
"""Above the longest wait that can be set (ten minutes) and what machines' clocks may differ by."""


def has_come(moment: datetime, *, now: datetime) -> bool:
    """Whether a due time or the end of a lease has come."""
    return moment <= now or moment > now + LONGEST_WAIT


def has_come_in(column: Any, *, now: datetime) -> ColumnElement[bool]:
    """The same as a condition on a column; not true of NULL."""
    return or_(column <= now, column > now + LONGEST_WAIT)
