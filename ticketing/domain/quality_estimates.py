r"""Averages of a stratified sample that say how far they can be trusted.

A plain mean of reviewed tickets would describe the sample: it holds far more misses and reopened
tickets than the work does. So every ticket counts with its weight, and the spread is that of a
stratified sample drawn without replacement.

* Weight of a scored ticket: tickets of its stratum by scored tickets of its stratum. Where all
  sampled tickets are scored this is the design's own weight; where some are not, those that are
  stand in for them, which is only right if reviewing is not put off for bad ones.
* Mean of a group (an agent, a team): sum of weight * score by sum of weights (Hájek, 1971).
* Variance: linearised, by stratum, with the finite population correction; tickets of others in the
  same stratum count as zero (Särndal, Swensson, Wretman, *Model Assisted Survey Sampling*, 5.7,
  5.8). A stratum with one scored ticket is set against the mean of all, which is on the safe side.
* Interval: t distribution with scored tickets minus strata degrees of freedom, cut to 0..100.
* Agreement of two reviewers: Cohen's kappa (1960); for scales with quadratic weights (1968).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from ticketing.domain.quality_score import FULL

DEFAULT_LEAST = 5
"""Scored tickets below which no average is given: with four, one bad day is a quarter of it."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A reviewed ticket.

    Attributes:
        stratum: Which stratum of which period, any value that tells them apart.
        group: Whose work it is.
        score: 0 to 100.
    """

    stratum: Hashable
    group: Hashable
    score: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """An average, or why there is none.

    Attributes:
        value: Weighted mean score, 0 to 100; None when it is refused.
        low: Lower end of the interval; None when the value is, or when nothing can be said.
        high: Upper end.
        n: Scored tickets in it.
        effective_n: How many tickets of a plain random sample would say as much about the mean,
            going by the weights alone (Kish, 1965).
        represents: Tickets of the population that they stand for.
        refused: `too_few` or `nothing_scored`; None when there is a value.
        notes: `no_spread`: all scores are equal, so the interval says nothing about the rest;
            `strata_missing`: some strata have tickets, but none of them is scored.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    effective_n: float
    represents: float
    refused: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two reviewers agree. `kappa` is None when it cannot be said, and `refused` says why.

    Attributes:
        kappa: 1: always; 0: as often as by chance; below: less often.
        observed: Share of equal answers.
        n: Answers given by both.
        refused: `too_few`, or `no_variation` when both always said the same one thing.
    """

    kappa: float | None
    observed: float | None
    n: int
    refused: str | None = None


def weights_of(
    scored: Sequence[Scored], populations: Mapping[Hashable, int]
) -> dict[Hashable, float]:
    """Weight of each scored ticket, by stratum; in each stratum they sum to its population."""
    counts = Counter(item.stratum for item in scored)
    return {stratum: populations[stratum] / count for stratum, count in counts.items()}


def estimate(
    scored: Sequence[Scored],
    populations: Mapping[Hashable, int],
    *,
    group: Hashable | None = None,
    least: int = DEFAULT_LEAST,
    confidence: float = 0.95,
) -> Estimate:
    """The mean score of a group's work, or of all.

    Args:
        scored: Every scored ticket of the periods, also those of other groups.
        populations: Tickets of each stratum, also of those without a scored ticket.
        group: Whose mean; None: everybody's.
        least: Fewer scored tickets than this give no value.
        confidence: Of the interval, such as 0.95.
    """
    weights = weights_of(scored, populations)
    mine = [item for item in scored if group is None or item.group == group]
    total = sum(weights[item.stratum] for item in mine)
    squares = sum(weights[item.stratum] ** 2 for item in mine)
    effective = total**2 / squares if squares else 0.0
    if len(mine) < max(1, least):
        why = "too_few" if mine else "nothing_scored"
        return Estimate(None, None, None, len(mine), effective, total, refused=why)
    mean = sum(weights[item.stratum] * item.score for item in mine) / total
    variance, freedom = _variance(scored, weights, populations, group=group, mean=mean, total=total)
    half = _t_quantile((1 + confidence) / 2, freedom) * math.sqrt(variance)
    notes = []
    if len({item.score for item in mine}) == 1 and not _is_census(scored, populations):
        notes.append("no_spread")
    if any(size and stratum not in weights for stratum, size in populations.items()):
        notes.append("strata_missing")
    return Estimate(
        value=mean,
        low=None if "no_spread" in notes else max(0.0, mean - half),
        high=None if "no_spread" in notes else min(FULL, mean + half),
        n=len(mine),
        effective_n=effective,
        represents=total,
        notes=tuple(notes),
    )


def _variance(
    scored: Sequence[Scored],
    weights: Mapping[Hashable, float],
    populations: Mapping[Hashable, int],
    *,
    group: Hashable | None,
    mean: float,
    total: float,
) -> tuple[float, int]:
    """Of the group's mean, and its degrees of freedom."""
    by_stratum: dict[Hashable, list[float]] = {}
    for item in scored:
        belongs = group is None or item.group == group
        deviation = weights[item.stratum] * (item.score - mean) / total if belongs else 0.0
        by_stratum.setdefault(item.stratum, []).append(deviation)
    variance, units, strata = 0.0, 0, 0
    for stratum, deviations in by_stratum.items():
        count, population = len(deviations), populations[stratum]
        unseen = 1 - count / population
        if count == 1:
            spread = deviations[0] ** 2
        else:
            middle = sum(deviations) / count
            spread = sum((each - middle) ** 2 for each in deviations) * count / (count - 1)
        variance += unseen * spread
        if any(deviations):  # a stratum in which the group has nothing adds no knowledge
            units, strata = units + count, strata + 1
    return variance, max(1, units - strata)


def _is_census(scored: Sequence[Scored], populations: Mapping[Hashable, int]) -> bool:
    counts = Counter(item.stratum for item in scored)
    return all(counts[stratum] == size for stratum, size in populations.items())


def cohen_kappa(
    pairs: Iterable[tuple[str, str]],
    *,
    scale: Sequence[str] | None = None,
    least: int = DEFAULT_LEAST,
) -> Agreement:
    """How two reviewers agree beyond chance.

    Args:
        pairs: The first and the second reviewer's answer to the same question.
        scale: The answers in their order, when near ones agree more than far ones (quadratic
            weights); pairs with another answer are left out. None: equal or not.
        least: Fewer pairs than this give no value.
    """
    counted = [pair for pair in pairs if scale is None or {*pair} <= {*scale}]
    n = len(counted)
    observed = sum(first == second for first, second in counted) / n if n else None
    if n < max(1, least):
        return Agreement(None, observed, n, refused="too_few")
    firsts, seconds = Counter(a for a, _ in counted), Counter(b for _, b in counted)
    distance = _distance(scale)
    seen = sum(distance(first, second) for first, second in counted) / n
    by_chance = sum(
        distance(first, second) * firsts[first] * seconds[second]
        for first in firsts
        for second in seconds
    ) / (n * n)
    if by_chance == 0:
        return Agreement(None, observed, n, refused="no_variation")
    return Agreement(1 - seen / by_chance, observed, n)


def _distance(scale: Sequence[str] | None) -> Callable[[str, str], float]:
    """How far apart two answers are."""
    if scale is None:
        return lambda first, second: float(first != second)
    places = {answer: number for number, answer in enumerate(scale)}
    return lambda first, second: float((places[first] - places[second]) ** 2)


def _t_quantile(probability: float, freedom: int) -> float:
    """Quantile of Student's t (Abramowitz and Stegun 26.7.5; exact forms for 1 and 2)."""
    if freedom == 1:
        return math.tan(math.pi * (probability - 0.5))
    if freedom == 2:  # noqa: PLR2004 - the second exact form
        centred = 2 * probability - 1
        return centred * math.sqrt(2 / (1 - centred**2))
    z = NormalDist().inv_cdf(probability)
    terms: tuple[float, ...] = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    return z + math.fsum(term / freedom**power for power, term in enumerate(terms, start=1))
