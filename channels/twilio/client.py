"""Twilio's Messages resource through Twilio's SDK: create one, list those sent to a number.

Blocking: call it in a thread. The SDK has no timeout and says nothing of how far a request came, so
its HTTP client is wrapped: ten seconds for each step, no retries, and the last answer is kept.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from requests.exceptions import RequestException
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from channels.bounded_adapter import BoundedAdapter
from channels.requests_errors import bad_certificate, was_not_written

API_URL = "https://api.twilio.com"
STEP_TIMEOUT_SECONDS = 10.0
"""For the connection and for each wait for bytes; Twilio answers within a second as a rule."""

_PAGE = 100
"""Messages a page when listing: more than anybody gets in the time that is looked at."""

UNREADABLE = "answer_unreadable"
_UNREADABLE_ERRORS = (ValueError, TypeError, AttributeError, KeyError, RecursionError)
"""What the SDK raises for an answer that is no JSON, or JSON of another shape."""

_HTTP_SUCCESS = range(200, 300)

# The SDK logs addresses and headers at INFO; nothing of it may reach our logs.
_SILENT = logging.getLogger("ponte.twilio_sdk")
_SILENT.setLevel(logging.WARNING)


class TwilioCallError(Exception):
    """A request to Twilio came to nothing.

    Attributes:
        code: Twilio's, or the name of what went wrong on the way; None when there is none.
        http_status: Of the answer, when there was one.
        headers: Of the answer.
    """

    def __init__(
        self,
        code: str | None,
        http_status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.code = code
        self.http_status = http_status
        self.headers = headers or {}
        super().__init__(f"twilio {code} (HTTP {http_status})")


class TwilioRefusedError(TwilioCallError):
    """An answer that refuses: nothing was sent."""


class TwilioUnclearError(TwilioCallError):
    """The request was written and no readable answer came: it may have been sent."""


class TwilioUnreachableError(TwilioCallError):
    """There was no connection: nothing was sent."""


@dataclass(frozen=True, slots=True)
class TwilioMessage:
    """A message as Twilio keeps it.

    Attributes:
        sid: Its id.
        status: queued, sent, delivered, undelivered, failed, ...
        body: Its text.
        error_code: Why it failed; None when it did not.
        created_at: None when Twilio's answer had no readable time.
    """

    sid: str
    status: str
    body: str
    error_code: str | None
    created_at: datetime | None


class TwilioClient:
    """The SDK with bounds. Safe to use from several threads."""

    def __init__(
        self,
        *,
        account_sid: str,
        auth_token: str,
        base_url: str = API_URL,
        timeout_seconds: float = STEP_TIMEOUT_SECONDS,
        connections: int = 16,
    ) -> None:
        """Make a client; nothing is sent.

        Args:
            account_sid: AC and 32 hexadecimal digits.
            auth_token: The account's token.
            base_url: Where the API is.
            timeout_seconds: For each step of a request.
            connections: Kept open, as many as threads use it.
        """
        self._http = _Http(timeout_seconds, connections)
        self._client = Client(account_sid, auth_token, http_client=self._http)
        self._client.api.base_url = base_url.rstrip("/")
        self._account_sid = account_sid

    def create(self, form: Mapping[str, Any]) -> TwilioMessage:
        """Send one message.

        Args:
            form: `to`, `from_`, `body`, `status_callback` and, if wanted, `validity_period`.

        Raises:
            TwilioRefusedError: when Twilio refuses it.
            TwilioUnclearError: when it may have been sent.
            TwilioUnreachableError: when it was not sent.
        """
        message = self._ask(lambda: self._client.messages.create(**form))
        found = _message(message)
        if not found.sid:
            raise TwilioUnclearError(UNREADABLE, self._http.status)
        return found

    def sent_to(self, number: str, *, since: datetime) -> Iterator[TwilioMessage]:
        """Messages to a number since a time, the newest first; those that wait come last.

        Twilio compares the time of sending, which a message that still waits does not have: a
        second look without it finds those.

        Raises:
            TwilioCallError: as `create`.
        """
        known: set[str] = set()
        every: dict[str, Any] = {"to": number, "limit": _PAGE, "page_size": _PAGE}
        for filters in ({**every, "date_sent_after": since}, every):
            for message in map(_message, self._ask(partial(self._client.messages.list, **filters))):
                if message.sid and message.sid not in known:
                    known.add(message.sid)
                    yield message

    def account_status(self) -> str:
        """`active`, `suspended` or `closed`: asks nothing but the account itself.

        Raises:
            TwilioCallError: as `create`.
        """
        account = self._ask(lambda: self._client.api.accounts(self._account_sid).fetch())
        return str(account.status)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _ask(self, call: Callable[[], Any]) -> Any:
        self._http.forget()
        try:
            return call()
        except (TwilioRestException, TwilioServiceException) as error:
            raise self._refusal(error) from error
        except RequestException as error:
            code = "tls_certificate" if bad_certificate(error) else type(error).__name__
            kind = TwilioUnreachableError if was_not_written(error) else TwilioUnclearError
            raise kind(code) from error
        except (TwilioException, *_UNREADABLE_ERRORS) as error:
            if self._http.status is None:
                raise
            # An answer that the SDK cannot read: HTML, a list, no body at all.
            raise TwilioUnclearError(UNREADABLE, self._http.status) from error

    def _refusal(self, error: TwilioRestException | TwilioServiceException) -> TwilioCallError:
        status = self._http.status if self._http.status is not None else 0
        # Without a code of its own the SDK repeats the HTTP status.
        code = None if error.code in (None, "", status) else str(error.code)
        if status in _HTTP_SUCCESS:
            return TwilioUnclearError(code, status, self._http.headers)
        return TwilioRefusedError(code, status, self._http.headers)


class _Http(TwilioHttpClient):  # type: ignore[misc]  # the SDK has no types
    """The SDK's client with a pool, no retries, and a memory of each thread's last answer."""

    def __init__(self, timeout_seconds: float, connections: int) -> None:
        super().__init__(timeout=timeout_seconds, logger=_SILENT)
        adapter = BoundedAdapter(pool_connections=1, pool_maxsize=connections, max_retries=0)
        for scheme in ("https://", "http://"):
            self.session.mount(scheme, adapter)
        self._last = threading.local()

    def request(self, *args: Any, **kwargs: Any) -> Any:
        answer = super().request(*args, **kwargs)
        self._last.status = answer.status_code
        self._last.headers = dict(answer.headers or {})
        return answer

    def forget(self) -> None:
        """Before a call: an old answer must not pass for the new one."""
        self._last.status, self._last.headers = None, {}

    @property
    def status(self) -> int | None:
        """HTTP status of this thread's last answer."""
        return getattr(self._last, "status", None)

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of this thread's last answer."""
        return getattr(self._last, "headers", {})

    def close(self) -> None:
        self.session.close()


def _message(found: Any) -> TwilioMessage:
    error = found.error_code
    created = found.date_created
    return TwilioMessage(
        sid=found.sid if isinstance(found.sid, str) else "",
        status=str(found.status or ""),
        body=found.body if isinstance(found.body, str) else "",
        error_code=None if error in (None, "", 0, "0") else str(error),
        created_at=created if isinstance(created, datetime) else None,
    )


VALIDITY_SHORTEST, VALIDITY_LONGEST = timedelta(seconds=1), timedelta(seconds=36_000)
"""What Twilio takes as ValidityPeriod."""
