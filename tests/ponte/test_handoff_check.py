from __future__ import annotations

import json
from pathlib import Path

import pytest

from ponte.cli import main
from ponte.settings import ROOT

SOURCE = (ROOT / "handoff.yml").read_text(encoding="utf-8")
DEAD = """
  - id: never
    when: {vip: true, top_intent: refund, not_top_intent: refund}
    then: {outcome: stay, reason: understood}
"""


def written(folder: Path, text: str) -> str:
    file = folder / "handoff.yml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_the_project_s_own_policy_is_checked_by_default(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["handoff", "check"]) == 0

    assert "ok (version " in capsys.readouterr().out


def test_a_mistake_is_named_and_the_check_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, SOURCE.replace("confident: 0.80", "confident: high", 1))

    assert main(["handoff", "check", path]) == 1

    shown = capsys.readouterr()
    assert "confidence.confident: error: got 'high'; expected a number from 0 to 1" in shown.err
    assert "wrong (no policy; 1 errors, 0 warnings)" in shown.out


def test_a_rule_that_never_wins_fails_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, SOURCE + DEAD)

    assert main(["handoff", "check", path, "--json"]) == 1

    document = json.loads(capsys.readouterr().out)
    (finding,) = document["findings"]
    assert finding["severity"] == "error"
    assert finding["line"] == len(SOURCE.splitlines()) + 2
    assert document["ok"] is False


def test_a_warning_does_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, SOURCE.replace("keywords:\n", "keywords:\n  spare: [nada]\n", 1))

    assert main(["handoff", "check", path]) == 0

    shown = capsys.readouterr()
    assert "keywords.spare: warning: no rule asks for 'spare'" in shown.err


def test_a_file_that_is_not_there_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["handoff", "check", str(tmp_path / "gone.yml")]) == 1

    assert "cannot be read" in capsys.readouterr().err
