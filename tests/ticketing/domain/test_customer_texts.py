"""Every text that a customer reads exists in Portuguese, English and Spanish.

Nobody has to list a new text here: `handoff.yml` and `domain.yml` are searched whole, and so is the
code of everything that may speak to a customer. A text written into a call, without languages, is
found too.
"""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from actions.texts import TEXTS
from channels.whatsapp import limits
from ticketing.domain.customer_texts import LANGUAGE_NAMES, LANGUAGE_QUESTION, customer_text
from ticketing.domain.language import SERVED

ROOT = Path(__file__).resolve().parents[3]

# Code that may speak to a customer. The console and notices speak to agents and have tests of
# their own; the simulator is no part of Ponte.
SPEAKING = ("actions", "bot", "channels", "handoff", "ticketing")
SILENT = ("ticketing/console", "ticketing/api", "ticketing/http", "ticketing/db")
# Keyed by language, and no text for customers.
NO_TEXTS = {
    "languages.skills": "what an agent must speak for that language",
}
_CODE = re.compile(r"[a-z]{2}")
_SPEAKERS = frozenset({"OutboundMessage", "utter_message"})


def is_by_language(keys: list[Any]) -> bool:
    """Whether these are the keys of a text in several languages."""
    codes = all(isinstance(key, str) and _CODE.fullmatch(key) for key in keys)
    return bool(keys) and codes and not set(SERVED).isdisjoint(keys)


def missing_in_document(value: Any, path: str = "") -> Iterator[str]:
    """`path: language` for every text of a YAML document that lacks one."""
    if isinstance(value, Mapping):
        keys = list(value)
        if is_by_language(keys) and all(isinstance(t, str | None) for t in value.values()):
            if path not in NO_TEXTS:
                yield from (
                    f"{path}: {one}" for one in SERVED if not str(value.get(one) or "").strip()
                )
            return
        for key, inner in value.items():
            yield from missing_in_document(inner, f"{path}.{key}".strip("."))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from missing_in_document(inner, f"{path}[{number}]")


def missing_in_responses(responses: Mapping[str, list[dict[str, Any]]]) -> Iterator[str]:
    """`utter: language` for every answer of the domain that lacks one."""
    for name, variations in responses.items():
        found: set[str] = set()
        for variation in variations:
            conditions = variation.get("condition") or []
            codes = [c["value"] for c in conditions if c.get("name") == "language"]
            spoken = codes[0] if codes else "pt"
            texts = [variation.get("text"), *(b["title"] for b in variation.get("buttons") or [])]
            if all(isinstance(text, str) and text.strip() for text in texts):
                found.add(spoken)
        yield from (f"{name}: {one}" for one in SERVED if one not in found)


def missing_in_code(source: str) -> Iterator[str]:
    """`line: problem` for texts by language that lack one, and for texts without languages."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Dict):
            keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
            is_text = all(_is_text(value) for value in node.values)
            if is_text and is_by_language(keys):
                yield from (f"{node.lineno}: {one}" for one in SERVED if one not in keys)
        if isinstance(node, ast.Call) and _name(node.func) in _SPEAKERS:
            given = [*node.args[:1], *(k.value for k in node.keywords if k.arg == "text")]
            for argument in given:
                if _is_text(argument) and _letters(argument):
                    yield f"{node.lineno}: a text in one language only"


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _letters(node: ast.expr) -> bool:
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    said = "".join(str(p.value) for p in parts if isinstance(p, ast.Constant))
    return any(character.isalpha() for character in said)


def read(path: str) -> Any:
    return YAML(typ="safe").load((ROOT / path).read_text(encoding="utf-8"))


def sources() -> list[Path]:
    found = [path for package in SPEAKING for path in sorted((ROOT / package).rglob("*.py"))]
    return [
        path
        for path in found
        if not any(str(path.relative_to(ROOT)).startswith(silent) for silent in SILENT)
    ]


def test_every_text_of_the_handoff_rules_exists_in_every_language() -> None:
    assert list(missing_in_document(read("handoff.yml"))) == []


def test_every_answer_of_the_domain_exists_in_every_language() -> None:
    assert list(missing_in_responses(read("domain.yml")["responses"])) == []


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_text_in_the_code_exists_in_every_language(path: Path) -> None:
    assert list(missing_in_code(path.read_text(encoding="utf-8"))) == []


def test_the_search_sees_the_places_where_texts_stand_today() -> None:
    """If one of them moves to another shape, this search must learn it."""
    seen = {str(path.relative_to(ROOT)) for path in sources()}
    assert {"actions/texts.py", "ticketing/domain/customer_texts.py"} <= seen
    for path in ("actions/texts.py", "ticketing/domain/customer_texts.py"):
        source = (ROOT / path).read_text(encoding="utf-8")
        without = source.replace('"es":', '"xx":', 1)
        assert list(missing_in_code(without)), path


class TestSomethingMissing:
    @pytest.mark.parametrize("language", SERVED)
    def test_a_text_of_the_rules(self, language: str) -> None:
        document = read("handoff.yml")
        del document["messages"]["to_person"][language]
        assert list(missing_in_document(document)) == [f"messages.to_person: {language}"]

    @pytest.mark.parametrize("language", SERVED)
    def test_a_blank_button_of_the_rules(self, language: str) -> None:
        document = read("handoff.yml")
        document["intents"]["greet"][language] = " "
        assert list(missing_in_document(document)) == [f"intents.greet: {language}"]

    @pytest.mark.parametrize("language", ["en", "es"])
    def test_a_variation_of_an_answer(self, language: str) -> None:
        responses = read("domain.yml")["responses"]
        responses["utter_greet"] = [
            variation
            for variation in responses["utter_greet"]
            if not any(c["value"] == language for c in variation.get("condition") or [])
        ]
        assert list(missing_in_responses(responses)) == [f"utter_greet: {language}"]

    def test_the_portuguese_of_an_answer(self) -> None:
        responses = read("domain.yml")["responses"]
        responses["utter_greet"] = [v for v in responses["utter_greet"] if v.get("condition")]
        assert list(missing_in_responses(responses)) == ["utter_greet: pt"]

    @pytest.mark.parametrize(
        ("source", "problem"),
        [
            ('X = {"pt": "oi", "en": "hi"}', "1: es"),
            ('X = {"a": {"pt": "oi", "es": f"hola {name}"}}', "1: en"),
            ('reply = OutboundMessage("Oi!")', "1: a text in one language only"),
            ('message.OutboundMessage(text=f"Oi {name}")', "1: a text in one language only"),
            ('dispatcher.utter_message(text="Oi")', "1: a text in one language only"),
        ],
    )
    def test_a_text_in_the_code(self, source: str, problem: str) -> None:
        assert list(missing_in_code(source)) == [problem]

    @pytest.mark.parametrize(
        "source",
        ['X = {"pt": 1}', 'X = {"id": "a", "to": "b"}', "OutboundMessage(words)", 'f({"pt": f})'],
    )
    def test_what_is_no_text_is_left_alone(self, source: str) -> None:
        assert list(missing_in_code(source)) == []


@pytest.mark.parametrize("key", TEXTS)
def test_a_text_has_the_same_blanks_to_fill_in_every_language(key: str) -> None:
    blanks = {
        language: {name for _, name, _, _ in string.Formatter().parse(text) if name}
        for language, text in TEXTS[key].items()
    }
    assert blanks == dict.fromkeys(SERVED, blanks["pt"])


@pytest.mark.parametrize("language", SERVED)
def test_the_question_for_the_language_can_be_read_by_its_speakers(language: str) -> None:
    assert len(LANGUAGE_QUESTION.splitlines()) == len(SERVED)
    assert len(LANGUAGE_NAMES[language]) <= limits.BUTTON_TITLE
    assert customer_text("language_set", language=language)


def test_a_language_that_is_not_served_reads_portuguese() -> None:
    assert customer_text("language_set", language="fr") == customer_text(
        "language_set", language="pt"
    )
