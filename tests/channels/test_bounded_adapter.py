"""Against real sockets: an answer without an end costs neither a thread nor the memory."""

from __future__ import annotations

import gzip
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import requests

from channels.bounded_adapter import LONGEST_ANSWER, BoundedAdapter


@contextmanager
def serving(handle: Callable[[socket.socket], None]) -> Iterator[str]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while _read_head(self.request):
                try:
                    handle(self.request)
                except OSError:
                    return

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _read_head(line: socket.socket) -> bytes:
    read = b""
    while not read.endswith(b"\r\n\r\n"):
        part = line.recv(1)
        if not part:
            return b""
        read += part
    return read


def ask(url: str, *, times: int = 1) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        session.mount("http://", BoundedAdapter(reading_seconds=0.3, max_retries=0))
        return [session.get(url, timeout=2) for _ in range(times)][-1]


def head(*lines: str) -> bytes:
    return "\r\n".join(("HTTP/1.1 200 OK", *lines)).encode() + b"\r\n\r\n"


def test_an_answer_is_read_whole_and_its_connection_used_again() -> None:
    lines = []

    def handle(line: socket.socket) -> None:
        lines.append(line.getpeername())
        line.sendall(head("Content-Length: 2") + b"{}")

    with serving(handle) as url:
        assert ask(url, times=3).content == b"{}"
    assert len(lines) == 3
    assert len(set(lines)) == 1


def test_a_packed_answer_is_unpacked() -> None:
    packed = gzip.compress(b'{"a": 1}')
    fields = ("Content-Encoding: gzip", f"Content-Length: {len(packed)}")

    with serving(lambda line: line.sendall(head(*fields) + packed)) as url:
        assert ask(url).json() == {"a": 1}


@pytest.mark.parametrize("packed", [False, True])
def test_what_is_too_long_is_cut_off(packed: bool) -> None:
    body = b" " * (LONGEST_ANSWER * 20)
    fields = []
    if packed:
        body = gzip.compress(body)
        fields = ["Content-Encoding: gzip"]

    def handle(line: socket.socket) -> None:
        line.sendall(head(*fields, f"Content-Length: {len(body)}") + body)

    with serving(handle) as url:
        assert len(ask(url, times=2).content) == LONGEST_ANSWER


def test_an_answer_that_drips_ends() -> None:
    gone = threading.Event()

    def handle(line: socket.socket) -> None:
        line.sendall(head("Content-Length: 1000"))
        while not gone.wait(0.05):
            line.sendall(b" ")

    with serving(handle) as url:
        with pytest.raises(requests.ReadTimeout):
            ask(url)
        gone.set()


@pytest.mark.parametrize(
    "reply",
    [
        head("Content-Length: 100") + b"too short",
        head("Content-Encoding: gzip", "Content-Length: 4") + b"none",
        head("Transfer-Encoding: chunked") + b"zz\r\n",
    ],
)
def test_a_body_that_breaks_off_or_makes_no_sense_is_a_broken_answer(reply: bytes) -> None:
    def handle(line: socket.socket) -> None:
        line.sendall(reply)
        line.shutdown(socket.SHUT_RDWR)

    with serving(handle) as url, pytest.raises(requests.exceptions.ChunkedEncodingError):
        ask(url)
