"""The client against a real HTTP server on a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from channels.http_transport import AiohttpTransport
from channels.message import OutboundMessage
from channels.whatsapp.client import TIMEOUT, SendFailedError, WhatsAppClient
from channels.whatsapp.errors import Action
from channels.whatsapp.payloads import build_message
from tests.faults.authority import make_authority

PAYLOAD = build_message(OutboundMessage("Olá ção"), phone="+5511987654321")
ACCEPTED = {
    "messaging_product": "whatsapp",
    "contacts": [{"input": "+5511987654321", "wa_id": "5511987654321", "user_id": "BR.1"}],
    "messages": [{"id": "wamid.1"}],
}


class FakeMeta:
    """Reads a whole request, then answers with `reply`; None hangs up."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.reply: bytes | None = b""
        self.silent = False
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *rest = head.strip().split("\r\n")
        headers = {n.lower(): v for n, _, v in (row.partition(": ") for row in rest)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests.append((line, headers, json.loads(body)))
        if self.silent:
            await reader.read()  # until the client gives up
        elif self.reply is not None:
            writer.write(self.reply)
            await writer.drain()
        writer.close()


def answer(status: int, body: Any, **headers: str) -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"HTTP/1.1 {status} X", f"content-length: {len(raw)}", "connection: close"]
    head += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + raw


@pytest.fixture
async def meta() -> AsyncIterator[FakeMeta]:
    fake = FakeMeta()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield fake


@asynccontextmanager
async def connected(url: str, limit: httpx.Timeout = TIMEOUT) -> AsyncIterator[WhatsAppClient]:
    async with httpx.AsyncClient(trust_env=False) as http:
        yield WhatsAppClient(
            http,
            base_url=url + "/",
            version="v25.0",
            phone_number_id="123",
            access_token="tok",
            now=lambda: datetime(2026, 11, 22, 12, tzinfo=UTC),
            timeout=limit,
        )


async def failure_of(meta: FakeMeta, reply: bytes | None) -> Any:
    meta.reply = reply
    async with connected(meta.url) as client:
        with pytest.raises(SendFailedError) as caught:
            await client.send(PAYLOAD)
    return caught.value.failure


async def test_a_message_is_posted_as_meta_asks_and_its_id_comes_back(meta: FakeMeta) -> None:
    meta.reply = answer(200, ACCEPTED)

    async with connected(meta.url) as client:
        sent = await client.send(PAYLOAD)

    line, headers, body = meta.requests[0]
    assert line == "POST /v25.0/123/messages HTTP/1.1"
    assert headers["authorization"] == "Bearer tok"
    assert headers["user-agent"] == "ponte/0.1.0"
    assert body == PAYLOAD
    assert (sent.provider_id, sent.wa_id, sent.user_id) == ("wamid.1", "5511987654321", "BR.1")


async def test_a_refusal_says_its_code_and_how_long_to_wait(meta: FakeMeta) -> None:
    error = {"error": {"code": 130429, "message": "(#130429) Rate limit hit"}}

    failure = await failure_of(meta, answer(429, error, retry_after="9"))

    assert (failure.kind, failure.code, failure.http_status) == ("transient", 130429, 429)
    assert failure.retry_after == timedelta(seconds=9)


async def test_a_wrong_token_stops_the_channel_and_is_not_in_the_error(meta: FakeMeta) -> None:
    failure = await failure_of(meta, answer(401, {"error": {"code": 190, "message": "expired"}}))

    assert (failure.kind, failure.action) == ("stop_channel", Action.STOP_CHANNEL)
    assert "tok" not in repr(failure)


@pytest.mark.parametrize(
    "reply",
    [
        None,
        b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{",
        b"nonsense\r\n\r\n",
        answer(200, b"<html>"),
        answer(200, {}),
        answer(200, {"messages": []}),
        answer(200, []),
        answer(200, b"[" * 100_000),
        answer(504, b"<html>"),
    ],
)
async def test_no_clear_answer_after_the_request_was_written_is_unknown(
    meta: FakeMeta, reply: bytes | None
) -> None:
    failure = await failure_of(meta, reply)

    assert len(meta.requests) == 1
    assert (failure.kind, failure.action) == ("unknown", Action.CHECK_STATUS)


async def test_a_timeout_after_the_request_was_written_is_unknown(meta: FakeMeta) -> None:
    meta.silent = True

    async with connected(meta.url, httpx.Timeout(0.2)) as client:
        with pytest.raises(SendFailedError) as caught:
            await client.send(PAYLOAD)

    assert len(meta.requests) == 1
    failure = caught.value.failure
    assert (failure.kind, failure.detail) == ("unknown", "ReadTimeout")


async def test_nobody_listening_is_transient() -> None:
    server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    await server.wait_closed()

    async with connected(url) as client:
        with pytest.raises(SendFailedError) as caught:
            await client.send(PAYLOAD)

    assert caught.value.failure.kind == "transient"


async def test_a_wrong_address_stops_the_channel() -> None:
    async with connected("graph.facebook.com") as client:
        with pytest.raises(SendFailedError) as caught:
            await client.send(PAYLOAD)

    assert caught.value.failure.kind == "stop_channel"


@pytest.mark.parametrize("transport", [AiohttpTransport, httpx.AsyncHTTPTransport])
async def test_a_certificate_nobody_signed_stops_the_channel(
    meta: FakeMeta, tmp_path: Path, transport: Any
) -> None:
    context = make_authority(tmp_path, ["localhost"])
    server = await asyncio.start_server(meta.serve, "127.0.0.1", 0, ssl=context)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, httpx.AsyncClient(transport=transport()) as http:
        client = WhatsAppClient(
            http, base_url=url, version="v25.0", phone_number_id="1", access_token="tok"
        )
        with pytest.raises(SendFailedError) as caught:
            await client.send(PAYLOAD)

    assert caught.value.failure.kind == "stop_channel"
    assert meta.requests == []


async def test_a_read_mark_is_sent_and_its_failure_raises_nothing(meta: FakeMeta) -> None:
    async with connected(meta.url) as client:
        meta.reply = answer(200, {"success": True})
        assert await client.mark_read("wamid.1") is True
        assert meta.requests[0][2]["typing_indicator"] == {"type": "text"}
        meta.reply = answer(400, {"error": {"code": 100}})
        assert await client.mark_read("wamid.1", typing=False) is False
        meta.reply = None
        assert await client.mark_read("wamid.1") is False
        assert await client.mark_read("") is False


async def test_a_lone_surrogate_does_not_end_the_turn(meta: FakeMeta) -> None:
    meta.reply = answer(200, ACCEPTED)
    payload = build_message(OutboundMessage("a\ud800b"), phone="+5511987654321")

    async with connected(meta.url) as client:
        await client.send(payload)

    assert meta.requests[0][2]["text"]["body"] == "a?b"
