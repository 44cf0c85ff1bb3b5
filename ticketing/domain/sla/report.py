"""Figures over many clocks that leave nobody out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from ticketing.domain.enums import ClockState
from ticketing.domain.sla.clocks import Clock


@dataclass(frozen=True, slots=True)
class MeanTime:
    """How long a promise takes on average, in working time.

    Attributes:
        mean: Over kept, late and open late clocks; None without any.
        count: How many that are.
        open_late: How many of them are late and still open: for these only the time so far is
            known, so the true mean is higher.
    """

    mean: timedelta | None
    count: int
    open_late: int


def mean_time(clocks: Iterable[Clock]) -> MeanTime:
    """The mean over clocks of one metric.

    Leaving out what was late, as reports on kept promises do, shows only what went well. What is
    void, or open and in time, says nothing yet and is not counted.
    """
    counted = [
        clock
        for clock in clocks
        if clock.met_at is not None or (clock.state is ClockState.BREACHED and clock.goes_on)
    ]
    total = sum((clock.consumed for clock in counted), timedelta())
    return MeanTime(
        mean=total / len(counted) if counted else None,
        count=len(counted),
        open_late=sum(clock.goes_on for clock in counted),
    )
