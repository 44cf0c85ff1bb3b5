"""`ponte training ...` on an empty database: what it prints, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from ponte.cli import main


@pytest.fixture(autouse=True)
def database(db_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PONTE_ENV_FILE", "")
    monkeypatch.setenv("PONTE_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("PONTE_DATABASE_URL", db_url)
    yield
    structlog.reset_defaults()


def test_an_empty_inbox_is_said_and_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["training", "inbox"]) == 0
    assert capsys.readouterr().out == "nothing here\n"
    assert main(["training", "inbox", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main(["training", "collect", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"looked_at": 0, "results": {}}


def test_metrics_without_marks_state_the_bias(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["training", "metrics", "--since", "2026-03-01"]) == 0
    shown = capsys.readouterr().out
    assert "nothing reviewed" in shown
    assert "random sample" in shown
    assert main(["training", "metrics", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["total"]["over_handoff"]["reviewed"] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["accept", "deadbeef"], 1, "deadbeef: no such candidate"),
        (["reject", "019f2c3a-7d10-7c11-8a53-0242ac120002"], 1, "no such candidate"),
        (["accept", "a", "b", "--text", "x"], 2, "--text: expected one candidate"),
        (["metrics", "--since", "yesterday"], 2, "--since: expected a date such as 2026-03-01"),
    ],
)
def test_a_wrong_call_says_what_was_expected(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["training", *arguments]) == code
    assert said in capsys.readouterr().err
