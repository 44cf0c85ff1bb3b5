"""The model tried on its own examples, hidden from it: what its confidences are calibrated with."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from bot.nlu.cross_validation import folds_of, intent_groups
from bot.nlu.linear_models import fit_voters, nearest_outside
from bot.nlu.model_settings import IntentModelSettings


@dataclass(frozen=True)
class Evidence:
    """What the voters and the comparisons say about messages; a row each.

    Attributes:
        scores: by voter, (messages, classes).
        nearest: how alike the most similar example is, 0..1.
    """

    scores: dict[str, np.ndarray]
    nearest: np.ndarray

    def of(self, chosen: np.ndarray) -> Evidence:
        """Only these messages (positions or a mask)."""
        scores = {name: values[chosen] for name, values in self.scores.items()}
        return Evidence(scores, self.nearest[chosen])


@dataclass(frozen=True)
class Trial:
    """Evidence about the examples, by models that had not seen them.

    Attributes:
        hidden_one: each example hidden, with its fold. All examples.
        orphans: mask of examples whose whole class was hidden with them, for want of others.
        hidden_intent: each example hidden with its whole intent; zeros where `asked` is not.
        asked: mask of examples that `hidden_intent` tells of: none where nothing else is left.
    """

    hidden_one: Evidence
    orphans: np.ndarray
    hidden_intent: Evidence
    asked: np.ndarray


class SelfTrial:
    """Hides parts of the examples, trains on the rest, asks about the hidden ones."""

    def __init__(
        self,
        rows: csr_matrix,
        classes: np.ndarray,
        in_scope: np.ndarray,
        settings: IntentModelSettings,
        progress: Callable[[str], None],
    ) -> None:
        """Take the examples: their rows, their classes, and which classes are in scope."""
        self._rows = rows
        self._classes = classes
        self._count = int(classes.max()) + 1
        self._in_scope = in_scope
        self._settings = settings
        self._progress = progress

    def run(self, compared: np.ndarray) -> Trial:
        """Hide each example once with a fold, once with its intent.

        Args:
            compared: positions of the examples that messages are compared with.
        """
        random = np.random.RandomState(self._settings.seed)
        size = len(self._classes)
        large = size > self._settings.large_examples
        folds = self._settings.large_folds if large else self._settings.folds
        fold = folds_of(self._rows, self._classes, folds, random)
        groups = self._settings.folds
        group = intent_groups(self._classes, self._in_scope, groups, random)
        seen = np.zeros((folds, self._count), bool)
        for number in range(folds):
            seen[number, self._classes[fold != number]] = True
        orphans = ~seen[fold, self._classes]
        # Where only one intent is left, every message is it: nothing to learn from the answer.
        asked = (group >= 0) & np.isin(
            group, [g for g in range(groups) if len(np.unique(self._classes[group != g])) > 1]
        )
        if large:
            asked &= group == 0  # one group of many examples teaches enough
        return Trial(
            hidden_one=self._ask(fold, np.ones(size, bool), compared, "folds"),
            orphans=orphans,
            hidden_intent=self._ask(group, asked, compared, "hidden intents"),
            asked=asked,
        )

    def _ask(
        self, part: np.ndarray, asked: np.ndarray, compared: np.ndarray, what: str
    ) -> Evidence:
        """Evidence about the examples of each part from a model trained on the other parts."""
        size = len(part)
        scores: dict[str, np.ndarray] = {}

        def one(number: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
            train = np.flatnonzero(part != number)
            held = np.flatnonzero((part == number) & asked)
            rows = self._rows[train]
            voters = fit_voters(
                rows, self._classes[train], self._count, self._settings.strength_for(len(part))
            )
            answers = {name: voter.scores(self._rows[held]) for name, voter in voters.items()}
            self._progress(f"{what}: {number + 1}")
            return held, answers

        numbers = np.unique(part[asked]).tolist()
        with ThreadPoolExecutor(self._settings.jobs) as pool:
            for held, answers in pool.map(one, numbers):
                for name, values in answers.items():
                    empty = np.zeros((size, self._count), np.float32)
                    scores.setdefault(name, empty)[held] = values
        nearest = nearest_outside(self._rows, part, self._rows[compared], part[compared])
        return Evidence(scores, nearest)
