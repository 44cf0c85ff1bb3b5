"""A vendor's HTTP server on a real socket that does as it is told, and keeps what it was sent."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Reply:
    """What the server does with one request.

    Attributes:
        status: Of the answer.
        body: JSON, or bytes as they are.
        headers: Besides the usual ones.
        fault: `hang_up` after reading, `half` an answer, `silent` until the client goes.
    """

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)
    fault: str = ""

    def raw(self) -> bytes:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        headers = {"Content-Type": "application/json", **self.headers}
        head = [f"HTTP/1.1 {self.status} X", f"Content-Length: {len(body)}", "Connection: close"]
        head += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join(head).encode() + b"\r\n\r\n" + body


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class VendorServer:
    """Answers with the script's replies in order, then with the last one for ever."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self.script: list[Reply] = []
        self.by_path: dict[str, Reply] = {}
        self._lock = threading.Lock()

    def will(self, *replies: Reply) -> None:
        self.script = list(replies)

    def answer(self, asked: Asked) -> Reply:
        with self._lock:
            if asked.path in self.by_path:
                return self.by_path[asked.path]
            self.asked.append(asked)
            return self.script.pop(0) if len(self.script) > 1 else self.script[0]


@contextmanager
def serving(server: VendorServer, replies: Sequence[Reply] = ()) -> Iterator[VendorServer]:
    """Serve on a free port until the block ends."""
    server.will(*replies)
    done = threading.Event()

    class Handler(socketserver.StreamRequestHandler):
        timeout = 5

        def handle(self) -> None:
            line = self.rfile.readline().decode().split()
            if not line:
                return
            headers: dict[str, str] = {}
            while (row := self.rfile.readline().decode().strip()) != "":
                name, _, value = row.partition(":")
                headers[name.strip().lower()] = value.strip()
            body = self.rfile.read(int(headers.get("content-length", "0")))
            parts = urlsplit(line[1])
            query = tuple(parse_qsl(parts.query, keep_blank_values=True))
            reply = server.answer(Asked(line[0], parts.path, query, headers, body))
            if reply.fault == "silent":
                done.wait(5)
            elif reply.fault == "half":
                self.wfile.write(reply.raw()[:-1])
            elif reply.fault != "hang_up":
                self.wfile.write(reply.raw())

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        request_queue_size = 64
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as tcp:
        server.url = f"http://127.0.0.1:{tcp.server_address[1]}"
        # The default of half a second between looks would make every test wait for its end.
        threading.Thread(target=tcp.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield server
        finally:
            done.set()
            tcp.shutdown()
