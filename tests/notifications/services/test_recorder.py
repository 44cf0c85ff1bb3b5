from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.exc import DataError, OperationalError

from kit.ids import new_id
from notifications.domain.jobs import JobName
from notifications.services.ports import Accepted, Outgoing
from notifications.services.recorder import GROUP, Recorder
from notifications.services.results import Result


def result(job_name: JobName = JobName.SEND_WHATSAPP) -> Result:
    outgoing = Outgoing(
        notification_id=new_id(),
        attempt=1,
        recipient="ana@example.com",
        language="pt",
        event="ticket-opened",
        context={},
        created_at=datetime(2026, 3, 10, tzinfo=UTC),
        correlation_id="c-1",
    )
    return Result(outgoing, job_name, Accepted("x"))


def broken(kind: type[OperationalError | DataError]) -> Exception:
    return kind("UPDATE", {}, Exception())


class Table:
    """Remembers each group; fails as it is told."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.groups: list[list[Result]] = []
        self.told: list[Result] = []
        self.bad: Result | None = None

    async def write(self, results: Sequence[Result]) -> None:
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        if self.bad in results:
            raise broken(DataError)
        self.groups.append(list(results))

    async def tell(self, results: Sequence[Result]) -> None:
        self.told.extend(results)

    def recorder(self, *pauses: float, **options: float) -> Recorder:
        return Recorder(self.write, self.tell, pauses=pauses, **options)


async def together(recorder: Recorder, results: Sequence[Result]) -> list[Any]:
    recorder.expect(len(results))
    return await asyncio.gather(*(recorder.add(one) for one in results), return_exceptions=True)


async def test_a_lone_result_is_written_at_once() -> None:
    table = Table()
    recorder = table.recorder()
    recorder.expect(1)

    await recorder.add(result())

    assert [len(group) for group in table.groups] == [1]


async def test_results_that_end_together_are_written_together() -> None:
    table = Table()

    await together(table.recorder(), [result() for _ in range(GROUP + 20)])

    assert len(table.groups) <= 2
    assert sum(len(group) for group in table.groups) == GROUP + 20


async def test_one_that_is_still_under_way_holds_the_others_up_for_a_moment_only() -> None:
    table = Table()
    recorder = table.recorder()
    recorder.expect(2)

    async with asyncio.timeout(5):
        await recorder.add(result())

    assert len(table.groups) == 1


@pytest.mark.parametrize("job_name", [JobName.SEND_EMAIL, JobName.SEND_PUSH])
async def test_what_nobody_could_be_asked_about_waits_for_no_others(job_name: Any) -> None:
    table = Table()
    recorder = table.recorder(patience_seconds=3600)
    recorder.expect(4)
    patient = asyncio.create_task(recorder.add(result()))

    async with asyncio.timeout(5):
        await asyncio.sleep(0)
        await recorder.add(result(job_name))  # takes along what waits
        await recorder.add(result(job_name))

    assert patient.done()
    assert [len(group) for group in table.groups] == [2, 1]


async def test_while_the_database_is_away_it_is_tried_again() -> None:
    table = Table(broken(OperationalError), broken(OperationalError))
    one = result()

    assert await together(table.recorder(0.0, 0.0), [one]) == [None]
    assert table.groups == [[one]]


async def test_what_cannot_be_written_in_time_is_said_to_whoever_waits() -> None:
    table = Table(broken(OperationalError), broken(OperationalError))

    (error,) = await together(table.recorder(0.0), [result()])

    assert isinstance(error, OperationalError)


async def test_one_that_the_database_refuses_does_not_spoil_its_group() -> None:
    table = Table()
    results = [result() for _ in range(5)]
    table.bad = results[2]

    ends = await together(table.recorder(0.0, 0.0), results)

    assert [isinstance(end, DataError) for end in ends] == [False, False, True, False, False]
    written = [one for group in table.groups for one in group]
    assert written == [one for one in results if one is not table.bad]


async def test_the_gate_hears_of_each_result_once_however_often_it_is_written() -> None:
    table = Table(broken(OperationalError))
    results = [result() for _ in range(3)]

    await together(table.recorder(0.0), results)

    assert table.told == results


@pytest.mark.parametrize("count", [0, 3])
async def test_the_end_waits_for_what_is_being_written(count: int) -> None:
    table = Table()
    recorder = table.recorder()
    tasks = [asyncio.create_task(recorder.add(result())) for _ in range(count)]
    await asyncio.sleep(0)

    await recorder.close(within_seconds=5)

    assert sum(len(group) for group in table.groups) == count
    await asyncio.gather(*tasks)
