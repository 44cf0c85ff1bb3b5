"""One real run: Rasa's environment trains on a small table and reads another."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ponte.nlu.checks import Material, check_material
from ponte.nlu.measuring import MeasuringError, evaluate
from ponte.nlu.tables import Row, Table
from ponte.processes.plan import BOT_PYTHON

pytestmark = pytest.mark.skipif(not BOT_PYTHON.exists(), reason="env bot is not made")

CONFIG = """
recipe: default.v1
language: pt
pipeline:
  - name: WhitespaceTokenizer
  - name: bot.nlu.intent_classifier.IntentClassifier
    out_of_scope: [an intent of the project]
policies:
  - name: RulePolicy
"""
MATTERS = ("boleto", "fatura", "nota fiscal", "cobrança", "conta", "segunda via")
THINGS = ("pedido", "encomenda", "pacote", "entrega", "produto", "compra")
ODD = ("euro", "jogo do flamengo", "receita de bolo", "tempo amanhã", "horóscopo", "novela")


def rows(intent: str, template: str, words: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(template.format(word), intent) for word in words]


TRAIN = [
    *rows("bill/copy", "quero o {}", MATTERS),
    *rows("bill/copy", "manda [{}](x)", MATTERS),
    *rows("order status", "cadê o {}", THINGS),
    *rows("order status", "onde está meu {}", THINGS),
]
TEST = [
    ("/quero o boleto", "bill/copy"),
    ("e a fatura,\n\ncadê?", "bill/copy"),
    ("meu pedido não chegou", "order status"),
    ("", "order status"),
    ("quanto tá o euro", "oos"),
    ("🙏", "oos"),
]


def table(name: str, content: list[tuple[str, str]]) -> Table:
    numbered = tuple(Row(n, text, intent) for n, (text, intent) in enumerate(content, start=2))
    return Table(name, numbered, tuple(row.number for row in numbered if not row.text))


def environment() -> dict[str, str]:
    return dict(os.environ)  # noqa: TID251 - the child's environment starts from it


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def test_a_table_is_learnt_and_another_is_measured(config: Path) -> None:
    odd = [pair for ask in ("e o {}?", "tem {}", "vi {}", "{}") for pair in rows("oos", ask, ODD)]
    validation = [("quero a fatura", "bill/copy"), ("cadê o pacote", "order status"), *odd]
    material = check_material(
        Material(
            train=table("train.csv", [*TRAIN, *rows("oos", "me fala do {}", ODD)]),
            test=table("test.csv", TEST),
            validation=table("val.csv", validation),
            oos_label="oos",
        )
    )
    said: list[str] = []

    result = evaluate(
        material, language="pt", environment=environment(), say=said.append, config=config
    )

    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert (document["in_scope_messages"], document["oos_messages"]) == (4, 2)
    assert document["accuracy_argmax"] >= 0.5  # it is no coin: 30 examples
    assert document["threshold_from"] == "validation"
    assert 0 <= document["threshold"] <= 1
    assert 0 < document["p50_ms"] <= document["p95_ms"]
    assert (document["train_messages"], document["intents"]) == (30, 2)
    assert len(result.outcomes) == len(TEST)
    assert said[0] == "training on 30 messages, 3 intents"
    assert any(line.startswith("trained in ") for line in said)


def test_a_failed_run_says_why(config: Path) -> None:
    config.write_text("recipe: default.v1\npipeline:\n  - name: WhitespaceTokenizer\n")
    material = Material(table("train.csv", TRAIN), table("test.csv", TEST), None, "oos")
    with pytest.raises(MeasuringError, match="the pipeline has no bot"):
        evaluate(material, language=None, environment=environment(), say=print, config=config)
