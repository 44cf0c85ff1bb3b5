"""What the files of the assistant promise: entities, answers in three languages, held-out sets."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = ("pt", "en", "es")
ANNOTATION = re.compile(r"\[([^\]]+)\]\([^)]+\)")


def read(path: str) -> Any:
    return YAML(typ="safe").load((ROOT / path).read_text(encoding="utf-8"))


def examples(path: Path) -> Iterator[tuple[str, str, str]]:
    """Triples (language, intent, text) of a file of examples."""
    for entry in YAML(typ="safe").load(path.read_text(encoding="utf-8"))["nlu"]:
        language = entry.get("metadata", {}).get("language", path.parent.name)
        for line in entry["examples"].splitlines():
            yield language, entry["intent"], ANNOTATION.sub(r"\1", line[2:].strip())


def bare(text: str) -> str:
    """The text as the classifier sees it: no accents, no capitals, no punctuation."""
    plain = unicodedata.normalize("NFD", text.lower())
    letters = "".join(c for c in plain if not unicodedata.combining(c))
    return re.sub(r"[^\w]+", " ", letters).strip() or text


TRAINED = [e for path in sorted((ROOT / "data/nlu").glob("*/*.yml")) for e in examples(path)]
VALIDATION = list(examples(ROOT / "tests/rasa/nlu_validation.yml"))
TEST = list(examples(ROOT / "tests/rasa/nlu_test.yml"))
DOMAIN = read("domain.yml")
PATTERN = read("data/nlu/entities.yml")["nlu"][0]["examples"].strip().removeprefix("- ")


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("pedido 12345", ["12345"]),
        ("PEDIDO: ab-1234-01", ["ab-1234-01"]),
        ("pedido nº98213", ["98213"]),
        ("#A-98213", ["A-98213"]),
        ("A-98213", ["A-98213"]),
        ("br20311?", ["br20311"]),
        ("where is order: 77821.", ["77821"]),
        ("12345", ["12345"]),
        ("2024", ["2024"]),
        ("é o 450912 obrigado", ["450912"]),
        ("pedidos 1234 e 5678", ["1234", "5678"]),
        ("pedido 12345678909", ["12345678909"]),
        ("pedido 123", []),
        ("meu cpf é 12345678909", []),
        ("cpf 123.456.789-09", []),
        ("11987654321", []),
        ("(11) 98765-4321", []),
        ("987654321 me liga", []),
        ("1133334444 é meu fixo", []),
        ("+5511987654321", []),
        ("551133334444 zap", []),
        ("cep 01310100", []),
        ("01310-100", []),
        ("paguei 1500 reais", []),
        ("r$1500", []),
        ("1.500,00", []),
        ("comprei em 2023", []),
        ("dia 10/05/2024", []),
        ("rastreio BR123456789BR", []),
    ],
)
def test_an_order_number_is_found_and_nothing_else_is_taken_for_one(
    text: str, numbers: list[str]
) -> None:
    assert [match[0] for match in re.finditer(PATTERN, text, re.IGNORECASE)] == numbers


def test_every_pattern_is_of_an_entity_that_an_example_marks() -> None:
    # Rasa looks only for patterns whose entity stands in an example.
    text = "".join(
        path.read_text(encoding="utf-8") for path in sorted((ROOT / "data/nlu").glob("*/*.yml"))
    )
    names = [block["regex"] for block in read("data/nlu/entities.yml")["nlu"]]
    assert set(names) == {"order_number", "amount"}
    for name in names:
        assert f"]({name})" in text
        assert name in DOMAIN["entities"]


@pytest.mark.parametrize(("language", "least"), [("pt", 30), ("en", 12), ("es", 12)])
def test_every_intent_has_enough_examples_in_every_language(language: str, least: int) -> None:
    counts = Counter(intent for own, intent, _ in TRAINED if own == language)
    assert set(counts) == set(DOMAIN["intents"])
    assert {intent: n for intent, n in counts.items() if n < least} == {}


def test_every_file_of_examples_is_in_the_folder_of_its_language() -> None:
    # The importer reads the language from there; one calibration for each depends on it.
    outside = [
        path
        for path in sorted((ROOT / "data/nlu").rglob("*.yml"))
        if path.parent.name not in LANGUAGES
    ]
    assert [path for path in outside if "intent:" in path.read_text(encoding="utf-8")] == []


def test_the_pipeline_is_ours_and_out_of_scope_is_the_policys() -> None:
    config = read("config.yml")
    (classifier,) = [c for c in config["pipeline"] if "Classifier" in c["name"]]
    assert classifier["name"] == "bot.nlu.intent_classifier.IntentClassifier"
    assert classifier["out_of_scope"] == read("handoff.yml")["out_of_scope"]
    assert config["importers"] == [{"name": "bot.nlu.languages.LanguageFolderImporter"}]


def test_no_sentence_is_an_example_of_two_intents() -> None:
    intents: dict[str, set[str]] = {}
    for _, intent, text in TRAINED:
        intents.setdefault(text.lower(), set()).add(intent)
    assert {text: found for text, found in intents.items() if len(found) > 1} == {}


@pytest.mark.parametrize(
    ("held_out", "known"),
    [(VALIDATION, [TRAINED]), (TEST, [TRAINED, VALIDATION])],
    ids=["validation", "test"],
)
def test_a_held_out_sentence_was_never_seen(
    held_out: list[tuple[str, str, str]], known: list[list[tuple[str, str, str]]]
) -> None:
    seen = {bare(text) for part in known for _, _, text in part}
    assert [text for _, _, text in held_out if bare(text) in seen] == []


@pytest.mark.parametrize("held_out", [VALIDATION, TEST], ids=["validation", "test"])
def test_the_held_out_sets_cover_every_intent(held_out: list[tuple[str, str, str]]) -> None:
    counts = Counter((language, intent) for language, intent, _ in held_out)
    least = {"pt": 12, "en": 5, "es": 5}
    wanted = [(language, intent) for language in LANGUAGES for intent in DOMAIN["intents"]]
    assert {key: counts[key] for key in wanted if counts[key] < least[key[0]]} == {}
    assert counts["pt", "out_of_scope"] >= 40


@pytest.mark.parametrize("name", DOMAIN["responses"])
def test_an_answer_exists_once_in_each_language_and_fits_whatsapp(name: str) -> None:
    found = []
    for variation in DOMAIN["responses"][name]:
        conditions = variation.get("condition")
        found.append(conditions[0]["value"] if conditions else "pt")
        buttons = variation.get("buttons", [])
        titles = [button["title"] for button in buttons]
        assert len(variation["text"]) <= 1024  # the body of an interactive message
        assert len(buttons) <= 3
        assert all(len(title) <= 20 for title in titles)
        assert len(set(titles)) == len(titles)
        assert {button["payload"].removeprefix("/") for button in buttons} <= set(DOMAIN["intents"])
    assert sorted(found) == sorted(LANGUAGES)


def test_every_intent_that_leaves_the_order_form_has_its_rule() -> None:
    mappings = DOMAIN["slots"]["order_number"]["mappings"]
    rules = read("data/rules/order_form.yml")["rules"]
    ruled = {
        step["intent"]
        for rule in rules
        if "condition" in rule
        for step in rule["steps"]
        if "intent" in step
    }
    for mapping in mappings:
        assert set(mapping["not_intent"]) == ruled


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_answer_that_offers_a_person_knows_what_yes_means(language: str) -> None:
    rules = read("data/rules/offers.yml")["rules"]
    answered = {rule["steps"][0]["action"] for rule in rules}
    column = LANGUAGES.index(language)
    offers = {
        name
        for name, variations in DOMAIN["responses"].items()
        if any(b["payload"] == "/talk_to_person" for b in variations[column].get("buttons", []))
    }
    menus = {
        "utter_greet",
        "utter_ask_capabilities",
        "utter_ask_order_number",
        "utter_ask_order_number_again",
    }
    assert answered == offers - menus
