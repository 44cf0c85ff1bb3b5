from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import jsonschema
import pytest
from sanic import Sanic

from kit.clock import FakeClock
from tests.ticketing.desk import PASSWORD, Desk, make_desk
from ticketing.api.app import create_blueprints
from ticketing.api.openapi import PREFIX, openapi_document
from ticketing.api.routes import ROUTES
from ticketing.db import tables
from ticketing.db.engine import Database
from ticketing.domain.enums import Role
from ticketing.http.problems import CODES

_names = itertools.count()


class Client:
    """A program that talks to the API."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.app: Sanic[Any, Any] = Sanic(f"api-{next(_names)}", configure_logging=False)
        self.deps = desk.deps
        for blueprint in create_blueprints(self.deps):
            self.app.blueprint(blueprint)

    async def ask(self, method: str, path: str, *, token: str | None = None, **kwargs: Any) -> Any:
        headers = dict(kwargs.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        url = path if path.startswith("/api") else PREFIX + path
        self.app.asgi_client.cookies.clear()  # each request says itself which cookie it sends
        _, response = await self.app.asgi_client.request(method, url, headers=headers, **kwargs)
        return response

    async def log_in(self, name: str, password: str = PASSWORD) -> str:
        body = {"email": f"{name}@example.com", "password": password}
        response = await self.ask("POST", "/login", json=body)
        assert response.status == 200, response.json
        return str(response.json["token"])


@pytest.fixture
async def desk(db: Database, clock: FakeClock) -> Desk:
    return await make_desk(db, clock)


@pytest.fixture
def api(desk: Desk) -> Client:
    return Client(desk)


async def test_a_login_gives_a_token_and_a_cookie_that_scripts_cannot_read(
    desk: Desk, api: Client
) -> None:
    await desk.agent("ana")
    response = await api.ask(
        "POST", "/login", json={"email": " ANA@example.com ", "password": PASSWORD}
    )
    assert response.json["me"]["name"] == "Ana"
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    me = await api.ask("GET", "/me", token=response.json["token"])
    assert me.json["role"] == "agent"


@pytest.mark.parametrize(
    ("email", "password"),
    [("ana@example.com", "wrong password"), ("nobody@example.com", PASSWORD)],
)
async def test_a_refused_login_never_says_what_was_wrong(
    desk: Desk, api: Client, email: str, password: str
) -> None:
    await desk.agent("ana")
    response = await api.ask("POST", "/login", json={"email": email, "password": password})
    assert response.status == 401
    assert response.json["code"] == "login_refused"
    answers = {key: value for key, value in response.json.items() if key != "instance"}
    other = await api.ask("POST", "/login", json={"email": "x@y.zz", "password": "z"})
    assert answers == {key: value for key, value in other.json.items() if key != "instance"}


async def test_five_wrong_passwords_lock_the_account_also_for_the_right_one(
    desk: Desk, api: Client
) -> None:
    await desk.agent("ana")
    body = {"email": "ana@example.com", "password": "wrong password"}
    for _ in range(5):
        assert (await api.ask("POST", "/login", json=body)).status == 401
    right = {**body, "password": PASSWORD}
    assert (await api.ask("POST", "/login", json=right)).status == 401
    desk.clock.advance(timedelta(minutes=1, seconds=1))
    assert (await api.ask("POST", "/login", json=right)).status == 200
    (agent,) = await desk.all(tables.Agent)
    assert (agent.failed_logins, agent.locked_until) == (0, None)


async def test_a_session_ends_when_idle_and_when_old(desk: Desk, api: Client) -> None:
    await desk.agent("ana")
    token = await api.log_in("ana")
    for _ in range(3):
        desk.clock.advance(timedelta(hours=7))
        assert (await api.ask("GET", "/me", token=token)).status == 200
    desk.clock.advance(timedelta(hours=7))  # 28 hours after the login
    assert (await api.ask("GET", "/me", token=token)).status == 401
    token = await api.log_in("ana")
    desk.clock.advance(timedelta(hours=8, minutes=1))
    assert (await api.ask("GET", "/me", token=token)).status == 401


async def test_logging_out_and_being_disabled_end_the_session_at_once(
    desk: Desk, api: Client
) -> None:
    await desk.agent("ana")
    await desk.agent("root", role=Role.ADMIN)
    token, admin = await api.log_in("ana"), await api.log_in("root")
    second = await api.log_in("ana")
    assert (await api.ask("POST", "/logout", token=token)).json == {"logged_out": True}
    assert (await api.ask("GET", "/me", token=token)).status == 401
    ticket_id = await desk.ticket()
    await api.ask("POST", f"/tickets/{ticket_id}/take", token=second)
    path = f"/agents/{desk.people['ana']}/disable"
    response = await api.ask("POST", path, token=admin)
    assert response.json["released_tickets"] == 1
    assert response.json["agent"]["active"] is False
    assert (await api.ask("GET", "/me", token=second)).status == 401
    assert (await desk.row(ticket_id)).agent_id is None


async def test_the_last_admin_cannot_be_disabled(desk: Desk, api: Client) -> None:
    await desk.agent("root", role=Role.ADMIN)
    token = await api.log_in("root")
    response = await api.ask("POST", f"/agents/{desk.people['root']}/disable", token=token)
    assert (response.status, response.json["code"]) == (409, "last_admin")


async def test_an_agent_sees_and_touches_only_their_queues(desk: Desk, api: Client) -> None:
    await desk.agent("ana", queues=("n1_support",))
    mine, foreign = await desk.ticket(), await desk.ticket(queue="n2_billing")
    token = await api.log_in("ana")
    listed = await api.ask("GET", "/tickets", token=token)
    assert [item["id"] for item in listed.json["tickets"]] == [str(mine)]
    for method, path in (
        ("GET", f"/tickets/{foreign}"),
        ("GET", f"/conversations/{(await desk.row(foreign)).conversation_id}"),
        ("GET", f"/conversations/{(await desk.row(foreign)).conversation_id}/decisions"),
        ("POST", f"/tickets/{foreign}/take"),
        ("POST", f"/tickets/{foreign}/reply"),
        ("POST", f"/tickets/{foreign}/notes"),
    ):
        kwargs = {"json": {"text": "x"}} if path.endswith(("reply", "notes")) else {}
        response = await api.ask(method, path, token=token, **kwargs)
        assert response.status == 403, path


async def test_a_whole_ticket_from_take_to_resolve(desk: Desk, api: Client) -> None:
    await desk.agent("ana")
    ticket_id = await desk.ticket()
    token = await api.log_in("ana")
    base = f"/tickets/{ticket_id}"
    taken = await api.ask("POST", f"{base}/take", token=token, json={"expected_version": 1})
    assert taken.json["ticket"]["status"] == "open"
    key = {"Idempotency-Key": "abc"}
    for repeated in (False, True):
        replied = await api.ask(
            "POST", f"{base}/reply", token=token, json={"text": "Oi"}, headers=key
        )
        assert replied.json["repeated"] is repeated
    await api.ask("POST", f"{base}/notes", token=token, json={"text": "nota"})
    detail = (await api.ask("GET", base, token=token)).json
    assert [item["author"] for item in detail["messages"]] == ["customer", "agent", "agent"]
    assert detail["decision"]["decision"]["evaluations"][1]["matched"] is True
    assert detail["events"][1]["actor_name"] == "Ana"
    conversation = (
        await api.ask("GET", f"/conversations/{detail['ticket']['conversation_id']}", token=token)
    ).json
    assert (conversation["control"], len(conversation["decisions"])) == ("human", 1)
    done = await api.ask("POST", f"{base}/resolve", token=token, json={"closing_text": "Pronto!"})
    assert done.json["ticket"]["status"] == "resolved"
    again = await api.ask("POST", f"{base}/resolve", token=token, json={})
    assert (again.status, again.json["code"]) == (409, "invalid_transition")


async def test_the_loser_of_a_take_gets_a_clear_409(desk: Desk, api: Client) -> None:
    await desk.agent("ana")
    await desk.agent("bia")
    ticket_id = await desk.ticket()
    for name in ("ana", "bia"):
        response = await api.ask(
            "POST",
            f"/tickets/{ticket_id}/take",
            token=await api.log_in(name),
            json={"expected_version": 1},
        )
    assert response.status == 409
    assert response.json["code"] == "already_taken"
    assert response.json["agent_id"] == str(desk.people["ana"])
    assert response.headers["content-type"] == "application/problem+json"


async def test_a_version_conflict_says_both_versions(desk: Desk, api: Client) -> None:
    await desk.agent("sofia", role=Role.SUPERVISOR)
    ticket_id = await desk.ticket()
    token = await api.log_in("sofia")
    response = await api.ask(
        "POST",
        f"/tickets/{ticket_id}/priority",
        token=token,
        json={"priority": "high", "expected_version": 9},
    )
    assert (response.status, response.json["present_version"]) == (409, 1)


@pytest.mark.parametrize(
    ("verb", "body", "field", "allowed"),
    [
        ("priority", {"priority": "HIGH"}, "priority", ["low", "normal", "high", "urgent"]),
        ("reply", {"text": ""}, "text", None),
        ("reply", {"text": "x" * 4097}, "text", None),
        ("reply", {"text": "\u200b\u200b"}, "text", None),
        ("reply", {"text": "a\x00b"}, "text", None),
        ("reply", {"text": "x", "state": 1}, "state", ["text", "status", "expected_version"]),
        ("reply", {"text": "x", "status": "closed"}, "status", None),
        ("escalate", {"level": "N9", "reason": "x"}, "level", ["N1", "N2", "N3"]),
        ("escalate", {"queue": "n2_billing"}, "reason", None),
        ("escalate", {"queue": "nope", "reason": "x"}, "queue", sorted(
            ["n1_support", "n1_spanish", "n2_technical", "n2_billing", "n3_risk"]
        )),
        ("escalate", {"level": "N2", "reason": "x"}, "queue", ["n2_billing", "n2_technical"]),
        ("take", {"expected_version": 0}, "expected_version", None),
        ("assign", {"severity": "S9"}, "severity", ["S1", "S2", "S3", "S4"]),
        ("assign", {"agent_id": "me"}, "agent_id", None),
    ],
)  # fmt: skip
async def test_a_wrong_value_is_named_with_what_is_allowed(
    desk: Desk, api: Client, *, verb: str, body: dict[str, Any], field: str, allowed: Any
) -> None:
    await desk.agent("sofia", role=Role.SUPERVISOR)
    ticket_id = await desk.ticket()
    token = await api.log_in("sofia")
    response = await api.ask("POST", f"/tickets/{ticket_id}/{verb}", token=token, json=body)
    assert (response.status, response.json["field"]) == (422, field)
    if allowed is not None:
        assert response.json["allowed"] == allowed
    assert (await desk.row(ticket_id)).version == 1


@pytest.mark.parametrize(
    ("content", "content_type", "code"),
    [
        (b"{", "application/json", "invalid_json"),
        (b'{"text": "\\ud800"}', "application/json", "invalid_json"),
        (b"[]", "application/json", "invalid_value"),
        (b"text=x", "application/x-www-form-urlencoded", "unsupported_media_type"),
        (b" " * 70_000, "application/json", "too_large"),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused(
    desk: Desk, api: Client, content: bytes, content_type: str, code: str
) -> None:
    await desk.agent("ana")
    ticket_id = await desk.ticket()
    response = await api.ask(
        "POST",
        f"/tickets/{ticket_id}/reply",
        token=await api.log_in("ana"),
        content=content,
        headers={"Content-Type": content_type},
    )
    assert (response.status, response.json["code"]) == (CODES[code][0], code)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=nova", "status.0"),
        ("limit=0", "limit"),
        ("colour=red", "colour"),
        ("cursor=xxx", "cursor"),
        ("limit=5&limit=6", "limit"),
        ("agent=somebody", "agent.0"),
    ],
)
async def test_a_wrong_filter_is_named(desk: Desk, api: Client, query: str, field: str) -> None:
    await desk.agent("ana")
    response = await api.ask("GET", f"/tickets?{query}", token=await api.log_in("ana"))
    assert (response.status, response.json["field"]) == (422, field)


async def test_pages_hold_every_ticket_once_the_most_urgent_first(desk: Desk, api: Client) -> None:
    await desk.agent("ana")
    for priority in ("low", "urgent", "normal", "high", "normal", "urgent", "low"):
        await desk.ticket(priority=priority)
        desk.clock.advance(timedelta(minutes=1))
    token = await api.log_in("ana")
    for sort in ("urgency", "newest"):
        seen: list[Any] = []
        cursor = ""
        while True:
            path = f"/tickets?limit=2&sort={sort}" + (f"&cursor={cursor}" if cursor else "")
            page = (await api.ask("GET", path, token=token)).json
            seen += page["tickets"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert len({item["id"] for item in seen}) == len(seen) == 7
        if sort == "urgency":
            # Normal and low are due at the same time here, so the longer wait goes first.
            order = ["urgent"] * 2 + ["high", "low", "normal", "normal", "low"]
            assert [item["priority"] for item in seen] == order
            assert seen[0]["number"] < seen[1]["number"]
        else:
            numbers = [item["number"] for item in seen]
            assert numbers == sorted(numbers, reverse=True)


async def test_filters_narrow_the_list(desk: Desk, api: Client) -> None:
    ana = await desk.agent("ana")
    first = await desk.ticket(name="Júlia 100%", priority="high")
    await desk.ticket(name="Pedro", queue="n2_billing")
    token = await api.log_in("ana")
    await api.ask("POST", f"/tickets/{first}/take", token=token)
    number = (await desk.row(first)).number
    for query, count in (
        ("", 2),
        ("priority=high,urgent", 1),
        ("level=N2", 1),
        ("queue=n1_support", 1),
        ("status=new&status=open", 2),
        ("mine=true", 1),
        ("agent=none", 1),
        (f"agent={ana.agent_id}", 1),
        ("text=júl", 1),
        ("text=j%C3%BAlia+100%25", 1),
        ("text=100", 2),  # the beginning of both numbers
        ("text=%25", 0),
        (f"text=%23{number}", 1),
        ("text=nobody", 0),
        ("severity=S1", 0),
        ("open=true", 2),
    ):
        page = (await api.ask("GET", f"/tickets?{query}", token=token)).json
        assert len(page["tickets"]) == count, query


async def test_a_cookie_needs_the_csrf_token_and_its_own_origin_to_write(
    desk: Desk, api: Client
) -> None:
    await desk.agent("ana")
    ticket_id = await desk.ticket()
    token = await api.log_in("ana")
    cookie = {"Cookie": f"ponte_session={token}"}
    me = await api.ask("GET", "/me", headers=cookie)
    csrf = me.json["csrf_token"]
    path = f"/tickets/{ticket_id}/take"
    for headers in (
        {},
        {"X-CSRF-Token": "wrong"},
        {"X-CSRF-Token": csrf, "Origin": "https://evil.example"},
        {"X-CSRF-Token": csrf, "Origin": "null"},
    ):
        response = await api.ask("POST", path, headers={**cookie, **headers})
        assert (response.status, response.json["code"]) == (403, "csrf_failed")
    response = await api.ask("POST", path, headers={**cookie, "X-CSRF-Token": csrf})
    assert response.status == 200


async def test_logging_in_again_ends_the_session_before(desk: Desk, api: Client) -> None:
    await desk.agent("ana")
    old = await api.log_in("ana")
    body = {"email": "ana@example.com", "password": PASSWORD}
    await api.ask("POST", "/login", json=body, headers={"Cookie": f"ponte_session={old}"})
    assert (await api.ask("GET", "/me", token=old)).status == 401


async def test_too_many_logins_from_one_address_wait(desk: Desk, api: Client) -> None:
    body = {"email": "ana@example.com", "password": "x"}
    statuses = [(await api.ask("POST", "/login", json=body)).status for _ in range(11)]
    assert statuses[-1] == 429
    response = await api.ask("POST", "/login", json=body)
    assert int(response.headers["retry-after"]) >= 1
    desk.clock.advance(timedelta(seconds=7))
    assert (await api.ask("POST", "/login", json=body)).status == 401


async def test_unknown_addresses_and_methods_are_problems_too(api: Client) -> None:
    missing = await api.ask("GET", "/nothing/here")
    assert (missing.status, missing.json["code"]) == (404, "not_found")
    wrong = await api.ask("DELETE", "/tickets")
    assert (wrong.status, wrong.json["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "GET"


async def test_every_answer_carries_the_security_headers_and_a_correlation_id(api: Client) -> None:
    for path in ("/me", "/api/openapi.json", "/api/docs"):
        response = await api.ask("GET", path)
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
        assert response.headers["content-security-policy"].startswith("default-src 'none'")
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"
    assert (await api.ask("GET", "/me")).headers["x-correlation-id"]


async def test_an_error_that_nobody_foresaw_tells_nothing_of_the_inside(
    desk: Desk, api: Client
) -> None:
    await desk.agent("ana")
    token = await api.log_in("ana")
    desk.clock.now = None  # type: ignore[assignment,method-assign]  # any failure will do
    response = await api.ask("GET", "/me", token=token)
    assert (response.status, response.json["code"]) == (500, "internal_error")
    assert "NoneType" not in response.text


async def test_agents_are_added_by_admins_with_clear_refusals(desk: Desk, api: Client) -> None:
    await desk.agent("root", role=Role.ADMIN)
    token = await api.log_in("root")
    new = {"email": "bia@example.com", "name": "Bia", "password": PASSWORD, "role": "agent"}
    made = await api.ask("POST", "/agents", token=token, json={**new, "queues": ["n1_support"]})
    assert (made.status, made.json["queues"]) == (201, ["n1_support"])
    assert "password" not in made.text
    for change, field in (
        ({}, "email"),
        ({"email": "no-at"}, "email"),
        ({"email": "c@example.com", "password": "short"}, "password"),
        ({"email": "c@example.com", "role": "king"}, "role"),
        ({"email": "c@example.com", "queues": ["nope"]}, "queues"),
    ):
        response = await api.ask("POST", "/agents", token=token, json={**new, **change})
        assert response.json["field"] == field, response.json
    assert len(await desk.all(tables.Agent)) == 2


def references(node: Any) -> Iterator[str]:
    """Every `$ref` of a document."""
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_the_description_resolves_and_its_examples_are_valid() -> None:
    document = openapi_document(ROUTES)
    known = document["components"]["schemas"]

    assert set(references(document)) <= {f"#/components/schemas/{name}" for name in known}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert set(re.findall(r"{(\w+)}", path)) == {
                item["name"] for item in operation["parameters"] if item["in"] == "path"
            }
            if method == "post":
                content = operation["requestBody"]["content"].get("application/json")
                if content is None:  # a file
                    continue
                schema = {**content["schema"], "components": document["components"]}
                jsonschema.Draft202012Validator(schema).validate(content["example"])


async def test_answers_are_as_described(desk: Desk, api: Client) -> None:
    await desk.agent("root", role=Role.ADMIN)
    ticket_id = await desk.ticket()
    token = await api.log_in("root")
    row = await desk.row(ticket_id)
    ids = {
        "ticket_id": ticket_id,
        "conversation_id": row.conversation_id,
        "contact_id": row.contact_id,
        "agent_id": desk.people["root"],
    }
    document = openapi_document(ROUTES)
    asked = set()
    for route in ROUTES:
        names = set(re.findall(r"{(\w+)}", route.path))
        if route.method != "GET" or not names <= set(ids) or route.file_answer:
            continue
        asked.add(route.path)
        response = await api.ask("GET", route.path.format(**ids), token=token)
        described = document["paths"][PREFIX + route.path]["get"]["responses"]["200"]
        schema = described["content"]["application/json"]["schema"]
        if response.status == 503:  # the desk of this test has no plan for reviews
            assert response.json["code"] == "quality_plan_missing"
            continue
        assert response.status == 200, (route.path, response.json)
        jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(
            response.json
        )
    assert len(asked) > 25
