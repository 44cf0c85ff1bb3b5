"""Send a notice as push by Firebase Cloud Messaging, to one device."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from firebase_admin import messaging

from channels.codes.rule import Provider
from channels.fcm import (
    FcmCallError,
    FcmCredentialError,
    FcmMessageError,
    FcmUnclearError,
    FcmUnreachableError,
    encoded,
)
from channels.graphemes import clusters
from channels.retry_after import retry_after
from notifications.domain.failure import Consequence, Failure, FailureKind, SendFailedError
from notifications.domain.texts import NoticeText, render
from notifications.senders.threads import NoThreadError, Threads
from notifications.services.ports import Accepted, Outgoing
from notifications.services.provider_failures import failure_for

PAYLOAD_LIMIT = 4096
"""Bytes of a message, FCM's limit; the token is counted too, which is on the safe side."""

LONGEST_LIFE = timedelta(seconds=2_419_200)
"""FCM keeps a message for a device that is away for at most four weeks."""

LONGEST_TOKEN = 4096
"""Characters; no real one has more than a few hundred."""

THREADS = 16
WAIT_FOR_THREAD = timedelta(seconds=20)
DEADLINE = timedelta(seconds=40)
"""A token refresh and a send, two steps of ten seconds each."""

_FID = re.compile(r"[c-f][A-Za-z0-9_-]{21}")
"""A Firebase installation id: 17 bytes in base64url that begin with the bits 0111. Registration
tokens are longer and hold a colon; in time they are replaced by installation ids."""


class Client(Protocol):
    """The part of `channels.fcm.FcmClient` that is used here."""

    def send(self, message: messaging.Message) -> str:
        """Send one message; raises `FcmCallError`."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


@dataclass(frozen=True, slots=True)
class PushSender:
    """Sends notices to devices.

    A message carries the notice's id as tag and collapse key: a second attempt takes the place of
    the first on the device.
    """

    client: Client
    frontend_url: str
    threads: Threads = field(default_factory=lambda: Threads("push", most=THREADS))

    async def send(self, outgoing: Outgoing, *, now: datetime) -> Accepted:
        """Hand the notice to FCM. Accepted is all that FCM ever says: there is no receipt.

        Raises:
            SendFailedError: by the table of codes. `unknown` when the request was written and no
                readable answer came.
        """
        message = self.message(outgoing, now=now)
        try:
            name = await self.threads.run(
                lambda: self.client.send(message), wait=WAIT_FOR_THREAD, deadline=DEADLINE
            )
        except NoThreadError as error:
            detail = "every thread for FCM is busy"
            failure = Failure(FailureKind.TRANSIENT, "no_thread", detail=detail)
            raise SendFailedError(failure) from error
        except TimeoutError as error:
            raise SendFailedError(_unclear("deadline", None)) from error
        except FcmCallError as error:
            raise SendFailedError(_failure(error, now=now)) from error
        return Accepted(provider_id=name, form="push")

    async def close(self) -> None:
        """Close the connections to FCM."""
        await self.threads.run(self.client.close, wait=WAIT_FOR_THREAD, deadline=DEADLINE)

    def message(self, outgoing: Outgoing, *, now: datetime) -> messaging.Message:
        """The message, within FCM's limit: its body is cut first, then its title, then the link.

        Raises:
            SendFailedError: permanent, when the token is empty or no text at all.
        """
        token = outgoing.recipient.strip()
        readable = token.isascii() and token.isprintable()
        if not token or len(token) > LONGEST_TOKEN or not readable:
            detail = "recipient: expected a registration token or an installation id of FCM"
            raise SendFailedError(
                Failure(
                    FailureKind.PERMANENT,
                    "recipient_invalid",
                    detail=detail,
                    consequence=Consequence.DISABLE_RECIPIENT,
                )
            )
        words = render(
            outgoing.event,
            outgoing.context,
            language=outgoing.language,
            frontend_url=self.frontend_url,
        )
        return _within_limit(outgoing, words, token, now=now)


def _within_limit(
    outgoing: Outgoing, words: NoticeText, token: str, *, now: datetime
) -> messaging.Message:
    title, body = tuple(clusters(_sound(words.title))), tuple(clusters(_sound(words.body)))
    link = words.link
    while True:
        message = _message(outgoing, _shown(title), _shown(body), link, token, now=now)
        over = size_of(message) - PAYLOAD_LIMIT
        if over <= 0:
            return message
        if len(link) > PAYLOAD_LIMIT // 4:
            link = ""  # no link of ours is that long, and a part of one leads nowhere
        elif body:
            body = _shorter(body, over)
        elif title:
            title = _shorter(title, over)
        else:
            failure = Failure(
                FailureKind.PERMANENT,
                "payload_too_big",
                detail="the message is too big without any words",
                consequence=Consequence.ALERT,
            )
            raise SendFailedError(failure)


_CUT = ("…",)


def _shorter(pieces: tuple[str, ...], over: int) -> tuple[str, ...]:
    """Without its end, by at least one character and about as many bytes as are too many."""
    whole = pieces[:-1] if pieces[-1:] == _CUT else pieces
    gone, last = 0, len(whole)
    while last and gone < over:
        last -= 1
        gone += len(json.dumps(whole[last])) - 2
    return (*whole[:last], *_CUT) if last else ()


def _shown(pieces: tuple[str, ...]) -> str:
    return "".join(pieces)


def _sound(text: str) -> str:
    """Without lone surrogates, which are no text in UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def size_of(message: messaging.Message) -> int:
    """Bytes of the message as it is sent: the SDK writes JSON in ASCII, so this is never less."""
    return len(json.dumps(encoded(message)))


def _message(
    outgoing: Outgoing, title: str, body: str, link: str, token: str, *, now: datetime
) -> messaging.Message:
    name = str(outgoing.notification_id)
    life = _life(outgoing, now)
    # Set afterwards: the constructor warns that `token` will give way to `fid` one day.
    to_installation = token if _FID.fullmatch(token) else None
    message = messaging.Message(
        notification=messaging.Notification(title=title or None, body=body or None),
        data=_data(outgoing, link),
        android=messaging.AndroidConfig(
            collapse_key=name,
            priority="high" if outgoing.urgent else "normal",
            ttl=life,
            notification=messaging.AndroidNotification(tag=name),
        ),
        apns=messaging.APNSConfig(
            headers={
                "apns-collapse-id": name,
                "apns-priority": "10" if outgoing.urgent else "5",
                **({} if life is None else {"apns-expiration": str(int((now + life).timestamp()))}),
            },
            payload=messaging.APNSPayload(messaging.Aps(thread_id=outgoing.event, sound="default")),
        ),
        webpush=_webpush(outgoing, link, life),
        fid=to_installation,
    )
    if to_installation is None:
        message.token = token
    return message


def _webpush(outgoing: Outgoing, link: str, life: timedelta | None) -> messaging.WebpushConfig:
    headers = {
        # RFC 8030: at most 32 characters of base64url, which an id without hyphens just is.
        "Topic": outgoing.notification_id.hex,
        "Urgency": "high" if outgoing.urgent else "normal",
        **({} if life is None else {"TTL": str(int(life.total_seconds()))}),
    }
    # FCM takes links of https alone; others are in the data.
    options = messaging.WebpushFCMOptions(link=link) if link.startswith("https://") else None
    return messaging.WebpushConfig(
        headers=headers,
        notification=messaging.WebpushNotification(tag=str(outgoing.notification_id)),
        fcm_options=options,
    )


def _life(outgoing: Outgoing, now: datetime) -> timedelta | None:
    """How long FCM keeps it for a device that is away; None: as long as FCM likes."""
    if outgoing.expires_at is None:
        return None
    left = min(max(outgoing.expires_at - now, timedelta()), LONGEST_LIFE)
    return timedelta(seconds=int(left.total_seconds()))


def _data(outgoing: Outgoing, link: str) -> dict[str, str]:
    """For the page or app that opens; all values are text, as FCM asks."""
    context: Mapping[str, Any] = outgoing.context
    known = {
        "notification_id": str(outgoing.notification_id),
        "event": outgoing.event,
        "ticket_id": context.get("ticket_id"),
        "ticket_number": context.get("ticket_number"),
        "link": link,
    }
    return {key: str(value) for key, value in known.items() if value not in {None, ""}}


def _failure(error: FcmCallError, *, now: datetime) -> Failure:
    if isinstance(error, FcmUnclearError):
        return _unclear(error.code or "no_answer", error.http_status)
    if isinstance(error, FcmUnreachableError) and error.code != "tls_certificate":
        detail = f"no connection to FCM ({error.code})"
        return Failure(FailureKind.TRANSIENT, "connection", detail=detail)
    if isinstance(error, FcmCredentialError | FcmUnreachableError):
        detail = "check FCM_SERVICE_ACCOUNT_JSON, FCM_PROJECT_ID and FCM_API_BASE_URL"
        return Failure(
            FailureKind.STOP_CHANNEL,
            error.code or "service_account",
            detail=detail,
            consequence=Consequence.ALERT,
        )
    if isinstance(error, FcmMessageError):
        detail = "the message is not valid by the SDK's own rules"
        return Failure(
            FailureKind.PERMANENT, "payload_invalid", detail=detail, consequence=Consequence.ALERT
        )
    return failure_for(
        Provider.FCM,
        error.code,
        http_status=error.http_status,
        retry_after=retry_after(error.headers, now=now),
    )


def _unclear(code: str, http_status: int | None) -> Failure:
    detail = "the request was written and no readable answer came: it may have been sent"
    return Failure(FailureKind.UNKNOWN, code, http_status, detail=detail)
