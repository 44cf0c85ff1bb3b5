"""The intent classifier inside Rasa. Runs in env `bot`."""

from __future__ import annotations

import json
import tempfile
import unittest
from pathlib import Path
from typing import Any

import numpy as np
from rasa.engine.graph import ExecutionContext, GraphSchema
from rasa.engine.storage.local_model_storage import LocalModelStorage
from rasa.engine.storage.resource import Resource
from rasa.shared.exceptions import InvalidConfigException
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from bot.nlu.intent_classifier import ExamplesError, IntentClassifier
from bot.nlu.intent_model import Prediction

EXAMPLES = {
    "invoice_copy": ["quero o boleto", "segunda via do boleto", "manda o boleto", "boleto"],
    "order_status": ["cadê o pedido", "onde está o pedido", "o pedido não chegou", "meu pedido"],
    "out_of_scope": ["receita de bolo", "quanto tá o euro", "quem ganhou o jogo", "vai chover"],
}
TEXTS = ("boleto", "cadê o pedido", "palavra desconhecida", "🙏", "", "   ", "ПРИВЕТ", "a" * 4096)


def examples(intents: dict[str, list[str]]) -> TrainingData:
    messages = [
        Message(data={"text": text, "intent": intent})
        for intent, texts in intents.items()
        for text in texts
    ]
    return TrainingData(training_examples=messages)


class Bench:
    """A place to store models."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.storage = LocalModelStorage(folder)
        self.context = ExecutionContext(GraphSchema({}), node_name="classifier")
        self.resource = Resource("classifier")

    def classifier(self, **config: Any) -> IntentClassifier:
        settings = {**IntentClassifier.get_default_config(), **config}
        return IntentClassifier.create(settings, self.storage, self.resource, self.context)

    def load(self, **config: Any) -> IntentClassifier:
        settings = {**IntentClassifier.get_default_config(), **config}
        return IntentClassifier.load(settings, self.storage, self.resource, self.context)


def read(classifier: IntentClassifier, text: str, **data: Any) -> Message:
    (message,) = classifier.process([Message(data={"text": text, **data})])
    return message


class FakeModel:
    """Remembers what it was asked."""

    def __init__(self, intents: int = 12) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self._intents = intents

    def predict(self, text: str, *, language: str | None = None) -> Prediction:
        self.asked.append((text, language))
        ranking = tuple((f"i{n}", np.float64(0.5 / (n + 1))) for n in range(self._intents))
        return Prediction(ranking, np.float32(0.75), language)  # type: ignore[arg-type]


class Trained(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.bench = Bench(Path(folder.name))
        cls.trained = cls.bench.classifier(out_of_scope=["out_of_scope"])
        cls.trained.train(examples(EXAMPLES))

    def test_it_answers_the_intent_of_the_word_that_matters(self) -> None:
        message = read(self.trained, "o boleto")
        assert message.get("intent")["name"] == "invoice_copy"

    def test_the_shapes_are_those_of_rasa_and_survive_json(self) -> None:
        parse = read(self.trained, "o boleto").as_dict(only_output_properties=True)
        again = json.loads(json.dumps(parse))
        assert set(again) == {"text", "intent", "intent_ranking"}
        assert set(again["intent"]) == {"name", "confidence", "in_scope"}
        assert all(set(one) == {"name", "confidence"} for one in again["intent_ranking"])
        assert again["intent"]["name"] == again["intent_ranking"][0]["name"]
        confidences = [one["confidence"] for one in again["intent_ranking"]]
        assert confidences == sorted(confidences, reverse=True)
        assert sum(confidences) <= 1 + 1e-6
        assert 0 <= again["intent"]["in_scope"] <= 1

    def test_a_stored_classifier_answers_as_the_trained_one(self) -> None:
        loaded = self.bench.load(out_of_scope=["out_of_scope"])
        for text in TEXTS:
            with self.subTest(text=text[:20]):
                before, after = read(self.trained, text), read(loaded, text)
                assert after.get("intent") == before.get("intent")
                assert after.get("intent_ranking") == before.get("intent_ranking")

    def test_nothing_stored_is_a_pickle(self) -> None:
        files = [path for path in self.bench.folder.rglob("*") if path.is_file()]
        assert {path.suffix for path in files} <= {".npz", ".json", ".npy"}
        for path in files:
            if path.suffix == ".npz":
                with np.load(path, allow_pickle=False) as arrays:
                    assert all(arrays[name].dtype != object for name in arrays.files)


class Untrained(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.bench = Bench(Path(folder.name))

    def test_without_examples_no_intent_is_claimed(self) -> None:
        with self.assertLogs("bot.nlu.intent_classifier", "WARNING"):
            self.bench.classifier().train(TrainingData())
        message = read(self.bench.load(), "oi")
        assert message.get("intent") == {"name": None, "confidence": 0.0}
        assert message.get("intent_ranking") == []

    def test_only_examples_with_text_and_intent_are_learnt_from(self) -> None:
        data = examples(EXAMPLES)
        more = [Message(data={"intent": "empty"}), Message(data={"text": "no intent"})]
        classifier = self.bench.classifier()
        classifier.train(TrainingData([*data.training_examples, *more]))
        names = {one["name"] for one in read(classifier, "oi").get("intent_ranking")}
        assert names == set(EXAMPLES)

    def test_the_language_of_the_message_reaches_the_model(self) -> None:
        model = FakeModel()
        classifier = IntentClassifier({}, self.bench.storage, self.bench.resource, model)  # type: ignore[arg-type]
        for metadata in ({"language": "pt-BR"}, {"language": 7}, {}, None, "es"):
            read(classifier, "oi", metadata=metadata)
        assert [language for _, language in model.asked] == ["pt", None, None, None, None]

    def test_the_ranking_is_cut_and_its_numbers_are_plain(self) -> None:
        config = {"ranking_length": 3}
        classifier = IntentClassifier(config, self.bench.storage, self.bench.resource, FakeModel())  # type: ignore[arg-type]
        message = read(classifier, "oi")
        assert len(message.get("intent_ranking")) == 3
        assert type(message.get("intent")["confidence"]) is float
        assert message.get("intent")["in_scope"] == 0.75

    def test_a_wrong_setting_is_refused_by_name(self) -> None:
        wrong = [
            ({"out_of_scope": "out_of_scope"}, "out_of_scope: expected a list of intents"),
            ({"out_of_scope": [1]}, "out_of_scope: expected names of intents"),
            ({"out_of_scope": [""]}, "out_of_scope: expected names of intents"),
            ({"ranking_length": 1}, "ranking_length: expected a whole number of at least 2"),
            ({"ranking_length": True}, "ranking_length: expected a whole number"),
            ({"ranking_length": "10"}, "ranking_length: expected a whole number"),
            ({"out_of_scop": []}, "out_of_scop: unknown setting"),
        ]
        for config, said in wrong:
            caught = self.assertRaisesRegex(InvalidConfigException, said)  # noqa: PT027 - no pytest
            with self.subTest(config=config), caught:
                self.bench.classifier(**config)

    def test_an_out_of_scope_intent_without_examples_is_refused(self) -> None:
        classifier = self.bench.classifier(out_of_scope=["out_of_scope", "chitchat"])
        with self.assertRaisesRegex(InvalidConfigException, "'chitchat' has no examples"):  # noqa: PT027
            classifier.train(examples(EXAMPLES))

    def test_examples_the_model_refuses_are_an_error_of_rasa(self) -> None:
        classifier = self.bench.classifier(out_of_scope=["out_of_scope"])
        only = {"out_of_scope": EXAMPLES["out_of_scope"]}
        with self.assertRaisesRegex(ExamplesError, "intent classifier: "):  # noqa: PT027
            classifier.train(examples(only))


if __name__ == "__main__":
    unittest.main()
