"""How probable is it that a message is any of the known intents?

A classifier must choose one of its intents, also for "quem ganhou o jogo?". What gives such a
message away are signals beside the choice: no intent is clearly ahead, no score is high, no example
is like it. (Words never seen are in all of these: they make a message's row shorter.) A small
logistic regression weighs them. It learns from examples hidden one fold at a time (in scope), from
whole intents hidden at a time (to the model they are out of scope), and from the examples of the
out-of-scope intents, if there are any. Two are fitted: one for "in scope", one for "the best intent
is right", which is what a threshold is compared with: trained for that alone it separates better
than the product of "in scope" and "right if in scope" (docs/nlu.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from bot.nlu.calibration import logit, sigmoid

SIGNALS = ("ahead", "certain", "svm", "ridge", "nearest")
# Where the regression starts and what it is drawn to when examples are few: each signal counts a
# little, in its natural direction. In units of the signals' spread.
_START = {"ahead": 0.6, "certain": 0.5, "svm": 0.2, "ridge": 1.0, "nearest": 0.3}
# The average message that is in scope is so with nine in ten.
_START_SHIFT = 2.2
# With one example there is nothing to measure; then a message half like it counts as even.
_BLIND_CENTRE = np.array([20.0, 0.0, 0.0, 0.0, 0.5])
# How many messages the start is worth.
_PRIOR = 50.0
_LEAST_TO_FIT = 20
_FLAT = 1e-6


def signals(
    chances: np.ndarray,
    scores: Mapping[str, np.ndarray],
    in_scope: np.ndarray,
    nearest: np.ndarray,
) -> np.ndarray:
    """(messages, signals); more of each speaks for "in scope".

    Args:
        chances: (messages, classes), of all classes, the out-of-scope ones included.
        scores: by voter, (messages, classes).
        in_scope: positions of the classes that are in scope.
        nearest: by message, how alike the most similar example is.
    """
    found = np.zeros((len(chances), len(SIGNALS)))
    inside = chances[:, in_scope]
    found[:, 0] = logit(inside.max(axis=1))
    found[:, 1] = (chances * np.log(chances + 1e-12)).sum(axis=1)
    for column, voter in ((2, "svm"), (3, "ridge")):
        if voter in scores:
            found[:, column] = scores[voter][:, in_scope].max(axis=1).clip(-5, 5)
    found[:, 4] = nearest
    return found


@dataclass(frozen=True)
class Scope:
    """Weights of the signals.

    Attributes:
        centre: by signal, what is subtracted.
        spread: by signal, what it is divided by.
        weights: by signal, at least 0.
        shift: added to the sum.
    """

    centre: np.ndarray
    spread: np.ndarray
    weights: np.ndarray
    shift: float

    @classmethod
    def none(cls) -> Scope:
        """Everything is in scope."""
        size = len(SIGNALS)
        return cls(np.zeros(size), np.ones(size), np.zeros(size), 30.0)

    def probability(self, found: np.ndarray) -> np.ndarray:
        """Of being in scope, by message, for rows of `signals`."""
        # Row by row, not as a product of matrices: one message alone gets the same last digit.
        weighted = (found - self.centre) / self.spread * self.weights
        return sigmoid(weighted.sum(axis=1) + self.shift)

    @classmethod
    def fit(cls, rows: np.ndarray, truth: np.ndarray, counts: np.ndarray) -> Scope:
        """Weigh the signals so that `probability` is that of `truth`.

        Args:
            rows: of `signals`.
            truth: by row, whether what is asked holds.
            counts: by row, how many messages of the operation it stands for.
        """
        if not len(rows):
            return cls(_BLIND_CENTRE, np.ones(len(SIGNALS)), np.ones(len(SIGNALS)), 0.0)
        spread = rows.std(axis=0)
        # A signal that never varies says nothing: divide by 1.
        usable = spread > _FLAT
        start = np.array([_START[name] for name in SIGNALS]) * usable
        centre = rows[truth].mean(axis=0) if truth.any() else rows.mean(axis=0)
        blank = cls(centre, np.where(usable, spread, 1.0), start, _START_SHIFT)
        if min(truth.sum(), (~truth).sum()) < _LEAST_TO_FIT:
            return blank
        return _fit(blank, rows, truth.astype(float), counts * (len(counts) / counts.sum()))

    def to_plain(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return {
            "centre": self.centre.tolist(),
            "spread": self.spread.tolist(),
            "weights": self.weights.tolist(),
            "shift": self.shift,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Scope:
        """What `to_plain` wrote."""
        arrays = [np.array(plain[name]) for name in ("centre", "spread", "weights")]
        return cls(*arrays, plain["shift"])


def _fit(blank: Scope, rows: np.ndarray, truth: np.ndarray, counts: np.ndarray) -> Scope:
    scaled = (rows - blank.centre) / blank.spread
    begin = np.r_[blank.weights, blank.shift]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        total = scaled @ flat[:-1] + flat[-1]
        error = counts * (sigmoid(total) - truth)
        away = np.r_[flat[:-1] - begin[:-1], 0.0]
        value = float(counts @ (np.logaddexp(0, total) - truth * total))
        value += _PRIOR / 2 * float(away @ away)
        slope = np.r_[scaled.T @ error, error.sum()] + _PRIOR * away
        return value / len(rows), slope / len(rows)

    # No weight below 0: that a message is like an example must never speak against it.
    bounds = [(0.0, None if weight else 0.0) for weight in blank.weights] + [(None, None)]
    found = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds).x
    return Scope(blank.centre, blank.spread, found[:-1], float(found[-1]))
