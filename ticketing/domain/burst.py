"""What the bot reads of many messages or of a long one: bounded, and nothing that matters is cut.

A customer who sends hundreds of messages in a second gets one answer to all of them
(docs/decisions/0006-bursts-are-answered-once.md). The bot reads at most so many characters; where
the whole does not fit, pieces that hold a phrase of the handoff rules come first, then the newest.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

MERGE_BEYOND = 10
"""Messages that wait at the same time, up to which each gets an answer of its own. People do not
get there: a turn takes a twentieth of a second. More is a machine, or what piled up while the bot
was away."""

MOST_MERGED = 1_000
"""Messages of one answer; Meta puts at most so many into one webhook."""

ANSWERS_AT_ONCE = 30
"""Turns of one conversation within `PACE_WINDOW` that run without a pause: a message every two
seconds, which nobody keeps up."""

PACE_WINDOW = timedelta(seconds=60)
PACE = timedelta(seconds=6)
"""Least time between turns after that: Meta's own pair rate limit is one message in 6 seconds for
each customer (error 131056), so faster answers would not be delivered."""

_PIECE = 200  # characters; a phrase of the rules is far shorter
_LONGEST_LOOK = 65_536  # characters searched for phrases: 16 of WhatsApp's longest messages
_SENTENCE = re.compile(r"[^.!?\n]*[.!?\n]*")


def reading(texts: Sequence[str], *, limit: int, matters: Callable[[str], bool]) -> str:
    """The texts of one turn as the bot reads them, in the order in which they were written.

    Args:
        texts: Oldest first; blank ones and repeats count for nothing.
        limit: Most characters of the result.
        matters: Whether a piece of text holds a phrase that a rule looks for.
    """
    kept = [text for text in dict.fromkeys(part.strip() for part in texts) if text]
    whole = "\n".join(kept)
    if len(whole) <= limit:
        return whole
    return _chosen(_pieces(whole[-_LONGEST_LOOK:]), limit=limit, matters=matters)


def _pieces(text: str) -> list[str]:
    """Sentences, the long ones cut at `_PIECE` characters, at a blank where there is one."""
    found: list[str] = []
    for match in _SENTENCE.finditer(text):
        rest = match[0].strip()
        while len(rest) > _PIECE:
            end = rest.rfind(" ", 1, _PIECE)
            end = end if end > 0 else _PIECE
            found.append(rest[:end])
            rest = rest[end:].strip()
        if rest:
            found.append(rest)
    return found


def _chosen(pieces: Sequence[str], *, limit: int, matters: Callable[[str], bool]) -> str:
    important = [matters(piece) for piece in pieces]
    for place in range(len(pieces) - 1):
        if not (important[place] or important[place + 1]):
            # A phrase may have been cut in two.
            both = matters(f"{pieces[place]} {pieces[place + 1]}")
            important[place] = important[place + 1] = both
    # Newest first within each: what was said last counts most.
    places = range(len(pieces) - 1, -1, -1)
    wanted = [p for p in places if important[p]] + [p for p in places if not important[p]]
    taken: set[int] = set()
    seen: set[str] = set()
    length = 0
    for place in wanted:
        cost = len(pieces[place]) + 1
        if pieces[place] in seen or length + cost > limit + 1:
            continue
        taken.add(place)
        seen.add(pieces[place])
        length += cost
    return "\n".join(pieces[place] for place in sorted(taken))


@dataclass(slots=True)
class Pace:
    """How fast one conversation is answered; times in, times out, no clock of its own."""

    _turns: deque[datetime] = field(default_factory=lambda: deque(maxlen=ANSWERS_AT_ONCE))

    def began(self, now: datetime) -> None:
        """A turn of the conversation runs."""
        self._turns.append(now)

    def next_at(self, now: datetime) -> datetime | None:
        """When the next turn may run; None for at once."""
        if not self._is_fast(now):
            return None
        moment = self._turns[-1] + PACE
        return moment if moment > now else None

    def merge_beyond(self, now: datetime) -> int:
        """How many waiting messages still get an answer each: all wait together after a burst."""
        return 1 if self._is_fast(now) else MERGE_BEYOND

    def is_idle(self, now: datetime) -> bool:
        """Whether nothing here is worth remembering."""
        return not self._turns or self._turns[-1] <= now - PACE_WINDOW

    def _is_fast(self, now: datetime) -> bool:
        full = len(self._turns) == ANSWERS_AT_ONCE
        return full and self._turns[0] > now - PACE_WINDOW
