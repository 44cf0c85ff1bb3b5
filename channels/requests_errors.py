"""How far a request of the `requests` library came before it failed; both vendors' SDKs use it.

Whether a request was written is the difference between "was not sent" and "may have been sent".
"""

from __future__ import annotations

import ssl

from requests import exceptions as failed
from urllib3 import exceptions as below

_NOT_CONNECTED = (below.NewConnectionError, below.ConnectTimeoutError)
_TUNNEL_REFUSED = "Tunnel connection failed"
"""How `http.client` words it that a proxy answered CONNECT with a refusal."""


def was_not_written(error: BaseException) -> bool:
    """Whether no byte of the request can have reached the server: there was no connection.

    `ProxyError` alone says nothing: urllib3 2 makes one of every connection by a proxy that broke,
    also of one that broke after the request was written, because `http.client` had closed it by
    then and a closed connection no longer knows that it reached its proxy.
    """
    if isinstance(error, failed.ConnectTimeout):
        return True
    if isinstance(error, failed.ReadTimeout):
        return False
    return any(_before_writing(cause) for cause in _causes(error)) or bad_certificate(error)


def _before_writing(cause: BaseException) -> bool:
    return isinstance(cause, _NOT_CONNECTED) or (
        isinstance(cause, OSError) and str(cause).startswith(_TUNNEL_REFUSED)
    )


def bad_certificate(error: BaseException) -> bool:
    """Whether the server's certificate was refused; nothing is written before that."""
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error))


def _causes(error: BaseException) -> list[BaseException]:
    """The error, what it was raised from, and what urllib3 keeps in `reason` and in arguments."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting and len(found) < 20:  # noqa: PLR2004 - chains are short; a circle must end
        one = waiting.pop()
        if not isinstance(one, BaseException) or one in found:
            continue
        found.append(one)
        waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
    return found
