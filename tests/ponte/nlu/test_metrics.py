"""The numbers of an evaluation, worked out by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponte.nlu.metrics import BINS, Outcome, judge, percentile, reliability, score

OOS = "oos"


def outcome(truth: str, *ranking: tuple[str, float], threshold: float = 0.5) -> Outcome:
    return judge(truth, ranking, threshold=threshold, oos_label=OOS)


@pytest.mark.parametrize(
    ("truth", "ranking", "rejected", "right", "top_right"),
    [
        ("a", [("a", 0.9), ("b", 0.1)], False, True, True),
        ("a", [("a", 0.5), ("b", 0.1)], False, True, True),
        ("a", [("a", 0.49), ("b", 0.1)], True, True, True),
        ("b", [("a", 0.9), ("b", 0.1)], False, False, False),
        ("a", [(OOS, 0.6), ("a", 0.4)], True, True, False),
        (OOS, [(OOS, 0.3), ("a", 0.2)], True, False, True),
        (OOS, [("a", 0.9), (OOS, 0.1)], False, False, False),
        (OOS, [("a", 0.2), (OOS, 0.1)], True, False, False),
        ("never trained", [("a", 0.9), ("b", 0.1)], False, False, False),
        ("a", [(OOS, 1.0)], True, False, False),
    ],
)
def test_a_message_is_judged(
    truth: str,
    ranking: list[tuple[str, float]],
    rejected: bool,
    right: bool,
    top_right: bool,
) -> None:
    one = outcome(truth, *ranking)
    assert (one.rejected, one.right, one.top_right) == (rejected, right, top_right)
    assert one.in_scope is (truth != OOS)


def test_the_shares_are_those_of_the_definitions() -> None:
    outcomes = [
        outcome("a", ("a", 0.9)),  # accepted, right
        outcome("a", ("a", 0.4)),  # right, rejected
        outcome("a", ("b", 0.8), ("a", 0.1)),  # accepted, wrong
        outcome("b", (OOS, 0.7), ("b", 0.2)),  # out-of-scope intent first: rejected, best is right
        outcome("b", ("b", 0.6)),  # accepted, right
        outcome(OOS, ("a", 0.3)),  # caught by the threshold
        outcome(OOS, (OOS, 0.2)),  # caught by its intent
        outcome(OOS, ("a", 0.9)),  # let through
    ]
    scores = score(outcomes)
    assert scores.in_scope_accuracy == 2 / 5
    assert scores.oos_recall == 2 / 3
    assert scores.accuracy_argmax == 4 / 5
    assert scores.coverage == 3 / 5
    assert scores.precision_at_coverage == 2 / 3
    assert (scores.in_scope_messages, scores.oos_messages) == (5, 3)
    expected = (abs(0.9 - 1) + abs(0.4 - 1) + abs(0.8 - 0) + abs(0.7 - 0) + abs(0.6 - 1)) / 5
    assert scores.ece == pytest.approx(expected)


def test_what_cannot_be_said_is_none() -> None:
    scores = score([outcome("a", ("a", 0.1))])
    assert scores.oos_recall is None
    assert scores.precision_at_coverage is None
    assert scores.in_scope_accuracy == 0


def test_without_a_message_in_scope_there_are_no_numbers() -> None:
    with pytest.raises(ValueError, match="in scope"):
        score([outcome(OOS, ("a", 0.1))])


def test_messages_of_one_bin_are_compared_as_one() -> None:
    scores = score([outcome("a", ("a", 0.95)), outcome("b", ("a", 0.97))])
    (only,) = scores.bins
    assert (only.count, only.right) == (2, 0.5)
    assert scores.ece == pytest.approx(abs(0.96 - 0.5))


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_every_message_is_in_one_bin_and_the_error_is_a_share(
    given_: list[tuple[float, bool]],
) -> None:
    outcomes = [outcome("a" if right else "b", ("a", c)) for c, right in given_]
    bins = reliability(outcomes)
    assert sum(one.count for one in bins) == len(outcomes)
    assert all(0 <= one.low < 1 and one.low * BINS == pytest.approx(round(one.low * BINS))
               for one in bins)  # fmt: skip
    assert -1e-9 <= score(outcomes).ece <= 1 + 1e-9


@pytest.mark.parametrize(("share", "value"), [(0.5, 2.0), (0.95, 4.0), (0.01, 1.0), (1.0, 4.0)])
def test_percentiles_are_nearest_ranks(share: float, value: float) -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], share) == value
    assert math.isfinite(percentile([7.0], share))
