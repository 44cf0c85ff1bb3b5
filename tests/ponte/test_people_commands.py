"""`ponte agents ...` and `ponte tokens ...` on a real database."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from ponte.cli import main

PASSWORD = "nove gatos no telhado"


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, db_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PONTE_ENV_FILE", "")
    monkeypatch.setenv("PONTE_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("PONTE_DATABASE_URL", db_url)
    yield
    structlog.reset_defaults()  # every command sets logging up for its own process


@pytest.fixture
def ana(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    person = ["--email", "ana@example.com", "--name", "Ana", "--role", "supervisor"]
    assert main(["agents", "add", *person, "--skill", "risk", "--capacity", "3"]) == 0


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> object:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("ana")
def test_a_person_is_edited_listed_and_shut_out_and_in(capsys: pytest.CaptureFixture[str]) -> None:
    edited = said(capsys, "agents", "edit", "ana@example.com", "--role", "admin", "--clear",
                  "skills", "--capacity", "0", "--language", "es")  # fmt: skip
    assert edited == {
        "email": "ana@example.com",
        "changed": ["capacity", "languages", "role", "skills"],
    }
    (found,) = said(capsys, "agents", "list", "--role", "admin")  # type: ignore[misc] # a list
    assert (found["capacity"], found["skills"], found["languages"]) == (None, [], ["es"])
    assert said(capsys, "agents", "list", "--skill", "risk") == []
    assert main(["agents", "disable", "ana@example.com"]) == 1
    assert "last active admin" in capsys.readouterr().err
    assert main(["agents", "edit", "ana@example.com", "--role", "agent"]) == 1
    assert main(["agents", "edit", "ana@example.com"]) == 2
    assert main(["agents", "edit", "ana@example.com", "--skill", "Not A Slug"]) == 1
    assert "skills: expected lower-case" in capsys.readouterr().err
    assert main(["agents", "enable", "nobody@example.com"]) == 1


@pytest.mark.usefixtures("ana")
def test_a_password_is_set_made_or_replaced_by_a_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = said(capsys, "agents", "password", "ana@example.com", "--code")
    assert set(made) == {"email", "code", "expires_at"}  # type: ignore[call-overload] # a dict
    made = said(capsys, "agents", "password", "ana@example.com", "--generate")
    assert set(made) == {"email", "password"}  # type: ignore[call-overload] # a dict
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    assert main(["agents", "password", "ana@example.com"]) == 1
    assert "password: expected 12 to 128 characters" in capsys.readouterr().err
    assert main(["agents", "password", "ana@example.com", "--code", "--generate"]) == 2


@pytest.mark.usefixtures("ana")
def test_a_token_is_made_listed_and_revoked(capsys: pytest.CaptureFixture[str]) -> None:
    token = ["tokens", "add", "--email", "ana@example.com", "--name", "CRM"]
    made = said(capsys, *token, "--scope", "tickets:read", "--days", "7")
    assert isinstance(made, dict)
    assert made["secret"].startswith("ponte_")
    (listed,) = said(capsys, "tokens", "list")  # type: ignore[misc] # a list
    assert (listed["owner"], listed["state"]) == ("ana@example.com", "live")
    assert "secret" not in listed
    assert main(["tokens", "revoke", made["id"]]) == 0
    assert main(["tokens", "list"]) == 0
    assert "revoked" in capsys.readouterr().out
    assert main([*token, "--scope", "people:manage"]) == 1
    assert "not a permission of the role supervisor" in capsys.readouterr().err
    assert main([*token, "--scope", "everything"]) == 2
    assert main(["tokens", "revoke", "019f2c3a-7d10-7c11-8a53-0242ac120002"]) == 1
