"""The numbers of an evaluation. Pure arithmetic; every share is 0..1."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

BINS = 15
"""Of equal width, for the calibration error; as many as in Guo et al. 2017."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the assistant made of one message, beside the truth.

    Attributes:
        in_scope: The message belongs to one of our intents.
        rejected: It was not answered: the out-of-scope intent came first, or the confidence of
            the best intent is below the threshold.
        right: The best intent in scope is the true one, threshold aside. False out of scope.
        top_right: The first of the whole ranking, out-of-scope intent included, is the true one.
        confidence: Of the first of the whole ranking.
        milliseconds: Time of the whole parse.
    """

    in_scope: bool
    rejected: bool
    right: bool
    top_right: bool
    confidence: float
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Bin:
    """Messages whose confidence lies in one interval: is the confidence what it says?

    Attributes:
        low: Lower end of the interval (its upper end is `low` + 1/15).
        count: Messages in it.
        confidence: Their mean confidence.
        right: Share of them that is right.
    """

    low: float
    count: int
    confidence: float
    right: float


@dataclass(frozen=True, slots=True)
class Scores:
    """The numbers that `ponte nlu evaluate` prints; `docs/nlu.md` defines them.

    A number is None when nothing can be said: no message out of scope, none accepted.
    """

    in_scope_accuracy: float
    oos_recall: float | None
    accuracy_argmax: float
    coverage: float
    precision_at_coverage: float | None
    ece: float
    p50_ms: float
    p95_ms: float
    in_scope_messages: int
    oos_messages: int
    bins: tuple[Bin, ...]


def judge(
    truth: str,
    ranking: Sequence[tuple[str, float]],
    *,
    threshold: float,
    oos_label: str | None,
    milliseconds: float = 0.0,
) -> Outcome:
    """One message: what the ranking means at this threshold.

    Args:
        truth: The true intent.
        ranking: (intent, confidence), best first.
        threshold: Least confidence of an accepted intent.
        oos_label: The intent that means out of scope; None when there is none.
        milliseconds: Time of the parse.
    """
    top, confidence = ranking[0]
    in_scope = truth != oos_label
    best = next((name for name, _ in ranking if name != oos_label), None)
    return Outcome(
        in_scope=in_scope,
        rejected=top == oos_label or confidence < threshold,
        right=in_scope and best == truth,
        top_right=top == truth,
        confidence=confidence,
        milliseconds=milliseconds,
    )


def score(outcomes: Sequence[Outcome]) -> Scores:
    """All numbers.

    Raises:
        ValueError: no message is in scope.
    """
    inside = [one for one in outcomes if one.in_scope]
    outside = [one for one in outcomes if not one.in_scope]
    if not inside:
        message = "expected at least one message in scope"
        raise ValueError(message)
    accepted = [one for one in inside if not one.rejected]
    times = sorted(one.milliseconds for one in outcomes)
    bins = reliability(inside)
    return Scores(
        in_scope_accuracy=_share(inside, lambda one: one.right and not one.rejected),
        oos_recall=_share(outside, lambda one: one.rejected) if outside else None,
        accuracy_argmax=_share(inside, lambda one: one.right),
        coverage=len(accepted) / len(inside),
        precision_at_coverage=_share(accepted, lambda one: one.right) if accepted else None,
        ece=sum(abs(b.confidence - b.right) * b.count for b in bins) / len(inside),
        p50_ms=percentile(times, 0.50),
        p95_ms=percentile(times, 0.95),
        in_scope_messages=len(inside),
        oos_messages=len(outside),
        bins=bins,
    )


def reliability(outcomes: Sequence[Outcome]) -> tuple[Bin, ...]:
    """The bins that hold messages, lowest first; a confidence of 1 is in the last."""
    found: dict[int, list[Outcome]] = {}
    for one in outcomes:
        place = min(BINS - 1, max(0, math.floor(one.confidence * BINS)))
        found.setdefault(place, []).append(one)
    return tuple(
        Bin(
            low=place / BINS,
            count=len(members),
            confidence=math.fsum(one.confidence for one in members) / len(members),
            right=_share(members, lambda one: one.top_right),
        )
        for place, members in sorted(found.items())
    )


def percentile(ranked: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of sorted values."""
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


def _share(members: Sequence[Outcome], fits: Callable[[Outcome], bool]) -> float:
    return sum(fits(one) for one in members) / len(members)
