from __future__ import annotations

import random
from collections.abc import Hashable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.domain.quality_estimates import (
    Scored,
    _t_quantile,
    cohen_kappa,
    estimate,
    weights_of,
)
from ticketing.domain.quality_score import SCALE


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.floats(0, 100))),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 50)),
)
def test_the_weights_of_each_stratum_sum_to_its_population_and_the_interval_holds_the_mean(
    rows: list[tuple[str, str, float]], extra: dict[str, int]
) -> None:
    scored = [Scored(*row) for row in rows]
    populations: dict[Hashable, int] = {
        stratum: sum(item.stratum == stratum for item in scored) + extra.get(stratum, 0)
        for stratum in "abc"
    }
    weights = weights_of(scored, populations)
    for stratum in weights:
        total = sum(weights[item.stratum] for item in scored if item.stratum == stratum)
        assert total == pytest.approx(populations[stratum])
    found = estimate(scored, populations, least=2)
    if found.value is None:
        assert found.refused in {"too_few", "nothing_scored"}
        assert found.n < 2
        return
    assert -1e-9 <= found.value <= 100 + 1e-9
    assert 1 - 1e-9 <= found.effective_n <= found.n + 1e-9
    if found.low is not None and found.high is not None:
        assert 0 <= found.low <= found.value + 1e-9
        assert found.value - 1e-9 <= found.high <= 100


def test_the_mean_counts_every_ticket_with_what_it_stands_for() -> None:
    scored = [Scored("bad", "ana", 0), Scored("bad", "ana", 20), Scored("rest", "ana", 90),
              Scored("rest", "ana", 100), Scored("rest", "ana", 95)]  # fmt: skip
    found = estimate(scored, {"bad": 2, "rest": 300})
    assert found.value == pytest.approx((2 * 10 + 300 * 95) / 302)
    assert found.represents == 302
    assert found.effective_n == pytest.approx(302**2 / (2 + 3 * 100**2))
    assert found.low is not None
    assert found.high is not None
    assert found.low > 80
    assert found.high == 100


def test_a_census_has_no_sampling_error() -> None:
    scored = [Scored("all", "ana", value) for value in (60, 70, 80, 90, 100)]
    found = estimate(scored, {"all": 5})
    assert (found.value, found.low, found.high) == (80, 80, 80)


@pytest.mark.parametrize(
    ("count", "refused"), [(0, "nothing_scored"), (1, "too_few"), (4, "too_few"), (5, None)]
)
def test_below_the_least_number_there_is_no_average_and_it_says_why(
    count: int, refused: str | None
) -> None:
    scored = [Scored("all", "ana", 60 + number) for number in range(count)]
    found = estimate(scored, {"all": 100}, least=5)
    assert found.refused == refused
    assert (found.value is None) is (refused is not None)
    assert found.n == count


def test_equal_scores_give_no_interval_and_an_unjudged_stratum_is_named() -> None:
    scored = [Scored("a", "ana", 100.0) for _ in range(6)]
    found = estimate(scored, {"a": 50, "b": 9})
    assert found.notes == ("no_spread", "strata_missing")
    assert found.value == pytest.approx(100)
    assert (found.low, found.high) == (None, None)


def test_a_group_is_judged_with_its_own_tickets_only() -> None:
    scored = [Scored("a", "ana", 80 + number) for number in range(5)]
    scored += [Scored("a", "bia", 10.0 + number) for number in range(5)]
    ana = estimate(scored, {"a": 40}, group="ana")
    assert ana.value == pytest.approx(82)
    assert ana.represents == pytest.approx(20)


def test_about_95_of_100_intervals_hold_the_true_mean() -> None:
    source = random.Random(3)
    people = {}
    strata = {"bad": 60, "rest": 400}
    for stratum, size in strata.items():
        for number in range(size):
            mean = 50 if stratum == "bad" else 82
            person = "ana" if source.random() < 0.4 else "bia"
            score = min(100.0, max(0.0, source.gauss(mean, 15)))
            people[stratum, number] = (person, score)
    mine = [score for person, score in people.values() if person == "ana"]
    truth = sum(mine) / len(mine)
    populations: dict[Hashable, int] = dict(strata)
    held = 0
    for _ in range(1000):
        scored = [
            Scored(stratum, *people[stratum, number])
            for stratum, size, take in (("bad", 60, 15), ("rest", 400, 30))
            for number in source.sample(range(size), take)
        ]
        found = estimate(scored, populations, group="ana")
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
    assert 915 <= held <= 985


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (5, 2.571), (10, 2.228), (30, 2.042), (1000, 1.962)],
)
def test_the_t_quantile_is_that_of_the_tables(freedom: int, quantile: float) -> None:
    assert _t_quantile(0.975, freedom) == pytest.approx(quantile, abs=0.004)


def test_kappa_is_that_of_the_textbook() -> None:
    # Cohen's usual example: 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: kappa 0.4.
    pairs = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
    found = cohen_kappa(pairs)
    assert found.kappa == pytest.approx(0.4)
    assert (found.observed, found.n) == (0.7, 50)


def test_on_a_scale_near_answers_agree_more_than_far_ones_and_what_is_off_it_is_left_out() -> None:
    near = [("1", "2"), ("2", "3"), ("3", "4"), ("4", "5"), ("5", "5"), ("1", "1")]
    far = [("1", "5"), ("2", "5"), ("3", "1"), ("4", "1"), ("5", "5"), ("1", "1")]
    close, apart = (cohen_kappa(pairs, scale=SCALE) for pairs in (near, far))
    assert close.kappa is not None
    assert apart.kappa is not None
    assert close.kappa > 0.7 > apart.kappa
    assert cohen_kappa([*near, ("na", "5")], scale=SCALE) == close


@pytest.mark.parametrize(
    ("pairs", "refused"),
    [([], "too_few"), ([("yes", "no")] * 4, "too_few"), ([("yes", "yes")] * 9, "no_variation")],
)
def test_kappa_is_refused_where_it_would_say_nothing(
    pairs: list[tuple[str, str]], refused: str
) -> None:
    found = cohen_kappa(pairs)
    assert (found.kappa, found.refused) == (None, refused)


@given(st.lists(st.tuples(st.sampled_from(SCALE), st.sampled_from(SCALE)), max_size=30))
def test_kappa_is_the_same_whoever_is_called_the_first(pairs: list[tuple[str, str]]) -> None:
    swapped = [(second, first) for first, second in pairs]
    for scale in (None, SCALE):
        one, other = (cohen_kappa(which, scale=scale) for which in (pairs, swapped))
        assert one.refused == other.refused
        assert one.kappa == pytest.approx(other.kappa)
        assert one.kappa is None or one.kappa <= 1 + 1e-9
