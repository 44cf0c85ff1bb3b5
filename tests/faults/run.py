"""The scenarios by the ids of the fault table, and one run with its time."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.faults import (
    bot_faults,
    clock_faults,
    deaths,
    disk_faults,
    everything,
    operator_faults,
    provider_faults,
    queue_faults,
    worst,
)
from tests.faults.lab import Lab
from tests.faults.measured import Measured
from tests.faults.sizes import Sizes

Scenario = Callable[[Lab, Sizes], Measured]

SCENARIOS: dict[str, Scenario] = {
    "F1": deaths.kill_all_at_half,
    "F2": deaths.kill_one_again_and_again,
    "F3": queue_faults.redis_killed,
    "F4": queue_faults.refusals_without_redis,
    "F5": queue_faults.redis_stalls,
    "F6": queue_faults.redis_emptied,
    "F12": clock_faults.jumping_clock,
    "F13": provider_faults.refusing_provider,
    "F14": provider_faults.provider_asks_to_wait,
    "F15": provider_faults.dropped_answers,
    "F15b": provider_faults.silent_provider,
    "F15c": provider_faults.statuses_without_web,
    "F16": deaths.poison,
    "F16b": deaths.two_poisons,
    "F17": operator_faults.two_operators,
    "F18": bot_faults.broken_bot,
    "F19": deaths.deploy,
    "F20a": disk_faults.full_disk,
    "F20b": queue_faults.redis_full,
    "ALL": everything.everything,
    "WORST": worst.worst,
}

LANES = (
    ("F1", "F2", "F19", "F12"),
    ("F16", "F3", "F4", "F5", "F6", "F20b", "WORST"),
    ("F13", "F14", "F15", "F15b", "F16b"),
    ("F18", "F17", "F20a", "ALL", "F15c"),
)
"""Which run after one another in the short form, of about the same length each."""

DISK_MB = 320
"""Of the small disk that is filled: a fresh cluster takes 80 MB, its write-ahead log as much."""


def measure(lab: Lab, sizes: Sizes, scenario: Scenario) -> Measured:
    """One run with its time."""
    began = time.monotonic()
    result = scenario(lab, sizes)
    result.seconds = time.monotonic() - began
    print(result.line(), *result.notes, sep="\n", flush=True)  # noqa: T201 - seen with -s
    return result
