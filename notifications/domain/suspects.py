"""Which notices may be sent beside each other after workers died over them.

A message that ends its worker takes the notices with it that were on their way in the same process.
All of them are suspects then. They must be delivered soon, and none of the innocent may share three
deaths with the guilty one:

- after one death they go in groups, beside everything else;
- after two, one at a time, while no other suspect is on its way anywhere;
- the third death is the last: it happened alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeVar

MAX_LOST_WORKERS = 3
"""A notice whose worker died this many times is given up: it is what kills them."""

SUSPECT_GROUP = 64
"""How many go together after one death. So many at most go one by one if it happens again; a few
seconds of work, and a killed process with hundreds of notices is made up for in as many."""

Key = TypeVar("Key", bound=Hashable)


def room_for(wanted: Sequence[tuple[Key, int]], *, sending: Sequence[int]) -> tuple[Key, ...]:
    """Which of the suspects may be claimed now.

    Args:
        wanted: Key and number of deaths of each (1 or more), in order of preference.
        sending: Number of deaths of every suspect that is on its way, in all processes.
    """
    if any(deaths > 1 for deaths in sending):
        return ()
    first = [key for key, deaths in wanted if deaths <= 1]
    if first:
        return tuple(first[: max(SUSPECT_GROUP - len(sending), 0)])
    return () if sending else tuple(key for key, _ in wanted[:1])
