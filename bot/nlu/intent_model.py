"""What a customer wants: a ranking of intents with honest confidences, and "none of these".

One number is meant to be compared with a threshold: the confidence of the best intent. It is
(probability of the intent if the message is in scope) x (probability that it is in scope), brought
in line with how often such answers were right. What is missing to 1 is "none of these".

Only NumPy, SciPy and scikit-learn, nothing pretrained, nothing downloaded; stored without pickle.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bot.nlu.calibration import Calibration
from bot.nlu.judge import Judge, OutOfFold, Prediction, believed, fit_judge
from bot.nlu.linear_models import Examples, Voter, fit_voters
from bot.nlu.model_settings import IntentModelError, IntentModelSettings
from bot.nlu.scope import Scope
from bot.nlu.self_trial import Evidence, SelfTrial
from bot.nlu.text_features import TextFeatures
from bot.nlu.threshold import LEAST_OUT_OF_SCOPE, Rejectable, choose_threshold

__all__ = [
    "IntentModel",
    "IntentModelError",
    "IntentModelSettings",
    "OutOfFold",
    "Prediction",
]

_FORMAT = 1
_ARRAYS = "intent_model.npz"
_PLAIN = "intent_model.json"


class IntentModel:
    """Learns from examples; predicts; judges itself; is stored in a folder.

    Attributes:
        settings: the knobs it was trained with.
        intents: every intent it knows, sorted, the out-of-scope ones included.
        out_of_scope: the intents that mean "none of our business".
        out_of_fold: predictions of the examples by models that had not seen them;
            None after `load`.
    """

    def __init__(
        self,
        *,
        settings: IntentModelSettings,
        features: TextFeatures,
        voters: dict[str, Voter],
        examples: Examples,
        judge: Judge,
        threshold: float,
        out_of_fold: OutOfFold | None = None,
    ) -> None:
        """Use `fit` or `load`."""
        self.settings = settings
        self.out_of_fold = out_of_fold
        self.intents = judge.intents
        self.out_of_scope = frozenset(
            np.delete(np.array(judge.intents, object), judge.in_scope).tolist()
        )
        self._features = features
        self._voters = voters
        self._examples = examples
        self._judge = judge
        self._threshold = threshold

    @classmethod
    def fit(
        cls,
        texts: Sequence[str],
        intents: Sequence[str],
        *,
        languages: Sequence[str | None] | None = None,
        out_of_scope: Collection[str] = (),
        settings: IntentModelSettings | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> IntentModel:
        """Learn from examples.

        Args:
            texts: what customers write.
            intents: what each means.
            languages: code of each, such as "pt"; confidences are calibrated by language.
            out_of_scope: labels among `intents` that mean "none of our business"; may be absent.
            settings: the knobs.
            progress: called with a few words after each step.

        Raises:
            IntentModelError: the examples cannot be learnt from.
        """
        settings = settings or IntentModelSettings()
        strength = settings.strength_for(len(texts))
        tell = progress or _silent
        _check(texts, intents, languages, out_of_scope)
        names, classes = np.unique(np.array(intents, object).astype(str), return_inverse=True)
        in_scope = np.flatnonzero([name not in out_of_scope for name in names])
        features = TextFeatures.learn(texts)
        rows = features.rows(texts)
        tell("features")
        compared = _compared(classes, in_scope, settings)
        trial = SelfTrial(rows, classes, in_scope, settings, tell).run(compared)
        judge, threshold, out_of_fold = fit_judge(
            tuple(names.tolist()), classes, in_scope, trial, settings=settings, languages=languages
        )
        voters = fit_voters(rows, classes, len(names), strength)
        tell("voters")
        return cls(
            settings=settings,
            features=features,
            voters={name: voter.compact() for name, voter in voters.items()},
            examples=Examples(rows[compared].tocsc()),
            judge=judge,
            threshold=threshold,
            out_of_fold=out_of_fold,
        )

    def predict(self, text: str, *, language: str | None = None) -> Prediction:
        """What this message means. Any text will do, an empty one too."""
        return self.predict_many([text], languages=[language])[0]

    def predict_many(
        self, texts: Sequence[str], *, languages: Sequence[str | None] | None = None
    ) -> list[Prediction]:
        """What these messages mean, in their order."""
        count = len(texts)
        if languages is not None and len(languages) != count:
            message = f"languages: expected {count} (one for each text), found {len(languages)}"
            raise IntentModelError(message)
        if not count:
            return []
        size = len(self.intents)
        scores = {name: np.empty((count, size), np.float32) for name in self._voters}
        nearest = np.empty(count, np.float32)
        for number, text in enumerate(texts):
            columns, values = self._features.row(text)
            for name, voter in self._voters.items():
                scores[name][number] = voter.score(columns, values)
            nearest[number] = self._examples.nearest(columns, values)
        evidence = Evidence(scores, nearest)
        return self._judge.predictions(evidence, languages or [None] * count)

    def suggested_threshold(
        self,
        texts: Sequence[str] | None = None,
        intents: Sequence[str] | None = None,
        *,
        languages: Sequence[str | None] | None = None,
    ) -> float:
        """The confidence from which the best intent should be believed.

        Args:
            texts: validation messages; without them, or with too few that are out of scope, the
                model's own cross-validation decides.
            intents: their intents; any that the model does not know as in scope is out of scope.
            languages: theirs.

        See `bot.nlu.threshold` for the rule.
        """
        if texts is None or intents is None:
            return self._threshold
        if len(intents) != len(texts):
            message = f"intents: expected {len(texts)} (one for each text), found {len(intents)}"
            raise IntentModelError(message)
        known = set(self.intents) - self.out_of_scope
        strange = [position for position, intent in enumerate(intents) if intent not in known]
        if len(strange) < LEAST_OUT_OF_SCOPE:
            return self._threshold
        told = self.predict_many(
            [texts[position] for position in strange],
            languages=[languages[position] for position in strange] if languages else None,
        )
        return choose_threshold(Rejectable([believed(one, self.out_of_scope) for one in told], []))

    def save(self, folder: Path) -> None:
        """Write the model into this folder (made if need be): one JSON, one NumPy file."""
        folder.mkdir(parents=True, exist_ok=True)
        blocks, arrays = self._features.to_parts()
        for name, voter in self._voters.items():
            arrays[f"voter_{name}_weights"] = voter.weights
            arrays[f"voter_{name}_shift"] = voter.shift
        matrix = self._examples.matrix
        arrays.update(
            examples_data=matrix.data, examples_rows=matrix.indices, examples_ends=matrix.indptr
        )
        judge = self._judge
        plain = {
            "format": _FORMAT,
            "settings": asdict(self.settings),
            "intents": list(judge.intents),
            "out_of_scope": sorted(self.out_of_scope),
            "blocks": blocks,
            "voters": list(self._voters),
            "voices": judge.voices,
            "scope": judge.scope.to_plain(),
            "trust": judge.trust.to_plain(),
            "calibration": judge.calibration.to_plain(),
            "threshold": self._threshold,
            "examples": matrix.shape[0],
        }
        np.savez(folder / _ARRAYS, **arrays)
        text = json.dumps(plain, ensure_ascii=False)
        (folder / _PLAIN).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> IntentModel:
        """The model that `save` wrote.

        Raises:
            IntentModelError: the folder holds no model of this version.
        """
        plain = _read_plain(folder / _PLAIN)
        with np.load(folder / _ARRAYS, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        features = TextFeatures.from_parts(plain["blocks"], arrays)
        outside = set(plain["out_of_scope"])
        intents = tuple(plain["intents"])
        judge = Judge(
            intents=intents,
            in_scope=np.flatnonzero([intent not in outside for intent in intents]),
            voices=plain["voices"],
            scope=Scope.from_plain(plain["scope"]),
            trust=Scope.from_plain(plain["trust"]),
            calibration=Calibration.from_plain(plain["calibration"]),
        )
        return cls(
            settings=IntentModelSettings.from_config(plain["settings"]),
            features=features,
            voters={
                name: Voter(arrays[f"voter_{name}_weights"], arrays[f"voter_{name}_shift"])
                for name in plain["voters"]
            },
            examples=Examples.of(
                arrays["examples_data"],
                arrays["examples_rows"],
                arrays["examples_ends"],
                (plain["examples"], features.width),
            ),
            judge=judge,
            threshold=plain["threshold"],
        )


def _silent(_: str) -> None:
    """No progress wanted."""


def _read_plain(path: Path) -> dict[str, Any]:
    if not path.is_file():
        message = f"{path}: expected a stored intent model, found no such file"
        raise IntentModelError(message)
    plain: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if plain.get("format") != _FORMAT:
        found = plain.get("format")
        message = f"{path}: expected format {_FORMAT}, found {found!r}; train the model again"
        raise IntentModelError(message)
    return plain


def _check(
    texts: Sequence[str],
    intents: Sequence[str],
    languages: Sequence[str | None] | None,
    out_of_scope: Collection[str],
) -> None:
    if not len(texts):
        message = "texts: expected at least one example, found none"
        raise IntentModelError(message)
    for name, values in (("intents", intents), ("languages", languages)):
        if values is not None and len(values) != len(texts):
            message = f"{name}: expected {len(texts)} (one for each text), found {len(values)}"
            raise IntentModelError(message)
    for name, values in (("texts", texts), ("intents", intents)):
        for position, value in enumerate(values):
            if not isinstance(value, str) or (name == "intents" and not value.strip()):
                message = f"{name}[{position}]: expected a text, found {value!r}"
                raise IntentModelError(message)
    if isinstance(out_of_scope, str):
        message = f"out_of_scope: expected a list of intents, found {out_of_scope!r}"
        raise IntentModelError(message)
    if all(intent in out_of_scope for intent in intents):
        message = "intents: expected at least one that is not out of scope, found none"
        raise IntentModelError(message)


def _compared(
    classes: np.ndarray, in_scope: np.ndarray, settings: IntentModelSettings
) -> np.ndarray:
    """Positions of the examples in scope that messages are compared with."""
    inside = np.flatnonzero(np.isin(classes, in_scope))
    if len(inside) <= settings.compared_examples:
        return inside
    random = np.random.RandomState(settings.seed)
    return np.sort(random.permutation(inside)[: settings.compared_examples])
