"""`ponte notifications check` and `explain`: what they print and their exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog

from kit.clock import SystemClock
from kit.ids import new_id
from notifications.policy_file import DEFAULT_PATH
from ponte.cli import main

SOURCE = DEFAULT_PATH.read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, db_url: str) -> Iterator[None]:
    monkeypatch.setenv("PONTE_ENV_FILE", "")
    monkeypatch.setenv("PONTE_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("PONTE_DATABASE_URL", db_url)
    yield
    structlog.reset_defaults()


def test_the_projects_own_policies_are_right_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["notifications", "check"]) == 0

    shown = capsys.readouterr().out
    assert "ok (14 events)" in shown
    assert "  sla-alert: urgent; holder by email" in shown
    assert "acknowledged on whatsapp; digest 2m; at-least-once" in shown


def test_every_mistake_is_named_and_the_check_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "policies.yml"
    text = SOURCE.replace("expires: 3d", "expires: soon").replace("digest: 2m", "digest: 0m")
    file.write_text(text, encoding="utf-8")

    assert main(["notifications", "check", str(file)]) == 1

    said = capsys.readouterr()
    assert "wrong (2 mistakes)" in said.out
    assert "events.user-notice.expires" in said.err
    assert "events.sla-alert.digest" in said.err


def test_programs_get_one_document_either_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["notifications", "check", "--json"]) == 0
    good = json.loads(capsys.readouterr().out)
    assert (good["ok"], good["problems"]) == (True, [])
    assert good["events"]["user-notice"]["expires_seconds"] == 259_200
    assert good["events"]["sla-alert"]["digest_seconds"] == 120

    assert main(["notifications", "check", str(tmp_path / "none.yml"), "--json"]) == 1
    bad = json.loads(capsys.readouterr().out)
    assert bad["ok"] is False
    assert "cannot be read" in bad["problems"][0]


def test_wrong_use_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["notifications", "check", "--yaml"]) == 2
    assert main(["notifications", "explain", "ticket-teleported"]) == 2
    assert "expected one of ticket-opened, " in capsys.readouterr().err


AGENT = """
INSERT INTO agents (id, email, name, password_hash, role, active, on_duty, languages, created_at,
  levels, skills, scoped_to_teams, failed_logins)
VALUES (%(id)s, %(email)s, 'x', '-', 'agent', true, true, '{pt}', %(at)s, '{}', '{}', false, 0)
"""
WISHES = """
INSERT INTO notification_preferences (agent_id, phone, channels, time_zone, updated_at)
VALUES (%(id)s, '+5521987654321', %(channels)s, 'America/Sao_Paulo', %(at)s)
"""


@pytest.fixture
def hire(db_url: str) -> Any:
    def add(email: str, channels: dict[str, list[str]] | None = None) -> None:
        values = {"id": str(new_id()), "email": email, "at": SystemClock().now()}
        with psycopg.connect(db_url, autocommit=True) as connection:
            connection.execute(AGENT, values)
            if channels is not None:
                connection.execute(WISHES, values | {"channels": json.dumps(channels)})

    return add


@pytest.fixture
def mail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_HOST", "mail.example")
    monkeypatch.setenv("SMTP_FROM", "avisos@ponte.example")
    monkeypatch.setenv("SMTP_TLS", "none")


@pytest.mark.usefixtures("mail")
def test_who_would_be_told_and_who_not_and_why(
    hire: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    hire("ana@example.com")
    hire("bia@example.com", {"ticket-opened": []})

    assert main(["notifications", "explain", "ticket-opened", "--queue", "n1"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert "  told: ana@example.com by email (a••@example.com)" in lines
    assert "  not: on_duty_agents by email, bia@example.com: turned it off" in lines
    assert (
        "  not: admin by whatsapp, (nobody): this installation has no account for the channel"
        in lines
    )
    assert not any("told: bia" in line for line in lines)


@pytest.mark.usefixtures("mail")
def test_the_admin_stands_in_when_nobody_is_on_duty(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NOTIFICATIONS_ADMIN_USER_ID", "chefe@example.com")

    assert main(["notifications", "explain", "ticket-opened", "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    (told,) = found["told"]
    assert (told["person"], told["channel"], told["stands_in"]) == (
        "chefe@example.com",
        "email",
        True,
    )
    assert found["left_out"][0]["reason"] == "nobody_on_duty"
    assert "chefe" not in told["address"]


@pytest.mark.usefixtures("mail")
def test_nobody_to_be_told_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["notifications", "explain", "breaker-alert"]) == 1

    said = capsys.readouterr().out
    assert "told: nobody" in said
    assert "no admin is set" in said


@pytest.mark.usefixtures("mail")
def test_an_address_that_said_no_is_named_with_its_reason(
    hire: Any, db_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hire("ana@example.com")
    with psycopg.connect(db_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO recipient_addresses (channel, address, id, state, code, strikes, since)"
            " VALUES ('email', 'ana@example.com', %s, 'opted_out', 'x', 0, %s)",
            (str(new_id()), SystemClock().now()),
        )

    assert main(["notifications", "explain", "ticket-opened"]) == 1
    assert "ana@example.com: said no on this channel" in capsys.readouterr().out
