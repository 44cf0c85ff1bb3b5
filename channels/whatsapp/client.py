"""Send through the WhatsApp Cloud API, and say exactly what is known when it does not work.

Meta has no idempotency key. A failure before the request was written is safe to repeat; a failure
after it may hide a message that was sent, and then only a status webhook with our
`biz_opaque_callback_data` tells.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Protocol

import httpx

from channels.whatsapp import fields
from channels.whatsapp.errors import Action, SendFailure, classify
from channels.whatsapp.payloads import build_mark_read

USER_AGENT = "ponte/0.1.0"
# An answer comes within a few hundred milliseconds; ten seconds end a turn that hangs.
TIMEOUT = httpx.Timeout(10.0, connect=3.0, pool=3.0)
# The read mark is a courtesy: it must not hold anything up.
MARK_READ_TIMEOUT = httpx.Timeout(3.0)


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that Meta accepted; that is not yet a delivery.

    Attributes:
        provider_id: Meta's id of the message (wamid), the one that statuses carry.
        wa_id: The recipient as WhatsApp knows it, digits without "+", when it says so.
        user_id: The recipient's BSUID, when it says so.
    """

    provider_id: str
    wa_id: str | None = None
    user_id: str | None = None


class SendFailedError(Exception):
    """A message was not accepted, or its fate is not known.

    Attributes:
        failure: What is known and what to do.
    """

    def __init__(self, failure: SendFailure) -> None:
        super().__init__(f"{failure.kind}: {failure.detail}")
        self.failure = failure


class Response(Protocol):
    """An HTTP answer that was read whole."""

    @property
    def status_code(self) -> int:
        """Of HTTP."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Found in any spelling."""
        ...

    @property
    def content(self) -> bytes:
        """The body."""
        ...


class Poster(Protocol):
    """An `httpx.AsyncClient`, or `channels.http_transport.AiohttpTransport` by itself."""

    async def post(
        self,
        url: str,
        *,
        content: bytes,
        headers: Mapping[str, str],
        timeout: httpx.Timeout,  # noqa: ASYNC109 - four limits, named as in httpx
    ) -> Response:
        """POST; raises `httpx.HTTPError`."""
        ...


class WhatsAppClient:
    """The Graph API for one business number."""

    def __init__(
        self,
        http: Poster,
        *,
        base_url: str,
        version: str,
        phone_number_id: str,
        access_token: str,
        now: Callable[[], datetime] | None = None,
        timeout: httpx.Timeout = TIMEOUT,
    ) -> None:
        """Wrap a shared HTTP client, which the caller closes.

        Args:
            http: Connection pool.
            base_url: Such as `https://graph.facebook.com`.
            version: Graph version, such as `v25.0`.
            phone_number_id: Id of the business number.
            access_token: Bearer token; it is in no error and no log.
            now: Reads the clock, for a `Retry-After` given as a date.
            timeout: How long a send may take.
        """
        self._http = http
        self._url = f"{base_url.rstrip('/')}/{version}/{phone_number_id}/messages"
        self._headers = {
            "Authorization": f"Bearer {access_token}",
            "User-Agent": USER_AGENT,
            "Content-Type": "application/json",
        }
        self._now = now
        self._timeout = timeout

    async def send(self, payload: Mapping[str, Any]) -> Sent:
        """Send one message.

        Args:
            payload: A body from `channels.whatsapp.payloads`.

        Raises:
            SendFailedError: With the kind `unknown` when the request may have been carried out.
        """
        response = await self._post(payload, limit=self._timeout)
        if not _is_success(response):
            now = self._now() if self._now is not None else None
            raise SendFailedError(
                classify(response.status_code, response.content, response.headers, now=now)
            )
        return _sent(response)

    async def mark_read(self, wamid: str, *, typing: bool = True) -> bool:
        """Show a customer's message as read and, with `typing`, that an answer is being written.

        Returns:
            Whether it worked. A failure is no reason to hold up the answer, so it raises nothing.
        """
        try:
            payload = build_mark_read(wamid, typing=typing)
            response = await self._post(payload, limit=MARK_READ_TIMEOUT)
        except (ValueError, SendFailedError):
            return False
        return _is_success(response)

    async def _post(self, payload: Mapping[str, Any], *, limit: httpx.Timeout) -> Response:
        # "replace": a lone surrogate has no UTF-8 form and would otherwise end the turn here.
        content = json.dumps(payload, ensure_ascii=False).encode(errors="replace")
        try:
            return await self._http.post(
                self._url, content=content, headers=self._headers, timeout=limit
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            failure = _bad_certificate() if _is_of_certificate(error) else _not_sent(error)
            raise SendFailedError(failure) from error
        except (httpx.WriteError, httpx.WriteTimeout) as error:
            # A request whose body did not arrive whole is never carried out.
            raise SendFailedError(_not_sent(error)) from error
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.LocalProtocolError) as error:
            raise SendFailedError(
                SendFailure("stop_channel", Action.STOP_CHANNEL, detail=type(error).__name__)
            ) from error
        except httpx.HTTPError as error:
            # Read timeout, connection lost while waiting, broken answer: it may have been sent.
            raise SendFailedError(_unknown(type(error).__name__)) from error


def _is_success(response: Response) -> bool:
    return HTTPStatus.OK <= response.status_code < HTTPStatus.MULTIPLE_CHOICES


def _sent(response: Response) -> Sent:
    try:
        answer = fields.mapping(json.loads(response.content))
    except (ValueError, RecursionError) as error:
        detail = "accepted, but the answer is not JSON"
        raise SendFailedError(_unknown(detail, response.status_code)) from error
    provider_id = next(
        (fields.text(message.get("id")) for message in fields.mappings(answer.get("messages"))),
        None,
    )
    if provider_id is None:
        detail = "accepted, but the answer names no message"
        raise SendFailedError(_unknown(detail, response.status_code))
    contact = next(iter(fields.mappings(answer.get("contacts"))), {})
    return Sent(
        provider_id=provider_id,
        wa_id=fields.text(contact.get("wa_id")),
        user_id=fields.text(contact.get("user_id")),
    )


def _not_sent(error: Exception) -> SendFailure:
    return SendFailure("transient", Action.RETRY, detail=type(error).__name__)


def _is_of_certificate(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    return cause is not None


def _bad_certificate() -> SendFailure:
    """A person has to mend it, as with the other providers; attempts do not help."""
    detail = "the certificate is not valid for WHATSAPP_API_BASE_URL"
    return SendFailure("stop_channel", Action.STOP_CHANNEL, detail=detail)


def _unknown(detail: str, http_status: int | None = None) -> SendFailure:
    return SendFailure("unknown", Action.CHECK_STATUS, http_status=http_status, detail=detail)
