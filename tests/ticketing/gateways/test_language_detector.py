from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ticketing.domain.language import SERVED, LanguageState, update
from ticketing.gateways.language_detector import Detector, read_examples

ROOT = Path(__file__).resolve().parents[3]
SAMPLES: dict[str, dict[str, list[str]]] = YAML(typ="safe").load(
    (Path(__file__).parent / "language_samples.yml").read_text(encoding="utf-8")
)
BRAZILIAN = [
    text for group in ("tricky", "tricky_fresh", "tricky_last") for text in SAMPLES[group]["pt"]
]
BEFORE = {"pt": "cadê meu pedido", "en": "where is my order", "es": "dónde está mi pedido"}


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(data_dir=ROOT / "data/nlu")


def after(detector: Detector, *messages: str) -> LanguageState:
    state = LanguageState()
    for message in messages:
        state = update(state, detector.guess(message))
    return state


def samples(group: str) -> list[Any]:
    return [
        pytest.param(language, text, id=f"{language}: {text}")
        for language, texts in SAMPLES[group].items()
        for text in texts
    ]


def held_out() -> list[tuple[str, str]]:
    path = ROOT / "tests/rasa/nlu_validation.yml"
    document = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    return [
        (intent["metadata"]["language"], line.removeprefix("- ").strip())
        for intent in document["nlu"]
        for line in intent["examples"].splitlines()
        if line.strip()
    ]


@pytest.mark.parametrize(("language", "text"), samples("single"))
def test_a_clear_word_is_found_at_the_first_message(
    detector: Detector, language: str, text: str
) -> None:
    assert after(detector, text).language == language


@pytest.mark.parametrize("home", SERVED)
@pytest.mark.parametrize("text", SAMPLES["shared"]["all"])
def test_a_shared_word_leaves_a_conversation_in_its_language(
    detector: Detector, home: str, text: str
) -> None:
    assert after(detector, BEFORE[home], text).language == home
    assert after(detector, BEFORE[home], text, text).language == home


@pytest.mark.parametrize("text", BRAZILIAN)
def test_no_brazilian_is_taken_for_a_foreigner(detector: Detector, text: str) -> None:
    assert after(detector, text).foreign is None


@pytest.mark.parametrize("text", BRAZILIAN)
def test_a_brazilian_who_writes_portuguese_next_is_answered_in_portuguese(
    detector: Detector, text: str
) -> None:
    assert after(detector, text, "não chegou ainda").language == "pt"


def test_nine_foreign_sentences_of_ten_are_found(detector: Detector) -> None:
    pairs = [
        (language, text)
        for group in ("foreign", "foreign_fresh", "foreign_last")
        for language, texts in SAMPLES[group].items()
        for text in texts
    ]
    missed = [text for language, text in pairs if after(detector, text).foreign != language]
    assert len(missed) <= len(pairs) / 10, missed


@pytest.mark.parametrize(("language", "text"), samples("conversation"))
def test_a_conversation_ends_in_the_customers_language(
    detector: Detector, language: str, text: str
) -> None:
    assert after(detector, *text.split(" | ")).language == language


@pytest.mark.parametrize(
    ("language", "least_words", "share"), [("pt", 1, 0.99), ("en", 3, 0.95), ("es", 3, 0.95)]
)
def test_the_held_out_sentences_are_recognised_at_the_first_message(
    detector: Detector, language: str, least_words: int, share: float
) -> None:
    texts = [t for found, t in held_out() if found == language and len(t.split()) >= least_words]
    states = [after(detector, text) for text in texts]
    right = [state.language == language and state.foreign is None for state in states]
    assert len(texts) > 100
    assert sum(right) >= share * len(texts)


@pytest.mark.parametrize("text", ["", "   ", "123", "👍", "https://example.com/x", "BR20311"])
def test_a_message_without_words_gives_no_guess(detector: Detector, text: str) -> None:
    assert detector.guess(text) is None


def test_a_request_is_told_with_the_guess(detector: Detector) -> None:
    guess = detector.guess("in english please")
    assert guess is not None
    assert guess.requested == "en"
    assert after(detector, "quero cancelar", "en français s'il vous plaît").foreign == "fr"


def test_a_very_long_message_is_judged_by_its_beginning(detector: Detector) -> None:
    assert after(detector, "where is my order please " * 2000).language == "en"
    assert after(detector, "x" * 50_000).language == "pt"


def test_without_training_files_the_built_in_words_must_do(tmp_path: Path) -> None:
    detector = Detector(data_dir=tmp_path / "nothing")
    for text, language in [("hello", "en"), ("hola", "es"), ("oi", "pt"), ("gracias", "es")]:
        assert after(detector, text).language == language


def test_examples_are_read_without_annotations_and_without_other_lists(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(
        'version: "3.1"\n'
        "nlu:\n"
        "  - intent: greet\n"
        "    examples: |\n"
        "      - oi [123](order_number) hoje\n"
        '      - paguei [cem]{"entity": "amount", "value": "100"}\n'
        "  - regex: order_number\n"
        "    examples: |\n"
        "      - [a-z]{3}\n"
        "  - intent: bye\n"
        "    examples: |\n"
        "      - tchau\n",
        encoding="utf-8",
    )
    assert list(read_examples(tmp_path)) == ["oi 123 hoje", "paguei cem", "tchau"]
    assert list(read_examples(tmp_path / "missing")) == []
