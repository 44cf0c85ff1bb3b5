"""Deliver webhooks at least once, as Meta does: signed, retried until the callback answers 200.

Messages of one customer go one after the other; different customers go side by side. Statuses of
all customers share POSTs of up to 50 when many are waiting.
"""

from __future__ import annotations

import asyncio
import heapq
import sqlite3
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any

import structlog

from kit.clock import Clock
from simulator.poster import Poster, PostError
from simulator.settings import SimulatorSettings
from simulator.store import Event, Store
from simulator.webhooks import signature, webhook_body

log = structlog.get_logger(__name__)

FIRST_DELAY = timedelta(milliseconds=500)
LONGEST_DELAY = timedelta(seconds=10)
MAX_STATUSES = 50
# The receiver takes a few milliseconds; more at once only pile up in front of its database.
CONCURRENT_POSTS = 32
# A message that the receiver refuses so often is retried apart, so that it cannot hold up the
# customer's next ones for ever; nobody listening does not count as a refusal.
REFUSALS_BEFORE_OVERTAKING = 10
_OK = 200


def backoff(attempts: int) -> timedelta:
    """The wait after so many failed attempts: 0.5 s, 1, 2, 4, 8, then 10 s."""
    doubled = FIRST_DELAY * float(2 ** min(attempts - 1, 10))
    return min(doubled, LONGEST_DELAY)


class Delivery:
    """The queue of webhooks: its truth is in the store, its order and its timers are here."""

    def __init__(self, settings: SimulatorSettings, store: Store, clock: Clock) -> None:
        self.on_statuses: Callable[[Sequence[Event]], None] = lambda _events: None
        self._settings = settings
        self._store = store
        self._clock = clock
        self._poster = Poster(settings.callback_url)
        self._slots = asyncio.Semaphore(CONCURRENT_POSTS)
        self._lanes: dict[str, deque[Event]] = {}
        self._statuses: list[tuple[float, int, Event]] = []
        self._status_batch = MAX_STATUSES
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Take up what an earlier run left, and begin."""
        for event in self._store.pending_events():
            self.push(event)
        self._spawn(self._tell_statuses())

    async def stop(self) -> None:
        """Stop; what is not told yet stays in the store."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._poster.close()

    def push(self, event: Event) -> None:
        """Deliver an event that is in the store (its transaction committed)."""
        if event.kind == "status":
            heapq.heappush(self._statuses, (event.due, event.seq, event))
            self._wake.set()
            return
        lane = self._lanes.get(event.lane)
        if lane is not None:
            lane.append(event)
            return
        self._lanes[event.lane] = deque([event])
        self._spawn(self._tell_lane(event.lane))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell_lane(self, name: str) -> None:
        """The messages of one customer, in order, until none is left."""
        lane = self._lanes[name]
        while lane:
            event = lane[0]
            if event.refused >= REFUSALS_BEFORE_OVERTAKING:
                self._spawn(self._tell_alone(event))
            elif not await self._tell_once(event):
                continue
            lane.popleft()
        del self._lanes[name]

    async def _tell_alone(self, event: Event) -> None:
        while not await self._tell_once(event):
            pass

    async def _tell_once(self, event: Event) -> bool:
        """One attempt, and after a failure the wait before the next."""
        await self._sleep_until(event.due)
        if await self._post([event]):
            return True
        await asyncio.sleep(backoff(event.attempts).total_seconds())
        return False

    async def _tell_statuses(self) -> None:
        linger = self._settings.status_linger.total_seconds()
        while True:
            if not self._statuses:
                self._wake.clear()
                await self._wake.wait()
            wait = self._statuses[0][0] - self._now()
            if wait > 0:
                # A status that is pushed meanwhile may be due earlier.
                self._wake.clear()
                await _wait_at_most(self._wake, wait)
                continue
            await asyncio.sleep(linger)
            now = self._now()
            batch: list[Event] = []
            while self._statuses and self._statuses[0][0] <= now:
                batch.append(heapq.heappop(self._statuses)[2])
                if len(batch) == self._status_batch:
                    break
            try:
                self.on_statuses(batch)
            except sqlite3.Error as error:
                # A full disk must not end the deliveries: the ticks stay behind, nothing else.
                log.warning("store.failed", error_type=type(error).__name__)
            if await self._post(batch):
                self._status_batch = min(self._status_batch * 2, MAX_STATUSES)
                continue
            # Smaller batches find the one that is refused and let the others through.
            self._status_batch = max(self._status_batch // 2, 1)
            for event in batch:
                event.due = now + backoff(event.attempts).total_seconds()
                heapq.heappush(self._statuses, (event.due, event.seq, event))

    async def _post(self, events: Sequence[Event]) -> bool:
        """Tell `events` in one POST and note the outcome; True when the callback answered 200."""
        body = webhook_body(events, self._settings)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "facebookexternalua",
            "X-Hub-Signature-256": signature(body, self._settings.app_secret),
        }
        sequences = [event.seq for event in events]
        status: int | None = None
        async with self._slots:
            try:
                status = await self._poster.post(body, headers)
            except PostError as error:
                log.info("webhook.unreachable", error_type=str(error))
        for event in events:
            event.attempts += 1
            event.refused += status is not None
        if status not in {None, _OK}:
            log.info("webhook.refused", http_status=status, count=len(events))
        try:
            if status == _OK:
                self._store.mark_delivered(sequences, self._now())
            else:
                self._store.mark_attempt(sequences)
        except sqlite3.Error as error:
            # Told but not noted is told again: at least once.
            log.warning("store.failed", error_type=type(error).__name__)
            return False
        return status == _OK

    async def _sleep_until(self, due: float) -> None:
        wait = due - self._now()
        if wait > 0:
            await asyncio.sleep(wait)

    def _now(self) -> float:
        return self._clock.now().timestamp()


async def _wait_at_most(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
