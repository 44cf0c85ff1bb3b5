"""Where Ponte's messages go in the benchmark: it answers like Meta, at once, and notes the time."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from collections import defaultdict
from dataclasses import dataclass, field

from benchmarks import wire

_READ = b'{"success":true}'


@dataclass(slots=True)
class MetaSink:
    """Arrival times by recipient (digits), in seconds of `time.perf_counter`."""

    arrivals: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _waiting: dict[str, asyncio.Event] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def start(self) -> str:
        """Listen; returns the base URL for `WHATSAPP_API_BASE_URL`."""
        self._server, port = await wire.serve(self._handle, still_open=self._open)
        return f"http://127.0.0.1:{port}"

    async def close(self) -> None:
        """Stop listening and hang up."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def arrival(self, recipient: str, number: int, *, patience: float) -> float:
        """When the recipient's message with this number (from 0) arrived.

        Raises:
            TimeoutError: it did not within `patience` seconds.
        """
        async with asyncio.timeout(patience):
            while len(self.arrivals[recipient]) <= number:
                event = self._waiting.setdefault(recipient, asyncio.Event())
                event.clear()
                await event.wait()
        return self.arrivals[recipient][number]

    async def _handle(self, _target: str, body: bytes) -> bytes:
        now = time.perf_counter()
        message = json.loads(body)
        if "status" in message:
            return _READ
        recipient = str(message["to"]).lstrip("+")
        self.arrivals[recipient].append(now)
        event = self._waiting.get(recipient)
        if event is not None:
            event.set()
        return json.dumps(
            {
                "messaging_product": "whatsapp",
                "contacts": [{"input": message["to"], "wa_id": recipient}],
                "messages": [{"id": f"wamid.bench{next(self._numbers)}"}],
            }
        ).encode()
