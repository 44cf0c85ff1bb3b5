"""Every page, file and error carries the headers that make a browser careful."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from kit.clock import FakeClock
from tests.ticketing.api.whole_app import SOME_ID, Callers, make_whole_app, serving
from tests.ticketing.desk import PASSWORD, Desk, make_desk
from ticketing.db.engine import Database
from ticketing.domain.enums import Role

ROOT = Path(__file__).resolve().parents[3]
PAGES = (
    "/healthz",
    "/readyz",
    "/webhooks/whatsapp",
    "/nothing/here",
    "/api/docs",
    "/api/docs.css",
    "/api/openapi.json",
    "/api/v1/me",
    "/api/v1/nothing",
    "/console/login",
    "/console/reset",
    "/console/static/x/console.css",
    "/console/static/x/none.css",
    "/simulator",
    "/simulator/static/chat.js",
)
OWN_PAGES = (
    "/console",
    "/console/rows",
    "/console/account",
    "/console/people",
    f"/console/people/{SOME_ID}",
    "/console/teams",
    f"/console/tickets/{SOME_ID}",
    "/console/nothing",
)


@pytest.fixture
async def desk(db: Database, clock: FakeClock) -> Desk:
    return await make_desk(db, clock)


@pytest.fixture
async def callers(desk: Desk) -> AsyncIterator[Callers]:
    async with serving(make_whole_app(desk.deps)) as client:
        made = Callers(desk, client)
        await made.hire()
        yield made


def directives(response: httpx.Response) -> dict[str, str]:
    policy = response.headers["content-security-policy"]
    parts = [part.strip().partition(" ") for part in policy.split(";")]
    return {name: value for name, _, value in parts}


def assert_careful(path: str, response: httpx.Response) -> None:
    policy = directives(response)
    assert policy["default-src"] == "'none'", path
    assert policy["frame-ancestors"] == "'none'", path
    assert policy["base-uri"] == "'none'", path
    assert policy["form-action"] in {"'self'", "'none'"}, path
    for name, value in policy.items():
        assert "unsafe" not in value, (path, name)
        assert "*" not in value, (path, name)
    headers = response.headers
    assert headers["x-content-type-options"] == "nosniff", path
    assert headers["referrer-policy"] in {"same-origin", "no-referrer"}, path
    assert headers["cross-origin-opener-policy"] == "same-origin", path
    assert headers["cross-origin-resource-policy"] == "same-origin", path
    assert "camera=()" in headers["permissions-policy"], path
    assert "cache-control" in headers, path
    assert "strict-transport-security" not in headers, path


async def test_every_page_file_and_error_is_hardened(callers: Callers) -> None:
    for path in PAGES:
        assert_careful(path, await callers.ask("GET", path))
    token, _ = await callers.session(Role.ADMIN)
    for path in OWN_PAGES:
        cookie = {"Cookie": f"ponte_session={token}"}
        response = await callers.ask("GET", path, headers=cookie)
        assert response.status_code in {200, 404}, path
        assert_careful(path, response)
        assert directives(response)["script-src"] == "'self'", path
        assert response.headers["cache-control"] in {"no-store", "private, no-cache"}, path


async def test_an_error_of_any_kind_is_hardened_too(callers: Callers) -> None:
    for method, path, kwargs in (
        ("POST", "/api/v1/login", {"content": b"{"}),
        ("PUT", "/api/v1/tickets", {}),
        ("POST", "/console/login", {"data": {}}),
        ("POST", "/webhooks/whatsapp", {"content": b"{}"}),
        ("DELETE", "/healthz", {}),
        ("GET", "/console/static/x/%2e%2e%2fapp.py", {}),
    ):
        response = await callers.ask(method, path, **kwargs)
        assert response.status_code >= 400, path
        assert_careful(path, response)


async def test_by_https_cookies_are_bound_to_the_host_and_http_is_over(desk: Desk) -> None:
    await desk.agent("ana")
    deps = replace(desk.deps, public_url="https://support.example.com")
    async with serving(make_whole_app(deps)) as client:
        body = {"email": "ana@example.com", "password": PASSWORD}
        response = await client.post("/api/v1/login", json=body)
        assert response.headers["strict-transport-security"].startswith("max-age=")
        cookie = response.headers["set-cookie"]
        assert cookie.startswith("__Host-ponte_session=")
        for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
            assert part in cookie
        assert "Domain" not in cookie
        token = response.json()["token"]
        for name, status in (("__Host-ponte_session", 200), ("ponte_session", 401)):
            client.cookies.clear()
            headers = {"Cookie": f"{name}={token}"}
            assert (await client.get("/api/v1/me", headers=headers)).status_code == status
        client.cookies.clear()
        page = await client.get("/console/login")
        bound = page.headers["set-cookie"]
        assert bound.startswith("__Host-ponte_login=")
        assert "SameSite=Strict" in bound
        left = await client.post("/api/v1/logout", json={}, headers=bearer(token))
        assert "Max-Age=0" in left.headers["set-cookie"]
        assert left.headers["set-cookie"].startswith("__Host-ponte_session=")


def bearer(token: str) -> dict[str, Any]:
    return {"Authorization": f"Bearer {token}"}


def test_no_template_needs_what_the_policy_forbids() -> None:
    forbidden = re.compile(
        r"""\sstyle\s*=|\son\w+\s*=\s*["']|javascript:|<style|<script(?![^>]*\bsrc=)|<base|<iframe""",
        re.IGNORECASE,
    )
    looked_at = 0
    for folder in ("ticketing", "simulator"):
        for path in sorted((ROOT / folder).rglob("*.html")):
            looked_at += 1
            assert not forbidden.search(path.read_text("utf-8")), path
    assert looked_at > 10
