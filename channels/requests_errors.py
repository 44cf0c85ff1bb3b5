"""How far a request of the `requests` library came before it failed; both vendors' SDKs use it.

Whether a request was written is the difference between "was not sent" and "may have been sent".
"""

from __future__ import annotations

import ssl

from requests import exceptions as failed
from urllib3 import exceptions as below

_NOT_CONNECTED = (below.NewConnectionError, below.ConnectTimeoutError, below.ProxyError)


def was_not_written(error: BaseException) -> bool:
    """Whether no byte of the request can have reached the server: there was no connection."""
    if isinstance(error, failed.ConnectTimeout | failed.ProxyError):
        return True
    if isinstance(error, failed.ReadTimeout):
        return False
    return any(isinstance(cause, _NOT_CONNECTED) for cause in _causes(error)) or bad_certificate(
        error
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
