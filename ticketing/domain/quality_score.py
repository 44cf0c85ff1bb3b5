"""Scorecards: criteria, answers, and the score they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

FULL = 100.0
"""Scores go from 0 to this."""
NOT_APPLICABLE = "na"
YES, NO = "yes", "no"
SCALE = ("1", "2", "3", "4", "5")


class CriterionKind(StrEnum):
    """How a criterion is answered."""

    YES_NO = "yes_no"
    SCALE = "scale"
    """1 (poor) to 5 (excellent)."""

    @property
    def answers(self) -> tuple[str, ...]:
        """What may be answered, best last, then "does not apply"."""
        return (*((NO, YES) if self is CriterionKind.YES_NO else SCALE), NOT_APPLICABLE)


@dataclass(frozen=True, slots=True)
class Criterion:
    """One question about a ticket.

    Attributes:
        key: Its name.
        texts: The question by language.
        kind: How it is answered.
        weight: How much it counts beside the others, above 0.
        critical: A "no" makes the whole score 0, whatever else was right.
    """

    key: str
    texts: Mapping[str, str]
    kind: CriterionKind
    weight: float
    critical: bool = False


@dataclass(frozen=True, slots=True)
class Scorecard:
    """The questions, in their order; `version` is a hash of the file they came from."""

    version: str
    criteria: tuple[Criterion, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """What the answers are worth.

    Attributes:
        value: 0 to 100; None when no criterion applied.
        critical: Keys of the critical criteria that were answered with "no".
    """

    value: float | None
    critical: tuple[str, ...]


class AnswerError(ValueError):
    """An answer is missing, unknown or not allowed."""

    def __init__(self, field: str, problem: str, allowed: Sequence[str]) -> None:
        self.field = field
        self.allowed = list(allowed)
        super().__init__(f"{field}: {problem}; expected one of {', '.join(allowed)}")


def check_answers(card: Scorecard, answers: Mapping[str, str]) -> dict[str, str]:
    """The answers in the order of the card.

    Raises:
        AnswerError: a criterion without an answer, or an answer that does not belong here.
    """
    known = {criterion.key for criterion in card.criteria}
    for key in answers:
        if key not in known:
            field = f"answers.{key}"
            raise AnswerError(field, "is no criterion", sorted(known))
    for criterion in card.criteria:
        given, allowed = answers.get(criterion.key), criterion.kind.answers
        if given not in allowed:
            problem = "is not answered" if given is None else f"{given!r} is not allowed"
            field = f"answers.{criterion.key}"
            raise AnswerError(field, problem, allowed)
    return {criterion.key: answers[criterion.key] for criterion in card.criteria}


def score(card: Scorecard, answers: Mapping[str, str]) -> Score:
    """The weighted mean of the criteria that apply; a critical error makes it 0.

    Args:
        card: The questions.
        answers: One for each, checked before.
    """
    wrong = tuple(
        criterion.key
        for criterion in card.criteria
        if criterion.critical and answers[criterion.key] == NO
    )
    counted = [
        (criterion.weight, _worth(answers[criterion.key]))
        for criterion in card.criteria
        if answers[criterion.key] != NOT_APPLICABLE
    ]
    if not counted:
        return Score(None, wrong)
    if wrong:
        return Score(0.0, wrong)
    whole = sum(weight for weight, _ in counted)
    return Score(FULL * sum(weight * worth for weight, worth in counted) / whole, wrong)


def _worth(given: str) -> float:
    """An answer between 0 (worst) and 1 (best)."""
    if given in {YES, NO}:
        return float(given == YES)
    return (int(given) - 1) / (len(SCALE) - 1)
