"""Against real sockets: which error means that nothing was sent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from channels.http_transport import LONGEST_ANSWER, AiohttpTransport, Answer

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LIMIT = httpx.Timeout(0.3, connect=0.3)
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield f"http://127.0.0.1:{port}/v1/messages"


class Alone(AiohttpTransport):
    """The transport without httpx around it, called as httpx is called here."""

    async def post(self, url: str, *, content: bytes, **given: Any) -> Answer:
        return await super().post(
            url, content=content, headers=given.get("headers", {}), timeout=LIMIT
        )


@pytest.fixture(params=["in httpx", "alone"])
async def http(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    if request.param == "alone":
        async with Alone() as transport:
            yield transport
        return
    async with httpx.AsyncClient(transport=AiohttpTransport(), timeout=LIMIT) as client:
        yield client


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    )
    return head + await reader.readexactly(length)


def answer(body: bytes = b"{}", more: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), more, body)


async def test_what_is_sent_is_what_was_given_and_the_answer_is_read_whole(
    http: Any,
) -> None:
    seen: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(answer(b'{"a":"\xc3\xa3"}', b"X-One: 1\r\nRetry-After: 7\r\n"))

    async with serving(handle) as url:
        response = await http.post(
            url + "?a=%2F", content=b'{"x":1}', headers={"User-Agent": "ponte/1"}
        )

    assert json.loads(response.content) == {"a": "ã"}
    assert response.headers["retry-after"] == "7"
    assert response.headers.get("Retry-AFTER") == "7"
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/messages?a=%2F HTTP/1.1")
    assert head.lower().count(b"user-agent:") == 1
    assert head.lower().count(b"content-length:") == 1
    assert body == b'{"x":1}'


async def test_a_connection_is_used_again(http: Any) -> None:
    connections: list[object] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        while True:
            await read_request(reader)
            writer.write(answer())

    async with serving(handle) as url:
        for _ in range(3):
            assert (await http.post(url, content=b"x")).status_code == 200
        assert len(connections) == 1
        await http.aclose()


async def test_a_refused_connection_and_an_unknown_name_mean_that_nothing_was_sent(
    http: Any,
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    for url in (f"http://127.0.0.1:{port}/", "http://nobody.invalid/"):
        with pytest.raises(NOT_SENT):
            await http.post(url, content=b"x")


async def test_a_server_that_speaks_no_tls_means_that_nothing_was_sent(
    http: Any,
) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello, this is no TLS\r\n")
        writer.close()

    async with serving(handle) as url:
        with pytest.raises(NOT_SENT):
            await http.post(url.replace("http:", "https:"), content=b"x")


@pytest.mark.parametrize("url", ["ftp://example.com/", "http://", "nothing"])
async def test_an_address_that_is_none_means_that_nothing_was_sent(http: Any, url: str) -> None:
    with pytest.raises((httpx.UnsupportedProtocol, httpx.ConnectError, httpx.LocalProtocolError)):
        await http.post(url, content=b"x")


async def test_a_line_that_breaks_after_the_request_was_read_may_have_carried_it_out(
    http: Any,
) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.transport.abort()

    async with serving(handle) as url:
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await http.post(url, content=b"x")


async def test_a_server_that_closes_between_two_requests_is_not_asked_twice_in_secret(
    http: Any,
) -> None:
    requests = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await read_request(reader)
        requests += 1
        writer.write(answer())
        await read_request(reader)
        requests += 1
        writer.close()

    async with serving(handle) as url:
        assert (await http.post(url, content=b"x")).status_code == 200
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await http.post(url, content=b"x")

    assert requests == 2


async def test_silence_after_the_request_is_a_read_timeout(http: Any) -> None:
    release = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await release.wait()
        writer.close()

    async with serving(handle) as url:
        with pytest.raises(httpx.ReadTimeout):
            await http.post(url, content=b"x")
        release.set()


@pytest.mark.parametrize(
    "reply",
    [
        b"no HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ntoo short",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"",
    ],
)
async def test_an_answer_that_makes_no_sense_may_have_been_carried_out(
    http: Any, reply: bytes
) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(reply)
        await writer.drain()
        writer.close()

    async with serving(handle) as url:
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await http.post(url, content=b"x")


async def test_a_body_that_is_too_long_is_cut_off_and_its_connection_left(http: Any) -> None:
    lines: list[Any] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                await read_request(reader)
                writer.write(answer(b" " * (LONGEST_ANSWER * 2)))
                await writer.drain()

    async with serving(handle) as url:
        for _ in range(2):
            found = await http.post(url, content=b"x")
            assert (found.status_code, len(found.content)) == (200, LONGEST_ANSWER)
    assert len(lines) == 2


async def test_a_redirect_is_an_answer_and_is_not_followed(http: Any) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n")

    async with serving(handle) as url:
        assert (await http.post(url, content=b"x")).status_code == 302


async def test_a_connection_that_the_server_closed_meanwhile_is_not_used_and_nothing_goes_twice(
    http: Any,
) -> None:
    requests = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await read_request(reader)
        requests += 1
        writer.write(answer())
        await writer.drain()
        writer.close()

    async with serving(handle) as url:
        for _ in range(5):
            assert (await http.post(url, content=b"x")).status_code == 200
            await asyncio.sleep(0)  # the end of the connection is read

    assert requests == 5


async def test_headers_that_come_too_slowly_are_a_read_timeout(http: Any) -> None:
    release = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nX-Begun: ")
        await release.wait()
        writer.close()

    async with serving(handle) as url:
        with pytest.raises(httpx.ReadTimeout):
            await http.post(url, content=b"x")
        release.set()


async def test_when_all_connections_are_taken_a_request_waits_and_then_was_not_sent() -> None:
    began, release = asyncio.Event(), asyncio.Event()
    requests = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await read_request(reader)
        requests += 1
        began.set()
        await release.wait()
        writer.write(answer())

    limit = httpx.Timeout(5, pool=0.2)
    async with (
        serving(handle) as url,
        httpx.AsyncClient(transport=AiohttpTransport(most_connections=1), timeout=limit) as http,
    ):
        first = asyncio.create_task(http.post(url, content=b"1"))
        await began.wait()
        with pytest.raises(NOT_SENT):
            await http.post(url, content=b"2")
        release.set()
        assert (await first).status_code == 200

    assert requests == 1


@pytest.mark.parametrize(("status", "name"), [(407, b"authenticate"), (502, b"bad gateway")])
async def test_a_proxy_of_the_environment_is_used_and_its_refusal_means_that_nothing_was_sent(
    monkeypatch: pytest.MonkeyPatch, status: int, name: bytes
) -> None:
    asked: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 %d %s\r\nContent-Length: 0\r\n\r\n" % (status, name))
        writer.close()

    async with serving(handle) as url:
        monkeypatch.setenv("https_proxy", url.removesuffix("/v1/messages"))
        monkeypatch.setenv("no_proxy", "example.org")
        async with httpx.AsyncClient(transport=AiohttpTransport(), timeout=LIMIT) as http:
            with pytest.raises(NOT_SENT):
                await http.post("https://graph.invalid/v1", content=b"x")

    assert asked[0].startswith(b"CONNECT graph.invalid:443")


async def test_an_address_of_no_proxy_goes_straight(monkeypatch: pytest.MonkeyPatch) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer())

    async with serving(handle) as url:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        async with httpx.AsyncClient(transport=AiohttpTransport(), timeout=LIMIT) as http:
            assert (await http.post(url, content=b"x")).status_code == 200
