"""Rasa's logistic regression over weighted counts.

Rasa's own `LogisticRegressionClassifier` takes raw counts: a long message has longer feature
vectors than a short one, so the same score means different things, and "de", "meu" and "quero"
weigh as much as "boleto". WhatsApp messages run from one word to five lines. Here the counts are
weighted first (TF-IDF: repeated pieces count by their logarithm, rare pieces weigh more, every
message has length one), and the regularisation is a setting. Measured in docs/nlu.md.

The weights are an array on the regression itself, so Rasa's own storing and loading covers them.
(scikit-learn's `TfidfTransformer` keeps them in a type that Rasa's loader does not trust.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from rasa.engine.graph import ExecutionContext
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.nlu.classifiers.logistic_regression_classifier import LogisticRegressionClassifier
from rasa.shared.exceptions import InvalidConfigException
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData
from scipy.sparse import csr_matrix, diags
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize


def inverse_document_frequency(counts: csr_matrix) -> np.ndarray:
    """Weight of each column: 1 if every row has it, more the fewer do (smoothed, natural log)."""
    rows_with = np.asarray((counts > 0).sum(axis=0)).ravel()
    return np.log((1 + counts.shape[0]) / (1 + rows_with)) + 1


def weighted(counts: csr_matrix, weights: np.ndarray) -> csr_matrix:
    """Each row as logarithmic counts times weights, scaled to length 1 (a row of zeros stays)."""
    scaled = counts.astype(float)
    scaled.data = 1 + np.log(scaled.data)
    return normalize(scaled @ diags(weights), copy=False)


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.INTENT_CLASSIFIER, is_trainable=True)
class WeightedClassifier(LogisticRegressionClassifier):
    """Intent classifier: TF-IDF weights, then balanced multinomial logistic regression.

    In `config.yml`, after at least one sparse featurizer:

        - name: bot.nlu.weighted_classifier.WeightedClassifier
          C: 30          # inverse regularisation; greater trusts the examples more
          max_iter: 60
    """

    @staticmethod
    def get_default_config() -> dict[str, Any]:
        """Rasa's defaults, and `C`: chosen on our data (docs/nlu.md)."""
        return {**LogisticRegressionClassifier.get_default_config(), "C": 30.0}

    def __init__(
        self,
        config: dict[str, Any],
        name: str,
        model_storage: ModelStorage,
        resource: Resource,
    ) -> None:
        """Take `C` from the settings; the rest of the regression is Rasa's."""
        super().__init__(config, name, model_storage, resource)
        self.clf = LogisticRegression(
            C=self.config["C"],
            solver=self.config["solver"],
            max_iter=self.config["max_iter"],
            tol=self.config["tol"],
            random_state=self.config["random_state"],
            class_weight="balanced",
        )

    def _create_training_matrix(self, training_data: TrainingData) -> tuple[csr_matrix, list[str]]:
        """Learn the weights from all examples, then weigh the examples themselves."""
        counts, intents = super()._create_training_matrix(training_data)
        self.clf.inverse_frequency_ = inverse_document_frequency(counts)
        return weighted(counts, self.clf.inverse_frequency_), intents

    def _create_X(self, messages: list[Message]) -> csr_matrix:  # noqa: N802 - Rasa's name
        """Weighted features; plain counts while the weights are still being learnt."""
        counts = super()._create_X(messages).tocsr()
        weights = getattr(self.clf, "inverse_frequency_", None)
        return counts if weights is None else weighted(counts, weights)

    @classmethod
    def validate_config(cls, config: dict[str, Any]) -> None:
        """Refuse a regularisation that is no positive number.

        Raises:
            InvalidConfigException: names the setting, what was found and what was expected.
        """
        strength = config.get("C", 1.0)
        if isinstance(strength, bool) or not isinstance(strength, (int, float)) or strength <= 0:
            message = f"{cls.__name__}: C must be a number greater than 0, found {strength!r}."
            raise InvalidConfigException(message)

    @classmethod
    def create(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> WeightedClassifier:
        """A new, untrained classifier (called by Rasa's graph)."""
        cls.validate_config(config)
        return cls(config, execution_context.node_name, model_storage, resource)
