"""`/healthz` (the process lives) and `/readyz` (it can do its work)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog
from sanic import Blueprint, HTTPResponse, Request
from sanic.response import json

log = structlog.get_logger()

_CHECK_SECONDS = 2.0  # a load balancer asks every few seconds and waits no longer


def create_blueprint(checks: Mapping[str, Callable[[], Awaitable[None]]]) -> Blueprint:
    """Routes over named checks; a check raises when its part does not work."""
    blueprint = Blueprint("health")

    @blueprint.get("/healthz")
    async def healthz(_request: Request) -> HTTPResponse:
        return json({"status": "ok"})

    @blueprint.get("/readyz")
    async def readyz(_request: Request) -> HTTPResponse:
        results = {name: await _ask(name, check) for name, check in checks.items()}
        ready = all(result == "ok" for result in results.values())
        body = {"status": "ready" if ready else "not ready", "checks": results}
        return json(body, status=200 if ready else 503)

    return blueprint


async def _ask(name: str, check: Callable[[], Awaitable[None]]) -> str:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await check()
    except Exception as error:  # noqa: BLE001 - whatever it is, the part does not work
        log.warning("readiness.failed", kind=name, error_type=type(error).__name__)
        return type(error).__name__
    return "ok"
