"""Where every side's jobs end: a process that answers like Meta, at once, and notes what came when.

`python -m benchmarks.notification_sink` prints its address. `GET /count` says how many different
messages came (by their `biz_opaque_callback_data`), `GET /log` gives a line for each request (its
`to`, its name, and the time of the machine's monotonic clock, which Python and Node share), `GET
/clear` forgets all.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import uvloop


@dataclass(slots=True)
class Log:
    """All requests since the last clearing."""

    lines: list[tuple[str, str, float]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)


class SinkProtocol(asyncio.Protocol):
    """HTTP/1.1 with Content-Length, keep-alive and pipelining; nothing else."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._held = b""
        self._transport: Any = None  # uvloop's are no asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Some bytes."""
        self._held += data
        while True:
            end = self._held.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._held[:end]
            length = _length(head)
            if len(self._held) < end + 4 + length:
                return
            body = self._held[end + 4 : end + 4 + length]
            self._held = self._held[end + 4 + length :]
            answer = self._get(head) if head.startswith(b"GET") else self._post(body)
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d"
                b"\r\n\r\n%s" % (len(answer), answer)
            )

    def _post(self, body: bytes) -> bytes:
        now = time.monotonic()
        message = json.loads(body)
        number = str(message["to"]).lstrip("+")
        name = str(message.get("biz_opaque_callback_data", ""))
        self._log.lines.append((number, name, now))
        self._log.seen.add(name)
        return json.dumps(
            {
                "messaging_product": "whatsapp",
                "contacts": [{"input": number, "wa_id": number}],
                "messages": [{"id": f"wamid.bench{len(self._log.lines)}"}],
            }
        ).encode()

    def _get(self, head: bytes) -> bytes:
        path = head.split(b" ", 2)[1]
        if path == b"/clear":
            self._log.lines.clear()
            self._log.seen.clear()
        if path == b"/log":
            return "\n".join(
                f"{number} {name} {at:.6f}" for number, name, at in self._log.lines
            ).encode()
        return str(len(self._log.seen)).encode()


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def _main() -> None:
    log = Log()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SinkProtocol(log), "127.0.0.1", 0, backlog=512)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_main())
        except KeyboardInterrupt:
            sys.exit(0)
