from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from handoff.policy_file import PolicyError
from kit.clock import FakeClock
from ponte.processes.sla_watch import SlaFiles, SlaWatch
from ponte.settings import ROOT
from ticketing.db.engine import Database
from ticketing.domain.enums import SlaMetric
from ticketing.domain.sla.rules import Timeline
from ticketing.services.sla_rules import rules_of, use_rules

SLA = (ROOT / "sla.yml").read_text(encoding="utf-8")
HANDOFF = (ROOT / "handoff.yml").read_text(encoding="utf-8")
STRICTER = SLA.replace("minutes: promised", "minutes: 7")


@pytest.fixture
def files(tmp_path: Path, db: Database) -> Iterator[SlaFiles]:
    found = SlaFiles(sla=tmp_path / "sla.yml", handoff=tmp_path / "handoff.yml")
    found.sla.write_text(SLA, encoding="utf-8")
    found.handoff.write_text(HANDOFF, encoding="utf-8")
    yield found
    use_rules(db, None)


def start(db: Database, clock: FakeClock, files: SlaFiles) -> SlaWatch:
    return SlaWatch.start(db, clock, warning=0.7, files=files)


def write(path: Path, text: str) -> None:
    other = path.with_suffix(".new")
    other.write_text(text, encoding="utf-8")
    os.replace(other, path)  # noqa: PTH105 - as editors do


def promised(timeline: Timeline) -> timedelta:
    target = timeline.latest.policies[0].targets[SlaMetric.FIRST_RESPONSE]
    return target.durations["normal"]


async def test_sessions_know_the_rules_at_once_and_the_database_at_the_first_look(
    db: Database, clock: FakeClock, files: SlaFiles
) -> None:
    watch = start(db, clock, files)
    async with db.transaction() as session:
        assert rules_of(session) is not None
    assert await watch.check()
    assert not await watch.check()


async def test_a_changed_file_is_in_force_at_the_second_look_and_the_old_one_is_kept(
    db: Database, clock: FakeClock, files: SlaFiles
) -> None:
    watch = start(db, clock, files)
    await watch.check()
    clock.advance(timedelta(hours=1))
    write(files.sla, STRICTER)
    assert [await watch.check(), await watch.check()] == [False, True]
    timeline = watch.holder.current()
    assert promised(timeline) == timedelta(minutes=7)
    assert [period.since for period in timeline.periods] == [
        clock.now() - timedelta(hours=1),
        clock.now(),
    ]


async def test_a_changed_calendar_is_a_change_of_the_rules(
    db: Database, clock: FakeClock, files: SlaFiles
) -> None:
    watch = start(db, clock, files)
    await watch.check()
    version = watch.holder.current().latest.version
    clock.advance(timedelta(hours=1))
    write(files.handoff, HANDOFF.replace('sat: ["09:00-13:00"]', 'sat: ["09:00-14:00"]'))
    assert [await watch.check(), await watch.check()] == [False, True]
    assert len(watch.holder.current().periods) == 2
    assert watch.holder.current().latest.version == version  # of the promises, which are the same


async def test_a_wrong_file_changes_nothing_until_it_is_right(
    db: Database, clock: FakeClock, files: SlaFiles
) -> None:
    watch = start(db, clock, files)
    await watch.check()
    write(files.sla, SLA.replace("minutes: promised", "minutes: soon"))
    assert [await watch.check() for _ in range(3)] == [False] * 3
    assert promised(watch.holder.current()) == timedelta(hours=4)
    clock.advance(timedelta(minutes=1))
    write(files.sla, STRICTER)
    assert [await watch.check(), await watch.check()] == [False, True]


async def test_a_process_learns_what_another_has_put_in_force(
    db: Database, clock: FakeClock, files: SlaFiles
) -> None:
    old = start(db, clock, files)
    await old.check()
    clock.advance(timedelta(hours=1))
    write(files.sla, STRICTER)
    await start(db, clock, files).check()
    # The old process sees that its file has changed only at its second look; the rules sooner.
    assert await old.check()
    assert promised(old.holder.current()) == timedelta(minutes=7)
    await old.check()
    assert len(old.holder.current().periods) == 2


async def test_two_that_start_at_once_put_the_same_rules_in_force_once(
    db: Database, clock: FakeClock, files: SlaFiles
) -> None:
    for _ in range(3):
        watch = start(db, clock, files)
        await watch.check()
    assert len(watch.holder.current().periods) == 1


def test_a_process_does_not_start_with_a_wrong_file(
    db: Database, clock: FakeClock, files: SlaFiles
) -> None:
    files.sla.write_text("sla: s", encoding="utf-8")
    with pytest.raises(PolicyError, match="'policies' is missing"):
        start(db, clock, files)
