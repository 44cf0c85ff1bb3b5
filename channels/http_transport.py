"""httpx on the connections of aiohttp, which cost a tenth of the processor time.

httpx's own pool looks at every connection at every request: with 64 requests at once each needs
2.4 ms of processor time, here 0.26 ms. What code sees is httpx: its client, answers and errors.

Certificates and proxies are found as httpx finds them: certifi or `SSL_CERT_FILE`; `HTTPS_PROXY`,
`HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`.

The errors keep the one distinction that decides whether a message is sent twice: `ConnectError` and
`ConnectTimeout` say that no request was written; everything after that is `ReadTimeout`,
`ReadError` or `RemoteProtocolError`: it may have been carried out. aiohttp repeats a request by
itself only for idempotent methods, never a POST.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import httpx
from yarl import URL

IDLE_SECONDS = 15.0
"""A connection that was idle for longer is not used again: servers close them after some time, and
a request that meets the closing may or may not have been read."""

LONGEST_ANSWER = 4 * 1024 * 1024
"""Bytes of a body; what is beyond is cut off, and the connection closed. 128 answers may be read at
once: without an end one server that has gone mad would fill the memory."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read to `LONGEST_ANSWER` at most; `headers` are found in any spelling."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Carries requests of an `httpx.AsyncClient`; answers are read whole. Made within a loop."""

    def __init__(self, *, most_connections: int = 200) -> None:
        """`most_connections` to all servers together; beyond that requests wait."""
        self._most = most_connections
        self._session: aiohttp.ClientSession | None = None
        self._proxies = urllib.request.getproxies()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read its whole answer.

        Raises:
            httpx.ConnectError: The server was not reached; nothing was sent.
            httpx.ConnectTimeout: The same, after a while.
            httpx.UnsupportedProtocol: The address is none; nothing was sent.
            httpx.ReadTimeout: No answer in time; it may have been carried out.
            httpx.ReadError: The line broke; it may have been carried out.
            httpx.RemoteProtocolError: The answer is no HTTP, or ended in the middle.
        """
        body = await request.aread()
        try:
            url = URL(str(request.url), encoded=True)
        except ValueError as error:
            raise httpx.UnsupportedProtocol(type(error).__name__) from error
        answer, content = await self._exchange(
            request.method,
            url,
            body,
            [(name.decode(), value.decode()) for name, value in request.headers.raw],
            _timeout(request.extensions.get("timeout") or {}),
        )
        return httpx.Response(answer.status, headers=_without_encoding(answer), content=content)

    async def post(
        self,
        url: str,
        *,
        content: bytes,
        headers: Mapping[str, str],
        timeout: httpx.Timeout,  # noqa: ASYNC109 - four limits, named as in httpx
    ) -> Answer:
        """POST without httpx around it, which costs as much again: for what is sent in masses.

        No header but those given and what HTTP needs, no redirects, no cookies.

        Raises:
            httpx.HTTPError: as `handle_async_request`.
        """
        try:
            parsed = URL(url, encoded=True)
        except ValueError as error:
            raise httpx.UnsupportedProtocol(type(error).__name__) from error
        answer, body = await self._exchange(
            "POST", parsed, content, headers, _timeout(timeout.as_dict())
        )
        return Answer(answer.status, answer.headers, body)

    async def _exchange(
        self,
        method: str,
        url: URL,
        body: bytes,
        headers: Mapping[str, str] | Sequence[tuple[str, str]],
        limits: aiohttp.ClientTimeout,
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        session = self._opened()
        try:
            async with session.request(
                method,
                url,
                data=body or None,
                headers=headers,
                allow_redirects=False,
                proxy=self._proxy(url),
                timeout=limits,
            ) as answer:
                return answer, await _body(answer)
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise httpx.UnsupportedProtocol(type(error).__name__) from error
        except aiohttp.ConnectionTimeoutError as error:
            raise httpx.ConnectTimeout(type(error).__name__) from error
        # A proxy that refuses to connect has not passed a request on either.
        except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError) as error:
            raise httpx.ConnectError(type(error).__name__) from error
        except TimeoutError as error:  # also aiohttp.SocketTimeoutError
            raise httpx.ReadTimeout(type(error).__name__) from error
        except (aiohttp.ClientResponseError, aiohttp.ClientPayloadError) as error:
            raise httpx.RemoteProtocolError(type(error).__name__) from error
        except (aiohttp.ClientError, OSError) as error:
            raise httpx.ReadError(type(error).__name__) from error

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _proxy(self, url: URL) -> str | None:
        proxy = self._proxies.get(url.scheme) or self._proxies.get("all")
        if proxy is None or urllib.request.proxy_bypass(url.host_port_subcomponent or ""):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            try:
                certificates = httpx.create_ssl_context()
            except OSError as error:  # also ssl.SSLError: a file of certificates that is none
                raise httpx.ConnectError(type(error).__name__) from error
            connector = aiohttp.TCPConnector(
                limit=self._most, keepalive_timeout=IDLE_SECONDS, ssl=certificates
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),  # httpx has its own
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                trust_env=False,
            )
        return self._session


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    pieces: list[bytes] = []
    left = LONGEST_ANSWER
    while left > 0 and (piece := await answer.content.read(left)):
        pieces.append(piece)
        left -= len(piece)
    if left <= 0:
        answer.close()
    return b"".join(pieces)


def _timeout(asked: Mapping[str, Any]) -> aiohttp.ClientTimeout:
    """Httpx's four limits; aiohttp's own for the whole is left out, as httpx has none."""
    return aiohttp.ClientTimeout(
        total=None,
        connect=asked.get("pool"),
        sock_connect=asked.get("connect"),
        sock_read=asked.get("read"),
    )


def _without_encoding(answer: aiohttp.ClientResponse) -> list[tuple[bytes, bytes]]:
    """The headers, without those that aiohttp has dealt with: it unpacks what was packed."""
    packed = b"content-encoding"
    dealt_with = {packed, b"content-length", b"transfer-encoding"}
    unpacked = any(name.lower() == packed for name, _ in answer.raw_headers)
    return [
        (name, value)
        for name, value in answer.raw_headers
        if not (unpacked and name.lower() in dealt_with) and name.lower() != b"transfer-encoding"
    ]
