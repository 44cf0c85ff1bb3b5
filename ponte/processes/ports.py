"""Ports: free ones for private processes, the wished one for the public process."""

from __future__ import annotations

import socket
from contextlib import ExitStack

_TRIES = 100


class PortError(Exception):
    """No port could be had; the text names the range tried."""


def free_ports(count: int, *, host: str = "127.0.0.1") -> list[int]:
    """So many different ports that are free at this moment."""
    with ExitStack() as stack:
        # All are held until the last is found: else the same one could come twice.
        sockets = [stack.enter_context(_listening(host, 0)) for _ in range(count)]
        return [int(one.getsockname()[1]) for one in sockets]


def wished_or_next(port: int, *, host: str) -> int:
    """`port` if it is free, else the next free one above it (0: any free one).

    Raises:
        PortError: none of a hundred is free, or the address is not this machine's.
    """
    if port == 0:
        return free_ports(1, host=host)[0]
    last = min(port + _TRIES, 65_536)
    for candidate in range(port, last):
        try:
            with _listening(host, candidate):
                return candidate
        except OSError as error:
            reason = error
    message = f"PONTE_PORT: none of the ports {port} to {last - 1} on {host} can be used: {reason}"
    raise PortError(message)


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # As the servers do: a port whose last connections are in TIME_WAIT is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1)
    except BaseException:
        listener.close()
        raise
    return listener
