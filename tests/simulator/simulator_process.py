"""A real simulator process and a receiver for its webhooks, both on real sockets."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from channels.whatsapp.parse import parse_webhook
from channels.whatsapp.signature import verify

SECRET, TOKEN, VERIFY = "app-secret", "access-token", "verify-token"
NUMBER_ID = "106540352242922"
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Receiver:
    """Answers webhooks and remembers the items of those it answered with 200."""

    url: str = ""
    items: list[Any] = field(default_factory=list)
    posts: int = 0
    sizes: list[int] = field(default_factory=list)
    decide: Callable[[Any], int] = lambda _parsed: 200

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await self._one(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *rest = head.strip().split("\r\n")
        headers = {n.lower(): v for n, _, v in (row.partition(": ") for row in rest)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        status, answer = 200, b"ok"
        if line.startswith("GET"):
            query = httpx.URL(line.split(" ")[1]).params
            answer = query["hub.challenge"].encode()
            status = 200 if query["hub.verify_token"] == VERIFY else 403
        else:
            self.posts += 1
            assert verify(body, headers["x-hub-signature-256"], [SECRET])
            parsed = parse_webhook(body)
            assert not parsed.problems
            status = self.decide(parsed)
            if status == 200:
                self.items.extend(parsed.items)
                self.sizes.append(len(parsed.items))
        writer.write(
            f"HTTP/1.1 {status} X\r\ncontent-length: {len(answer)}\r\n\r\n".encode() + answer
        )
        await writer.drain()

    def of(self, name: str) -> list[Any]:
        return [item for item in self.items if type(item).__name__ == name]


@dataclass
class Simulator:
    """One process; `start` and `kill` may alternate on the same store."""

    folder: Path
    callback: str
    port: int
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    http: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(trust_env=False))

    async def start(self) -> None:
        self.process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
            [
                *(sys.executable, "-m", "simulator", "--port", str(self.port)),
                *("--db", str(self.folder / "simulator.db"), "--callback-url", self.callback),
                *("--delivered-delay-ms", "20", "--read-delay-ms", "40", *self.options),
            ],
            cwd=ROOT,
            env={
                **os.environ,  # noqa: TID251 - the child needs PATH
                "WHATSAPP_APP_SECRET": SECRET,
                "WHATSAPP_ACCESS_TOKEN": TOKEN,
                "WHATSAPP_VERIFY_TOKEN": VERIFY,
                "WHATSAPP_PHONE_NUMBER_ID": NUMBER_ID,
            },
        )
        self.http.base_url = httpx.URL(f"http://127.0.0.1:{self.port}/simulator")
        await eventually(self._healthy)

    async def _healthy(self) -> bool:
        try:
            return (await self.http.get("/healthz")).is_success
        except httpx.HTTPError:
            return False

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(timeout=10)

    async def write(self, **body: Any) -> dict[str, Any]:
        response = await self.http.post("/api/messages", json=body)
        assert response.status_code == 202, response.text
        return dict(response.json())

    async def graph(self, body: Any, *, token: str = TOKEN) -> httpx.Response:
        return await self.http.post(
            f"/graph/v25.0/{NUMBER_ID}/messages",
            json=body,
            headers={"Authorization": f"Bearer {token}"},
        )

    async def received(self, to: str, **query: str) -> list[dict[str, Any]]:
        response = await self.http.get("/api/messages", params={"to": to, **query})
        assert response.status_code == 200, response.text
        return list(response.json())


async def eventually(check: Callable[[], Any], *, seconds: float = 15.0) -> None:
    """Wait until `check` (a function or coroutine function) is true; fails after `seconds`."""
    async with asyncio.timeout(seconds):
        while True:
            result = check()
            if asyncio.iscoroutine(result):
                result = await result
            if result:
                return
            await asyncio.sleep(0.02)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@asynccontextmanager
async def running(folder: Path, callback: str, *options: str) -> AsyncIterator[Simulator]:
    made = Simulator(folder, callback, free_port(), options)
    await made.start()
    try:
        yield made
    finally:
        await made.http.aclose()
        made.kill()


def text_to(phone: str, words: str = "Olá", **extra: Any) -> dict[str, Any]:
    return {
        "messaging_product": "whatsapp",
        "to": phone,
        "type": "text",
        "text": {"body": words},
        **extra,
    }
