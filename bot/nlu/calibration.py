"""Numbers that mean what they say: of messages with confidence 0.8, four in five are right.

Everything here is fitted on cross-validated predictions (of examples the model had not seen), by
the least mean of -log(probability given to what was true).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from bot.nlu.linear_models import softmax

_SMALL = 1e-6
# With fewer messages nothing is fitted: chance would decide.
_LEAST_TO_FIT = 20


def logit(probability: np.ndarray) -> np.ndarray:
    """Log-odds; 0 and 1 count as nearly 0 and nearly 1."""
    inside = np.clip(probability, _SMALL, 1 - _SMALL)
    return np.asarray(np.log(inside / (1 - inside)))


def sigmoid(score: np.ndarray) -> np.ndarray:
    """Probability of log-odds."""
    return np.asarray(1 / (1 + np.exp(-np.clip(score, -60, 60))))


def fit_voices(
    scores: Mapping[str, np.ndarray], classes: np.ndarray, start: Mapping[str, float]
) -> dict[str, float]:
    """How much each voter counts: softmax(sum of voice x scores) is the most probable.

    Args:
        scores: by voter, (messages, classes).
        classes: what was right, by message.
        start: voices to begin with, kept when there are too few messages to choose.
    """
    names = [name for name in start if name in scores]
    begin = np.array([start[name] for name in names])
    if len(classes) < _LEAST_TO_FIT:
        return dict(zip(names, begin.tolist(), strict=True))
    stacked = np.stack([scores[name].astype(np.float64) for name in names])
    rows = np.arange(len(classes))
    truth = stacked[:, rows, classes]

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        chances = softmax(np.tensordot(weights, stacked, 1))
        mean_score = (stacked * chances).sum(axis=2)
        # Drawn a little towards the start, as much as ten messages would.
        pull = (weights - begin) / begin
        value = -np.log(chances[rows, classes] + 1e-12).sum() + 5 * float(pull @ pull)
        slope = (mean_score - truth).sum(axis=1) + 10 * pull / begin
        return value / len(rows), slope / len(rows)

    found = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(names)).x
    return dict(zip(names, found.tolist(), strict=True))


@dataclass(frozen=True)
class Line:
    """A confidence made honest: sigmoid(slope x logit(confidence) + shift)."""

    slope: float = 1.0
    shift: float = 0.0

    def apply(self, confidence: np.ndarray) -> np.ndarray:
        """Honest confidences, 0..1."""
        return sigmoid(self.slope * logit(confidence) + self.shift)


@dataclass(frozen=True)
class Calibration:
    """A line for all messages, and one for each language with enough of them.

    Attributes:
        general: for messages of unknown or rare languages.
        by_language: language code to line.
    """

    general: Line
    by_language: Mapping[str, Line]

    @classmethod
    def none(cls) -> Calibration:
        """Confidences stay as they are."""
        return cls(Line(), {})

    def line(self, language: str | None) -> Line:
        """The line for a message of this language."""
        return self.by_language.get(language or "", self.general)

    @classmethod
    def fit(
        cls, confidence: np.ndarray, right: np.ndarray, languages: list[str | None] | None
    ) -> Calibration:
        """Lines that make these confidences honest.

        A language's line is drawn to the general one, as strongly as `_PRIOR` messages would.
        """
        general = _fit_line(confidence, right, Line(), _GENERAL_PRIOR)
        by_language = {}
        for language in sorted({one for one in languages or [] if one}):
            chosen = np.array([one == language for one in languages or []])
            if chosen.sum() >= _LEAST_TO_FIT:
                by_language[language] = _fit_line(
                    confidence[chosen], right[chosen], general, _LANGUAGE_PRIOR
                )
        return cls(general, by_language)

    def to_plain(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return {
            "general": [self.general.slope, self.general.shift],
            "by_language": {k: [v.slope, v.shift] for k, v in self.by_language.items()},
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Calibration:
        """What `to_plain` wrote."""
        lines = {name: Line(*line) for name, line in plain["by_language"].items()}
        return cls(Line(*plain["general"]), lines)


# How many messages the starting line is worth.
_GENERAL_PRIOR = 10.0
_LANGUAGE_PRIOR = 50.0


def _fit_line(confidence: np.ndarray, right: np.ndarray, start: Line, prior: float) -> Line:
    score = logit(confidence)
    truth = right.astype(float)
    if len(score) < _LEAST_TO_FIT:
        return start
    begin = np.array([start.slope, start.shift])

    def loss(line: np.ndarray) -> tuple[float, np.ndarray]:
        total = line[0] * score + line[1]
        error = sigmoid(total) - truth
        value = float((np.logaddexp(0, total) - truth * total).sum())
        value += prior / 2 * float(((line - begin) ** 2).sum())
        slope = np.array([error @ score, error.sum()]) + prior * (line - begin)
        return value / len(score), slope / len(score)

    # A slope near 0 would turn confidences into one number, a negative one around.
    found = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=[(0.2, 5.0), (-6, 6)]).x
    return Line(float(found[0]), float(found[1]))


def expected_calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """Mean distance of confidence and share right, in bins of equal width (Guo et al. 2017)."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    error = 0.0
    for one in range(bins):
        inside = place == one
        if inside.any():
            error += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return float(error)
