"""`ponte sla sweep` and `explain` over a real database."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog

from kit.clock import FakeClock, SystemClock
from ponte.cli import main
from tests.ticketing.desk import Desk, make_desk
from tests.ticketing.sla_desk import make_rules
from ticketing.db.engine import Database, make_engine
from ticketing.db.sla_tables import SlaAlert
from ticketing.domain.sla.rules import Timeline
from ticketing.services import sla_follow, sla_periods

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PONTE_ENV_FILE", "")
    monkeypatch.setenv("PONTE_STATE_DIR", str(tmp_path))
    yield
    structlog.reset_defaults()


@pytest.fixture
def database(db_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PONTE_DATABASE_URL", db_url)
    return db_url


def a_desk_with_tickets(url: str, *ages: timedelta) -> list[int]:
    """Tickets that were opened so long ago and wait; their numbers."""

    async def fill() -> list[int]:
        db = Database(make_engine(url, pool_size=1))
        clock = FakeClock(SystemClock().now())
        try:
            desk: Desk = await make_desk(db, clock)
            rules, numbers = make_rules(), []
            async with db.transaction() as session:
                await sla_periods.put_in_force(session, rules, now=datetime(2026, 1, 1, tzinfo=UTC))
            present = clock.now()
            for age in ages:
                clock.set(present - age)
                ticket_id: uuid.UUID = await desk.ticket()
                async with db.transaction() as session:
                    await sla_follow.follow(
                        session, ticket_id, now=clock.now(), rules=Timeline.of(rules)
                    )
                numbers.append((await desk.row(ticket_id)).number)
            return numbers
        finally:
            await db.close()

    return asyncio.run(fill())


def alerts(url: str) -> int:
    async def count() -> int:
        db = Database(make_engine(url, pool_size=1))
        try:
            async with db.transaction() as session:
                return len((await session.scalars(SlaAlert.__table__.select())).all())
        finally:
            await db.close()

    return asyncio.run(count())


def test_a_dry_run_explains_what_is_due_and_writes_nothing(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # Targets of the desk: first response 4 h, warning after 2 h 48 min.
    late, warned, fresh = a_desk_with_tickets(database, 5 * HOUR, 3 * HOUR, HOUR)

    assert main(["sla", "sweep", "--dry-run"]) == 1  # nobody has looked for hours

    shown = capsys.readouterr()
    assert "2 clocks due, 2 messages" in shown.out
    assert f"#{late} first_response #1" in shown.out
    assert "breach passed" in shown.out
    assert "would be stored, not told: breach_told" in shown.out
    assert f"#{warned} first_response #1" in shown.out
    assert "next:" in shown.out
    assert f"#{fresh} first_response #1 running" in shown.out
    assert "is `ponte scheduler` running?" in shown.err
    assert alerts(database) == 0


def test_a_dry_run_as_json_holds_every_value(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (late,) = a_desk_with_tickets(database, 5 * HOUR)

    assert main(["sla", "sweep", "--dry-run", "--json"]) == 1

    document = json.loads(capsys.readouterr().out)
    (line,) = document["due"]
    assert (document["due_count"], document["messages"], document["behind"]) == (1, 1, True)
    assert (line["ticket_number"], line["metric"]) == (late, "first_response")
    assert (line["target_seconds"], line["hold"]) == (14_400, None)
    assert abs(line["consumed_seconds"] - 5 * 3600) < 60
    assert [said["threshold"] for said in line["says"]] == ["breach", "warning"]
    assert [said["why_not"] for said in line["says"]] == [None, "breach_told"]


def test_a_dry_run_may_look_into_the_future(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    a_desk_with_tickets(database, HOUR)
    ahead = (SystemClock().now() + 2 * HOUR).isoformat()

    assert main(["sla", "sweep", "--dry-run", "--at", ahead]) == 0

    assert "1 clocks due, 1 messages" in capsys.readouterr().out


def test_a_sweep_tells_what_is_due_once(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    a_desk_with_tickets(database, 5 * HOUR, 3 * HOUR, HOUR)

    assert main(["sla", "sweep"]) == 0
    assert "1 breached, 2 warned; 2 messages told" in capsys.readouterr().out
    assert main(["sla", "sweep", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["breaches"], document["told"]) == (0, 0)
    assert alerts(database) == 3
    assert main(["sla", "sweep", "--dry-run"]) == 0


def test_a_sweep_is_not_made_in_the_future(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    a_desk_with_tickets(database, HOUR)
    ahead = (SystemClock().now() + 9 * HOUR).isoformat()

    assert main(["sla", "sweep", "--at", ahead]) == 2

    assert "expected --dry-run" in capsys.readouterr().err
    assert alerts(database) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sweep", "--at", "soon"], "--at: got 'soon'; expected"),
        (["explain", "abc"], "to parse string as an integer"),
        (["explain", "0"], "greater than or equal to"),
    ],
)
def test_wrong_use_is_said_and_ends_with_2(
    database: str, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(["sla", *arguments]) == 2

    assert words in " ".join(capsys.readouterr().err.split())


def test_explain_shows_every_clock_of_a_ticket_and_what_was_told(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (late,) = a_desk_with_tickets(database, 5 * HOUR)
    main(["sla", "sweep"])
    capsys.readouterr()

    assert main(["sla", "explain", str(late)]) == 0

    shown = capsys.readouterr().out
    assert "first_response #1 is breached" in shown
    assert "the target was used up" in shown
    assert "breach of first_response #1: passed" in shown
    assert "not told (breach_told)" in shown
    assert main(["sla", "explain", str(late), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["clocks"][0]["metric"] == "first_response"
    assert len(document["alerts"]) == 2


def test_explain_of_a_ticket_that_does_not_exist_ends_with_1(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sla", "explain", "424242"]) == 1

    assert "there is no ticket 424242" in capsys.readouterr().err
