"""`ponte audit`, `ponte contacts`, `ponte retention`: what they print, and their exit codes."""

from __future__ import annotations

import asyncio
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog

from ponte.cli import main
from ponte.embedded.postgres import EmbeddedPostgres
from ponte.privacy.checkpoint_file import (
    CheckpointFileError,
    append_checkpoint,
    read_checkpoints,
)
from tests.ponte.privacy.test_erasure import rasa_database
from ticketing.db.engine import Database, make_engine
from ticketing.domain.audit_chain import Keys, Seal, make_checkpoint
from ticketing.services.audit import record
from ticketing.services.audit_sealing import seal_waiting

KEY = "k" * 32
NOW = datetime(2026, 3, 10, 13, 0, tzinfo=UTC)
CONTACT = "018f3a5e-7c1d-7b3e-9c55-1234567890ab"


@pytest.fixture(autouse=True)
def environment(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    db_url: str,
    postgres_server: EmbeddedPostgres,
) -> Iterator[None]:
    monkeypatch.setenv("PONTE_ENV_FILE", "")
    monkeypatch.setenv("PONTE_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("PONTE_DATABASE_URL", db_url)
    monkeypatch.setenv("PONTE_RASA_DATABASE_URL", rasa_database(postgres_server, db_url))
    monkeypatch.setenv("PONTE_AUDIT_KEY", KEY)
    monkeypatch.setenv("PONTE_PRIVACY_KEY", "a key for tests only")
    yield
    structlog.reset_defaults()


def write(url: str, count: int) -> None:
    async def work() -> None:
        db = Database(make_engine(url, pool_size=1))
        async with db.transaction() as session:
            for number in range(1, count + 1):
                await record(
                    session, actor="system", action="thing.done", subject=f"thing:{number}",
                    data={}, now=NOW, correlation_id="c0ffee",
                )  # fmt: skip
        await seal_waiting(db, Keys.of([KEY]), now=NOW)
        await db.close()

    asyncio.run(work())


def add_contact(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as line:
        line.execute(
            "INSERT INTO contacts (id, name, phone, created_at) "
            "VALUES (%s, 'Zenaide Quixaba', '+5531987654321', now())",
            (CONTACT,),
        )


def said(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_verify_tells_a_good_log_from_a_bad_one(
    db_url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write(db_url, 4)
    assert main(["audit", "verify"]) == 0
    assert "4 entries are as they were written" in capsys.readouterr().out
    assert main(["audit", "checkpoint"]) == 0
    points = tmp_path / "points.jsonl"
    points.write_text(capsys.readouterr().out)

    with psycopg.connect(db_url) as line:
        line.execute("SET ponte.audit_cut = 'on'")
        line.execute("DELETE FROM audit_seals WHERE seq = 4")
        line.execute("DELETE FROM audit_log WHERE subject = 'thing:4'")

    assert main(["audit", "verify"]) == 0
    capsys.readouterr()
    assert main(["audit", "verify", "--checkpoints", str(points), "--json"]) == 1
    found = said(capsys)
    assert (found["ok"], found["fault"]["kind"], found["fault"]["seq"]) == (False, "truncated", 4)
    assert main(["audit", "verify", "--from", "3", "--to", "2"]) == 2
    assert main(["audit", "verify", "--checkpoints", str(tmp_path / "none")]) == 2


def test_verify_without_the_key_says_which_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PONTE_AUDIT_KEY", "")

    assert main(["audit", "verify"]) == 2
    assert "PONTE_AUDIT_KEY" in capsys.readouterr().err


def test_the_key_that_ponte_up_made_is_used(
    db_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(db_url, 1)
    monkeypatch.setenv("PONTE_AUDIT_KEY", "")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "secrets.json").write_text(json.dumps({"PONTE_AUDIT_KEY": KEY}))

    assert main(["audit", "verify"]) == 0


def test_a_contact_is_exported_once_into_a_private_file(
    db_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_contact(db_url)
    out = tmp_path / "maria.zip"
    export = ["contacts", "export", "31 98765-4321", "--out", str(out)]

    assert main(["contacts", "export", "+55 31 98765-4321", "--out", str(out), "--json"]) == 0
    assert said(capsys)["contact_id"] == CONTACT
    assert out.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(out) as archive:
        assert "Zenaide" in archive.read("contacts.json").decode()
    assert main(export) == 2  # the file is there already
    assert main(["contacts", "export", "nobody@example.com", "--out", f"{out}2"]) == 1


def test_an_erasure_is_shown_first_and_done_with_yes(
    db_url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    add_contact(db_url)

    assert main(["contacts", "erase", CONTACT]) == 0
    assert "nothing was changed" in capsys.readouterr().out
    assert main(["contacts", "hold", CONTACT, "--reason", "processo 1"]) == 0
    assert main(["contacts", "erase", CONTACT, "--yes"]) == 1
    assert "legal hold" in capsys.readouterr().err
    assert main(["contacts", "release", CONTACT]) == 0
    capsys.readouterr()
    assert main(["contacts", "erase", CONTACT, "--yes", "--json"]) == 0
    assert said(capsys)["job"]["state"] == "settling"

    with psycopg.connect(db_url) as line:
        assert line.execute("SELECT name, phone FROM contacts").fetchone() == (None, None)
    assert main(["contacts", "erasures", "--out", str(tmp_path / "e.jsonl")]) == 0
    assert main(["contacts", "erase-again", "--from", str(tmp_path / "e.jsonl")]) == 0
    (tmp_path / "bad.jsonl").write_text("{}\n")
    assert main(["contacts", "erase-again", "--from", str(tmp_path / "bad.jsonl")]) == 2
    assert "line 1" in capsys.readouterr().err


def test_retention_says_what_it_would_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["retention", "run", "--dry-run", "--json"]) == 0
    assert said(capsys)["dry_run"] is True
    assert main(["retention", "run"]) == 0


def test_checkpoints_survive_a_writer_that_died(tmp_path: Path) -> None:
    path = tmp_path / "points.jsonl"
    secret = KEY.encode()
    first = make_checkpoint(secret, Seal(1, "e", "0", "aa", "k"), at=NOW)
    second = make_checkpoint(secret, Seal(2, "e", "aa", "bb", "k"), at=NOW)

    assert append_checkpoint(path, first)
    assert not append_checkpoint(path, first)
    with path.open("a") as file:
        file.write('{"seq": 2, "ha')
    assert read_checkpoints(path) == (first,)
    assert append_checkpoint(path, second)
    assert read_checkpoints(path) == (first, second)

    path.write_text("nonsense\n")
    with pytest.raises(CheckpointFileError, match="line 1"):
        read_checkpoints(path)
