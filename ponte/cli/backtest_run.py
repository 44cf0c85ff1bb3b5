"""A backtest over the database, in several processes, with progress."""

from __future__ import annotations

import gc
import multiprocessing
import os
import queue
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from handoff.backtest import Backtest, Tally
from handoff.backtest_sweep import Sweep
from handoff.policy import HandoffPolicy
from ticketing.services import decision_history
from ticketing.services.decision_history import Share, Wanted

MAX_JOBS = 8
_WORTH_A_PROCESS = 20_000  # turns; fewer are done before a second process has started
_STEP = 5_000  # turns between two reports of progress
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Task:
    """What every process needs to know."""

    url: str
    wanted: Wanted
    policy: HandoffPolicy
    limit_flips: int
    reviews: Mapping[str, str]
    sweep: Sweep | None


Progress = Callable[[int], None]
"""Told how many turns were done since it was told last."""


def default_jobs() -> int:
    """A process a core; more cores than `MAX_JOBS` would only wait for the database."""
    return min(os.cpu_count() or 1, MAX_JOBS)


def run(task: Task, *, view: str, turns: int, jobs: int, progress: Progress) -> Tally:
    """The backtest of all turns that are wanted, in the view that the caller holds.

    Args:
        task: What to do.
        view: Name of the exported snapshot.
        turns: How many there are; few are done in this process.
        jobs: At most so many processes.
        progress: Told of every few thousand turns.
    """
    parts = max(1, min(jobs, turns // _WORTH_A_PROCESS))
    if parts == 1:
        return _share(task, Share(view), progress)
    context = multiprocessing.get_context("spawn")  # a fork would share the database connection
    done: multiprocessing.Queue[int] = context.Queue()
    total = Tally()
    with ProcessPoolExecutor(
        parts, mp_context=context, initializer=_set_progress, initargs=(done,)
    ) as pool:
        waiting: set[Future[Tally]] = {
            pool.submit(_in_process, task, Share(view, part, parts)) for part in range(parts)
        }
        try:
            while waiting:
                ready, waiting = wait(waiting, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED)
                _drain(done, progress)
                for future in ready:
                    total.add(future.result(), limit_flips=task.limit_flips)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return total


def _share(task: Task, share: Share, progress: Progress) -> Tally:
    backtest = Backtest(
        task.policy, limit_flips=task.limit_flips, reviews=task.reviews, sweep=task.sweep
    )
    done = 0
    for turn in decision_history.read(task.url, task.wanted, share):
        backtest.add(turn)
        done += 1
        if done % _STEP == 0:
            progress(_STEP)
    progress(done % _STEP)
    return backtest.finish()


def _drain(done: multiprocessing.Queue[int], progress: Progress) -> None:
    while True:
        try:
            progress(done.get_nowait())
        except queue.Empty:
            return


_reports: list[multiprocessing.Queue[int]] = []
"""In a process of the pool: where it reports its progress."""


def _set_progress(done: multiprocessing.Queue[int]) -> None:
    # Snapshots hold no cycles, and looking for some among millions takes a third of the time.
    gc.disable()
    _reports.append(done)


def _in_process(task: Task, share: Share) -> Tally:
    return _share(task, share, _put)


def _put(turns: int) -> None:
    _reports[0].put(turns)


class Bar:
    """Progress on standard error: one line that changes on a terminal, else a line a tenth."""

    def __init__(self, total: int, stream: Any = None) -> None:
        self._total = max(total, 1)
        self._stream = stream or sys.stderr
        self._done = 0
        self._shown = -1
        self._is_terminal = self._stream.isatty()

    def __call__(self, turns: int) -> None:
        """So many more turns are done."""
        self._done += turns
        percent = min(100, 100 * self._done // self._total)
        step = 1 if self._is_terminal else 10
        if percent // step == self._shown // step:
            return
        self._shown = percent
        text = f"backtest: {self._done:,} of {self._total:,} turns ({percent}%)"
        self._stream.write(f"\r{text}" if self._is_terminal else f"{text}\n")
        self._stream.flush()

    def end(self) -> None:
        """Leave the line."""
        if self._is_terminal and self._shown >= 0:
            self._stream.write("\n")
