"""`/webhooks/twilio`: verify, store, answer.

Twilio calls once, and again only as the callback's address asks for it: four times within fifteen
seconds after a 5xx (`notifications.senders.sms.CALLBACK_RETRIES`). What it could not hand over then
is asked for later, by `SmsSender.look_up`. Incoming messages are set up in Twilio's console, with
`#rc=4&rp=all` behind the address.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl

import structlog
from sanic import Blueprint, HTTPResponse, Request
from sanic.response import json, text

from channels.twilio.signature import (
    SIGNATURE_HEADER,
    SIGNATURE_SETTINGS_HEADER,
    Form,
    is_signed,
)
from kit.clock import Clock
from kit.ids import new_correlation_id
from notifications.senders.callback import CALLBACK_ID, CALLBACK_PATH, CALLBACK_RETRIES
from notifications.services.twilio_inbox import TwilioInbox
from ticketing.api.webhooks import FORGERIES
from ticketing.http.browser import client_address
from ticketing.http.rate_limit import Rate, RateLimiter, whole_seconds

log = structlog.get_logger()

INCOMING_PATH = "/webhooks/twilio/incoming"
MAX_BODY = 64 * 1024
"""A text has at most 1600 characters; the rest are some thirty short fields."""

MAX_FIELDS = 500
EMPTY_TWIML = '<?xml version="1.0" encoding="UTF-8"?><Response/>'
"""No answer: Twilio itself confirms STOP, START and HELP."""


@dataclass(frozen=True, slots=True)
class TwilioWebhookDeps:
    """What the webhooks need.

    Attributes:
        auth_token: TWILIO_AUTH_TOKEN.
        public_url: PONTE_PUBLIC_URL: signatures are over the address as Twilio knows it.
        inbox: Stores and applies.
        clock: For the limit on requests that Twilio did not sign.
        forgeries: That limit, per address.
    """

    auth_token: str
    public_url: str
    inbox: TwilioInbox
    clock: Clock
    forgeries: Rate = FORGERIES


def create_blueprint(deps: TwilioWebhookDeps) -> Blueprint:
    """The webhooks' routes."""
    blueprint = Blueprint("twilio_webhooks")
    forgeries = RateLimiter(deps.forgeries)

    def refused(request: Request) -> HTTPResponse:
        """Forgers are slowed down; what Twilio signed is never limited."""
        log.warning("webhook.bad_signature", channel="twilio", count=len(request.body))
        wait = forgeries.spend(client_address(request), now=deps.clock.now())
        if wait is not None:
            headers = {"Retry-After": str(whole_seconds(wait))}
            return json({"error": "too many requests without a right signature"}, 429, headers)
        return json({"error": f"{SIGNATURE_HEADER} does not match the request"}, status=403)

    @blueprint.post(CALLBACK_PATH)
    async def status(request: Request) -> HTTPResponse:
        form = _signed_form(request, deps)
        if form is None:
            return refused(request)
        named = str(request.args.get(CALLBACK_ID) or "")[:64]

        async def store(correlation_id: str) -> bool:
            return await deps.inbox.status(form, named=named, correlation_id=correlation_id)

        return await _stored(store, kind="status") or text("")

    @blueprint.post(INCOMING_PATH)
    async def incoming(request: Request) -> HTTPResponse:
        form = _signed_form(request, deps)
        if form is None:
            return refused(request)

        async def store(correlation_id: str) -> bool:
            return await deps.inbox.incoming(form, correlation_id=correlation_id)

        answer = text(EMPTY_TWIML, content_type="text/xml; charset=utf-8")
        return await _stored(store, kind="message") or answer

    return blueprint


def _signed_form(request: Request, deps: TwilioWebhookDeps) -> Form | None:
    """The fields of a request that Twilio signed; None when it did not."""
    if len(request.body) > MAX_BODY:
        return None
    try:
        body = request.body.decode("utf-8")
        pairs = parse_qsl(body, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        return None
    form = Form(pairs)
    query = f"?{request.query_string}" if request.query_string else ""
    url = f"{deps.public_url.rstrip('/')}{request.path}{query}"
    signed = is_signed(
        (url, f"{url}#{CALLBACK_RETRIES}"),
        form,
        request.headers.get(SIGNATURE_HEADER),
        auth_token=deps.auth_token,
        settings=request.headers.get(SIGNATURE_SETTINGS_HEADER),
    )
    return form if signed else None


async def _stored(store: Callable[[str], Awaitable[bool]], *, kind: str) -> HTTPResponse | None:
    """Store; None when it is safe, else the answer that asks Twilio to come again."""
    correlation_id = new_correlation_id()
    with structlog.contextvars.bound_contextvars(correlation_id=correlation_id):
        try:
            new = await store(correlation_id)
        except Exception:
            log.exception("webhook.not_stored", channel="twilio", kind=kind)
            return json({"error": "not stored; send it again"}, status=500)
        log.info("webhook.stored", channel="twilio", kind=kind, duplicates=int(not new))
    return None
