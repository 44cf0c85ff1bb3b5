"""POST to one address over kept-open connections, and nothing else.

A general HTTP client took two thirds of the simulator's processor time, which it shares with the
assistant it plays against; this does the one thing needed in a tenth of that.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 20.0
_STATUS_PARTS = 2
_HTTP_PORTS = {"http": 80, "https": 443}

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class PostError(Exception):
    """Nobody answered: no connection, no answer in time, or no HTTP."""


class Poster:
    """Sends bodies to `url`; any number at once, each on a connection of its own."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or _HTTP_PORTS[parts.scheme]
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._start = f"POST {target} HTTP/1.1\r\nHost: {parts.netloc.rpartition('@')[2]}\r\n"
        self._idle: list[Connection] = []

    async def post(self, body: bytes, headers: Mapping[str, str]) -> int:
        """The HTTP status of the answer.

        Raises:
            PostError: There was none.
        """
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = f"{self._start}{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                while self._idle:
                    # The other side may have closed a connection that was idle. Deliveries are at
                    # least once, so asking again on another one is always right.
                    try:
                        return await self._exchange(self._idle.pop(), request)
                    except (OSError, EOFError):
                        continue
                return await self._exchange(await self._connect(), request)
        except (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError) as error:
            message = type(error).__name__
            raise PostError(message) from error

    def close(self) -> None:
        """Close the idle connections."""
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()

    async def _connect(self) -> Connection:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await asyncio.open_connection(self._host, self._port, ssl=self._tls)

    async def _exchange(self, connection: Connection, request: bytes) -> int:
        reader, writer = connection
        keep = False
        try:
            writer.write(request)
            await writer.drain()
            status, keep = await _read_answer(reader)
        finally:
            if keep:
                self._idle.append(connection)
            else:
                writer.close()
        return status


async def _read_answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """The status, and whether the connection can carry another request (RFC 9112)."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *rest = head.rstrip("\r\n").split("\r\n")
    parts = first.split(" ")
    if not first.startswith("HTTP/1.") or len(parts) < _STATUS_PARTS:
        message = "the answer is no HTTP/1"
        raise ValueError(message)
    headers = {
        name.strip().lower(): value.strip().lower()
        for name, _, value in (line.partition(":") for line in rest)
    }
    status = int(parts[1])
    if "content-length" not in headers:
        # Chunked, or until the end: the status is all that matters, so let the connection go.
        return status, False
    await reader.readexactly(int(headers["content-length"]))
    return status, headers.get("connection") != "close" and parts[0] == "HTTP/1.1"
