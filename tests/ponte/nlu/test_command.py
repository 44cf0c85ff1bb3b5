"""`ponte nlu evaluate`: wrong use and wrong files end with 2 and say what was expected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from ponte.cli import main

TRAIN = "text,intent\noi,greet\nolá,greet\ntchau,bye\naté,bye\n"
NUMBERS = [
    "in_scope_accuracy",
    "oos_recall",
    "accuracy_argmax",
    "coverage",
    "precision_at_coverage",
    "ece",
    "threshold",
    "train_seconds",
    "p50_ms",
    "p95_ms",
]
TEST = "text,intent\noie,greet\ntchauzinho,bye\n"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PONTE_ENV_FILE", "")
    yield
    structlog.reset_defaults()  # every command sets logging up for its own process


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "train.csv").write_text(TRAIN, encoding="utf-8")
    (tmp_path / "test.csv").write_text(TEST, encoding="utf-8")
    return tmp_path


def evaluate(files: Path, *more: str) -> int:
    return main(
        ["nlu", "evaluate", "--train", f"{files}/train.csv", "--test", f"{files}/test.csv", *more]
    )


def test_the_help_defines_every_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nlu", "evaluate", "--help"]) == 0
    shown = capsys.readouterr().out
    for name in NUMBERS:
        assert name in shown
    assert "never on TEST" in shown
    assert "ponte nlu evaluate" in shown


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--validation", "gone.csv"], "gone.csv: no such file"),
        (["--oos-label", " "], "--oos-label: expected the name of an intent"),
    ],
)
def test_a_wrong_option_is_told(
    files: Path, more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(files, *more) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""


@pytest.mark.parametrize("more", [["--language", "de"], ["--tset", "x"], ["extra"]])
def test_an_unknown_option_or_language_is_wrong_use(files: Path, more: list[str]) -> None:
    assert evaluate(files, *more) == 2


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("train.csv", "text,intent\noi,\n", "train.csv: row 2: column intent is empty"),
        ("train.csv", "text,intent\noi,greet\n", "at least two intents"),
        ("test.csv", "", "test.csv: is empty"),
        ("test.csv", TEST + "euro,oos\n", "with --oos-label, or count them as wrong"),
        ("test.csv", TRAIN, "has the same rows as --train"),
    ],
)
def test_a_wrong_file_is_told_with_its_row(
    files: Path, name: str, content: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / name).write_text(content, encoding="utf-8")
    assert evaluate(files) == 2
    assert said in capsys.readouterr().err
