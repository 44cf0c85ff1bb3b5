from __future__ import annotations

import random
import uuid
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.domain.quality_sampling import Stratum, TicketFacts, draw, stratum_of

STRATA = (
    Stratum("reopened", take=2, reopened=True),
    Stratum("sla_miss", take=1, share=0.5, sla_missed=True),
    Stratum("unsure", take=1, confidence_below=0.6),
    Stratum("unhappy_at_night", take=1, after_hours=True, satisfaction_at_most=2),
    Stratum("rest", take=3, share=0.1),
)


def ticket(number: int, **facts: object) -> TicketFacts:
    return TicketFacts(uuid.UUID(int=number), **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "stratum"),
    [
        ({}, "rest"),
        ({"reopened": True, "sla_missed": True, "confidence": 0.1}, "reopened"),  # the first wins
        ({"sla_missed": True, "confidence": 0.1}, "sla_miss"),
        ({"confidence": 0.59}, "unsure"),
        ({"confidence": 0.6}, "rest"),
        ({"confidence": None}, "rest"),  # not known is not low
        ({"after_hours": True, "satisfaction": 2}, "unhappy_at_night"),
        ({"after_hours": True, "satisfaction": 3}, "rest"),
        ({"after_hours": True}, "rest"),
        ({"satisfaction": 1}, "rest"),
        ({"sla_missed": None, "reopened": False}, "rest"),
    ],
)
def test_a_ticket_belongs_to_the_first_stratum_it_fits(
    facts: dict[str, object], stratum: str
) -> None:
    assert stratum_of(ticket(1, **facts), STRATA) == stratum


@pytest.mark.parametrize(
    ("population", "size"),
    [(0, 0), (1, 1), (2, 2), (3, 3), (10, 3), (30, 3), (31, 4), (100, 10), (1000, 100)],
)
def test_a_stratum_draws_at_least_take_or_its_share_and_never_more_than_there_is(
    population: int, size: int
) -> None:
    assert STRATA[-1].size(population) == size


facts_of = st.builds(
    TicketFacts,
    st.uuids(),
    confidence=st.none() | st.floats(0, 1),
    sla_missed=st.none() | st.booleans(),
    reopened=st.none() | st.booleans(),
    after_hours=st.none() | st.booleans(),
    satisfaction=st.none() | st.integers(1, 5),
)
populations = st.lists(facts_of, max_size=60, unique_by=lambda facts: facts.ticket_id)


@given(populations, st.text(max_size=8), st.floats(0, 1), st.randoms(use_true_random=False))
def test_the_draw_is_the_same_in_any_order_and_the_weights_sum_to_the_strata(
    population: list[TicketFacts], seed: str, share: float, shuffler: random.Random
) -> None:
    sample = draw(population, STRATA, seed=seed, second_share=share)
    shuffled = list(population)
    shuffler.shuffle(shuffled)
    assert draw([*shuffled, *shuffled], STRATA, seed=seed, second_share=share) == sample
    assert sum(count.population for count in sample.counts) == len(population)
    assert len({item.ticket_id for item in sample.drawn}) == len(sample.drawn)
    for count in sample.counts:
        mine = [item for item in sample.drawn if item.stratum == count.stratum]
        assert len(mine) == count.sampled
        assert sum(item.weight for item in mine) == pytest.approx(count.population)
        assert all(item.probability * item.weight == pytest.approx(1) for item in mine)
        if count.population:
            assert count.sampled >= 1  # no ticket without a chance
    seconds = sum(item.second for item in sample.drawn)
    assert seconds == pytest.approx(share * len(sample.drawn), abs=1)
    assert seconds >= share * len(sample.drawn) - 1e-6


def test_every_ticket_of_a_stratum_is_drawn_as_often_as_its_probability_says() -> None:
    population = [ticket(number) for number in range(40)]
    counted: Counter[uuid.UUID] = Counter()
    for seed in range(2000):
        sample = draw(population, STRATA, seed=str(seed))
        assert len(sample.drawn) == 4
        counted.update(item.ticket_id for item in sample.drawn)
    # 2000 draws with a chance of 1 in 10: mean 200, standard deviation 13.4; five of these.
    assert min(counted.values()) > 133
    assert max(counted.values()) < 267
    assert len(counted) == 40


def test_the_weighted_total_is_unbiased_over_many_seeds_where_the_plain_mean_is_not() -> None:
    shuffler = random.Random(7)
    population, scores = [], {}
    for number in range(300):
        bad = number % 10 == 0
        facts = ticket(number, reopened=bad, confidence=shuffler.random())
        population.append(facts)
        scores[facts.ticket_id] = shuffler.gauss(40, 10) if bad else shuffler.gauss(85, 8)
    strata = (
        Stratum("reopened", take=15, reopened=True),
        Stratum("unsure", take=10, confidence_below=0.5),
        Stratum("rest", take=10),
    )
    truth = sum(scores.values()) / 300
    weighted, plain = [], []
    for seed in range(1000):
        drawn = draw(population, strata, seed=str(seed)).drawn
        weighted.append(sum(item.weight * scores[item.ticket_id] for item in drawn) / 300)
        plain.append(sum(scores[item.ticket_id] for item in drawn) / len(drawn))
    mean = sum(weighted) / 1000
    spread = (sum((value - mean) ** 2 for value in weighted) / 999) ** 0.5
    assert abs(mean - truth) < 4 * spread / 1000**0.5
    assert abs(sum(plain) / 1000 - truth) > 10  # what a report without weights would say


def test_another_seed_draws_others_and_the_second_reviewers_are_drawn_apart_from_the_first() -> (
    None
):
    population = [ticket(number) for number in range(200)]
    first = draw(population, STRATA, seed="a", second_share=0.1)
    assert draw(population, STRATA, seed="b", second_share=0.1).drawn != first.drawn
    places = [place for place, item in enumerate(first.drawn) if item.second]
    assert len(places) == 2
    assert places != [0, 1]
