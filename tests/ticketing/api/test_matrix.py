"""Every address times every caller, really called, against the written table `matrix.yml`."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from kit.clock import FakeClock
from tests.ticketing.api.whole_app import (
    SOME_ID,
    Callers,
    all_routes,
    make_whole_app,
    serving,
)
from tests.ticketing.desk import Desk, make_desk
from ticketing.api.openapi import PREFIX
from ticketing.db.engine import Database
from ticketing.domain.enums import Role
from ticketing.domain.permissions import Permission

MATRIX: dict[str, dict[str, Any]] = YAML(typ="safe").load(
    (Path(__file__).parent / "matrix.yml").read_text("utf-8")
)
ROUTES = {f"{route.method} {route.path}": route for route in all_routes()}
API = MATRIX["api"]
PAGES = MATRIX["pages"]
KNOWN = {name: row for name, row in API.items() if name in ROUTES}
REFUSALS = {"unauthenticated", "role_not_allowed", "session_needed", "csrf_failed"}
ALL_ROLES = [role.value for role in Role]


def roles_of(row: dict[str, Any]) -> list[str]:
    return ALL_ROLES if row["roles"] == "all" else list(row["roles"])


@pytest.fixture
async def desk(db: Database, clock: FakeClock) -> Desk:
    return await make_desk(db, clock)


@pytest.fixture
async def callers(desk: Desk) -> AsyncIterator[Callers]:
    async with serving(make_whole_app(desk.deps)) as client:
        made = Callers(desk, client)
        await made.hire()
        yield made


def test_every_operation_has_its_row_and_every_row_its_operation() -> None:
    lacking = {
        name: {
            "scope": None if route.needs is None else route.needs.value,
            "session_only": route.session_only,
        }
        for name, route in ROUTES.items()
        if name not in API
    }
    assert not lacking, f"write into matrix.yml who may call: {lacking}"
    assert not set(API) - set(ROUTES)


def test_every_other_address_of_the_app_has_its_row(desk: Desk) -> None:
    found = set()
    for route in make_whole_app(desk.deps).router.routes:
        path = "/" + re.sub(r"<(\w+)(:[^>]*)?>", r"{\1}", route.path).strip("/")
        if not path.startswith(PREFIX):
            found |= {
                f"{method} {path}"
                for method in route.methods
                if method in {"GET", "POST", "DELETE"}
            }
    assert found == set(PAGES) | set(MATRIX["open"])


async def test_without_a_login_only_what_is_public_answers(callers: Callers) -> None:
    wrong = []
    for name, row in KNOWN.items():
        response = await callers.call(ROUTES[name])
        code = _code(response)
        if row.get("public"):
            good = code not in REFUSALS and response.status_code != 500
        else:
            good = (response.status_code, code) == (401, "unauthenticated")
            good = good and "Bearer" in response.headers["www-authenticate"]
        if not good:
            wrong.append((name, response.status_code, code))
    assert wrong == []


@pytest.mark.parametrize("role", list(Role), ids=str)
async def test_a_person_reaches_exactly_what_their_role_may(callers: Callers, role: Role) -> None:
    wrong = []
    for name, row in KNOWN.items():
        token, _ = await callers.session(role)
        headers = {"Authorization": f"Bearer {token}"}
        response = await callers.call(ROUTES[name], headers=headers, body=row.get("body"))
        refused = _refusal(response)
        may = row.get("public") or role.value in roles_of(row)
        if refused != (None if may else "role_not_allowed") or response.status_code == 500:
            wrong.append((name, response.status_code, refused))
    assert wrong == []


@pytest.mark.parametrize("scope", list(Permission), ids=str)
async def test_a_token_reaches_exactly_what_its_scope_says(
    callers: Callers, scope: Permission
) -> None:
    token = await callers.token(scope)
    headers = {"Authorization": f"Bearer {token}"}
    wrong = []
    for name, row in KNOWN.items():
        response = await callers.call(ROUTES[name], headers=headers, body=row.get("body"))
        if row.get("public"):
            expected = None
        elif row["scope"] != scope.value:
            expected = "role_not_allowed"
        else:
            expected = "session_needed" if row.get("session_only") else None
        if _refusal(response) != expected or response.status_code == 500:
            wrong.append((name, response.status_code, _refusal(response)))
    assert wrong == []


async def test_a_cookie_alone_writes_nothing(callers: Callers) -> None:
    wrong = []
    for name, row in KNOWN.items():
        if row.get("public") or name.startswith("GET"):
            continue
        token, csrf = await callers.session(Role.ADMIN)
        cookie = {"Cookie": f"ponte_session={token}"}
        for headers in (
            cookie,
            {**cookie, "X-CSRF-Token": "x" * 43},
            {**cookie, "X-CSRF-Token": csrf, "Origin": "https://evil.example"},
            {**cookie, "X-CSRF-Token": csrf, "Sec-Fetch-Site": "cross-site"},
            {**cookie, "X-CSRF-Token": csrf, "Sec-Fetch-Site": "same-site"},
        ):
            response = await callers.call(ROUTES[name], headers=headers, body=row.get("body"))
            if _refusal(response) != "csrf_failed":
                wrong.append((name, response.status_code, headers))
    assert wrong == []


async def test_no_write_takes_the_content_type_of_a_form(callers: Callers) -> None:
    wrong = []
    for name, row in KNOWN.items():
        route = ROUTES[name]
        if route.method == "GET" or route.file_body:
            continue
        token, _ = await callers.session(Role.ADMIN)
        for content_type in ("application/x-www-form-urlencoded", "text/plain", ""):
            headers = {"Content-Type": content_type}
            if not row.get("public"):
                headers["Authorization"] = f"Bearer {token}"
            path = PREFIX + re.sub(r"{\w+}", SOME_ID, route.path)
            response = await callers.ask(route.method, path, content=b'{"a": 1}', headers=headers)
            if response.status_code != 415:
                wrong.append((name, content_type, response.status_code))
    assert wrong == []


@pytest.mark.parametrize("role", [None, *Role], ids=str)
async def test_the_console_shows_exactly_what_the_role_may(
    callers: Callers, role: Role | None
) -> None:
    wrong = []
    for name, row in PAGES.items():
        method, _, pattern = name.partition(" ")
        headers, csrf = {}, ""
        if role is not None:
            token, csrf = await callers.session(role)
            headers = {"Cookie": f"ponte_session={token}"}
        path = re.sub(r"{\w+}", SOME_ID, pattern)
        kwargs = {"data": {"csrf": csrf}} if method == "POST" else {}
        response = await callers.ask(method, path, headers=headers, **kwargs)
        away = response.headers.get("location", "").startswith("/console/login?next")
        if row.get("public"):
            good = response.status_code != 500 and not away
        elif role is None:
            good = away or response.status_code == 401
        elif role.value in roles_of(row):
            good = response.status_code not in {401, 403, 500} and not away
        else:
            good = response.status_code == 403
        if not good:
            wrong.append((name, response.status_code, response.headers.get("location")))
    assert wrong == []


async def test_no_form_of_the_console_is_taken_without_its_token(callers: Callers) -> None:
    wrong = []
    for name in PAGES:
        method, _, pattern = name.partition(" ")
        if method != "POST":
            continue
        path = re.sub(r"{\w+}", SOME_ID, pattern)
        token, csrf = await callers.session(Role.ADMIN)
        cookie = {"Cookie": f"ponte_session={token}"}
        for headers, form in (
            (cookie, {}),
            (cookie, {"csrf": "x" * 43}),
            ({**cookie, "Origin": "https://evil.example"}, {"csrf": csrf}),
            ({**cookie, "Sec-Fetch-Site": "cross-site"}, {"csrf": csrf}),
        ):
            response = await callers.ask(method, path, headers=headers, data=form)
            if response.status_code != 403 and not (
                response.status_code == 404 and SOME_ID in path
            ):
                wrong.append((name, headers, response.status_code))
    assert wrong == []


def _code(response: httpx.Response) -> str | None:
    is_json = "json" in response.headers.get("content-type", "")
    code = response.json().get("code") if is_json else None
    return code if isinstance(code, str) else None


def _refusal(response: httpx.Response) -> str | None:
    code = _code(response)
    return code if code in REFUSALS else None


def test_a_scope_belongs_to_the_same_roles_in_every_row() -> None:
    roles: dict[str, set[tuple[str, ...]]] = {}
    for row in API.values():
        if not row.get("public"):
            roles.setdefault(row["scope"], set()).add(tuple(roles_of(row)))
    assert {scope: len(found) for scope, found in roles.items() if len(found) > 1} == {}
