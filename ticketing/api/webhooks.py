"""`/webhooks/whatsapp`: verify, store, answer. Nothing else happens before the answer.

Meta counts only 200 as received and repeats everything else for up to seven days, so a webhook that
could not be stored is answered with 500 on purpose.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sanic import Blueprint, HTTPResponse, Request
from sanic.response import json, text

from channels.message import InboundItem
from channels.whatsapp.parse import MalformedWebhookError, parse_webhook
from channels.whatsapp.signature import verify
from kit.clock import Clock
from kit.ids import new_correlation_id
from ticketing.http.browser import client_address
from ticketing.http.rate_limit import Rate, RateLimiter, whole_seconds
from ticketing.services.inbound import Stored

log = structlog.get_logger()

_MAX_BODY = 3 * 1024 * 1024  # Meta: payloads up to 3 MB


FORGERIES = Rate(burst=1000, every=timedelta(milliseconds=50))
"""Per address, for requests whose signature or token is wrong. Wide, because a wrong secret after a
rotation looks the same and its repair must be seen to work at once."""


@dataclass(frozen=True, slots=True)
class WebhookDeps:
    """What the webhook needs.

    Attributes:
        app_secrets: One, or two while a secret is being rotated.
        verify_token: What Meta sends when the webhook is registered.
        accept: Stores the items; when it returns they are safe.
        clock: For the limit on requests that are not signed by Meta.
        forgeries: That limit, per address.
    """

    app_secrets: Sequence[str]
    verify_token: str
    accept: Callable[[Sequence[InboundItem], str], Awaitable[Stored]]
    clock: Clock
    forgeries: Rate = FORGERIES


def create_blueprint(deps: WebhookDeps) -> Blueprint:
    """The webhook's routes."""
    blueprint = Blueprint("webhooks")
    forgeries = RateLimiter(deps.forgeries)

    def refused(request: Request) -> HTTPResponse | None:
        """Forgers are slowed down; what Meta signed is never limited."""
        wait = forgeries.spend(client_address(request), now=deps.clock.now())
        if wait is None:
            return None
        headers = {"Retry-After": str(whole_seconds(wait))}
        return json({"error": "too many requests without a right signature"}, 429, headers)

    @blueprint.get("/webhooks/whatsapp")
    async def subscribe(request: Request) -> HTTPResponse:
        """Meta asks once whether this address is ours; the answer is its challenge."""
        given = (request.args.get("hub.verify_token") or "").encode()
        right = hmac.compare_digest(given, deps.verify_token.encode())
        challenge = request.args.get("hub.challenge")
        if request.args.get("hub.mode") != "subscribe" or not right or challenge is None:
            return refused(request) or json(
                {"error": "hub.mode or hub.verify_token is wrong"}, status=403
            )
        return text(challenge, headers={"X-Content-Type-Options": "nosniff"})

    @blueprint.post("/webhooks/whatsapp")
    async def receive(request: Request) -> HTTPResponse:
        raw = request.body
        if not verify(raw, request.headers.get("X-Hub-Signature-256"), deps.app_secrets):
            log.warning("webhook.bad_signature", count=len(raw))
            return refused(request) or json(
                {"error": "X-Hub-Signature-256 does not match the body"}, status=401
            )
        if len(raw) > _MAX_BODY:
            return json({"error": "body: expected at most 3 MB"}, status=413)
        return await _store(deps, raw)

    return blueprint


async def _store(deps: WebhookDeps, raw: bytes) -> HTTPResponse:
    correlation_id = new_correlation_id()
    with structlog.contextvars.bound_contextvars(correlation_id=correlation_id):
        try:
            parsed = parse_webhook(raw)
        except MalformedWebhookError as error:
            # Signed by Meta and still no JSON: repeating it would not help.
            log.warning("webhook.malformed", error_type=type(error).__name__)
            return json({"error": "body: expected JSON"}, status=400)
        try:
            stored = await deps.accept(parsed.items, correlation_id)
        except Exception:
            log.exception("webhook.not_stored", count=len(parsed.items))
            return json({"error": "not stored; send it again"}, status=500)
        log.info(
            "webhook.stored",
            stored=stored.count,
            duplicates=stored.duplicates,
            problems=len(parsed.problems),
        )
    return json({"stored": stored.count}, headers={"X-Correlation-Id": correlation_id})
