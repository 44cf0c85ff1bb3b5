"""Against real sockets, with and without a proxy: which error means that nothing was sent."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from channels.requests_errors import bad_certificate, was_not_written
from tests.faults.authority import HOSTS, make_authority

Line = socket.socket | ssl.SSLSocket


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """A server's side of TLS, and what a client has to trust."""
    folder = tmp_path_factory.mktemp("authority")
    return make_authority(folder, HOSTS), folder / "ca.pem"


@contextmanager
def listening(handle: Callable[[Line], None]) -> Iterator[str]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            handle(self.request)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def read_head(line: Line) -> bytes:
    read = b""
    while not read.endswith(b"\r\n\r\n"):
        part = line.recv(1)
        if not part:
            break
        read += part
    return read


def nobody() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def error_of(
    url: str, *, proxy: str | None = None, trusted: Path | None = None
) -> requests.RequestException:
    with requests.Session() as session:
        session.trust_env = False
        if proxy is not None:
            session.proxies = {"http": proxy, "https": proxy}
        with pytest.raises(requests.RequestException) as caught:
            session.post(url, timeout=2, verify=str(trusted) if trusted else True)
    return caught.value


def drop(line: Line) -> None:
    """Read the request and close without an answer."""
    read_head(line)


def test_without_a_server_nothing_was_written() -> None:
    assert was_not_written(error_of(nobody()))


def test_a_server_that_read_the_request_and_closed_may_have_carried_it_out() -> None:
    with listening(drop) as url:
        assert not was_not_written(error_of(url))


def test_without_its_proxy_nothing_was_written() -> None:
    assert was_not_written(error_of("https://api.twilio.com/", proxy=nobody()))
    assert was_not_written(error_of("http://api.twilio.com/", proxy=nobody()))


@pytest.mark.parametrize("status", ["403 Forbidden", "407 Proxy Authentication Required", "502 X"])
def test_a_proxy_that_refuses_the_way_has_written_nothing(status: str) -> None:
    def refuse(line: Line) -> None:
        read_head(line)
        line.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())

    with listening(refuse) as proxy:
        assert was_not_written(error_of("https://api.twilio.com/", proxy=proxy))


def test_a_connection_by_a_proxy_that_broke_after_the_request_may_have_carried_it_out(
    authority: tuple[ssl.SSLContext, Path],
) -> None:
    """Urllib3 calls this a `ProxyError`, as it calls a proxy that was never reached."""
    tls, trusted = authority
    requests_read: list[bytes] = []

    def tunnel(line: socket.socket) -> None:
        read_head(line)
        line.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with tls.wrap_socket(line, server_side=True) as inner:
            requests_read.append(read_head(inner))

    with listening(tunnel) as proxy:
        error = error_of("https://api.twilio.com/", proxy=proxy, trusted=trusted)

    assert requests_read[0].startswith(b"POST / HTTP/1.1")
    assert not was_not_written(error)


def test_a_proxy_that_read_a_plain_request_and_closed_may_have_passed_it_on() -> None:
    with listening(drop) as proxy:
        assert not was_not_written(error_of("http://api.twilio.com/", proxy=proxy))


def test_a_certificate_that_is_not_trusted_ends_it_before_anything_is_written(
    authority: tuple[ssl.SSLContext, Path],
) -> None:
    tls, _ = authority

    def shake(line: socket.socket) -> None:
        try:
            with tls.wrap_socket(line, server_side=True) as inner:
                read_head(inner)
        except OSError:
            pass

    with listening(shake) as url:
        error = error_of(url.replace("http://", "https://"))

    assert bad_certificate(error)
    assert was_not_written(error)
