"""How many sends of one kind may be under way at once in this process."""

from __future__ import annotations

import asyncio
from collections import deque


class Slots:
    """A bounded number of places, handed out several at a time, first come first served.

    What cannot be sent now is not claimed either, so no claim grows old in a line.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.free = limit
        self._line: deque[tuple[int, asyncio.Future[int]]] = deque()

    async def take(self, wanted: int) -> int:
        """Wait for places; how many were taken, from 1 to `wanted`.

        Whoever waits gets what it wants or a quarter of all places, whichever is less: batches
        would otherwise fall apart into single notices.
        """
        if not self._line and self.free >= self._least(wanted):
            return self._grant(wanted)
        granted: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._line.append((wanted, granted))
        try:
            return await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.give_back(granted.result())
            raise

    def give_back(self, count: int = 1) -> None:
        """Places are free again."""
        self.free += count
        while self._line:
            wanted, granted = self._line[0]
            if granted.done():
                self._line.popleft()  # whoever waited has gone
            elif self.free >= self._least(wanted):
                self._line.popleft()
                granted.set_result(self._grant(wanted))
            else:
                return

    def _least(self, wanted: int) -> int:
        return min(wanted, max(self.limit // 4, 1))

    def _grant(self, wanted: int) -> int:
        count = min(wanted, self.free)
        self.free -= count
        return count
