"""`/metrics`: what all processes of this installation count, behind a token of its own."""

from __future__ import annotations

import asyncio
import hmac

from sanic import Blueprint, HTTPResponse, Request
from sanic.response import json, raw

from kit.metrics import CONTENT_TYPE, exposition


def create_blueprint(token: str) -> Blueprint:
    """The route.

    Args:
        token: What a reader shows as `Authorization: Bearer <token>` (PONTE_METRICS_TOKEN). Empty:
            nobody has one, and everybody is answered 401.
    """
    blueprint = Blueprint("metrics")

    @blueprint.get("/metrics")
    async def metrics(request: Request) -> HTTPResponse:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        right = hmac.compare_digest(given.strip().encode(), token.encode())
        if not token or scheme.lower() != "bearer" or not right:
            problem = "expected the header Authorization: Bearer with PONTE_METRICS_TOKEN"
            return json({"error": problem}, 401, {"WWW-Authenticate": "Bearer"})
        # It reads a few files of every process: not in the loop that answers customers.
        body = await asyncio.to_thread(exposition)
        return raw(body, content_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})

    return blueprint
