"""A bounded number of threads for SDKs that block, which do not hold up the end of the process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

T = TypeVar("T")


class NoThreadError(Exception):
    """No thread became free in time: the work was never begun."""


class Threads:
    """Runs blocking work, at most so many at once.

    The threads are daemons: those of `asyncio.to_thread` are waited for when a process ends,
    however long a provider hangs. A thread that hangs keeps its place until it ends, so a provider
    that never answers cannot take all the threads of the machine.
    """

    def __init__(self, name: str, *, most: int) -> None:
        self._name = name
        self._free = asyncio.Semaphore(most)

    async def run(self, work: Callable[[], T], *, wait: timedelta, deadline: timedelta) -> T:
        """The result of `work`.

        Args:
            work: Blocks; is called in a thread.
            wait: For a free thread.
            deadline: For the work itself; a thread cannot be stopped, so it may go on after it.

        Raises:
            NoThreadError: when no thread became free; the work was not begun.
            TimeoutError: when the work took too long; it may still succeed.
        """
        try:
            async with asyncio.timeout(wait.total_seconds()):
                await self._free.acquire()
        except TimeoutError as error:
            raise NoThreadError from error
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def finish(result: list[T], problem: BaseException | None) -> None:
            self._free.release()
            if future.done():
                return
            if problem is not None:
                future.set_exception(problem)
            else:
                future.set_result(result[0])

        def run() -> None:
            result: list[T] = []
            problem: BaseException | None = None
            try:
                result.append(work())
            except BaseException as error:  # noqa: BLE001 - raised again in the waiting task
                problem = error
            try:
                loop.call_soon_threadsafe(finish, result, problem)
            except RuntimeError:
                return  # the loop has ended; the claim of the row covers what is not known now

        threading.Thread(target=run, name=self._name, daemon=True).start()
        async with asyncio.timeout(deadline.total_seconds()):
            return await future
