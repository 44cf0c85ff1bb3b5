"""Rasa's logistic regression over weighted counts.

Rasa's own `LogisticRegressionClassifier` takes raw counts: a long message has longer feature
vectors than a short one, so the same score means different things, and "de", "meu" and "quero"
weigh as much as "boleto". WhatsApp messages run from one word to five lines. Here the counts go
through scikit-learn's `TfidfTransformer` first (rare pieces weigh more, every message has length
one), and the regularisation is a setting. Measured in docs/nlu.md.
"""

from __future__ import annotations

from typing import Any, Dict, Text

from rasa.engine.graph import ExecutionContext
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.nlu.classifiers.logistic_regression_classifier import LogisticRegressionClassifier
from rasa.shared.exceptions import InvalidConfigException
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline


@DefaultV1Recipe.register(
    DefaultV1Recipe.ComponentType.INTENT_CLASSIFIER, is_trainable=True
)
class WeightedClassifier(LogisticRegressionClassifier):
    """Intent classifier: TF-IDF weights, then balanced multinomial logistic regression.

    In `config.yml`, after at least one sparse featurizer:

        - name: bot.nlu.weighted_classifier.WeightedClassifier
          C: 30          # inverse regularisation; greater trusts the examples more
          max_iter: 100
    """

    @staticmethod
    def get_default_config() -> Dict[Text, Any]:
        """Rasa's defaults, and `C`: chosen on our data (docs/nlu.md)."""
        return {**LogisticRegressionClassifier.get_default_config(), "C": 30.0}

    def __init__(
        self,
        config: Dict[Text, Any],
        name: Text,
        model_storage: ModelStorage,
        resource: Resource,
    ) -> None:
        """Put the weights in front of the regression; training, storing, asking are Rasa's."""
        super().__init__(config, name, model_storage, resource)
        self.clf = make_pipeline(
            TfidfTransformer(sublinear_tf=True),
            LogisticRegression(
                C=self.config["C"],
                solver=self.config["solver"],
                max_iter=self.config["max_iter"],
                tol=self.config["tol"],
                random_state=self.config["random_state"],
                class_weight="balanced",
            ),
        )

    @classmethod
    def validate_config(cls, config: Dict[Text, Any]) -> None:
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
        config: Dict[Text, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> WeightedClassifier:
        """A new, untrained classifier (called by Rasa's graph)."""
        cls.validate_config(config)
        return cls(config, execution_context.node_name, model_storage, resource)
