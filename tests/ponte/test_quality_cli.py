from __future__ import annotations

import json
from pathlib import Path

import pytest

from ponte.cli import main

ROOT = Path(__file__).resolve().parents[2]


def test_the_shipped_runbooks_pass_the_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runbooks", "check", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is True
    assert "billing" in [item["runbook"] for item in document["runbooks"]]


def test_a_wrong_runbook_is_named_with_file_and_line_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "runbooks" / "order_status.yml").read_text("utf-8")
    wrong = text.replace("intent: order_status", "intent: order_statsu")
    wrong = wrong.replace("entity.order_number}}", "entity.order_nr}}", 1)
    (tmp_path / "order_status.yml").write_text(wrong, encoding="utf-8")
    assert main(["runbooks", "check", "--folder", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert "order_status.yml:3: when.intent: unknown intent 'order_statsu'" in told
    assert "unknown variable {{entity.order_nr}}" in told
    assert main(["runbooks", "check", "--folder", str(tmp_path / "nothing")]) == 2


def test_which_says_what_a_ticket_gets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runbooks", "which", "--level", "N3", "--intent", "report_fraud", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runbook"] == "risk"
    assert main(["runbooks", "which", "--level", "N1"]) == 0
    assert "no steps" in capsys.readouterr().out


def test_the_plan_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quality", "check"]) == 0
    assert "quality.yml: ok" in capsys.readouterr().out
    wrong = tmp_path / "quality.yml"
    text = (ROOT / "quality.yml").read_text("utf-8")
    wrong.write_text(text.replace("weight: 3", "weight: 0"), encoding="utf-8")
    assert main(["quality", "check", "--plan", str(wrong)]) == 1
    assert "scorecard[1].weight: got 0" in capsys.readouterr().err


def test_a_week_is_drawn_and_reported_from_the_command_line(
    db_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PONTE_DATABASE_URL", db_url)
    assert main(["quality", "sample", "--period", "2026-W11", "--json"]) in {0, 1}
    first = capsys.readouterr()
    if first.err:  # the machine's clock may stand before that week
        assert "is not over" in first.err
        return
    assert json.loads(first.out)["sampled"] == 0
    assert main(["quality", "sample", "--period", "2026-W11"]) == 0
    assert "drawn before" in capsys.readouterr().out
    assert main(["quality", "sample", "--period", "2026-11"]) == 2
    assert main(["quality", "report", "--json"]) == 0
    capsys.readouterr()
    assert main(["quality", "report"]) == 0
    assert "no average: nothing_scored" in capsys.readouterr().out
