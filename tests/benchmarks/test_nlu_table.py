"""The table of public sets: its shape, its published rows, and what happens without sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.nlu import HEADER, SETS, main, markdown
from ponte.nlu.checks import Material
from ponte.nlu.measuring import Evaluation
from ponte.nlu.metrics import judge, score
from ponte.nlu.tables import Row, Table


@pytest.fixture(autouse=True)
def no_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PONTE_ENV_FILE", "")
    monkeypatch.delenv("PONTE_DATASETS_DIR", raising=False)


def evaluation() -> Evaluation:
    outcome = judge("a", [("a", 0.9)], threshold=0.5, oos_label=None, milliseconds=3.0)
    table = Table("t.csv", (Row(2, "x", "a"),))
    return Evaluation(
        scores=score([outcome]),
        outcomes=(outcome,),
        threshold=0.5,
        threshold_from="cross-validation",
        train_seconds=12.0,
        material=Material(table, table, None, None),
    )


def test_every_row_has_a_cell_for_every_column() -> None:
    shown = markdown([(one, evaluation()) for one in SETS])
    rows = [line for line in shown.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + sum(1 + len(one.rows) for one in SETS)
    assert {row.count("|") for row in rows} == {len(HEADER) + 1}
    assert all(one.source in shown for one in SETS)


def test_without_a_folder_it_says_how_to_get_the_sets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    for one in SETS:
        assert one.train.split("/")[0] in shown


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--datasets", "/nowhere/sets"], 2, "no such folder"),
        (["--datasets", ".", "--only", "atis"], 2, "--only atis: expected part of one of CLINC150"),
        (["--datasets", "tests", "--only", "banking"], 1, "Banking77: tests/banking77/train.csv"),
    ],
)
def test_what_is_missing_is_named(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    assert said in capsys.readouterr().err


def test_a_set_never_measures_on_what_it_learns_from() -> None:
    for one in SETS:
        files = [name for name in (one.train, one.test, one.validation) if name is not None]
        assert len({Path(name) for name in files}) == len(files)
