"""Connections of `requests` whose answers have an end: both vendors' SDKs read them whole.

A time-out of `requests` is for each wait for bytes: an answer that drips or never ends would hold a
thread, or fill the memory, for as long as the server likes.
"""

from __future__ import annotations

import time
from typing import Any

from requests import PreparedRequest, Response
from requests import exceptions as failed
from requests.adapters import HTTPAdapter
from urllib3 import exceptions as below

LONGEST_ANSWER = 1024 * 1024
"""Bytes; a vendor's answer has some thousands, a page of a hundred messages some ten thousands."""

READING_SECONDS = 10.0
"""For the whole body."""

_PIECE = 64 * 1024


class BoundedAdapter(HTTPAdapter):
    """Reads each answer itself: what is beyond `LONGEST_ANSWER` is cut off."""

    def __init__(self, *, reading_seconds: float = READING_SECONDS, **options: Any) -> None:
        """`options` as `requests.adapters.HTTPAdapter` has them."""
        super().__init__(**options)
        self._reading_seconds = reading_seconds

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Send a request and read its answer.

        Raises:
            requests.ReadTimeout: The body took too long; the request may have been carried out.
            requests.exceptions.ChunkedEncodingError: The body broke off, or cannot be unpacked.
        """
        answer = super().send(request, *args, **kwargs)
        try:
            content = self._read(answer.raw)
        except below.ReadTimeoutError as error:
            raise failed.ReadTimeout(error, request=request) from error
        except failed.RequestException:
            raise
        except (below.HTTPError, OSError) as error:
            raise failed.ChunkedEncodingError(error, request=request) from error
        answer._content = content  # noqa: SLF001 - `requests` has no public way to give it
        answer._content_consumed = True  # noqa: SLF001
        return answer

    def _read(self, raw: Any) -> bytes:
        ends = time.monotonic() + self._reading_seconds
        pieces: list[bytes] = []
        left = LONGEST_ANSWER
        try:
            while left > 0 and (piece := raw.read1(_PIECE, decode_content=True)):
                pieces.append(piece[:left])
                left -= len(piece)
                if time.monotonic() > ends:
                    message = "the body took too long"
                    raise failed.ReadTimeout(message)  # noqa: TRY301 - closes it as any other does
        except BaseException:
            raw.close()
            raise
        if left <= 0:
            raw.close()  # the rest is still on the line, which nobody may use again
        return b"".join(pieces)
