"""What a browser needs to be safe: cookie, CSRF, origin, headers (OWASP ASVS 3.3, 3.4, 3.5)."""

from __future__ import annotations

import hmac
from typing import Any
from urllib.parse import urlsplit

from sanic import HTTPResponse, Request

from kit.ids import new_correlation_id
from ticketing.http.deps import Deps

SESSION_COOKIE = "ponte_session"
CSRF_HEADER = "X-CSRF-Token"

API_POLICY = "default-src 'none'; frame-ancestors 'none'"
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


def harden(response: HTTPResponse, *, policy: str, deps: Deps) -> None:
    """Put the security headers on an answer; what a handler has set itself stays."""
    response.headers.setdefault("Content-Security-Policy", policy)
    response.headers.setdefault("Cache-Control", "no-store")
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if deps.secure_cookies:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")


def set_session_cookie(response: HTTPResponse, token: str, *, deps: Deps) -> None:
    """Give the browser its session. Lax, so that a link in an e-mail opens the ticket.

    The age is relative: an absolute time would be read by the browser's own clock.
    """
    response.add_cookie(
        SESSION_COOKIE,
        token,
        path="/",
        httponly=True,
        samesite="Lax",
        secure=deps.secure_cookies,
        max_age=int(deps.session_absolute.total_seconds()),
    )


def drop_session_cookie(response: HTTPResponse, *, deps: Deps) -> None:
    """Make the browser forget its session."""
    # Not delete_cookie: that cannot say HttpOnly and SameSite, which browsers compare.
    response.add_cookie(
        SESSION_COOKIE,
        "",
        path="/",
        httponly=True,
        samesite="Lax",
        secure=deps.secure_cookies,
        max_age=0,
    )


def same_secret(given: str | None, wanted: str) -> bool:
    """Compare in constant time; anything that is no text differs."""
    return given is not None and hmac.compare_digest(
        given.encode(errors="replace"), wanted.encode()
    )


def foreign_origin(request: Request[Any, Any], *, deps: Deps) -> bool:
    """Whether a browser says that another site sent this. No Origin header says nothing."""
    origin = request.headers.get("origin")
    if origin is None:
        return False
    host = urlsplit(origin).netloc  # "null" (sandboxed pages) has none and is foreign
    return host not in {request.host, deps.public_host} - {""}


def client_address(request: Request[Any, Any]) -> str:
    """The address that limits count: the web process notes it, else the peer itself."""
    noted: str | None = getattr(request.ctx, "client_address", None)
    return noted or request.ip or "unknown"


def correlation_id(request: Request[Any, Any]) -> str:
    """The id of this request: set by the process's middleware, or made here."""
    found: str | None = getattr(request.ctx, "correlation_id", None)
    if found is None:
        found = new_correlation_id()
        request.ctx.correlation_id = found
    return found


def session_token(request: Request[Any, Any]) -> tuple[str | None, bool]:
    """The token of the request and whether it came by cookie. A Bearer header goes first."""
    header = request.headers.get("authorization", "")
    scheme, _, token = header.partition(" ")
    if header:
        return (token.strip() or None, False) if scheme.lower() == "bearer" else (None, False)
    return request.cookies.get(SESSION_COOKIE), True
