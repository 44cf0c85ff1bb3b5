"""What is of unknown outcome waits for a status only while a status could come. Pure.

A provider tells afterwards what became of a message, by a webhook. While no web process answers,
or while it cannot store, nothing is told: the provider comes back later, and a wait that ran out
meanwhile proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

BEAT = timedelta(seconds=2)
"""How often a web process writes that it can receive."""

GAP = timedelta(seconds=6)
"""Three beats. For longer than that nobody could receive; one beat may be late on a busy machine,
and a gap that was none makes a few messages wait a little longer."""

LOOK_AGAIN = timedelta(seconds=10)
"""While nobody receives there is no saying when somebody will."""

LONGEST_HOLD = timedelta(minutes=15)
"""From when the message was made. An installation whose webhooks are away for longer sends a second
time rather than never; Meta itself goes on trying for seven days."""


@dataclass(frozen=True, slots=True)
class Reception:
    """Whether webhooks can reach this installation, as its web processes have written.

    Attributes:
        since: Since when without a gap.
        seen_at: The last time.
    """

    since: datetime
    seen_at: datetime


def held_until(
    reception: Reception | None, *, made_at: datetime, wait: timedelta, now: datetime
) -> datetime | None:
    """Until when something whose wait for a status is over has to wait on; None: it has waited.

    Args:
        reception: None where no web process has ever run: no status will come.
        made_at: When the message or notice was made.
        wait: How long a status is waited for.
        now: When.
    """
    if reception is None or now - made_at > LONGEST_HOLD:
        return None
    if abs(now - reception.seen_at) > GAP:
        return now + LOOK_AGAIN
    waited = reception.since + wait
    return waited if waited > now else None
