"""How large a scenario is: short for every build, long for `make faults`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """Numbers of the scenarios. The long ones are those of the fault table.

    Attributes:
        many: Notices of the faults in which processes die (F1, F3, F6).
        some: Notices of the others.
        per_second: Rate of steady traffic.
        storm_seconds: How long steady traffic with deaths in it lasts (F2).
        everything_seconds: How long everything fails at once (ALL).
        outage_seconds: How long Redis is away (F3).
        stalls: How often Redis is stopped for a while (F5), and for how long.
        refusing_seconds: How long the provider answers 500 (F13).
        retry_after_seconds: What the provider asks for (F14).
        dead_letters: How many are reprocessed (F17).
        messages: Messages of customers (F18, F20).
        slack: Factor on the shortest deadlines: builds run beside other tests.
    """

    long: bool
    many: int
    some: int
    per_second: int
    storm_seconds: int
    everything_seconds: int
    outage_seconds: int
    stalls: int
    stall_seconds: float
    refusing_seconds: int
    retry_after_seconds: int
    dead_letters: int
    messages: int
    slack: float


SHORT = Sizes(
    long=False,
    many=300,
    some=60,
    per_second=30,
    storm_seconds=12,
    everything_seconds=20,
    outage_seconds=4,
    stalls=2,
    stall_seconds=2.0,
    refusing_seconds=8,
    retry_after_seconds=8,
    dead_letters=60,
    messages=6,
    slack=1.6,
)
LONG = Sizes(
    long=True,
    many=10_000,
    some=1_000,
    per_second=100,
    storm_seconds=300,
    everything_seconds=120,
    outage_seconds=10,
    stalls=10,
    stall_seconds=4.0,
    refusing_seconds=120,
    retry_after_seconds=30,
    dead_letters=1_000,
    messages=40,
    slack=1.0,
)
