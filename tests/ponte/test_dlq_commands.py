"""`ponte dlq ...`: what it prints, which exit codes, and what it writes down."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog

from kit.clock import SystemClock
from kit.ids import new_id
from ponte.cli import main

ENTRY = """
INSERT INTO notifications (id, idempotency_key, job_name, event, recipient, language, context,
  state, attempts, created_at, finished_at, correlation_id, expires_at)
VALUES (%(notice)s::uuid, %(notice)s::text, %(job)s, 'ticket-opened', %(to)s, 'pt',
  '{"ticket_number": 7}', 'failed', 12, %(at)s, %(at)s, 'c', NULL);
"""
DEAD = """
INSERT INTO dead_letters (id, notification_id, state, job_name, origin_queue, event, reason,
  error_kind, error_code, detail, attempts, payload, payload_hash, correlation_id,
  first_failed_at, failed_at, reprocess_count)
VALUES (%(id)s, %(notice)s, 'dead', %(job)s, 'notifications', 'ticket-opened', %(reason)s,
  'transient', 'connect', '', 12, '{"context": {"ticket_number": 7}, "ticket_number": 7}', 'h',
  'c', %(at)s, %(at)s, %(count)s);
"""


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, db_url: str) -> Iterator[None]:
    monkeypatch.setenv("PONTE_ENV_FILE", "")
    monkeypatch.setenv("PONTE_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("PONTE_DATABASE_URL", db_url)
    yield
    structlog.reset_defaults()


@pytest.fixture
def bury(db_url: str) -> Any:
    def add(**changes: Any) -> str:
        values = {
            "id": str(new_id()),
            "notice": str(new_id()),
            "job": "send-email",
            "to": "ana@example.com",
            "reason": "attempts_exhausted",
            "at": SystemClock().now(),
            "count": 0,
        } | changes
        with psycopg.connect(db_url, autocommit=True) as connection:
            connection.execute(ENTRY, values)
            connection.execute(DEAD, values)
        return str(values["id"])

    return add


def said(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_an_entry_is_listed_and_shown_with_its_recipient_masked(
    bury: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = bury()
    assert main(["dlq", "list", "--since", "1h", "--job-name", "send-email"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("1 dead, 0 reprocessing, 0 recovered, 0 discarded\n")
    assert f"{entry}\t" in out
    assert "a••@example.com" in out
    assert main(["dlq", "show", entry, "--json"]) == 0
    story = said(capsys)
    assert story["entry"]["recipient"] == "a••@example.com"
    assert story["notice_state"] == "failed"
    assert main(["dlq", "show", entry]) == 0
    assert "ana@" not in capsys.readouterr().out
    assert main(["dlq", "show", str(new_id())]) == 1


def test_a_dry_run_changes_nothing(bury: Any, capsys: pytest.CaptureFixture[str]) -> None:
    bury()
    bury(reason="expired")
    assert main(["dlq", "reprocess", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "2 dead letters match" in out
    assert "1 would be refused: expired" in out
    assert main(["dlq", "audit", "--json"]) == 0
    assert said(capsys) == []


def test_a_reprocessing_is_done_once_and_written_down(
    bury: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bury()
    assert main(["dlq", "reprocess", "--yes", "--json"]) == 0
    done = said(capsys)
    assert (done["result"], done["done"]) == ("done", 1)
    assert main(["dlq", "reprocess", "--yes", "--json"]) == 0
    assert said(capsys)["done"] == 0
    assert main(["dlq", "audit", "--json"]) == 0
    newest, oldest = said(capsys)
    assert oldest["actor"] == f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
    lines = (tmp_path / "dlq-audit.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [oldest, newest]


def test_what_is_refused_or_put_away_ends_with_1(
    bury: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    bury(count=3)
    bury(reason="expired")
    assert main(["dlq", "reprocess", "--yes"]) == 1
    out = capsys.readouterr().out
    assert "1 discarded: tried as often as MAX_DLQ_ATTEMPT allows" in out
    assert "1 refused: expired" in out
    assert main(["dlq", "reprocess", "--yes", "--even-expired"]) == 0


def test_a_full_disk_or_a_missing_folder_is_said_and_the_act_is_recorded(
    bury: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bury()
    monkeypatch.setenv("DLQ_AUDIT_FILE", str(tmp_path / "missing" / "audit.jsonl"))
    assert main(["dlq", "discard", "--yes"]) == 0
    assert "cannot be written (No such file or directory)" in capsys.readouterr().err
    assert main(["dlq", "audit", "--json"]) == 0
    assert said(capsys)[0]["done"] == 1


def test_nobody_is_asked_without_a_terminal(
    bury: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bury()
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: PTH123, SIM115
    assert main(["dlq", "discard"]) == 2
    assert "expected --dry-run or --yes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--job-name", "send-fax"], "expected one of notify-user, send-email"),
        (["--since", "yesterday"], "--since: got 'yesterday'; expected 30d"),
        (["--since", "1h", "--until", "24h"], "--until: expected a time after since"),
        (["--limit", "10001"], "10000"),
        (["--id", "x"], "--id"),
        (["--reason", "bad"], "--reason"),
        (["--http-status", "12"], "--http-status"),
    ],
)
def test_a_wrong_filter_ends_with_2_and_says_what_was_expected(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dlq", "reprocess", "--yes", *arguments]) == 2
    assert expected in capsys.readouterr().err


def test_a_wrong_cursor_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dlq", "list", "--cursor", "x"]) == 2
    assert "--cursor: expected next_cursor" in capsys.readouterr().err
