from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest

from notifications.senders.threads import NoThreadError, Threads

SOON, LATER = timedelta(seconds=0.05), timedelta(seconds=5)


async def test_the_result_and_the_error_come_back() -> None:
    threads = Threads("t", most=1)

    assert await threads.run(lambda: 7, wait=LATER, deadline=LATER) == 7
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0, wait=LATER, deadline=LATER)
    assert await threads.run(lambda: None, wait=LATER, deadline=LATER) is None


async def test_no_more_than_so_many_run_at_once() -> None:
    threads = Threads("t", most=3)
    lock, running, seen = threading.Lock(), [0], [0]
    gate = threading.Barrier(3, timeout=5)

    def work() -> None:
        with lock:
            running[0] += 1
            seen[0] = max(seen[0], running[0])
        gate.wait()
        with lock:
            running[0] -= 1

    await asyncio.gather(*(threads.run(work, wait=LATER, deadline=LATER) for _ in range(9)))

    assert seen == [3]


async def test_a_thread_that_hangs_keeps_its_place_until_it_ends() -> None:
    threads = Threads("t", most=1)
    release = threading.Event()

    with pytest.raises(TimeoutError):
        await threads.run(lambda: release.wait(5), wait=LATER, deadline=SOON)
    begun: list[int] = []
    with pytest.raises(NoThreadError):
        await threads.run(lambda: begun.append(1), wait=SOON, deadline=LATER)
    assert begun == []

    release.set()

    assert await threads.run(lambda: 1, wait=LATER, deadline=LATER) == 1


async def test_work_that_is_abandoned_gives_its_place_back() -> None:
    threads = Threads("t", most=1)
    release = threading.Event()
    task = asyncio.create_task(threads.run(lambda: release.wait(5), wait=LATER, deadline=LATER))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    release.set()

    assert await threads.run(lambda: 1, wait=LATER, deadline=LATER) == 1
