"""Send a notice by the WhatsApp Cloud API: as text, as text with a button, or as template.

Source: developers.facebook.com/docs/whatsapp/cloud-api; see `channels.whatsapp`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from channels.codes.rule import Provider
from channels.graphemes import truncate
from channels.message import Button, OutboundMessage, OutboundTemplate
from channels.whatsapp import client as whatsapp
from channels.whatsapp.errors import Action, SendFailure
from channels.whatsapp.limits import INTERACTIVE_BODY, TEXT_BODY
from channels.whatsapp.payloads import PayloadError, build_message
from notifications.domain.failure import Consequence, Failure, FailureKind, SendFailedError
from notifications.domain.phone import is_e164
from notifications.domain.texts import WHATSAPP_LANGUAGE, NoticeText, render
from notifications.services.acknowledgements import button_id
from notifications.services.ports import Accepted, Outgoing
from notifications.services.provider_failures import failure_for
from notifications.services.statuses import callback_data

WINDOW = timedelta(hours=23, minutes=55)
"""The customer service window is 24 hours; the margin covers clocks and a slow send."""

_TABLES_OWN_WAIT = timedelta(seconds=5)
"""Longest wait that `channels.whatsapp.errors` adds by itself to a refusal for too much."""

TEXT, INTERACTIVE, TEMPLATE = "text", "interactive", "template"

_NO_NUMBER = Failure(
    FailureKind.PERMANENT,
    "phone_invalid",
    detail="the recipient is no number in E.164: + and 10 to 15 digits",
    consequence=Consequence.DISABLE_RECIPIENT,
)


class Client(Protocol):
    """The part of `channels.whatsapp.client.WhatsAppClient` that is used here."""

    async def send(self, payload: Mapping[str, Any]) -> whatsapp.Sent:
        """Send a body; raises `channels.whatsapp.client.SendFailedError`."""
        ...


@dataclass(frozen=True, slots=True)
class WhatsAppSender:
    """Sends notices to E.164 numbers.

    Attributes:
        client: The API for our business number.
        last_message: When this number last wrote to us, None when never.
        template: Name of an approved template with three body parameters (subject, reason, link),
            in the languages of `WHATSAPP_LANGUAGE`; None when there is none.
        frontend_url: Where the console is.
    """

    client: Client
    last_message: Callable[[str], Awaitable[datetime | None]]
    template: str | None
    frontend_url: str

    async def send(self, outgoing: Outgoing, *, now: datetime) -> Accepted:
        """Send as text within the 24 h window, else as template.

        A text whose policy wants it acknowledged carries a button, see `acknowledgements`.

        Without a template the text is tried all the same: what we know of the window is only what
        reached our webhook. A text that is refused because the window is closed (131047) goes out
        as template at once; a refusal is certain, so nothing is sent twice.

        Raises:
            SendFailedError: with the code `131047` and a detail that says so when the window is
                closed and no template is named.
        """
        if not is_e164(outgoing.recipient):
            raise SendFailedError(_NO_NUMBER)
        words = render(
            outgoing.event,
            outgoing.context,
            language=outgoing.language,
            frontend_url=self.frontend_url,
        )
        if not await self._wants_template(outgoing, now):
            form = INTERACTIVE if outgoing.context.get("acknowledge") is True else TEXT
            try:
                return await self._post(outgoing, words, form)
            except whatsapp.SendFailedError as error:
                if error.failure.action is not Action.USE_TEMPLATE:
                    raise SendFailedError(_failure(error.failure)) from error
        if self.template is None:
            raise SendFailedError(
                Failure(
                    FailureKind.PERMANENT,
                    "131047",
                    detail="24 h window closed and NOTIFICATIONS_WHATSAPP_TEMPLATE is not set",
                )
            )
        try:
            return await self._post(outgoing, words, TEMPLATE)
        except whatsapp.SendFailedError as error:
            raise SendFailedError(_failure(error.failure)) from error

    async def _wants_template(self, outgoing: Outgoing, now: datetime) -> bool:
        if outgoing.context.get("form") == TEMPLATE:
            return True  # a status said that the window is closed
        if self.template is None:
            return False
        last = await self.last_message(outgoing.recipient)
        return last is None or now - last > WINDOW

    async def _post(self, outgoing: Outgoing, words: NoticeText, form: str) -> Accepted:
        try:
            payload = build_message(
                self._message(outgoing, words, form),
                phone=outgoing.recipient,
                callback_data=callback_data(outgoing.notification_id),
            )
        except PayloadError as error:
            detail = f"{error.field}: expected {error.expected}"
            raise SendFailedError(
                Failure(FailureKind.PERMANENT, "payload_invalid", detail=detail)
            ) from error
        sent = await self.client.send(payload)
        return Accepted(provider_id=sent.provider_id, form=form)

    def _message(
        self, outgoing: Outgoing, words: NoticeText, form: str
    ) -> OutboundMessage | OutboundTemplate:
        if form == TEMPLATE:
            return OutboundTemplate(
                name=self.template or "",
                language=WHATSAPP_LANGUAGE.get(outgoing.language, WHATSAPP_LANGUAGE["pt"]),
                body_parameters=words.parameters,
            )
        longest = INTERACTIVE_BODY if form == INTERACTIVE else TEXT_BODY
        # The link stands last and is never cut; WhatsApp makes it tappable. A button with a link
        # (cta_url) is not in Meta's published description.
        text = f"{truncate(words.whatsapp, longest - len(words.link) - 1)}\n{words.link}"
        if form == TEXT:
            return OutboundMessage(text=text)
        button = Button(button_id(outgoing.notification_id), words.acknowledge)
        return OutboundMessage(text=text, buttons=(button,))


def _failure(refusal: SendFailure) -> Failure:
    """Meta's refusal by the table of codes. Its words are left out: they may hold a number."""
    if refusal.code is None and refusal.http_status is None:
        code = "no_answer" if refusal.kind == "unknown" else "connection"
        return Failure(FailureKind(refusal.kind), code, detail=f"whatsapp: {refusal.action}")
    retry_after = refusal.retry_after
    # The table's own waits of a few seconds are a floor for a first retry, not the provider's
    # word: the exponential delay takes their place.
    if refusal.action in {Action.SLOW_NUMBER, Action.PAIR_LIMIT} and (
        retry_after is None or retry_after <= _TABLES_OWN_WAIT
    ):
        retry_after = None
    return failure_for(
        Provider.WHATSAPP,
        None if refusal.code is None else str(refusal.code),
        http_status=refusal.http_status,
        retry_after=retry_after,
        detail=f"whatsapp: {refusal.action}",
    )
