"""Which examples are hidden together while the model judges itself."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

# Examples of an intent that are as alike as this hide together. Whoever writes examples writes
# variations ("quero o boleto", "quero meu boleto"); customers do not, so a model that is asked
# about one variation with the others in sight finds it too easy, and its confidences become boasts.
NEAR_COPY = 0.7
_ROWS_AT_ONCE = 1000


def folds_of(
    rows: csr_matrix, classes: np.ndarray, count: int, random: np.random.RandomState
) -> np.ndarray:
    """A fold, 0..count-1, for each example; each class is spread evenly over the folds.

    Near copies in a class share a fold, so a class of near copies only is hidden all at once.

    Args:
        rows: of `TextFeatures`.
        classes: by example.
        count: how many folds.
        random: draws which group goes where.
    """
    fold = np.empty(len(classes), np.int64)
    for one in np.unique(classes):
        members = np.flatnonzero(classes == one)
        group = _near_copies(rows[members])
        sizes = np.bincount(group)
        load = random.uniform(0, 0.5, count)  # less than one example: only who comes first
        for number in np.argsort(-(sizes + random.uniform(0, 0.5, len(sizes)))):
            lightest = int(load.argmin())
            fold[members[group == number]] = lightest
            load[lightest] += sizes[number]
    return fold


def _near_copies(rows: csr_matrix) -> np.ndarray:
    """A group for each row: rows that are alike, or linked by rows that are."""
    size = rows.shape[0]
    turned = rows.T.tocsr()
    left, right = [], []
    for start in range(0, size, _ROWS_AT_ONCE):
        alike = (rows[start : start + _ROWS_AT_ONCE] @ turned).tocoo()
        close = alike.data >= NEAR_COPY
        left.append(alike.row[close] + start)
        right.append(alike.col[close])
    links = (np.concatenate(left), np.concatenate(right))
    graph = coo_matrix((np.ones(len(links[0]), bool), links), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1])


def intent_groups(
    classes: np.ndarray, hidden: np.ndarray, count: int, random: np.random.RandomState
) -> np.ndarray:
    """A group, 0..count-1, for each example: intents that are hidden together; -1: never.

    Args:
        classes: by example.
        hidden: classes that may be hidden (those that are in scope).
        count: how many groups, at most as many as there are classes to hide.
        random: draws the groups.
    """
    group_of = np.full(int(classes.max()) + 1, -1, np.int64)
    order = random.permutation(len(hidden))
    group_of[hidden[order]] = np.arange(len(hidden)) % count
    return group_of[classes]
