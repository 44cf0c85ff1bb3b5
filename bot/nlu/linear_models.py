"""Three ways to tell intents apart, each linear in the pieces of the text; they vote together.

A linear support vector machine, logistic regression (one intent against the rest) and, when there
are few examples, ridge regression. Which is best differs from data to data (docs/nlu.md), the three
together are never far from the best one. Each gives every intent the same total weight, however
many examples it has.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve
from scipy.sparse import csc_matrix, csr_matrix
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

# Rows of similarities made at once: bounds the memory of a product of sparse matrices.
_ROWS_AT_ONCE = 1000
# A class that a voter has not seen: below every score of the others.
_UNSEEN = -1.0e3


@dataclass(frozen=True)
class Strength:
    """How hard the voters learn.

    Attributes:
        svm: inverse regularisation of the support vector machine.
        logistic: the same of the logistic regression.
        ridge: penalty of the ridge regression.
        with_ridge: whether the ridge regression votes: it needs a dense matrix of examples by
            examples, and beyond some thousands the other two are better.
    """

    svm: float
    logistic: float
    ridge: float
    with_ridge: bool


@dataclass(frozen=True)
class Voter:
    """Scores of a message: its row @ weights + shift. (width, classes) and (classes)."""

    weights: np.ndarray
    shift: np.ndarray

    def scores(self, rows: csr_matrix) -> np.ndarray:
        """(rows, classes), float32."""
        return np.asarray(rows @ self.weights + self.shift, np.float32)

    def score(self, columns: np.ndarray, values: np.ndarray) -> np.ndarray:
        """(classes) of one row, float32; quick."""
        return np.asarray(values @ self.weights[columns].astype(np.float32) + self.shift)

    def compact(self) -> Voter:
        """The same with weights of half the size: three digits are more than the data knows."""
        return Voter(self.weights.astype(np.float16), self.shift)


def fit_voters(
    rows: csr_matrix, classes: np.ndarray, count: int, strength: Strength
) -> dict[str, Voter]:
    """Train every voter that fits the size of the data.

    Args:
        rows: float32 (examples, width).
        classes: by example, 0..count-1; a class may have none.
        count: how many classes there are.
        strength: how hard they learn.
    """
    seen, local = np.unique(classes, return_inverse=True)
    if len(seen) <= 1:
        # Nothing to tell apart: the vote goes to the only class there is, if there is one.
        shift = np.full(count, _UNSEEN, np.float32)
        shift[seen] = 0
        return {"svm": Voter(np.zeros((rows.shape[1], count), np.float32), shift)}
    voters = {"svm": _svm(rows, local, strength), "logistic": _logistic(rows, local, strength)}
    if strength.with_ridge:
        voters["ridge"] = _ridge(rows, local, len(seen), strength.ridge)
    return {name: _spread(voter, seen, count) for name, voter in voters.items()}


def _spread(voter: Voter, seen: np.ndarray, count: int) -> Voter:
    """The voter with a column for every class, also for those it has not seen."""
    if len(seen) == count:
        return voter
    weights = np.zeros((voter.weights.shape[0], count), np.float32)
    weights[:, seen] = voter.weights
    shift = np.full(count, _UNSEEN, np.float32)
    shift[seen] = voter.shift
    return Voter(weights, shift)


def _svm(rows: csr_matrix, classes: np.ndarray, strength: Strength) -> Voter:
    # The dual solver is no quicker and draws from one generator for all threads: two trainings at
    # the same time would never give the same model twice.
    solver = LinearSVC(C=strength.svm, class_weight="balanced", dual=False, tol=1e-3)
    return _learnt(solver, rows, classes)


def _logistic(rows: csr_matrix, classes: np.ndarray, strength: Strength) -> Voter:
    solver = LogisticRegression(
        C=strength.logistic,
        class_weight="balanced",
        solver="liblinear",
        tol=1e-2,
    )
    return _learnt(solver, rows, classes)


def _learnt(solver: LinearSVC | LogisticRegression, rows: csr_matrix, classes: np.ndarray) -> Voter:
    with warnings.catch_warnings():
        # A solver that stops at its step limit is near enough.
        warnings.simplefilter("ignore", ConvergenceWarning)
        solver.fit(rows, classes)
    weights, shift = solver.coef_, solver.intercept_
    if len(weights) == 1:  # two classes: one score, positive for the second
        weights, shift = np.vstack([-weights, weights]), np.concatenate([-shift, shift])
    return Voter(np.ascontiguousarray(weights.T, np.float32), np.asarray(shift, np.float32))


def _ridge(rows: csr_matrix, classes: np.ndarray, count: int, penalty: float) -> Voter:
    """Least squares on 1 for the class and 0 for the others, solved by examples."""
    alike = (rows @ rows.T).toarray().astype(np.float64)
    sizes = np.bincount(classes, minlength=count)
    example_weight = len(classes) / (count * sizes[classes])
    alike[np.diag_indices_from(alike)] += penalty / example_weight
    wanted = np.zeros((len(classes), count))
    wanted[np.arange(len(classes)), classes] = 1
    by_example = solve(alike, wanted, assume_a="pos", overwrite_a=True, check_finite=False)
    weights = rows.T @ by_example.astype(np.float32)
    return Voter(np.asarray(weights, np.float32), np.zeros(count, np.float32))


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities of each row, float64."""
    shifted = np.asarray(scores, np.float64) - scores.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


class Examples:
    """Examples that a message is compared with, by columns: quick for one message."""

    def __init__(self, matrix: csc_matrix) -> None:
        """Take (examples, width)."""
        self.matrix = matrix

    @classmethod
    def of(
        cls, data: np.ndarray, rows: np.ndarray, ends: np.ndarray, shape: tuple[int, int]
    ) -> Examples:
        """The examples that were stored by columns."""
        return cls(csc_matrix((data, rows, ends), shape=shape))

    def nearest(self, columns: np.ndarray, values: np.ndarray) -> float:
        """How alike (0..1) the most similar example is to a message of `TextFeatures.row`."""
        if not len(columns) or not self.matrix.shape[0]:
            return 0.0
        starts = self.matrix.indptr[columns]
        lengths = self.matrix.indptr[columns + 1] - starts
        ends = np.cumsum(lengths)
        # Positions of all entries of these columns, without a loop.
        where = np.arange(ends[-1]) + np.repeat(starts - ends + lengths, lengths)
        weighted = self.matrix.data[where] * np.repeat(values, lengths)
        return float(np.bincount(self.matrix.indices[where], weighted, 1).max())


def nearest_outside(
    rows: csr_matrix, row_part: np.ndarray, examples: csr_matrix, example_part: np.ndarray
) -> np.ndarray:
    """How alike the most similar example of another part is, for each row: float32, 0..1."""
    found = np.zeros(rows.shape[0], np.float32)
    turned = examples.T.tocsr()
    for start in range(0, rows.shape[0], _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        alike = (rows[part] @ turned).toarray()
        alike[row_part[part, None] == example_part[None, :]] = 0
        found[part] = alike.max(axis=1, initial=0)
    return found
