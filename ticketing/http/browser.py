"""What a browser needs to be safe: cookie, CSRF, origin, headers (OWASP ASVS 3.3, 3.4, 3.5)."""

from __future__ import annotations

import hmac
from typing import Any
from urllib.parse import urlsplit

from sanic import HTTPResponse, Request, Sanic

from kit.ids import new_correlation_id
from ticketing.http.deps import Deps

SESSION_COOKIE = "ponte_session"
"""By https its name is `__Host-ponte_session`: no other host, also no subdomain, can set it."""
LOGIN_COOKIE = "ponte_login"
"""Binds the login form to the browser that loaded it, before there is a session."""
CSRF_HEADER = "X-CSRF-Token"

API_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
_LAST = 100  # Sanic runs response middleware from low to high; the blueprints' have 0
_FOREIGN_SITES = {"cross-site", "same-site"}  # same-site is another subdomain, so not us


def harden(response: HTTPResponse, *, policy: str, deps: Deps) -> None:
    """Put the security headers on an answer; what a handler has set itself stays."""
    response.headers.setdefault("Content-Security-Policy", policy)
    response.headers.setdefault("Cache-Control", "no-store")
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if deps.secure_cookies:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")


def harden_the_rest(app: Sanic[Any, Any], *, deps: Deps) -> None:
    """Put the headers on every answer of the app: unknown addresses, health, webhooks, errors.

    It runs after the blueprints' own, so what they have set stays.
    """

    @app.on_response(priority=_LAST)  # type: ignore[untyped-decorator, no-untyped-call] # as Sanic has it
    async def harden_answer(_request: Request[Any, Any], response: HTTPResponse) -> None:
        harden(response, policy=API_POLICY, deps=deps)


def cookie_name(name: str, *, deps: Deps) -> str:
    """The cookie's name for this server; by https with the prefix that binds it to the host."""
    return f"__Host-{name}" if deps.secure_cookies else name


def set_session_cookie(response: HTTPResponse, token: str, *, deps: Deps) -> None:
    """Give the browser its session. Lax, so that a link in an e-mail opens the ticket.

    The age is relative: an absolute time would be read by the browser's own clock.
    """
    response.add_cookie(
        cookie_name(SESSION_COOKIE, deps=deps),
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
        cookie_name(SESSION_COOKIE, deps=deps),
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
    """Whether a browser says that another site sent this.

    Programs send neither Sec-Fetch-Site nor Origin, which says nothing; for cookies the CSRF token
    is asked for besides.
    """
    if request.headers.get("sec-fetch-site", "").lower() in _FOREIGN_SITES:
        return True
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


def session_token(request: Request[Any, Any], *, deps: Deps) -> tuple[str | None, bool]:
    """The token of the request and whether it came by cookie. A Bearer header goes first."""
    header = request.headers.get("authorization", "")
    scheme, _, token = header.partition(" ")
    if header:
        return (token.strip() or None, False) if scheme.lower() == "bearer" else (None, False)
    return session_cookie(request, deps=deps), True


def session_cookie(request: Request[Any, Any], *, deps: Deps) -> str | None:
    """The session token that the browser's cookie holds."""
    token: str | None = request.cookies.get(cookie_name(SESSION_COOKIE, deps=deps))
    return token
