"""HTTP/1.1 with as little work as possible: a client and a server on asyncio streams.

What is measured shares two cores with what measures. A full HTTP client costs about a millisecond
of processor time a request, which would be most of the difference between the two sides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

Handler = Callable[[str, bytes], Awaitable[bytes]]


class WireError(Exception):
    """The other side closed the connection or does not speak plain HTTP/1.1 with a length."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered.

    Attributes:
        status: HTTP status.
        headers: By lower-case name.
        body: The whole body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection:
    """One keep-alive connection; one request at a time."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or 80
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """POST and read the answer.

        Raises:
            WireError: the connection broke or the answer has no length.
            OSError: nobody listens.
        """
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        lines = [
            f"POST {path} HTTP/1.1",
            f"Host: {self._host}:{self._port}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        try:
            first, found = await _head(reader)
            content = await reader.readexactly(_length(found))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            self.close()
            message = f"POST {path}: the connection broke ({type(error).__name__})"
            raise WireError(message) from error
        if found.get("connection", "").lower() == "close":
            self.close()
        return Answer(int(first.split()[1]), found, content)

    def close(self) -> None:
        """Hang up; the next request connects again."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def serve(
    handler: Handler, *, still_open: set[asyncio.StreamWriter]
) -> tuple[asyncio.Server, int]:
    """Serve on a free port of this machine; every request gets 200 and the handler's JSON.

    Args:
        handler: Request target and body -> JSON.
        still_open: Holds the open connections, for the caller to close at the end.
    """

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        still_open.add(writer)
        try:
            while True:
                first, headers = await _head(reader)
                body = await reader.readexactly(_length(headers))
                answer = await handler(first.split()[1], body)
                head = (
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(answer)}\r\n\r\n"
                )
                writer.write(head.encode() + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            still_open.discard(writer)
            writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    return server, int(server.sockets[0].getsockname()[1])


async def _head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *rest = head.rstrip("\r\n").split("\r\n")
    pairs = (line.partition(":") for line in rest)
    return first, {name.strip().lower(): value.strip() for name, _, value in pairs}


def _length(headers: Mapping[str, str]) -> int:
    if "content-length" not in headers:
        message = "expected a Content-Length"
        raise WireError(message)
    return int(headers["content-length"])
