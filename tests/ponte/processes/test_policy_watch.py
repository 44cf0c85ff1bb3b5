from __future__ import annotations

import re
from pathlib import Path

import pytest
import structlog
from sqlalchemy import select

from handoff.policy_holder import PolicyHolder
from kit.clock import FakeClock
from ponte.processes.policy_watch import PolicyWatch
from ponte.processes.wiring import ROOT, read_policy
from ticketing.db.engine import Database
from ticketing.db.tables import PolicyVersion, Queue

pytestmark = pytest.mark.asyncio(loop_scope="session")

SOURCE = (ROOT / "handoff.yml").read_text(encoding="utf-8")
_CONFIDENT = re.compile(r"(?m)^  confident: [0-9.]+")
CHANGED = _CONFIDENT.sub("  confident: 0.56", SOURCE, count=1)
BROKEN = _CONFIDENT.sub("  confident: high", SOURCE, count=1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "handoff.yml"
    path.write_text(SOURCE, encoding="utf-8")
    return path


def write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")


def remove(file: Path) -> None:
    file.unlink()


def watch_over(file: Path, db: Database, clock: FakeClock) -> tuple[PolicyWatch, PolicyHolder]:
    loaded = read_policy(file)
    policies = PolicyHolder(loaded.policy)
    return PolicyWatch.after(loaded, policies, db=db, clock=clock, path=file), policies


async def versions(db: Database) -> set[str]:
    async with db.transaction() as session:
        return set(await session.scalars(select(PolicyVersion.version)))


async def test_the_first_look_makes_the_database_know_the_policy(
    file: Path, db: Database, clock: FakeClock
) -> None:
    watch, policies = watch_over(file, db, clock)

    assert await watch.check() is False

    assert await versions(db) == {policies.current().version}
    async with db.transaction() as session:
        assert set(await session.scalars(select(Queue.key))) == set(policies.current().queues)


async def test_a_changed_file_is_in_force_at_the_second_look(
    file: Path, db: Database, clock: FakeClock
) -> None:
    watch, policies = watch_over(file, db, clock)
    await watch.check()
    before = policies.current()
    write(file, CHANGED)

    looks = [await watch.check() for _ in range(3)]

    assert looks == [False, True, False]
    assert policies.current().confidence.default.confident == 0.56
    assert before.confidence.default.confident != 0.56, "a turn that runs keeps its policy"
    assert await versions(db) == {before.version, policies.current().version}


async def test_a_file_that_is_still_being_written_is_left_alone(
    file: Path, db: Database, clock: FakeClock
) -> None:
    watch, policies = watch_over(file, db, clock)
    before = policies.current()
    for length in (1000, 5000, 9000):
        write(file, CHANGED[:length])
        assert await watch.check() is False
    write(file, CHANGED)

    assert [await watch.check() for _ in range(2)] == [False, True]
    assert policies.current() is not before


async def test_a_broken_file_is_refused_once_and_the_old_policy_goes_on(
    file: Path, db: Database, clock: FakeClock
) -> None:
    watch, policies = watch_over(file, db, clock)
    await watch.check()
    before = policies.current()
    write(file, BROKEN)

    with structlog.testing.capture_logs() as logs:
        for _ in range(4):
            await watch.check()
        write(file, f"{BROKEN}\n")
        for _ in range(3):
            await watch.check()

    assert policies.current() is before
    (refused,) = [entry for entry in logs if entry["event"] == "policy.refused"]
    (problem,) = refused["problems"]
    assert "confidence.confident: got 'high'; expected a number from 0 to 1" in problem
    assert f"{file}:" in problem
    assert await versions(db) == {before.version}


async def test_a_file_that_is_gone_is_refused_and_taken_when_it_is_back(
    file: Path, db: Database, clock: FakeClock
) -> None:
    watch, policies = watch_over(file, db, clock)
    remove(file)
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            await watch.check()
    write(file, CHANGED)
    looks = [await watch.check() for _ in range(2)]

    assert [entry["event"] for entry in logs] == ["policy.refused"]
    assert looks == [False, True]
    assert policies.current().confidence.default.confident == 0.56


async def test_a_mended_file_with_the_old_content_changes_nothing(
    file: Path, db: Database, clock: FakeClock
) -> None:
    watch, policies = watch_over(file, db, clock)
    before = policies.current()
    write(file, BROKEN)
    for _ in range(2):
        await watch.check()
    write(file, f"# mended\n{SOURCE}")

    assert [await watch.check() for _ in range(2)] == [False, False]
    assert policies.current() is before


class AwayDatabase:
    """A database that does not answer until it does."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.away = True

    def transaction(self) -> object:
        if self.away:
            message = "the database is away"
            raise ConnectionError(message)
        return self.db.transaction()


async def test_no_policy_decides_before_the_database_knows_it(
    file: Path, db: Database, clock: FakeClock
) -> None:
    away = AwayDatabase(db)
    watch, policies = watch_over(file, away, clock)  # type: ignore[arg-type]
    before = policies.current()
    write(file, CHANGED)
    for _ in range(3):
        with pytest.raises(ConnectionError):
            await watch.check()
    assert policies.current() is before

    away.away = False

    assert await watch.check() is True
    assert policies.current().version in await versions(db)
