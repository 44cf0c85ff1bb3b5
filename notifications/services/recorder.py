"""Collects results for a few milliseconds and writes them together.

A lone one is written at once, and so is what nobody could be asked about if this process died now
(e-mail, push). Forgetting a send means a second one, so writing goes on while the database is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError, SQLAlchemyError

from notifications.domain.jobs import CHANNEL_OF_JOB
from notifications.domain.retry import TELLS_AFTERWARDS
from notifications.services.results import Result

log = structlog.get_logger()

GROUP = 50
"""So many results are written without waiting for more."""

LARGEST_GROUP = 200
"""What has piled up meanwhile is written in transactions of this size at most."""

PATIENCE_SECONDS = 0.005
"""How long the first result of a group waits for others while sends are under way: less than what
a transaction costs, and under load it saves nine of ten."""

RECORD_PAUSES_SECONDS = (0.2, 0.5, 1.0, 2.0, *(3.0,) * 38)
"""Waits between tries while the database is away, about as long as a claim holds (two minutes)."""

PASSES = (OperationalError, InternalError)
"""Away, restarting, full, read-only after a failover: not the fault of the values."""

Write = Callable[[Sequence[Result]], Awaitable[None]]


class Recorder:
    """Writes results in groups, one group at a time, in the order they came."""

    def __init__(
        self,
        write: Write,
        tell: Write,
        *,
        pauses: Sequence[float] = RECORD_PAUSES_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """`tell` gets each group once, while it is written; it raises nothing."""
        self._write = write
        self._tell = tell
        self._pauses = tuple(pauses)
        self._patience = patience_seconds
        self._waiting: list[tuple[Result, asyncio.Future[None]]] = []
        self._expected = 0
        self._ready = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    def expect(self, count: int) -> None:
        """So many results (negative: so many fewer) are on their way here."""
        self._expected += count
        if self._expected <= 0:
            self._ready.set()

    async def add(self, result: Result) -> None:
        """Write the result; returns when it is committed.

        Raises:
            SQLAlchemyError: when it could not be written for as long as a claim holds.
        """
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((result, written))
        self.expect(-1)
        if len(self._waiting) >= GROUP or not _tells_afterwards(result):
            self._ready.set()
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all())
        await written

    async def close(self, *, within_seconds: float) -> None:
        """Wait until everything is written, but no longer than so many seconds."""
        if self._writer is not None:
            await asyncio.wait([self._writer], timeout=within_seconds)

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                await self._gather()
                group = self._waiting[:LARGEST_GROUP]
                del self._waiting[:LARGEST_GROUP]
                results = [result for result, _ in group]
                await asyncio.gather(self._tell(results), self._write_group(group))
        finally:
            self._writer = None

    async def _gather(self) -> None:
        if self._expected <= 0 or len(self._waiting) >= GROUP:
            return
        if not all(_tells_afterwards(result) for result, _ in self._waiting):
            return
        self._ready.clear()
        timer = asyncio.get_running_loop().call_later(self._patience, self._ready.set)
        await self._ready.wait()
        timer.cancel()

    async def _write_group(self, group: Sequence[tuple[Result, asyncio.Future[None]]]) -> None:
        try:
            await self._write_patiently([result for result, _ in group])
        except Exception as error:  # noqa: BLE001 - handed to whoever waits for it
            if len(group) > 1 and not isinstance(error, PASSES):
                # Something about one of them is wrong: the others shall not suffer for it.
                for one in group:
                    await self._write_group([one])
                return
            for _, written in group:
                if not written.done():
                    written.set_exception(error)
            return
        for _, written in group:
            if not written.done():
                written.set_result(None)

    async def _write_patiently(self, results: Sequence[Result]) -> None:
        for pause in self._pauses:
            try:
                await self._write(results)
            except (SQLAlchemyError, OSError) as error:
                if not _may_pass(error):
                    raise
                log.warning(
                    "notification.record_failed",
                    notification_id=str(results[0].outgoing.notification_id),
                    count=len(results),
                    error_type=type(error).__name__,
                    retry_in_seconds=pause,
                )
                await asyncio.sleep(pause)
            else:
                return
        await self._write(results)


def _tells_afterwards(result: Result) -> bool:
    return CHANNEL_OF_JOB.get(result.job_name) in TELLS_AFTERWARDS


def _may_pass(error: SQLAlchemyError | OSError) -> bool:
    """Whether the same may work later: everything but what is wrong with the values themselves."""
    return (
        not isinstance(error, DBAPIError)
        or isinstance(error, PASSES)
        or bool(error.connection_invalidated)
    )
