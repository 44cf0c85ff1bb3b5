"""`ponte handoff backtest` and `replay` over a real database."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog

from benchmarks.backtest import Writer
from handoff.policy import HandoffPolicy
from handoff.policy_file import load_policy
from kit.periods import MomentError, read_moment
from ponte.cli import main
from ponte.cli.backtest_run import Task, run
from ponte.holiday_dates import holiday_dates
from ponte.processes.wiring import ROOT
from ticketing.services import decision_history
from ticketing.services.decision_history import Wanted

TURNS = 300
PERIOD = ["--since", "2026-01-01", "--until", "2026-12-31"]
COLUMNS = (
    "id, conversation_id, turn_id, outcome, reason, rule, level, queue, priority, understanding, "
    "snapshot, decision, versions, created_at, correlation_id"
)


@pytest.fixture(scope="module")
def policy() -> HandoffPolicy:
    return load_policy(ROOT / "handoff.yml", holiday_dates=holiday_dates)


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PONTE_ENV_FILE", "")
    monkeypatch.setenv("PONTE_STATE_DIR", str(tmp_path))
    yield
    structlog.reset_defaults()


@pytest.fixture
def empty(db_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PONTE_DATABASE_URL", db_url)
    return db_url


@pytest.fixture
def filled(empty: str, policy: HandoffPolicy) -> str:
    """Decisions of made-up conversations, which exist."""
    rows = list(Writer(policy).rows(TURNS))
    now = datetime(2026, 3, 1, tzinfo=UTC)
    contact = uuid.uuid4()
    with psycopg.connect(empty) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO contacts (id, created_at) VALUES (%s, %s)", [contact, now])
        for number, conversation in enumerate(dict.fromkeys(row[1] for row in rows)):
            cursor.execute(
                "INSERT INTO conversations (id, contact_id, channel, account_id, address, "
                "lifecycle, control, control_epoch, language, language_state, understanding, "
                "created_at) VALUES (%s, %s, 'whatsapp', %s, '', 'closed', 'bot', 0, 'pt', '{}', "
                "'{}', %s)",
                [conversation, contact, str(number), now],
            )
        with cursor.copy(f"COPY decisions ({COLUMNS}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    return empty


def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["handoff", "backtest", *PERIOD, "--json", *arguments]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_the_policy_in_force_flips_nothing_that_it_decided(
    filled: str, capsys: pytest.CaptureFixture[str], policy: HandoffPolicy
) -> None:
    made = report(capsys)

    assert made["turns"] == TURNS
    assert made["versions"] == {policy.version: TURNS}
    assert made["flips"]["turns"] == 0
    assert made["outcomes"]["before"]["handoff"]["turns"] > 0


def test_another_policy_is_compared_filtered_swept_and_drawn(
    filled: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = (ROOT / "handoff.yml").read_text(encoding="utf-8")
    tried = tmp_path / "new.yml"
    tried.write_text(text.replace("\n  confident: 0.", "\n  confident: 0.2", 1), encoding="utf-8")
    out, plot = tmp_path / "report.json", tmp_path / "sweep.svg"
    sweep = ["--sweep", "confidence=0.3..0.8:0.1", "--plot", str(plot), "--out", str(out)]

    made = report(capsys, "--policy", str(tried), "--language", "pt", "--limit-flips", "3", *sweep)

    assert 0 < made["turns"] < TURNS
    assert made["flips"]["conversations"] > 3
    assert len(made["flips"]["listed"]) == 3
    assert json.loads(out.read_text(encoding="utf-8"))["turns"] == made["turns"]
    assert plot.read_text(encoding="utf-8").startswith("<svg")
    assert main(["handoff", "backtest", *PERIOD, "--policy", str(tried)]) == 0
    shown = capsys.readouterr().out
    assert "conversations flip" in shown
    assert "Read with this in mind" in shown


def test_records_of_an_older_release_are_read_from_the_decision_itself(
    filled: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = report(capsys)
    with psycopg.connect(filled) as connection:
        connection.execute(
            "UPDATE decisions SET level = NULL, queue = NULL, priority = NULL, understanding = NULL"
        )

    assert report(capsys) == before


def test_several_processes_give_what_one_gives(
    filled: str, policy: HandoffPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ponte.cli.backtest_run._WORTH_A_PROCESS", 100)
    task = Task(filled, Wanted(None, None), policy, 5, {}, None)
    done: list[int] = []
    with (
        decision_history.connect(filled) as connection,
        decision_history.shared_view(connection) as view,
    ):
        one = run(task, view=view, turns=TURNS, jobs=1, progress=done.append)
        two = run(task, view=view, turns=TURNS, jobs=2, progress=lambda _: None)

    assert sum(done) == TURNS
    assert two == one


def test_nothing_stored_in_the_period_is_said(
    empty: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["handoff", "backtest"]) == 0
    assert "no decisions are stored" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--since", "yesterday"], 2, "--since: got 'yesterday'; expected 30d"),
        (["--until", "2026-13-01"], 2, "--until"),
        (["--sweep", "confidence"], 2, "--sweep: got 'confidence'; expected NAME"),
        (["--plot", "x.svg"], 2, "--plot: draws a sweep"),
        (["--sweep", "margin=0..1", "--plot", "x.png"], 2, "ends in .svg"),
        (["--policy", "nowhere.yml"], 1, "nowhere.yml:1: file: cannot be read"),
        (["--cost-wrong", "-1"], 2, ""),
    ],
)
def test_a_wrong_call_says_what_is_expected(
    empty: str,
    *,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    assert main(["handoff", "backtest", *arguments]) == code
    assert said in capsys.readouterr().err


def test_a_wrong_policy_is_told_with_its_lines(
    empty: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text("name: x\nrules: 7\n", encoding="utf-8")

    assert main(["handoff", "backtest", "--policy", str(wrong)]) == 1
    assert "wrong.yml:1: file: key" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30d", datetime(2026, 2, 8, 13, tzinfo=UTC)),
        ("12h", datetime(2026, 3, 10, 1, tzinfo=UTC)),
        ("2w", datetime(2026, 2, 24, 13, tzinfo=UTC)),
        ("2026-03-01", datetime(2026, 3, 1, 3, tzinfo=UTC)),  # midnight in Sao Paulo
        ("2026-03-01T08:00Z", datetime(2026, 3, 1, 8, tzinfo=UTC)),
    ],
)
def test_moments_as_people_type_them(text: str, expected: datetime) -> None:
    now = datetime(2026, 3, 10, 13, tzinfo=UTC)

    assert read_moment(text, now=now, zone="America/Sao_Paulo") == expected


@pytest.mark.parametrize("text", ["", "d", "30", "-3d", "999999w", "tomorrow"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    now = datetime(2026, 3, 10, 13, tzinfo=UTC)

    with pytest.raises(MomentError, match="expected 30d"):
        read_moment(text, now=now, zone="UTC")


@pytest.mark.parametrize(("subject", "code"), [("x", 2), (str(uuid.UUID(int=7)), 1)])
def test_replaying_what_is_not_there(empty: str, subject: str, code: int) -> None:
    assert main(["handoff", "replay", subject]) == code


def test_a_replay_prints_what_differs_and_ends_with_1(
    filled: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(filled) as connection:
        row = connection.execute("SELECT conversation_id::text FROM decisions LIMIT 1").fetchone()
    assert row is not None

    assert main(["handoff", "replay", row[0]]) == 1  # its policy version is not stored
    shown = capsys.readouterr().out
    assert "policy_version: stored" in shown
    assert "DIFFERENT" in shown
