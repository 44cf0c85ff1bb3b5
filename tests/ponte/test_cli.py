"""The command line: exit codes, help with an example, and what it prints."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from ponte.cli import main

COMMANDS = [
    ["up"],
    ["web"],
    ["bot"],
    ["actions"],
    ["worker"],
    ["scheduler"],
    ["migrate"],
    ["doctor"],
    ["version"],
    ["agents", "add"],
    ["agents", "list"],
    ["agents", "disable"],
    ["handoff", "explain"],
    ["handoff", "backtest"],
    ["handoff", "replay"],
    ["training", "collect"],
    ["training", "inbox"],
    ["training", "accept"],
    ["training", "reject"],
    ["training", "metrics"],
    ["training", "gate"],
    ["nlu", "evaluate"],
    ["agents", "edit"],
    ["agents", "enable"],
    ["agents", "password"],
    ["tokens", "add"],
    ["tokens", "list"],
    ["tokens", "revoke"],
    ["sla", "check"],
    ["sla", "sweep"],
    ["sla", "explain"],
    ["tickets", "verify"],
    ["tickets", "reindex"],
    ["routing", "explain"],
    ["runbooks", "check"],
    ["runbooks", "which"],
    ["quality", "check"],
    ["quality", "sample"],
    ["quality", "report"],
    ["audit", "verify"],
    ["audit", "list"],
    ["contacts", "export"],
    ["contacts", "erase"],
    ["contacts", "hold"],
    ["contacts", "release"],
    ["contacts", "erasures"],
    ["contacts", "erase-again"],
    ["retention", "run"],
    ["dlq", "list"],
    ["dlq", "show"],
    ["dlq", "reprocess"],
    ["dlq", "discard"],
    ["dlq", "audit"],
]
ANA = ["agents", "add", "--email", "Ana@Example.com", "--name", "Ana Souza"]
PASSWORD = "cavalo bateria grampo correto"


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installation where nothing runs; tests with a database name it."""
    monkeypatch.setenv("PONTE_ENV_FILE", "")
    monkeypatch.setenv("PONTE_STATE_DIR", str(tmp_path))
    monkeypatch.delenv("PONTE_DATABASE_URL", raising=False)
    yield
    structlog.reset_defaults()  # every command sets logging up for its own process


@pytest.fixture
def database(db_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PONTE_DATABASE_URL", db_url)
    return db_url


def type_in(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Example:" in shown
    assert f"ponte {' '.join(command)}" in shown


@pytest.mark.parametrize(
    "wrong", [["frobnicate"], ["up", "--loud"], ["agents", "add"], ["handoff", "explain"]]
)
def test_a_wrong_call_ends_with_2(wrong: list[str]) -> None:
    assert main(wrong) == 2


def test_missing_settings_are_listed_and_end_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agents", "list"]) == 2

    said = capsys.readouterr().err
    assert "PONTE_DATABASE_URL: missing" in said
    assert "start `ponte up` first" in said


def test_an_agent_is_added_listed_and_disabled(
    database: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, PASSWORD + "\n")
    assert main([*ANA, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["email"] == "ana@example.com"

    assert main(["agents", "list", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["email"], listed["role"], listed["active"]) == ("ana@example.com", "agent", True)

    assert main(["agents", "disable", "ana@example.com"]) == 0
    assert main(["agents", "list"]) == 0
    assert "ana@example.com\tAna Souza\tagent\tdisabled\tall queues" in capsys.readouterr().out


def test_a_generated_password_is_printed_once(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*ANA, "--generate-password", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["password"]) >= 15


@pytest.mark.parametrize(
    ("more", "password", "said"),
    [
        (["--queue", "nowhere"], PASSWORD, "queues"),
        ([], "short", "password"),
    ],
)
def test_a_wrong_value_of_an_agent_is_named(
    database: str,
    *,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
    password: str,
    said: str,
) -> None:
    type_in(monkeypatch, password + "\n")

    assert main([*ANA, *more]) == 1
    assert said in capsys.readouterr().err


def test_no_password_on_standard_input_is_a_wrong_call(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, "")

    assert main(ANA) == 2


def test_disabling_nobody_ends_with_1(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agents", "disable", "nobody@example.com"]) == 1
    assert "nobody@example.com: there is no such agent" in capsys.readouterr().err


def test_a_database_that_does_not_answer_is_told_without_a_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PONTE_DATABASE_URL", "postgresql://ponte@/ponte?host=/nowhere")

    assert main(["agents", "list"]) == 1
    said = capsys.readouterr().err
    assert "ponte: the database does not answer" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("subject", "code"),
    [("999999", 1), ("#999999999999999999999999", 1), ("not-an-id", 2)],
)
def test_explaining_what_is_not_there(database: str, subject: str, code: int) -> None:
    assert main(["handoff", "explain", subject]) == code


def test_doctor_names_what_does_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 1

    report = json.loads(capsys.readouterr().out)
    states = {check["name"]: check["state"] for check in report["checks"]}
    assert not report["ok"]
    assert states["settings"] == "ok"
    assert states["database"] == states["redis"] == states["web"] == "failed"


def test_doctor_lists_every_wrong_setting(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PONTE_PORT", "x")
    monkeypatch.setenv("SMTP_TLS", "x")

    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert "PONTE_PORT: expected" in shown
    assert "SMTP_TLS: expected" in shown


def test_the_version_is_the_project_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out.startswith("ponte ")
