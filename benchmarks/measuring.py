"""The measurements: one message at a time, and many customers at once."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.customers import Customer, LostError


@dataclass(slots=True)
class Sample:
    """Turns of one side in one kind of load.

    Attributes:
        seconds: One number a turn.
        wall: How long the load lasted, in seconds; 0 when turns were sent one at a time.
        lost: What went wrong, one line each.
    """

    seconds: list[float] = field(default_factory=list)
    wall: float = 0.0
    lost: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Turns per second."""
        return len(self.seconds) / self.wall if self.wall else 0.0

    def percentile(self, share: float) -> float:
        """The nearest-rank percentile, in milliseconds; NaN without turns."""
        if not self.seconds:
            return math.nan
        ranked = sorted(self.seconds)
        return ranked[max(0, math.ceil(share * len(ranked)) - 1)] * 1000

    def add(self, other: Sample) -> None:
        """Take in a further piece of the same measurement."""
        self.seconds += other.seconds
        self.wall += other.wall
        self.lost += other.lost


async def one_at_a_time(customers: Sequence[Customer], count: int) -> Sample:
    """`count` turns, one after the other, the customers taking turns."""
    sample = Sample()
    for number in range(count):
        try:
            sample.seconds.append(await customers[number % len(customers)].turn())
        except LostError as error:
            sample.lost.append(str(error))
    return sample


async def many_at_once(customers: Sequence[Customer], seconds: float) -> Sample:
    """Every customer writes, waits for the answer and writes again until the time is over.

    A turn that was begun is waited for; its time counts, and so does the time it took.
    """
    sample = Sample()
    began = time.perf_counter()

    async def converse(customer: Customer) -> None:
        while time.perf_counter() - began < seconds:
            try:
                sample.seconds.append(await customer.turn())
            except LostError as error:
                sample.lost.append(str(error))
                return

    async with asyncio.TaskGroup() as group:
        for customer in customers:
            group.create_task(converse(customer))
    sample.wall = time.perf_counter() - began
    return sample
