"""`/simulator/...` on the public port, carried to the simulator's own process.

The simulator stands in for Meta, so it must outlive Ponte's processes; it has its own.
"""

from __future__ import annotations

import httpx
from sanic import Blueprint, HTTPResponse, Request
from sanic.response import json

from ticketing.http.browser import PAGE_POLICY

_METHODS = ("GET", "POST", "DELETE")
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "host"}
)
_NOT_ITS_BUSINESS = frozenset({"cookie"})
"""An agent's login is nothing for a stand-in of Meta."""


def create_blueprint(http: httpx.AsyncClient, *, base_url: str) -> Blueprint:
    """A blueprint that passes everything below `/simulator` on to `base_url`."""
    blueprint = Blueprint("simulator_proxy")

    async def proxy(request: Request, path: str = "") -> HTTPResponse:
        url = f"{base_url.rstrip('/')}/simulator" + (f"/{path}" if path else "")
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in _HOP_BY_HOP | _NOT_ITS_BUSINESS
        }
        try:
            answer = await http.request(
                request.method,
                url,
                params=request.query_string,
                content=request.body,
                headers=headers,
                timeout=15.0,
            )
        except httpx.HTTPError as error:
            problem = {"error": "the simulator does not answer", "type": type(error).__name__}
            return json(problem, 502)
        kept = {
            name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP
        }
        kept.setdefault("content-security-policy", PAGE_POLICY)
        return HTTPResponse(
            body=answer.content,
            status=answer.status_code,
            headers=kept,
            content_type=answer.headers.get("content-type"),
        )

    blueprint.add_route(proxy, "/simulator", methods=_METHODS, name="root")
    blueprint.add_route(proxy, "/simulator/<path:path>", methods=_METHODS, name="below")
    return blueprint
