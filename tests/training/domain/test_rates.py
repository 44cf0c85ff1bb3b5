from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from training.domain.rates import Mark, metrics, wilson

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def mark(turn: str, verdict: str, *, outcome: str = "handoff", minutes: int = 0) -> Mark:
    at = NOON + timedelta(minutes=minutes)
    return Mark(turn, outcome, verdict, "low_confidence", "refund", "pt", at)


def test_the_interval_is_the_one_of_the_textbook() -> None:
    rate = wilson(8, 10)  # Newcombe 1998, and every table: 0.4902 to 0.9433
    assert rate.share == pytest.approx(0.8)
    assert rate.low == pytest.approx(0.4902, abs=1e-4)
    assert rate.high == pytest.approx(0.9433, abs=1e-4)


def test_none_of_none_is_no_rate_and_none_of_ten_is_no_certainty() -> None:
    assert wilson(0, 0).share is None
    rate = wilson(0, 10)
    assert (rate.share, rate.low) == (0.0, 0.0)
    assert rate.high == pytest.approx(0.2775, abs=1e-4)


def test_needless_and_late_handoffs_and_missed_ones_are_told_apart() -> None:
    found = metrics(
        [
            mark("a", "wrong"),
            mark("b", "right"),
            mark("c", "late"),
            mark("d", "late", outcome="stay"),
            mark("e", "right", outcome="clarify"),
        ]
    )
    assert (found.total.over_handoff.found, found.total.over_handoff.reviewed) == (1, 3)
    assert (found.total.late_handoff.found, found.total.late_handoff.reviewed) == (1, 3)
    assert (found.total.under_handoff.found, found.total.under_handoff.reviewed) == (1, 2)
    assert found.by_reason.keys() == {"low_confidence"}


def test_a_turn_counts_once_by_majority_and_of_equals_by_the_newest() -> None:
    found = metrics(
        [
            mark("a", "wrong"),
            mark("a", "wrong", minutes=1),
            mark("a", "right", minutes=2),
            mark("b", "wrong"),
            mark("b", "right", minutes=5),
        ]
    )
    assert (found.marks, found.turns, found.disagreements) == (5, 2, 2)
    assert found.total.over_handoff.found == 1
