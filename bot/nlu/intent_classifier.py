"""Rasa's side of the intent model: what it learns from, where it is kept, what Rasa reads of it.

The model itself (`bot/nlu/intent_model.py`) knows nothing of Rasa. It reads the text as the
customer wrote it, so no featurizer stands before it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, Optional

from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.nlu.classifiers.classifier import IntentClassifier as RasaIntentClassifier
from rasa.shared.exceptions import InvalidConfigException, RasaException
from rasa.shared.nlu.constants import INTENT, INTENT_RANKING_KEY, METADATA, TEXT
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from bot.nlu.intent_model import IntentModel, IntentModelSettings, Prediction
from bot.nlu.languages import language_of_example, plain_language

log = logging.getLogger(__name__)

# Rasa's own classifiers report ten; nobody offers a customer more.
_RANKING_LENGTH = 10
# Below two there is no second best, and the lead over it decides what is believed.
_LEAST_RANKING = 2
_OWN_SETTINGS = ("out_of_scope", "ranking_length")


class ExamplesError(RasaException):
    """The examples cannot be learnt from; the text says which and why."""


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.INTENT_CLASSIFIER, is_trainable=True)
class IntentClassifier(GraphComponent, RasaIntentClassifier):
    """Intent classifier with calibrated confidences and a probability of being in scope.

    In `config.yml`; it needs no featurizer:

        - name: bot.nlu.intent_classifier.IntentClassifier
          out_of_scope: [out_of_scope]   # intents that mean "none of our business"
          ranking_length: 10             # intents that are reported, best first

    Every other setting is one of `bot.nlu.intent_model.IntentModelSettings`.

    Each message gets `intent` ({name, confidence, in_scope}) and `intent_ranking` (of name and
    confidence). `in_scope`, 0..1, is how probable it is that the message is any of the intents that
    are not out of scope. The customer's language is read from `metadata.language` of the message.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        model: Optional[IntentModel] = None,
    ) -> None:
        """Keep checked settings.

        Raises:
            InvalidConfigException: a setting is unknown or wrong.
        """
        self._out_of_scope = _names(config.get("out_of_scope", []))
        self._ranking_length = _count(config.get("ranking_length", _RANKING_LENGTH))
        self._settings = _model_settings(config)
        self._model_storage = model_storage
        self._resource = resource
        self._model = model

    @staticmethod
    def get_default_config() -> dict[str, Any]:
        """No intent is out of scope unless it is named."""
        return {"out_of_scope": [], "ranking_length": _RANKING_LENGTH}

    @classmethod
    def create(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,  # noqa: ARG003 - Rasa's signature
    ) -> IntentClassifier:
        """A new, untrained classifier (called by Rasa's graph)."""
        return cls(config, model_storage, resource)

    @property
    def model(self) -> Optional[IntentModel]:
        """The trained model; None before training, or when there was nothing to train on."""
        return self._model

    def train(self, training_data: TrainingData) -> Resource:
        """Learn from every example that has a text and an intent, and store what was learnt.

        Raises:
            ExamplesError: the examples cannot be learnt from.
        """
        examples = [e for e in training_data.intent_examples if e.get(TEXT) and e.get(INTENT)]
        if not examples:
            log.warning("no examples with an intent: the intent classifier is not trained")
            return self._resource
        texts = [str(example.get(TEXT)) for example in examples]
        intents = [str(example.get(INTENT)) for example in examples]
        self._check_out_of_scope(intents)
        languages = [language_of_example(example) for example in examples]
        began = time.perf_counter()
        try:
            self._model = IntentModel.fit(
                texts,
                intents,
                languages=languages if any(languages) else None,
                out_of_scope=self._out_of_scope,
                settings=self._settings,
                progress=_say,
            )
        except ValueError as error:
            message = f"intent classifier: {error}"
            raise ExamplesError(message) from error
        seconds = time.perf_counter() - began
        count = len(set(intents))
        log.info("intent classifier: %d examples, %d intents, %.1f s", len(texts), count, seconds)
        with self._model_storage.write_to(self._resource) as folder:
            self._model.save(folder)
        return self._resource

    def _check_out_of_scope(self, intents: list[str]) -> None:
        unknown = sorted(set(self._out_of_scope) - set(intents))
        if unknown:
            message = (
                f"config.yml: IntentClassifier.out_of_scope: {unknown[0]!r} has no examples; "
                f"expected intents of the training data, such as {', '.join(sorted(set(intents)))}"
            )
            raise InvalidConfigException(message)

    @classmethod
    def load(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,  # noqa: ARG003 - Rasa's signature
        **kwargs: Any,  # noqa: ARG003
    ) -> IntentClassifier:
        """The stored classifier; an untrained one when there was nothing to train on."""
        if not _is_stored(model_storage, resource):
            return cls(config, model_storage, resource)
        with model_storage.read_from(resource) as folder:
            return cls(config, model_storage, resource, IntentModel.load(folder))

    def process(self, messages: list[Message]) -> list[Message]:
        """Set `intent` and `intent_ranking` of each message."""
        for message in messages:
            self._classify(message)
        return messages

    def _classify(self, message: Message) -> None:
        if self._model is None:
            message.set(INTENT, {"name": None, "confidence": 0.0}, add_to_output=True)
            message.set(INTENT_RANKING_KEY, [], add_to_output=True)
            return
        metadata = message.get(METADATA)
        given = metadata.get("language") if isinstance(metadata, Mapping) else None
        prediction = self._model.predict(
            str(message.get(TEXT) or ""), language=plain_language(given)
        )
        ranking = _ranking(prediction, self._ranking_length)
        top = {**ranking[0], "in_scope": float(prediction.in_scope)}
        message.set(INTENT, top, add_to_output=True)
        message.set(INTENT_RANKING_KEY, ranking, add_to_output=True)


def _say(text: str) -> None:
    """Progress of the training; no text of a message is in it."""
    log.info("intent classifier: %s", text)


def _ranking(prediction: Prediction, length: int) -> list[dict[str, Any]]:
    # Plain floats: Rasa's events become JSON.
    return [
        {"name": intent, "confidence": float(confidence)}
        for intent, confidence in prediction.ranking[:length]
    ]


def _is_stored(model_storage: ModelStorage, resource: Resource) -> bool:
    """Rasa tells "there is no such resource" by the same exception as everything else."""
    try:
        with model_storage.read_from(resource):
            return True
    except ValueError:
        return False


def _names(value: Any) -> tuple[str, ...]:
    name = "out_of_scope"
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        raise _refused(name, value, "a list of intents, such as [out_of_scope]")
    if not all(isinstance(one, str) and one.strip() for one in value):
        raise _refused(name, value, "names of intents")
    return tuple(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < _LEAST_RANKING:
        name = "ranking_length"
        raise _refused(name, value, f"a whole number of at least {_LEAST_RANKING}")
    return int(value)


def _refused(name: str, value: Any, expected: str) -> InvalidConfigException:
    return InvalidConfigException(
        f"config.yml: IntentClassifier.{name}: expected {expected}, found {value!r}"
    )


def _model_settings(config: Mapping[str, Any]) -> IntentModelSettings:
    rest = {name: value for name, value in config.items() if name not in _OWN_SETTINGS}
    try:
        return IntentModelSettings.from_config(rest)
    except (TypeError, ValueError) as error:
        message = f"config.yml: IntentClassifier: {error}"
        raise InvalidConfigException(message) from error
