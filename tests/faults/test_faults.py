"""Every scenario of the fault table, in its short form.

They wait most of their time (for leases, breakers, retries), so four run side by side, each lane
with engines and processes of its own.
"""

from __future__ import annotations

import traceback
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.faults.lab import Lab
from tests.faults.measured import Measured
from tests.faults.run import DISK_MB, LANES, SCENARIOS, measure
from tests.faults.sizes import SHORT


@pytest.fixture(scope="module")
def results() -> dict[str, Measured]:
    """What every scenario has measured, by its id."""
    found: dict[str, Measured] = {}
    with ThreadPoolExecutor(len(LANES), thread_name_prefix="lane") as pool:
        lanes: list[Future[None]] = [pool.submit(_play, lane, found) for lane in LANES]
        for lane in lanes:
            lane.result()
    return found


def _play(lane: tuple[str, ...], found: dict[str, Measured]) -> None:
    """One after the other in one house."""
    with Lab(own_disk_mb=DISK_MB if "F20a" in lane else 0) as lab:
        for name in lane:
            try:
                found[name] = measure(lab, SHORT, SCENARIOS[name])
            except Exception:  # noqa: BLE001 - it counts as failed, others go on
                broken = Measured(name, "")
                broken.must("the scenario ends", passed=False, seen=traceback.format_exc())
                found[name] = broken


@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_lost(results: dict[str, Measured], name: str) -> None:
    result = results[name]

    if result.skipped:
        pytest.skip(result.skipped)
    assert result.broken == [], result.line()


def test_every_scenario_has_its_lane() -> None:
    assert sorted(name for lane in LANES for name in lane) == sorted(SCENARIOS)
