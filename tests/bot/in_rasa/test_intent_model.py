"""The intent model, without Rasa around it. Runs in env `bot`, where NumPy and scikit-learn are."""

from __future__ import annotations

import json
import math
import tempfile
import unittest
import warnings
from pathlib import Path

import numpy as np

from bot.nlu.calibration import Calibration, expected_calibration_error
from bot.nlu.cross_validation import folds_of, intent_groups
from bot.nlu.intent_model import IntentModel, IntentModelError, IntentModelSettings, Prediction
from bot.nlu.text_features import MAX_CHARACTERS, TextFeatures, normalised
from bot.nlu.threshold import WITHOUT_DATA, Rejectable, choose_threshold

THINGS = ("fatura", "conta", "mensalidade", "cobrança", "boleto", "taxa", "parcela", "multa")
SENTENCES = {
    "invoice_copy": ("quero a segunda via da {}", "manda a {} por favor", "preciso da {} de novo"),
    "order_status": ("cadê o pedido da {}", "o pedido da {} não chegou", "onde está a {} que pedi"),
    "cancel": ("quero cancelar a {}", "cancela minha {}", "não quero mais a {}"),
    "out_of_scope": ("quem ganhou o jogo da {}", "receita de bolo de {}", "capital da {}"),
}
TEXTS = [s.format(thing) for many in SENTENCES.values() for s in many for thing in THINGS]
INTENTS = [intent for intent, many in SENTENCES.items() for _ in many for _ in THINGS]
STRANGE_TEXTS = (
    "",
    "   ",
    "\n\t",
    "😀😀",
    "?!",
    "日本語のメッセージ",
    "مرحبا",
    "a",
    "0",
    "x" * 9000,
)


def trained(**settings: object) -> IntentModel:
    return IntentModel.fit(
        TEXTS,
        INTENTS,
        out_of_scope=["out_of_scope"],
        settings=IntentModelSettings.from_config(settings),
    )


def top(prediction: Prediction) -> str:
    return prediction.ranking[0][0]


class Sound(unittest.TestCase):
    """What holds for every prediction."""

    def assert_sound(self, prediction: Prediction, intents: int) -> None:
        confidences = [confidence for _, confidence in prediction.ranking]
        assert intents == len(prediction.ranking)
        assert sorted(confidences, reverse=True) == confidences
        assert all(0 <= one <= 1 and math.isfinite(one) for one in confidences)
        assert sum(confidences) <= 1 + 1e-06
        assert 0 <= prediction.in_scope <= 1


class TestTrainedModel(Sound):
    @classmethod
    def setUpClass(cls) -> None:
        cls.model = trained()

    def test_it_understands_what_is_like_the_examples(self) -> None:
        for text, intent in (
            ("me manda a segunda via do boleto", "invoice_copy"),
            ("quero cancelar", "cancel"),
            ("meu pedido não chegou ainda", "order_status"),
        ):
            assert intent == top(self.model.predict(text)), text

    def test_typos_and_accents_do_not_matter_much(self) -> None:
        assert top(self.model.predict("CADE O PEDDIDO")) == "order_status"

    def test_what_is_in_scope_gets_more_scope_than_what_is_not(self) -> None:
        inside = self.model.predict("quero a segunda via da conta").in_scope
        for text in ("receita de bolo de chocolate", "xyzzy plugh", "😀"):
            assert self.model.predict(text).in_scope < inside, text

    def test_out_of_scope_intent_gets_what_is_missing_to_in_scope(self) -> None:
        prediction = self.model.predict("quem ganhou o jogo ontem")
        assert top(prediction) == "out_of_scope"
        assert prediction.in_scope < 0.5

    def test_strange_texts_get_a_sound_prediction(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for text in STRANGE_TEXTS:
                self.assert_sound(self.model.predict(text), len(SENTENCES))

    def test_many_at_once_are_the_same_as_one_by_one(self) -> None:
        texts = ["quero cancelar a conta", "", "cadê o pedido"]
        alone = [self.model.predict(text, language="pt") for text in texts]
        assert alone == self.model.predict_many(texts, languages=["pt"] * 3)
        assert self.model.predict_many([]) == []

    def test_language_is_handed_back(self) -> None:
        assert self.model.predict("hola", language="es").language == "es"
        assert self.model.predict("hola").language is None

    def test_out_of_fold_predictions_are_aligned_with_the_examples(self) -> None:
        found = self.model.out_of_fold
        assert len(TEXTS) == len(found.predictions)
        assert len(TEXTS) == len(found.as_out_of_scope)
        for prediction in found.predictions:
            self.assert_sound(prediction, len(SENTENCES))
        right = [top(p) == intent for p, intent in zip(found.predictions, INTENTS, strict=True)]
        assert np.mean(right) > 0.5  # the examples of a sentence are near copies: all are hidden

    def test_an_intent_that_was_hidden_is_never_the_answer(self) -> None:
        for prediction, intent in zip(self.model.out_of_fold.as_out_of_scope, INTENTS, strict=True):
            if intent == "out_of_scope":
                assert prediction is None
            else:
                assert intent != top(prediction)

    def test_stored_and_loaded_it_says_the_same(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self.model.save(Path(folder) / "new")
            again = IntentModel.load(Path(folder) / "new")
        for text in (*TEXTS[::7], *STRANGE_TEXTS):
            assert self.model.predict(text) == again.predict(text)
        assert self.model.suggested_threshold() == again.suggested_threshold()
        assert self.model.settings == again.settings
        assert self.model.out_of_scope == again.out_of_scope
        assert again.out_of_fold is None

    def test_same_examples_same_model(self) -> None:
        again = trained(jobs=1)
        for text in TEXTS[::5]:
            assert self.model.predict(text) == again.predict(text)
        assert self.model.suggested_threshold() == again.suggested_threshold()

    def test_threshold_of_validation_messages_catches_most(self) -> None:
        texts = [f"{thing} {n} do jogo de bola" for n in range(5) for thing in THINGS]
        threshold = self.model.suggested_threshold(texts, ["football"] * len(texts))
        told = [self.model.predict(text) for text in texts]
        believed = [p.ranking[0][1] for p in told if top(p) != "out_of_scope"]
        caught = len(texts) - sum(one >= threshold for one in believed)
        assert caught >= 0.78 * len(texts)

    def test_too_few_strange_validation_messages_leave_the_own_threshold(self) -> None:
        own = self.model.suggested_threshold()
        assert own == self.model.suggested_threshold(["oi"], ["football"])
        assert own == self.model.suggested_threshold(TEXTS[:9], INTENTS[:9])

    def test_lists_of_other_lengths_are_refused(self) -> None:
        with self.assertRaisesRegex(IntentModelError, "languages: expected 1"):  # noqa: PT027
            self.model.predict_many(["oi"], languages=["pt", "en"])
        with self.assertRaisesRegex(IntentModelError, "intents: expected 1"):  # noqa: PT027
            self.model.suggested_threshold(["oi"], [])


class TestStrangeExamples(Sound):
    """Sets no data set of a benchmark has, and every new bot does."""

    def fitted(self, pairs: list[tuple[str, str]], **others: object) -> IntentModel:
        texts = [text for text, _ in pairs]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = IntentModel.fit(texts, [intent for _, intent in pairs], **others)
            for text in (*texts, *STRANGE_TEXTS):
                self.assert_sound(model.predict(text), len({intent for _, intent in pairs}))
        for prediction in model.out_of_fold.predictions:
            self.assert_sound(prediction, len({intent for _, intent in pairs}))
        assert 0 <= model.suggested_threshold() <= 1
        return model

    def test_one_example(self) -> None:
        self.fitted([("oi", "greet")])

    def test_one_intent(self) -> None:
        self.fitted([(f"oi {n} bom dia", "greet") for n in range(30)])

    def test_one_intent_and_an_out_of_scope_one(self) -> None:
        pairs = [(f"oi {w}", "greet") for w in THINGS] + [(f"bolo {w}", "oos") for w in THINGS]
        self.fitted(pairs, out_of_scope=["oos"])

    def test_two_intents_of_one_example_each(self) -> None:
        model = self.fitted([("oi", "greet"), ("tchau", "goodbye")])
        assert top(model.predict("tchau")) == "goodbye"

    def test_many_intents_of_one_example_each(self) -> None:
        self.fitted([(f"quero {thing}", thing) for thing in THINGS])

    def test_one_text_with_two_intents(self) -> None:
        pairs = [("pode ser", "affirm"), ("pode ser", "deny")] * 6
        self.fitted([*pairs, *((f"não {w}", "deny") for w in THINGS)])

    def test_examples_without_any_piece(self) -> None:
        self.fitted([("", "empty"), (" ", "empty"), ("😀", "smile"), ("oi", "greet")])

    def test_heavy_imbalance(self) -> None:
        pairs = [(f"quero a fatura {n} do mês {n % 12}", "invoice_copy") for n in range(200)]
        model = self.fitted([*pairs, ("cancela tudo", "cancel"), ("cancelar", "cancel")])
        assert top(model.predict("cancela")) == "cancel"

    def test_more_examples_than_ridge_and_comparison_take(self) -> None:
        settings = IntentModelSettings(ridge_examples=80, compared_examples=10, large_examples=50)
        self.fitted(
            list(zip(TEXTS, INTENTS, strict=True)),
            settings=settings,
            out_of_scope=["out_of_scope"],
        )

    def test_what_cannot_be_learnt_from_is_refused_by_name(self) -> None:
        for arguments, others, expected in (
            (([], []), {}, "texts: expected at least one example, found none"),
            ((["oi"], []), {}, r"intents: expected 1 \(one for each text\), found 0"),
            ((["oi"], ["greet"]), {"languages": []}, "languages: expected 1"),
            ((["oi", None], ["a", "b"]), {}, r"texts\[1\]: expected a text, found None"),
            ((["oi"], [" "]), {}, r"intents\[0\]: expected a text, found ' '"),
            ((["oi"], ["o"]), {"out_of_scope": ["o"]}, "at least one that is not out of scope"),
            ((["oi"], ["o"]), {"out_of_scope": "o"}, "out_of_scope: expected a list of intents"),
        ):
            with self.assertRaisesRegex(IntentModelError, expected):  # noqa: PT027
                IntentModel.fit(*arguments, **others)


class TestSettings(unittest.TestCase):
    def test_wrong_values_are_refused_by_name(self) -> None:
        for config, expected in (
            ({"svm": 1}, "svm: unknown setting; expected one of compared_examples, folds"),
            ({"svm_strength": 0}, "svm_strength: expected a number greater than 0, found 0"),
            ({"svm_strength": "1"}, "svm_strength: expected a number greater than 0, found '1'"),
            ({"ridge_penalty": float("nan")}, "ridge_penalty: expected a number greater than 0"),
            ({"folds": 1}, "folds: expected a whole number from 2 to 20, found 1"),
            ({"folds": True}, "folds: expected a whole number from 2 to 20, found True"),
            ({"jobs": 0}, "jobs: expected a whole number from 1 to 64"),
            ({"outside_share": 1}, "outside_share: expected a number above 0 and below 1"),
            ({"seed": -1}, "seed: expected a whole number of at least 0"),
        ):
            with self.assertRaisesRegex(IntentModelError, expected):  # noqa: PT027
                IntentModelSettings.from_config(config)

    def test_what_is_not_named_keeps_its_default(self) -> None:
        assert IntentModelSettings(folds=4) == IntentModelSettings.from_config({"folds": 4})


class TestStored(unittest.TestCase):
    def test_a_folder_without_a_model_is_refused(self) -> None:
        with (
            tempfile.TemporaryDirectory() as folder,
            self.assertRaisesRegex(IntentModelError, "expected a stored intent model"),  # noqa: PT027
        ):
            IntentModel.load(Path(folder))

    def test_a_model_of_another_format_is_refused(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "intent_model.json").write_text(json.dumps({"format": 99}))
            with self.assertRaisesRegex(IntentModelError, "expected format 1, found 99"):  # noqa: PT027
                IntentModel.load(Path(folder))


class TestTextFeatures(unittest.TestCase):
    def test_text_is_made_plain(self) -> None:
        for text, plain in (
            ("Não RECEBI", "nao recebi"),
            ("pedido 123", "pedido 000".replace("000", "00")),
            ("kkkkkkk", "kk"),
            ("veja https://a.b/c?d=1", "veja  urlx "),
            ("de a@b.com", "de  emailx "),
            ("x y" * MAX_CHARACTERS, "x y" * (MAX_CHARACTERS // 3) + "x"),
        ):
            assert plain == normalised(text)

    def test_unknown_words_make_a_message_less_like_every_example(self) -> None:
        features = TextFeatures.learn(["quero o boleto", "cadê o pedido"])
        plain, strange = features.rows(["quero o boleto", "quero o boleto xyzzy plugh"]).toarray()
        assert abs(float(plain @ plain) - 1) < 1e-5
        assert float(strange @ plain) < 0.9

    def test_one_row_is_like_many(self) -> None:
        features = TextFeatures.learn(TEXTS)
        columns, values = features.row(TEXTS[3])
        row = np.zeros(features.width, np.float32)
        row[columns] = values
        np.testing.assert_array_equal(row, features.rows(TEXTS).toarray()[3])


class TestPartsOfIt(unittest.TestCase):
    def test_near_copies_in_a_class_share_a_fold_and_classes_are_spread(self) -> None:
        near = ["quero a segunda via do boleto", "quero segunda via do boleto"]
        texts = [*near, "tchau", "bom dia", "cancela", "cadê", near[0], "obrigado"]
        classes = np.array([0, 0, 0, 0, 0, 0, 1, 1])
        rows = TextFeatures.learn(texts).rows(texts)
        fold = folds_of(rows, classes, 5, np.random.RandomState(0))
        assert fold[0] == fold[1]
        assert len(set(fold[1:6].tolist())) == 5
        assert fold[6] != fold[7]

    def test_classes_that_are_out_of_scope_are_never_hidden(self) -> None:
        classes = np.array([0, 1, 2, 3, 3])
        group = intent_groups(classes, np.array([0, 1, 2]), 2, np.random.RandomState(0))
        assert group[3:].tolist() == [-1, -1]
        assert {0, 1} == set(group[:3].tolist())

    def test_a_language_with_few_messages_stays_near_the_general_line(self) -> None:
        random = np.random.RandomState(0)
        confidence = random.uniform(0.05, 0.95, 2000)
        right = random.uniform(size=2000) < confidence
        languages = ["pt"] * 1970 + ["es"] * 25 + ["en"] * 5
        right[1970:] = False
        fitted = Calibration.fit(confidence, right, languages)
        half = np.array([0.5])
        general = fitted.line(None).apply(half)[0]
        assert abs(general - 0.5) < 0.06
        assert {"es", "pt"} == set(fitted.by_language)
        assert fitted.line("es").apply(half)[0] < general
        assert fitted.line("es").apply(half)[0] > 0.2
        assert fitted.general == fitted.line("en")

    def test_calibration_error_of_honest_and_of_boastful_confidences(self) -> None:
        right = np.array([True, False] * 50)
        assert abs(expected_calibration_error(np.full(100, 0.5), right) - 0.0) < 1e-9
        assert abs(expected_calibration_error(np.full(100, 1.0), right) - 0.5) < 1e-9

    def test_threshold_is_just_above_the_last_that_must_be_caught(self) -> None:
        real = [n / 100 for n in range(100)]
        chosen = choose_threshold(Rejectable(real=real, hidden=[0.9] * 100))
        assert sum(one < chosen for one in real) == 78

    def test_hidden_intents_stand_in_when_nothing_is_known_to_be_out_of_scope(self) -> None:
        hidden = [n / 100 for n in range(100)]
        chosen = choose_threshold(Rejectable(real=[0.99] * 5, hidden=hidden))
        assert sum(one < chosen for one in hidden) == 45
        assert choose_threshold(Rejectable(real=[], hidden=[0.1])) == WITHOUT_DATA


if __name__ == "__main__":
    unittest.main()
