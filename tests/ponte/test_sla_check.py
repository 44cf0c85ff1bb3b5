from __future__ import annotations

import json
from pathlib import Path

import pytest

from ponte.cli import main
from ponte.settings import ROOT

SOURCE = (ROOT / "sla.yml").read_text(encoding="utf-8")


def written(folder: Path, text: str) -> str:
    file = folder / "sla.yml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_the_projects_own_rules_are_checked_by_default_and_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["sla", "check"]) == 0

    shown = capsys.readouterr().out
    assert "ok (version " in shown
    assert "first_response: low 480 min, normal 240 min, high 60 min, urgent 15 min" in shown


def test_a_mistake_is_named_with_its_line_and_the_check_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, SOURCE.replace("minutes: promised", "minutes: soon"))

    assert main(["sla", "check", path]) == 1

    shown = capsys.readouterr()
    line = next(n for n, text in enumerate(SOURCE.splitlines(), 1) if "minutes: promised" in text)
    assert f"{path}:{line}: policies[0].targets.first_response.minutes: got 'soon'" in shown.err


def test_programs_get_one_document_either_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sla", "check", "--json"]) == 0
    good = json.loads(capsys.readouterr().out)
    assert good["ok"] is True
    assert good["policies"][0]["targets"]["level"]["minutes"]["N1"] == 540

    assert main(["sla", "check", written(tmp_path, "sla: s"), "--json"]) == 1
    bad = json.loads(capsys.readouterr().out)
    assert (bad["ok"], bad["findings"][0]["line"]) == (False, 1)


def test_a_file_that_is_not_there_is_a_mistake_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sla", "check", str(tmp_path / "none.yml")]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_tickets_that_no_policy_fits_are_pointed_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(
        tmp_path,
        "sla: s\npolicies:\n- {id: p, when: {vip: true}, targets: {level: {minutes: 5}}}\n",
    )
    assert main(["sla", "check", path]) == 0
    assert "no clocks" in capsys.readouterr().out
