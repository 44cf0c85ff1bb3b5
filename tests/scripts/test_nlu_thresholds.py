"""The script that chooses thresholds believes what the handoff rules believe."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
POLICY = YAML(typ="safe").load((ROOT / "handoff.yml").read_text(encoding="utf-8"))


def load() -> ModuleType:
    path = ROOT / "scripts" / "nlu_thresholds.py"
    spec = importlib.util.spec_from_file_location("nlu_thresholds", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


SCRIPT = load()


@pytest.fixture(autouse=True, scope="module")
def forget() -> Iterator[None]:
    yield
    sys.modules.pop("nlu_thresholds", None)


def sentence(intent: str, top: str, confidence: float, margin: float = 0.5, **more: Any) -> Any:
    values = {"text": "x", "language": "pt", "seconds": 0.003, **more}
    return SCRIPT.Sentence(intent=intent, top=top, confidence=confidence, margin=margin, **values)


def test_small_talk_and_out_of_scope_are_those_of_the_policy() -> None:
    assert set(POLICY["small_talk"]) == SCRIPT.SMALL_TALK
    assert POLICY["out_of_scope"] == [SCRIPT.OUT_OF_SCOPE]
    assert tuple(POLICY["languages"]["served"]) == SCRIPT.LANGUAGES


@pytest.mark.parametrize(
    ("top", "confidence", "margin", "outcome"),
    [
        ("refund", 0.45, 0.10, "refund"),
        ("refund", 0.44, 0.30, "clarify"),
        ("refund", 0.60, 0.09, "clarify"),
        ("greet", 0.40, 0.0, "greet"),
        ("greet", 0.39, 0.3, "clarify"),
        ("out_of_scope", 0.50, 0.0, "out_of_scope"),
        ("out_of_scope", 0.49, 0.4, "clarify"),
    ],
)
def test_a_sentence_is_believed_as_the_rules_do(
    top: str, confidence: float, margin: float, outcome: str
) -> None:
    thresholds = SCRIPT.Thresholds(0.45, 0.10, 0.50, 0.40)
    assert thresholds.outcome(sentence("refund", top, confidence, margin)) == outcome


def test_a_language_may_have_its_own_thresholds() -> None:
    thresholds = SCRIPT.Thresholds(0.45, 0.1, 0.5, 0.4, by_language=(("en", 0.7, 0.0),))
    assert thresholds.outcome(sentence("refund", "refund", 0.6, language="en")) == "clarify"
    assert thresholds.outcome(sentence("refund", "refund", 0.7, 0.0, language="en")) == "refund"
    assert thresholds.outcome(sentence("refund", "refund", 0.6, language="pt")) == "refund"


def test_the_thresholds_of_the_policy_are_read(tmp_path: Path) -> None:
    path = tmp_path / "handoff.yml"
    path.write_text(
        "confidence:\n  confident: 0.5\n  margin: 0.1\n  out_of_scope: 0.4\n  small_talk: 0.3\n"
        "  by_language: {en: {confident: 0.6}}\n",
        encoding="utf-8",
    )
    expected = SCRIPT.Thresholds(0.5, 0.1, 0.4, 0.3, by_language=(("en", 0.6, 0.1),))
    assert SCRIPT.read_policy(path) == expected


def test_the_cost_is_of_wrong_answers_and_of_questions() -> None:
    sentences = [
        sentence("refund", "refund", 0.9),
        sentence("refund", "cancel", 0.9),
        sentence("refund", "refund", 0.1),
        sentence("out_of_scope", "refund", 0.9),
        sentence("out_of_scope", "refund", 0.1),
    ]
    row = SCRIPT.measure(sentences, SCRIPT.Thresholds(0.45, 0.1, 0.5, 0.4))
    assert (row.right, row.wrong, row.clarified, row.caught) == (1 / 3, 1 / 3, 1 / 3, 1 / 2)
    assert row.cost == (4 * 2 + 1) / 5


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from(["refund", "greet", "out_of_scope"]))
def test_a_higher_threshold_never_believes_more(first: float, second: float, top: str) -> None:
    low, high = sorted((first, second))
    one = sentence("refund", top, 0.5)
    strict = SCRIPT.Thresholds(high, 0.1, high, high).outcome(one)
    assert strict in ("clarify", SCRIPT.Thresholds(low, 0.1, low, low).outcome(one))


def test_held_out_sentences_know_their_language_and_lose_their_markup() -> None:
    for name in ("nlu_validation.yml", "nlu_test.yml"):
        found = SCRIPT.read_sentences(ROOT / "tests" / "rasa" / name)
        assert {language for _, language, _ in found} == set(SCRIPT.LANGUAGES)
        assert not [text for text, _, _ in found if "](" in text]


def test_a_held_out_block_without_language_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "held_out.yml"
    path.write_text("nlu:\n  - intent: greet\n    examples: |\n      - oi\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"greet: metadata\.language must be one of pt, en, es"):
        SCRIPT.read_sentences(path)
