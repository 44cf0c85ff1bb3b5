"""Send a notice as SMS by Twilio, and find out whether one of unknown outcome was taken."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

import phonenumbers

from channels.codes.rule import Provider
from channels.retry_after import retry_after
from channels.sms_text import SmsText, compose
from channels.twilio.client import (
    VALIDITY_LONGEST,
    VALIDITY_SHORTEST,
    TwilioCallError,
    TwilioMessage,
    TwilioUnclearError,
    TwilioUnreachableError,
)
from notifications.domain.failure import Consequence, Failure, FailureKind, SendFailedError
from notifications.domain.texts import render
from notifications.senders.callback import callback_url
from notifications.senders.threads import NoThreadError, Threads
from notifications.services.ports import Accepted, Outgoing
from notifications.services.provider_failures import failure_for

THREADS = 16
"""Twilio queues messages itself and answers in a tenth of a second: 16 make 100 a second."""

WAIT_FOR_THREAD = timedelta(seconds=20)
DEADLINE = timedelta(seconds=30)
"""Two steps of ten seconds and some reading; a server that drips bytes ends here."""

CLOCK_MARGIN = timedelta(minutes=10)
"""By so much Twilio's clock and ours may differ."""

TRIAL_PREFIX = "Sent from your Twilio trial account - "
"""What Twilio puts before the text while an account is not paid for."""

FAILED = frozenset({"failed", "undelivered", "canceled"})
_PUNCTUATION = re.compile(r"[\s().-]")
_E164 = re.compile(r"\+[1-9][0-9]{9,14}", re.ASCII)
"""With its country code no number of a person has fewer than ten digits."""


class Client(Protocol):
    """The part of `channels.twilio.client.TwilioClient` that is used here."""

    def create(self, form: Mapping[str, Any]) -> TwilioMessage:
        """Send one message; raises `TwilioCallError`."""
        ...

    def sent_to(self, number: str, *, since: datetime) -> Iterable[TwilioMessage]:
        """Messages to a number since a time; raises `TwilioCallError`."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


@dataclass(frozen=True, slots=True)
class SmsSender:
    """Sends notices to E.164 numbers.

    Attributes:
        client: The API for our account.
        sender: TWILIO_FROM.
        public_url: Where Twilio reaches this server.
        frontend_url: Where the console is.
        max_segments: Most SMS one notice may cost.
        take: Of these Twilio ids, the one that belongs to the given notice from now on.
    """

    client: Client
    sender: str
    public_url: str
    frontend_url: str
    max_segments: int
    take: Callable[[Sequence[str], Outgoing], Awaitable[str | None]]
    threads: Threads = field(default_factory=lambda: Threads("sms", most=THREADS))

    async def send(self, outgoing: Outgoing, *, now: datetime) -> Accepted:
        """Hand the notice to Twilio.

        Raises:
            SendFailedError: by the table of codes. `unknown` when the request was written and no
                readable answer came.
        """
        form = self.form(outgoing, now=now)
        message = await self._ask(lambda: self.client.create(form), now=now)
        if message.status in FAILED:
            raise SendFailedError(failure_for(Provider.TWILIO, message.error_code, final=True))
        return Accepted(provider_id=message.sid, form="sms")

    async def close(self) -> None:
        """Close the connections to Twilio."""
        await self.threads.run(self.client.close, wait=WAIT_FOR_THREAD, deadline=DEADLINE)

    async def look_up(self, outgoing: Outgoing, *, now: datetime) -> Accepted | None:
        """The message of an earlier attempt, if Twilio took one; see `Reconciler`.

        It is recognised by number, exact text and time: Twilio keeps no id of ours. A message that
        is known to be another notice's is not taken for this one, and one that Twilio took and
        could not deliver counts as not taken: the next attempt says why.

        Raises:
            SendFailedError: when Twilio cannot be asked.
        """
        form = self.form(outgoing, now=now)
        since = outgoing.created_at - CLOCK_MARGIN
        found = await self._ask(
            lambda: [
                message
                for message in self.client.sent_to(form["to"], since=since)
                if message.body.removeprefix(TRIAL_PREFIX) == form["body"]
                and (message.created_at is None or message.created_at >= since)
            ],
            now=now,
            reading=True,
        )
        alive = [message.sid for message in found if message.status not in FAILED]
        taken = await self.take(alive, outgoing) if alive else None
        return None if taken is None else Accepted(provider_id=taken, form="sms")

    def form(self, outgoing: Outgoing, *, now: datetime) -> dict[str, Any]:
        """The fields of the request.

        Raises:
            SendFailedError: permanent, when the number is not E.164 or there are no words.
        """
        number = e164(outgoing.recipient)
        text = self.text(outgoing)
        if not text.body:
            raise SendFailedError(_ours("body_empty", "the notice has no words"))
        form: dict[str, Any] = {
            "to": number,
            "from_": self.sender,
            "body": text.body,
            "status_callback": callback_url(self.public_url, outgoing.notification_id),
        }
        if outgoing.expires_at is not None:
            left = min(max(outgoing.expires_at - now, VALIDITY_SHORTEST), VALIDITY_LONGEST)
            form["validity_period"] = int(left.total_seconds())
        return form

    def text(self, outgoing: Outgoing) -> SmsText:
        """The notice as SMS; the words are cut, the link never."""
        words = render(
            outgoing.event,
            outgoing.context,
            language=outgoing.language,
            frontend_url=self.frontend_url,
        )
        return compose(words.sms, words.link, max_segments=self.max_segments)

    async def _ask(self, work: Callable[[], Any], *, now: datetime, reading: bool = False) -> Any:
        """Run blocking work; `reading`: a question, which leaves nothing behind when it fails."""
        try:
            return await self.threads.run(work, wait=WAIT_FOR_THREAD, deadline=DEADLINE)
        except NoThreadError as error:
            detail = "every thread for Twilio is busy"
            failure = Failure(FailureKind.TRANSIENT, "no_thread", detail=detail)
            raise SendFailedError(failure) from error
        except TimeoutError as error:
            raise SendFailedError(_unclear("deadline", None, reading=reading)) from error
        except TwilioCallError as error:
            raise SendFailedError(_failure(error, now=now, reading=reading)) from error


def e164(recipient: str) -> str:
    """The number as E.164.

    Only its form is checked: whether a number is in use is Twilio's to say (21211), whose knowledge
    is newer than that of a library.

    Raises:
        SendFailedError: permanent; its detail does not hold the number.
    """
    spelled = _PUNCTUATION.sub("", recipient)
    # The library reads letters and digits of every script; an address of ours is plain.
    if _E164.fullmatch(spelled):
        try:
            if phonenumbers.is_possible_number(phonenumbers.parse(spelled, None)):
                return spelled
        except phonenumbers.NumberParseException:
            pass  # an area code that no country has
    detail = "recipient: expected a phone number in E.164 with 10 to 15 digits"
    raise SendFailedError(
        Failure(
            FailureKind.PERMANENT,
            "recipient_invalid",
            detail=detail,
            consequence=Consequence.DISABLE_RECIPIENT,
        )
    )


def _failure(refusal: TwilioCallError, *, now: datetime, reading: bool) -> Failure:
    if isinstance(refusal, TwilioUnreachableError):
        if refusal.code == "tls_certificate":
            detail = "Twilio's certificate is not valid for TWILIO_API_BASE_URL"
            return Failure(
                FailureKind.STOP_CHANNEL,
                "tls_certificate",
                detail=detail,
                consequence=Consequence.ALERT,
            )
        detail = f"no connection to Twilio ({refusal.code})"
        return Failure(FailureKind.TRANSIENT, "connection", detail=detail)
    if isinstance(refusal, TwilioUnclearError):
        return _unclear(refusal.code or "no_answer", refusal.http_status, reading=reading)
    return failure_for(
        Provider.TWILIO,
        refusal.code,
        http_status=refusal.http_status,
        retry_after=retry_after(refusal.headers, now=now),
    )


def _unclear(code: str, http_status: int | None, *, reading: bool) -> Failure:
    if reading:
        detail = "Twilio could not be asked what it took"
        return Failure(FailureKind.TRANSIENT, code, http_status, detail=detail)
    detail = "the request was written and no readable answer came: it may have been sent"
    return Failure(FailureKind.UNKNOWN, code, http_status, detail=detail)


def _ours(code: str, detail: str) -> Failure:
    return Failure(FailureKind.PERMANENT, code, detail=detail, consequence=Consequence.ALERT)
