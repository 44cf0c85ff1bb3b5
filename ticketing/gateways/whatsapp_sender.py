"""Send claimed messages through the WhatsApp Cloud API."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from channels.message import OutboundMessage, OutboundTemplate
from channels.whatsapp.client import SendFailedError as WhatsAppSendFailedError
from channels.whatsapp.client import WhatsAppClient
from channels.whatsapp.errors import Action, SendFailure
from channels.whatsapp.payloads import PayloadError, build_message
from ticketing.domain.delivery import Failure
from ticketing.services.deliveries import Dispatch
from ticketing.services.ports import SendFailedError

_TEMPLATE_LANGUAGES = {"pt": "pt_BR", "en": "en", "es": "es"}
_FAR_LATER = timedelta(minutes=10)


class WhatsAppSender:
    """`ticketing.services.ports.Sender` for WhatsApp.

    Args:
        client_for: Phone number id -> client; a business may have several numbers.
        reengagement_template: Name of the approved template that is sent in place of a free text
            when the 24 h window is closed; None: such a message fails with a clear reason.
    """

    def __init__(
        self,
        client_for: Callable[[str], WhatsAppClient],
        *,
        reengagement_template: str | None = None,
    ) -> None:
        self._client_for = client_for
        self._template = reengagement_template

    async def send(self, dispatch: Dispatch) -> str:
        """Send one message; returns the wamid.

        Raises:
            SendFailedError: with the classified failure.
        """
        content = self._content(dispatch)
        by_phone = dispatch.address.startswith("+")
        try:
            payload = build_message(
                content,
                phone=dispatch.address if by_phone else None,
                user_id=None if by_phone else dispatch.address,
                callback_data=str(dispatch.message_id),
            )
        except PayloadError as error:
            raise SendFailedError(Failure("permanent", "payload", str(error))) from error
        try:
            sent = await self._client_for(dispatch.account_id).send(payload)
        except WhatsAppSendFailedError as error:
            raise SendFailedError(failure_of(error.failure)) from error
        return sent.provider_id

    async def acknowledge(self, account_id: str, provider_id: str) -> None:
        """Mark as read and show typing; `mark_read` never raises."""
        await self._client_for(account_id).mark_read(provider_id, typing=True)

    def _content(self, dispatch: Dispatch) -> OutboundMessage | OutboundTemplate:
        if dispatch.window_open:
            return dispatch.message
        if dispatch.closed_window is not None:
            return dispatch.closed_window
        if self._template is None:
            detail = "the customer wrote more than 24 hours ago and no template is configured"
            raise SendFailedError(Failure("permanent", "window_closed", detail))
        language = _TEMPLATE_LANGUAGES.get(dispatch.language, "pt_BR")
        return OutboundTemplate(self._template, language)


def failure_of(failure: SendFailure) -> Failure:
    """The channel's classification in the domain's words."""
    code = str(failure.code) if failure.code is not None else (failure.detail or failure.kind)
    retry_after = failure.retry_after
    if retry_after is None and failure.action is Action.RETRY_LATER:
        retry_after = _FAR_LATER
    return Failure(
        kind=failure.kind,
        code=code,
        detail=failure.detail,
        http_status=failure.http_status,
        retry_after=retry_after,
    )
