"""The intent classifier inside Rasa. Runs in env `bot`."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from typing import Any

import numpy as np
from rasa.engine.graph import ExecutionContext, GraphSchema
from rasa.engine.storage.local_model_storage import LocalModelStorage
from rasa.engine.storage.resource import Resource
from rasa.nlu.featurizers.sparse_featurizer.count_vectors_featurizer import CountVectorsFeaturizer
from rasa.nlu.tokenizers.whitespace_tokenizer import WhitespaceTokenizer
from rasa.shared.exceptions import InvalidConfigException
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData
from scipy.sparse import csr_matrix

from bot.nlu.weighted_classifier import WeightedClassifier, inverse_document_frequency, weighted

EXAMPLES = {
    "invoice_copy": ["quero o boleto", "segunda via do boleto", "manda o boleto"],
    "order_status": ["cadê o pedido", "onde está o pedido", "o pedido não chegou"],
}


class Bench:
    """A tokenizer, a featurizer and a place to store models."""

    def __init__(self, folder: Path) -> None:
        self.storage = LocalModelStorage(folder)
        self.context = ExecutionContext(GraphSchema({}), node_name="classifier")
        self.resource = Resource("classifier")
        self.tokenizer = WhitespaceTokenizer(WhitespaceTokenizer.get_default_config())
        self.featurizer = CountVectorsFeaturizer.create(
            CountVectorsFeaturizer.get_default_config(),
            self.storage,
            Resource("featurizer"),
            self.context,
        )

    def classifier(self, **config: Any) -> WeightedClassifier:
        settings = {**WeightedClassifier.get_default_config(), **config}
        return WeightedClassifier.create(settings, self.storage, self.resource, self.context)

    def trained(self) -> WeightedClassifier:
        messages = [
            Message(data={"text": text, "intent": intent})
            for intent, texts in EXAMPLES.items()
            for text in texts
        ]
        data = TrainingData(training_examples=messages)
        self.tokenizer.process_training_data(data)
        self.featurizer.train(data)
        self.featurizer.process_training_data(data)
        classifier = self.classifier()
        classifier.train(data)
        return classifier

    def ranking(self, classifier: WeightedClassifier, text: str) -> list[dict[str, Any]]:
        message = Message(data={"text": text})
        self.tokenizer.process([message])
        self.featurizer.process([message])
        classifier.process([message])
        return message.get("intent_ranking")


class Classifier(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.bench = Bench(Path(folder.name))

    def test_it_answers_the_intent_of_the_word_that_matters(self) -> None:
        ranking = self.bench.ranking(self.bench.trained(), "o boleto")
        assert ranking[0]["name"] == "invoice_copy"
        assert abs(sum(entry["confidence"] for entry in ranking) - 1) < 1e-9

    def test_a_stored_classifier_answers_as_the_trained_one(self) -> None:
        trained = self.bench.trained()
        loaded = WeightedClassifier.load(
            WeightedClassifier.get_default_config(),
            self.bench.storage,
            self.bench.resource,
            self.bench.context,
        )
        for text in ("boleto", "cadê o pedido", "palavra desconhecida", "🙏"):
            assert self.bench.ranking(loaded, text) == self.bench.ranking(trained, text)

    def test_saying_it_twice_does_not_change_the_answer(self) -> None:
        classifier = self.bench.trained()
        once = self.bench.ranking(classifier, "boleto")[0]["confidence"]
        twice = self.bench.ranking(classifier, "boleto boleto")[0]["confidence"]
        assert abs(once - twice) < 1e-9

    def test_a_regularisation_that_is_no_positive_number_is_refused_by_name(self) -> None:
        for value in (0, -1, "30", True, None):
            caught = self.assertRaisesRegex(InvalidConfigException, "C must be")  # noqa: PT027 - no pytest
            with self.subTest(value=value), caught:
                self.bench.classifier(C=value)


class Weights(unittest.TestCase):
    def test_a_column_in_every_row_weighs_one_and_a_rare_one_more(self) -> None:
        counts = csr_matrix(np.array([[1, 2], [1, 0], [3, 0]]))
        weights = inverse_document_frequency(counts)
        assert weights[0] == 1
        assert abs(weights[1] - (np.log(2) + 1)) < 1e-12

    def test_rows_have_length_one_and_a_row_without_features_stays_zero(self) -> None:
        counts = csr_matrix(np.array([[1, 2], [0, 0]]))
        rows = weighted(counts, np.array([1.0, 2.0])).toarray()
        assert abs(np.linalg.norm(rows[0]) - 1) < 1e-12
        assert not rows[1].any()

    def test_the_counts_given_are_left_alone(self) -> None:
        counts = csr_matrix(np.array([[1, 2]]))
        weighted(counts, np.array([1.0, 2.0]))
        assert counts.toarray().tolist() == [[1, 2]]


if __name__ == "__main__":
    unittest.main()
