"""The fault tests can fail: with a worker that lies they do."""

from __future__ import annotations

from tests.faults.deaths import SETTLE_SECONDS
from tests.faults.lab import Lab
from tests.faults.measured import Measured
from tests.faults.produce import Wanted, produce
from tests.faults.run import measure
from tests.faults.sizes import Sizes


def nothing_fails(lab: Lab, sizes: Sizes) -> Measured:
    """A calm day."""
    result = Measured("F0", "nothing fails")
    lab.begin(workers=1, web=False)
    lab.accepted |= produce(lab.database_url, Wanted(sizes.some))
    lab.settle(seconds=SETTLE_SECONDS)
    result.judge(lab.tally())
    return result


def test_on_a_calm_day_everything_arrives_once(lab: Lab, sizes: Sizes) -> None:
    assert measure(lab, sizes, nothing_fails).passed


def test_a_worker_that_lies_is_found_out(sizes: Sizes) -> None:
    with Lab(modules={"worker": "tests.faults.lying_worker"}) as lab:
        result = measure(lab, sizes, nothing_fails)

    assert result.tally is not None
    assert len(result.tally.lost) == sizes.some // 10
    assert result.tally.dup == sizes.some // 10
    assert any(broken.startswith("lost 0: lost") for broken in result.broken)
    assert {one.why for one in result.tally.doublings} == {""}
    assert any(broken.startswith("every doubling has its cause") for broken in result.broken)
