"""The table of the benchmark of notifications: what is read off it is what was measured."""

from __future__ import annotations

from benchmarks.notifications import Figures, table


def test_the_sink_counts_for_nobody_and_a_side_without_events_has_no_such_figure() -> None:
    ponte = Figures(drain=1741.4, relayed=900.0, processor_ms={"sink": 5.0, "worker 1": 0.25})
    peer = Figures(drain=4214.5, processor_ms={"sink": 5.0, "workers": 0.125}, lost=1, doubled=2)
    lines = table({"Ponte": ponte, "Peer": peer}).splitlines()
    assert lines[2] == "| Ponte | 1741 | 0 | 900 | 0.0 | 0.0 | 0.25 | 0 | 0.0 | 0 | 0 |"
    assert lines[3] == "| Peer | 4214 | 0 |  | 0.0 | 0.0 | 0.12 | 0 | 0.0 | 1 | 2 |"


def test_a_quantile_of_no_times_is_nothing_and_of_one_is_that_one() -> None:
    assert Figures().idle_at(0.95) == 0.0
    assert Figures(idle_ms=[7.0]).idle_at(0.95) == 7.0
    assert Figures(idle_ms=[3.0, 1.0, 2.0]).idle_at(0.5) == 2.0
