"""Agents, teams, sessions, passwords and tokens, over the API."""

from __future__ import annotations

import itertools
import time
from datetime import timedelta
from typing import Any

import pytest
from sanic import Sanic
from sqlalchemy import select

from kit.clock import FakeClock
from tests.ticketing.desk import PASSWORD, Desk, make_desk
from ticketing.api.app import create_blueprints
from ticketing.api.dispatch import Rates
from ticketing.api.openapi import PREFIX
from ticketing.db import audit_tables, people_tables, tables
from ticketing.db.engine import Database
from ticketing.domain.enums import Role
from ticketing.http.rate_limit import Rate
from ticketing.services.sessions import hash_of

_names = itertools.count()
OTHER = "dez patos na lagoa azul"
MANY = Rate(burst=10_000, every=timedelta(milliseconds=1))


class Client:
    """A program that talks to the API."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.app: Sanic[Any, Any] = Sanic(f"people-{next(_names)}", configure_logging=False)
        for blueprint in create_blueprints(
            desk.deps, rates=Rates(MANY, Rate(60, MANY.every), MANY)
        ):
            self.app.blueprint(blueprint)

    async def ask(self, method: str, path: str, *, token: str | None = None, **kwargs: Any) -> Any:
        headers = dict(kwargs.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self.app.asgi_client.cookies.clear()
        _, response = await self.app.asgi_client.request(
            method, PREFIX + path, headers=headers, **kwargs
        )
        return response

    async def post(self, path: str, body: dict[str, Any] | None = None, *, token: str) -> Any:
        return await self.ask("POST", path, token=token, json=body or {})

    async def log_in(self, name: str, password: str = PASSWORD) -> str:
        response = await self.try_login(name, password)
        assert response.status == 200, response.json
        return str(response.json["token"])

    async def try_login(self, name: str, password: str) -> Any:
        body = {"email": f"{name}@example.com", "password": password}
        return await self.ask("POST", "/login", json=body, headers={"User-Agent": f"{name} 1.0"})


@pytest.fixture
async def desk(db: Database, clock: FakeClock) -> Desk:
    return await make_desk(db, clock)


@pytest.fixture
async def api(desk: Desk) -> Client:
    await desk.agent("root", role=Role.ADMIN)
    return Client(desk)


async def actions_of(desk: Desk) -> list[str]:
    return [entry.action for entry in await desk.all(audit_tables.AuditEntry)]


async def test_a_person_is_changed_and_the_change_is_on_record(desk: Desk, api: Client) -> None:
    admin = await api.log_in("root")
    await api.post("/teams", {"name": "Financeiro", "queues": ["n2_billing"]}, token=admin)
    await desk.agent("bia")
    path = f"/agents/{desk.people['bia']}"
    changes = {
        "name": "Bia  Lima", "queues": ["n2_billing"], "teams": ["Financeiro"],
        "skills": ["risk", "billing"], "languages": ["es", "pt"], "levels": ["N2"], "capacity": 4,
    }  # fmt: skip
    edited = (await api.post(path, changes, token=admin)).json
    assert edited["changed"] == sorted(changes)
    shown = (await api.ask("GET", path, token=admin)).json
    assert shown == edited["agent"]
    assert (shown["name"], shown["teams"], shown["skills"], shown["capacity"]) == (
        "Bia Lima", ["Financeiro"], ["billing", "risk"], 4,
    )  # fmt: skip
    again = (await api.post(path, changes, token=admin)).json
    assert again["changed"] == []
    cleared = (await api.post(path, {"capacity": None, "queues": []}, token=admin)).json
    assert (cleared["agent"]["capacity"], cleared["agent"]["queues"]) == (None, [])
    assert (await actions_of(desk)).count("agent.changed") == 2


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"skills": ["Grana Alta"]}, "skills.0"),
        ({"languages": ["português"]}, "languages.0"),
        ({"levels": ["N9"]}, "levels.0"),
        ({"capacity": 0}, "capacity"),
        ({"queues": ["nope"]}, "queues"),
        ({"teams": ["Nope"]}, "teams"),
        ({"name": None}, "name"),
        ({"role": "boss"}, "role"),
        ({"scoped_to_teams": True}, "scoped_to_teams"),
        ({"role": "supervisor", "scoped_to_teams": True}, "teams"),
        ({"password": "x"}, "password"),
    ],
)
async def test_a_wrong_change_is_named_and_changes_nothing(
    desk: Desk, api: Client, changes: dict[str, Any], field: str
) -> None:
    await desk.agent("bia")
    admin = await api.log_in("root")
    response = await api.post(f"/agents/{desk.people['bia']}", changes, token=admin)
    assert (response.status, response.json["code"], response.json["field"]) == (
        422, "invalid_value", field,
    )  # fmt: skip
    assert "agent.changed" not in await actions_of(desk)


async def test_the_list_of_people_is_filtered_and_paged(desk: Desk, api: Client) -> None:
    admin = await api.log_in("root")
    await desk.agent("ana", queues=("n1_support",))
    await desk.agent("bia", role=Role.SUPERVISOR)
    await api.post(f"/agents/{desk.people['bia']}", {"skills": ["risk"]}, token=admin)
    await api.post(f"/agents/{desk.people['ana']}/disable", token=admin)
    for query, names in (
        ("", ["Ana", "Bia", "Root"]),
        ("?role=supervisor", ["Bia"]),
        ("?active=false", ["Ana"]),
        ("?queue=n1_support", ["Ana", "Bia", "Root"]),
        ("?queue=n3_risk", ["Bia", "Root"]),
        ("?skill=risk", ["Bia"]),
        ("?text=BI", ["Bia"]),
        ("?text=%25", []),
    ):
        found = (await api.ask("GET", f"/agents{query}", token=admin)).json
        assert [agent["name"] for agent in found["agents"]] == names, query
    first = (await api.ask("GET", "/agents?limit=2", token=admin)).json
    second = (await api.ask("GET", f"/agents?cursor={first['next_cursor']}", token=admin)).json
    assert [agent["name"] for agent in second["agents"]] == ["Root"]
    assert second["next_cursor"] is None


async def test_another_role_ends_the_sessions_and_gives_tickets_back(
    desk: Desk, api: Client
) -> None:
    admin = await api.log_in("root")
    await desk.agent("ana", role=Role.SUPERVISOR)
    token = await api.log_in("ana")
    ticket_id = await desk.ticket()
    await api.post(f"/tickets/{ticket_id}/take", token=token)
    path = f"/agents/{desk.people['ana']}"
    assert (await api.post(path, {"name": "Ana Maria"}, token=admin)).status == 200
    assert (await api.ask("GET", "/me", token=token)).status == 200  # a name is no right
    response = await api.post(path, {"role": "designer"}, token=admin)
    assert response.json["released_tickets"] == 1
    assert (await api.ask("GET", "/me", token=token)).status == 401
    assert (await desk.row(ticket_id)).agent_id is None


async def test_nobody_changes_their_own_rights_and_an_admin_always_stays(
    desk: Desk, api: Client
) -> None:
    admin = await api.log_in("root")
    own = f"/agents/{desk.people['root']}"
    last = await api.post(own, {"role": "agent"}, token=admin)
    assert (last.status, last.json["code"]) == (409, "last_admin")
    await desk.agent("chef", role=Role.ADMIN)
    for path, body in ((own, {"role": "agent"}), (f"{own}/disable", {}),
                       (f"{own}/password-reset", {})):  # fmt: skip
        response = await api.post(path, body, token=admin)
        assert (response.status, response.json["code"]) == (409, "own_account"), path
    assert (await api.post(own, {"name": "Root II"}, token=admin)).status == 200
    chef = f"/agents/{desk.people['chef']}"
    assert (await api.post(chef, {"role": "agent"}, token=admin)).status == 200


async def test_a_disabled_person_comes_back_with_their_old_password(
    desk: Desk, api: Client
) -> None:
    admin = await api.log_in("root")
    await desk.agent("ana")
    path = f"/agents/{desk.people['ana']}"
    for _ in range(2):  # twice changes nothing
        assert (await api.post(f"{path}/disable", token=admin)).json["agent"]["active"] is False
    assert (await api.try_login("ana", PASSWORD)).status == 401
    for _ in range(2):
        assert (await api.post(f"{path}/enable", token=admin)).json["active"] is True
    await api.log_in("ana")
    done = await actions_of(desk)
    assert (done.count("agent.disabled"), done.count("agent.enabled")) == (1, 1)


async def test_changing_the_own_password_ends_every_other_session(desk: Desk, api: Client) -> None:
    await desk.agent("ana")
    first, second = await api.log_in("ana"), await api.log_in("ana")
    wrong = {"present_password": "not this one", "new_password": OTHER}
    response = await api.post("/me/password", wrong, token=first)
    assert (response.status, response.json["code"], response.json["field"]) == (
        403, "password_refused", "present_password",
    )  # fmt: skip
    weak = {"present_password": PASSWORD, "new_password": "ana@example.com"}
    assert (await api.post("/me/password", weak, token=first)).status == 422
    right = {"present_password": PASSWORD, "new_password": OTHER}
    response = await api.post("/me/password", right, token=first)
    assert response.status == 200
    assert "HttpOnly" in response.headers["set-cookie"]
    for token in (first, second):
        assert (await api.ask("GET", "/me", token=token)).status == 401
    assert (await api.ask("GET", "/me", token=response.json["token"])).status == 200
    assert (await api.try_login("ana", PASSWORD)).status == 401
    await api.log_in("ana", OTHER)


async def test_a_stolen_session_is_no_way_to_try_passwords_out(desk: Desk, api: Client) -> None:
    await desk.agent("ana")
    token = await api.log_in("ana")
    for number in range(5):
        body = {"present_password": f"guess {number}", "new_password": OTHER}
        await api.post("/me/password", body, token=token)
    right = {"present_password": PASSWORD, "new_password": OTHER}
    assert (await api.post("/me/password", right, token=token)).status == 403
    assert "login.locked" in await actions_of(desk)


async def test_a_one_time_code_works_once_and_voids_what_was_before(
    desk: Desk, api: Client
) -> None:
    admin = await api.log_in("root")
    await desk.agent("ana")
    token = await api.log_in("ana")
    path = f"/agents/{desk.people['ana']}/password-reset"
    old = (await api.post(path, token=admin)).json["code"]
    code = (await api.post(path, token=admin)).json["code"]
    assert (await api.ask("GET", "/me", token=token)).status == 401
    assert (await api.try_login("ana", PASSWORD)).status == 401

    async def use(given: str, password: str = OTHER) -> Any:
        return await api.ask("POST", "/password-reset", json={"code": given, "password": password})

    for wrong in (old, "x", code + "x"):
        assert (await use(wrong)).json["code"] == "reset_refused"
    assert (await use(code, "short")).json["code"] == "invalid_value"  # does not use it up
    assert (await use(code)).json == {"password_set": True}
    assert (await use(code)).json["code"] == "reset_refused"
    await api.log_in("ana", OTHER)
    late = (await api.post(path, token=admin)).json["code"]
    desk.clock.advance(timedelta(hours=24, seconds=1))
    assert (await use(late)).json["code"] == "reset_refused"
    async with desk.db.transaction() as session:
        kept = (await session.scalars(select(people_tables.PasswordReset))).all()
    assert [row.token_hash for row in kept] == [hash_of(late)]


async def test_somebody_added_without_a_password_chooses_one(desk: Desk, api: Client) -> None:
    admin = await api.log_in("root")
    body = {"email": "bia@example.com", "name": "Bia", "role": "agent"}
    made = await api.post("/agents", body, token=admin)
    assert made.status == 201
    path = f"/agents/{made.json['id']}/password-reset"
    code = (await api.post(path, token=admin)).json["code"]
    await api.ask("POST", "/password-reset", json={"code": code, "password": OTHER})
    await api.log_in("bia", OTHER)


async def test_people_see_and_end_their_own_sessions_only(desk: Desk, api: Client) -> None:
    await desk.agent("ana")
    first, second, admin = [await api.log_in(name) for name in ("ana", "ana", "root")]
    found = (await api.ask("GET", "/me/sessions", token=first)).json["sessions"]
    assert [(item["present"], item["user_agent"]) for item in found].count((True, "ana 1.0")) == 1
    assert len(found) == 2
    assert hash_of(first) not in str(found)
    other = next(item["id"] for item in found if not item["present"])
    foreign = await api.post(f"/me/sessions/{other}/end", token=admin)
    assert (foreign.status, foreign.json["code"]) == (404, "session_not_found")
    assert (await api.post(f"/me/sessions/{other}/end", token=first)).json == {"ended": 1}
    assert (await api.ask("GET", "/me", token=second)).status == 401
    await api.log_in("ana")
    assert (await api.post("/me/sessions/end-others", token=first)).json == {"ended": 1}
    assert len((await api.ask("GET", "/me/sessions", token=first)).json["sessions"]) == 1


async def make_token(
    api: Client, token: str, *scopes: str, days: float = 30, name: str = "CRM"
) -> Any:
    expires_at = (api.desk.clock.now() + timedelta(days=days)).isoformat()
    body = {"name": name, "scopes": list(scopes), "expires_at": expires_at}
    return await api.post("/tokens", body, token=token)


async def test_a_token_acts_with_its_scopes_and_is_shown_once(desk: Desk, api: Client) -> None:
    await desk.agent("ana")
    ticket_id = await desk.ticket()
    session = await api.log_in("ana")
    made = await make_token(api, session, "tickets:read", "account:own")
    assert made.status == 201
    secret = made.json["secret"]
    assert secret.startswith("ponte_")
    assert (await api.ask("GET", f"/tickets/{ticket_id}", token=secret)).status == 200
    refused = await api.post(f"/tickets/{ticket_id}/take", token=secret)
    assert (refused.status, refused.json["code"]) == (403, "role_not_allowed")
    for path in ("/tokens", "/logout", "/me/password", "/me/sessions/end-others"):
        response = await api.post(path, token=secret)
        assert (response.status, response.json["code"]) == (403, "session_needed"), path
    (row,) = await desk.all(people_tables.ApiToken)
    assert row.token_hash == hash_of(secret)
    assert row.last_used_at is not None
    listed = (await api.ask("GET", "/tokens", token=session)).json["tokens"]
    assert [(item["name"], item["state"]) for item in listed] == [("CRM", "live")]
    assert secret not in str(listed)
    cookie = {"Cookie": f"ponte_session={secret}"}
    assert (await api.ask("GET", "/me", headers=cookie)).status == 401


@pytest.mark.parametrize(
    ("scopes", "days", "field"),
    [
        (("tickets:supervise",), 30, "scopes"),
        (("everything",), 30, "scopes.0"),
        ((), 30, "scopes"),
        (("tickets:read",), 367, "expires_at"),
        (("tickets:read",), -1, "expires_at"),
    ],
)
async def test_a_token_beyond_its_owner_or_without_an_end_is_refused(
    desk: Desk, api: Client, scopes: tuple[str, ...], days: float, field: str
) -> None:
    await desk.agent("ana")
    response = await make_token(api, await api.log_in("ana"), *scopes, days=days)
    assert (response.status, response.json["field"]) == (422, field)


async def test_a_token_shrinks_with_the_role_and_dies_with_the_account(
    desk: Desk, api: Client
) -> None:
    admin = await api.log_in("root")
    await desk.agent("ana", role=Role.SUPERVISOR)
    secret = (await make_token(api, await api.log_in("ana"), "people:read")).json["secret"]
    assert (await api.ask("GET", "/agents", token=secret)).status == 200
    path = f"/agents/{desk.people['ana']}"
    await api.post(path, {"role": "agent"}, token=admin)
    assert (await api.ask("GET", "/agents", token=secret)).status == 403
    await api.post(path, {"role": "supervisor"}, token=admin)
    assert (await api.ask("GET", "/agents", token=secret)).status == 200
    await api.post(f"{path}/disable", token=admin)
    assert (await api.ask("GET", "/agents", token=secret)).status == 401
    listed = (await api.ask("GET", "/tokens?all=true", token=admin)).json["tokens"]
    assert [item["state"] for item in listed] == ["dead"]


async def test_tokens_end_by_time_by_hand_and_by_a_reset(desk: Desk, api: Client) -> None:
    admin = await api.log_in("root")
    await desk.agent("ana")
    await desk.agent("bia")
    ana, bia = await api.log_in("ana"), await api.log_in("bia")
    made = [(await make_token(api, ana, "account:own", days=days)).json for days in (1, 30, 30)]
    secrets = [item["secret"] for item in made]
    second = f"/tokens/{made[1]['token']['id']}/revoke"
    assert (await api.post(second, token=bia)).json["code"] == "token_not_found"
    assert (await api.ask("GET", "/tokens?all=true", token=bia)).status == 403
    for _ in range(2):
        assert (await api.post(second, token=admin)).json["state"] == "revoked"
    assert (await api.ask("GET", "/me", token=secrets[1])).status == 401
    await api.post(f"/agents/{desk.people['ana']}/password-reset", token=admin)
    assert (await api.ask("GET", "/me", token=secrets[2])).status == 401
    desk.clock.advance(timedelta(days=1))
    assert (await api.ask("GET", "/me", token=secrets[0])).status == 401


async def test_a_token_gives_nobody_rights_that_it_lacks_itself(desk: Desk, api: Client) -> None:
    await desk.agent("chef", role=Role.ADMIN)
    session = await api.log_in("root")
    secret = (await make_token(api, session, "people:manage", "people:read")).json["secret"]
    body = {"email": "x@example.com", "name": "X", "password": OTHER, "role": "admin"}
    for path, given in (
        ("/agents", body),
        ("/agents", {**body, "role": "agent"}),
        (f"/agents/{desk.people['chef']}/password-reset", {}),
        (f"/agents/{desk.people['chef']}/disable", {}),
        (f"/agents/{desk.people['chef']}", {"name": "Y"}),
    ):
        response = await api.post(path, given, token=secret)
        assert (response.status, response.json["code"]) == (403, "beyond_own_rights"), path


async def test_a_busy_token_does_not_use_up_its_owners_limit(desk: Desk, api: Client) -> None:
    await desk.agent("ana")
    session = await api.log_in("ana")
    secret = (await make_token(api, session, "account:own")).json["secret"]
    statuses = [(await api.ask("GET", "/me", token=secret)).status for _ in range(62)]
    assert statuses[-1] == 429
    assert (await api.ask("GET", "/me", token=session)).status == 200


async def test_teams_own_queues_and_leave_when_nothing_needs_them(desk: Desk, api: Client) -> None:
    admin = await api.log_in("root")
    ticket_id = await desk.ticket(queue="n2_billing")
    made = await api.post("/teams", {"name": "Financeiro", "queues": ["n2_billing"]}, token=admin)
    assert made.status == 201
    path = f"/teams/{made.json['id']}"
    assert str((await desk.row(ticket_id)).team_id) == made.json["id"]
    again = await api.post("/teams", {"name": "Financeiro"}, token=admin)
    assert (again.status, again.json["code"], again.json["field"]) == (409, "team_exists", "name")
    used = await api.post(f"{path}/delete", token=admin)
    assert (used.status, used.json["code"]) == (409, "team_in_use")
    edited = await api.post(path, {"name": "Cobrança", "queues": []}, token=admin)
    assert (edited.json["name"], edited.json["queues"]) == ("Cobrança", [])
    assert (await desk.row(ticket_id)).team_id is None
    assert (await api.post(f"{path}/delete", token=admin)).json == {"deleted": True}
    assert (await api.post(f"{path}/delete", token=admin)).status == 404
    wrong = await api.post("/teams", {"name": "X", "queues": ["nope"]}, token=admin)
    assert (wrong.status, wrong.json["field"]) == (422, "queues")


async def test_skills_that_nobody_has_are_seen(desk: Desk, api: Client) -> None:
    admin = await api.log_in("root")
    await desk.agent("ana")
    await api.post(f"/agents/{desk.people['ana']}", {"skills": ["welding"]}, token=admin)
    found = (await api.ask("GET", "/skills", token=admin)).json["skills"]
    assert {"skill": "welding", "agents": 1, "asked_for": False} in found
    assert any(item["asked_for"] and item["agents"] == 0 for item in found)


async def test_a_login_takes_as_long_for_nobody_as_for_somebody(desk: Desk, api: Client) -> None:
    await desk.agent("ana")
    await desk.agent("off")
    async with desk.db.transaction() as session:
        off = await session.get_one(tables.Agent, desk.people["off"])
        off.active = False

    async def fastest(name: str) -> float:
        # The fastest of several is the work itself: a busy machine only ever adds to it.
        spans = []
        for _ in range(7):
            start = time.perf_counter()
            assert (await api.try_login(name, "wrong password")).status == 401
            spans.append(time.perf_counter() - start)
        return min(spans)

    known = await fastest("ana")  # the last two of seven find it locked
    for name in ("nobody", "off", "ana"):  # unknown, disabled, locked by now
        assert 0.5 < await fastest(name) / known < 2.0, name
