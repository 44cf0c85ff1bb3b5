"""From what the voters say to confidences: what is fitted on the model's trial on itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bot.nlu.calibration import Calibration, fit_voices
from bot.nlu.linear_models import softmax
from bot.nlu.model_settings import IntentModelSettings
from bot.nlu.scope import Scope, signals
from bot.nlu.self_trial import Evidence, Trial
from bot.nlu.threshold import Rejectable, choose_threshold

# How much each voter counts before anything is measured: makes their scores logits. Fixed voices
# (svm 3, logistic 0.75, ridge 12) give a few more right answers, and confidences that tell right
# from wrong and in from out of scope less well.
_VOICES = {"svm": 3.0, "logistic": 0.7, "ridge": 4.0}
_NOTHING = 1e-9
# Fewer out-of-scope examples than this teach nothing about scope.
_FEW = 20


@dataclass(frozen=True)
class Prediction:
    """What a message means.

    Attributes:
        ranking: (intent, confidence), best first; confidences are 0..1, their sum is at most 1.
        in_scope: 0..1: how probable it is that the message is any of the known intents (the
            out-of-scope ones are not meant).
        language: as it was given.
    """

    ranking: tuple[tuple[str, float], ...]
    in_scope: float
    language: str | None


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of the examples by models that had not seen them; as long as the examples.

    Attributes:
        predictions: each example hidden, with others like it left.
        as_out_of_scope: each example hidden with its whole intent: what it says is wrong by
            construction. None for examples of out-of-scope intents, and where nothing else is left.
    """

    predictions: tuple[Prediction, ...]
    as_out_of_scope: tuple[Prediction | None, ...]


@dataclass(frozen=True)
class Judge:
    """From evidence to predictions: all that is fitted on the self-trial."""

    intents: tuple[str, ...]
    in_scope: np.ndarray  # positions of intents
    voices: dict[str, float]
    scope: Scope
    trust: Scope
    calibration: Calibration

    def chances(self, evidence: Evidence) -> np.ndarray:
        """(messages, intents), of all intents, before "none of these" is considered."""
        return softmax(_total(evidence.scores, self.voices))

    def signals(self, evidence: Evidence, chances: np.ndarray) -> np.ndarray:
        """Rows of `bot.nlu.scope.signals`."""
        return signals(chances, evidence.scores, self.in_scope, evidence.nearest)

    def predictions(self, evidence: Evidence, languages: Sequence[str | None]) -> list[Prediction]:
        """What the messages mean, in their order; one language code, or None, for each."""
        chances = self.chances(evidence)
        found_signals = self.signals(evidence, chances)
        scope = self.scope.probability(found_signals)
        trust = self.trust.probability(found_signals)
        inside = _shares(chances[:, self.in_scope])
        others = np.delete(np.arange(len(self.intents)), self.in_scope)
        outside = _shares(chances[:, others])
        found = []
        for number, language in enumerate(languages):
            top = self.calibration.line(language).apply(trust[number : number + 1])[0]
            confidence = np.zeros(len(self.intents))
            confidence[self.in_scope] = _ranked(inside[number], float(top), float(scope[number]))
            rest = max(0.0, min(1 - scope[number], 1 - float(confidence.sum())))
            confidence[others] = outside[number] * rest
            order = np.argsort(-confidence, kind="stable")
            ranking = tuple((self.intents[k], float(confidence[k])) for k in order)
            found.append(Prediction(ranking, float(scope[number]), language))
        return found


def _total(scores: Mapping[str, np.ndarray], voices: Mapping[str, float]) -> np.ndarray:
    """Scores of all voters together, (messages, intents), float64."""
    return np.asarray(sum(voice * scores[name].astype(float) for name, voice in voices.items()))


def _ranked(shares: np.ndarray, top: float, scope: float) -> np.ndarray:
    """Confidences of the intents in scope: the best gets `top`, the others what is left.

    What is left is the smaller of 1 - top and what they have of "in scope"; none passes the best.
    """
    best = int(shares.argmax())
    share = max(float(shares[best]), _NOTHING)
    rest = max(float(shares.sum()) - share, _NOTHING)
    factor = min(scope, (1 - top) / rest, top / share)
    confidence = shares * factor
    confidence[best] = top
    return confidence


def _shares(chances: np.ndarray) -> np.ndarray:
    if not chances.shape[1]:
        return chances
    return np.asarray(chances / np.maximum(chances.sum(axis=1, keepdims=True), 1e-300))


def fit_judge(
    names: tuple[str, ...],
    classes: np.ndarray,
    in_scope: np.ndarray,
    trial: Trial,
    *,
    settings: IntentModelSettings,
    languages: Sequence[str | None] | None,
) -> tuple[Judge, float, OutOfFold]:
    """All that is learnt from the self-trial."""
    fair = ~trial.orphans
    inside = np.isin(classes, in_scope)
    seen, hidden = trial.hidden_one, trial.hidden_intent.of(trial.asked)
    fair_scores = {name: scores[fair] for name, scores in seen.scores.items()}
    weights = fit_voices(fair_scores, classes[fair], _VOICES)
    draft = Judge(names, in_scope, weights, Scope.none(), Scope.none(), Calibration.none())
    chances = draft.chances(seen)
    seen_signals = draft.signals(seen, chances)
    right = in_scope[chances[:, in_scope].argmax(axis=1)] == classes
    rows = [seen_signals[fair & inside], seen_signals[fair & ~inside]]
    if trial.asked.any():
        rows.append(draft.signals(hidden, draft.chances(hidden)))
    counts = _counts([len(part) for part in rows], settings.outside_share)
    stacked = np.vstack(rows)
    is_inside = np.arange(len(stacked)) < len(rows[0])
    is_right = is_inside.copy()
    is_right[: len(rows[0])] = right[fair & inside]
    scope = Scope.fit(stacked, is_inside, counts)
    trust = Scope.fit(stacked, is_right, counts)
    spoken = list(languages) if languages is not None else [None] * len(classes)
    calibration = Calibration.fit(
        trust.probability(rows[0]),
        right[fair & inside],
        [one for one, wanted in zip(spoken, fair & inside, strict=True) if wanted],
    )
    judge = Judge(names, in_scope, weights, scope, trust, calibration)
    predictions = judge.predictions(seen, spoken)
    blind: list[Prediction | None] = [None] * len(classes)
    if trial.asked.any():
        positions = np.flatnonzero(trial.asked)
        told = judge.predictions(hidden, [spoken[k] for k in positions])
        for position, prediction in zip(positions, told, strict=True):
            blind[position] = prediction
    outside = frozenset(np.delete(np.array(names, object), in_scope).tolist())
    messages = Rejectable(
        real=[
            believed(prediction, outside)
            for prediction, strange in zip(predictions, fair & ~inside, strict=True)
            if strange
        ],
        hidden=[believed(prediction, outside) for prediction in blind if prediction is not None],
    )
    return judge, choose_threshold(messages), OutOfFold(tuple(predictions), tuple(blind))


def _counts(sizes: Sequence[int], outside_share: float) -> np.ndarray:
    """How many messages each row stands for: the first part is in scope, the others are not.

    Each of the others counts the same if it has enough rows to mean something.
    """
    counts = [np.full(sizes[0], 1 - outside_share) / max(1, sizes[0])]
    enough = [size >= _FEW for size in sizes[1:]]
    for size, counted in zip(sizes[1:], enough, strict=True):
        weight = outside_share / sum(enough) / size if counted else 0.0
        counts.append(np.full(size, weight))
    return np.concatenate(counts)


def believed(prediction: Prediction, outside: Collection[str]) -> float:
    """Confidence of the best intent; 0 if that is an out-of-scope one."""
    intent, confidence = prediction.ranking[0]
    return 0.0 if intent in outside else confidence
