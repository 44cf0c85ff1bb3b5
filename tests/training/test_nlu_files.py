from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from training.nlu_files import (
    Example,
    ExampleRefusedError,
    NluFiles,
    TrainingDataError,
    as_line,
    with_example,
)

PAYMENTS = """# Bills (pt).
version: "3.1"
nlu:
  - intent: refund   # money back
    examples: |
      - quero meu dinheiro de volta
      - reembolso

  # confusable with the one above
  - intent: invoice_copy
    examples: |
      - segunda via
      - boleto do pedido [12345](order_number)
"""
HELD_OUT = """version: "3.1"
nlu:
  - intent: refund
    metadata:
      language: pt
    examples: |
      - Estorno, por favor
"""
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def files(tmp_path: Path) -> NluFiles:
    return make_files(tmp_path)


def make_files(root: Path) -> NluFiles:
    (root / "data/nlu/pt").mkdir(parents=True)
    (root / "tests/rasa").mkdir(parents=True)
    (root / "data/nlu/pt/payments.yml").write_text(PAYMENTS, encoding="utf-8")
    (root / "tests/rasa/nlu_test.yml").write_text(HELD_OUT, encoding="utf-8")
    return NluFiles(root)


def payments(files: NluFiles) -> str:
    return (files.folder / "pt/payments.yml").read_text(encoding="utf-8")


def test_an_example_is_one_new_line_at_the_end_of_its_block(files: NluFiles) -> None:
    written = files.add(Example("pt", "refund", "me devolve a grana"))
    assert (written.path, written.added) == ("data/nlu/pt/payments.yml", True)
    assert payments(files) == PAYMENTS.replace(
        "      - reembolso\n", "      - reembolso\n      - me devolve a grana\n"
    )


def test_the_last_block_and_a_file_without_a_last_line_break(files: NluFiles) -> None:
    path = files.folder / "pt/payments.yml"
    path.write_text(PAYMENTS.rstrip("\n"), encoding="utf-8")
    files.add(Example("pt", "invoice_copy", "manda a fatura do pedido 12345"))
    assert payments(files) == PAYMENTS + "      - manda a fatura do pedido [12345](order_number)\n"


def test_windows_line_breaks_stay(files: NluFiles) -> None:
    path = files.folder / "pt/payments.yml"
    path.write_bytes(PAYMENTS.replace("\n", "\r\n").encode())
    files.add(Example("pt", "refund", "me devolve a grana"))
    assert b"      - me devolve a grana\r\n" in path.read_bytes()
    assert path.read_bytes().count(b"\n") == path.read_bytes().count(b"\r\n")


def test_the_same_example_again_writes_nothing(files: NluFiles) -> None:
    files.add(Example("pt", "refund", "me devolve a grana"))
    once = payments(files)
    again = files.add(Example("pt", "refund", "Me devolve a GRANA!"))
    assert not again.added
    assert payments(files) == once


@pytest.mark.parametrize(
    ("example", "problem"),
    [
        (Example("pt", "refund", "Segunda via"), "text: is an example of invoice_copy already"),
        (Example("pt", "refund", "estorno por favor!!"), "text: stands in a held-out set"),
        (Example("pt", "refund", " ?! 123"), "text: expected a sentence"),
        (Example("pt", "refund", "a " * 200), "text: expected at most 300"),
        (Example("pt", "cancel", "cancela isso"), "intent: no file of data/nlu/pt/ has a block"),
        (Example("en", "refund", "money back"), "intent: no file of data/nlu/en/ has a block"),
    ],
)
def test_what_may_not_be_taught_is_refused(files: NluFiles, example: Example, problem: str) -> None:
    with pytest.raises(ExampleRefusedError, match=problem.replace("?", r"\?")):
        files.add(example)
    assert payments(files) == PAYMENTS


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("- - olha só", "olha só"),
        ("/cancel agora", "cancel agora"),
        ("[meu](pedido) sumiu", "meu (pedido) sumiu"),
        ('[x]{"entity": "y"} oi', 'x "entity": "y" oi'),
        ("duas\nlinhas\taqui", "duas linhas aqui"),
        ("pedido 12345", "pedido [12345](order_number)"),
        ("# comentário", "comentário"),
        ("a: b 'c' \"d\" # e", "a: b 'c' \"d\" # e"),
    ],
)
def test_markup_is_taken_out_of_a_text(text: str, line: str) -> None:
    assert as_line(text) == line
    result = with_example(PAYMENTS, "refund", line)
    block = YAML(typ="safe").load(result)["nlu"][0]["examples"]
    assert block.splitlines()[-1] == f"- {line}"


def test_a_server_without_the_training_data_says_so(tmp_path: Path) -> None:
    files = NluFiles(tmp_path)
    with pytest.raises(TrainingDataError, match="holds no training files"):
        files.add(Example("pt", "refund", "me devolve a grana"))


def test_a_file_that_is_no_training_data_is_named(files: NluFiles) -> None:
    (files.folder / "pt/broken.yml").write_text("nlu: [", encoding="utf-8")
    with pytest.raises(TrainingDataError, match=r"broken\.yml"):
        files.examples()


def _add_many(root: Path, name: str) -> None:
    for place in range(8):
        NluFiles(root).add(Example("pt", "refund", f"quero {name} numero {'x' * (place + 1)}"))


def test_two_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    files = make_files(tmp_path)
    spawn = multiprocessing.get_context("fork")
    writers = [spawn.Process(target=_add_many, args=(tmp_path, name)) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(files.examples()) == 4 + 24
    assert [path.name for path in files.folder.glob("pt/*")] == ["payments.yml"]
    assert list(files.folder.glob("pt/.*")) == []


def test_every_block_of_the_projects_own_files_can_be_extended() -> None:
    for path in sorted((ROOT / "data/nlu").glob("*/*.yml")):
        content = path.read_text(encoding="utf-8")
        for entry in YAML(typ="safe").load(content)["nlu"]:
            grown = with_example(content, entry["intent"], "uma frase nova")
            assert len(grown) == len(content) + len("      - uma frase nova\n")
