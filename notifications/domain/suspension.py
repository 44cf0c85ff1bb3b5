"""How long an address is left alone after refusals in a row."""

from __future__ import annotations

from datetime import timedelta

STRIKES_TO_SUSPEND = 3
"""One refusal is a phone that is off, two are a bad evening; three in a row are a pattern."""

FIRST = timedelta(hours=24)
"""A day: a phone that is off tonight is on tomorrow."""

LONGEST = timedelta(days=7)
"""Never for good: numbers come back, and one try a week costs nothing."""


def suspended_for(strikes: int) -> timedelta | None:
    """The suspension that this many strikes in a row cause; None when they are too few.

    It doubles with every strike after the third, to seven days.
    """
    if strikes < STRIKES_TO_SUSPEND:
        return None
    # Eight days are more than the longest: the power is bounded before it is computed.
    doublings = min(strikes - STRIKES_TO_SUSPEND, 3)
    return min(FIRST * (1 << doublings), LONGEST)
