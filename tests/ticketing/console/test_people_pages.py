"""One's own account, the team, the departments and the one-time code, in the browser."""

from __future__ import annotations

import re

import pytest

from kit.clock import FakeClock
from tests.ticketing.console.test_console import Browser
from tests.ticketing.desk import PASSWORD, Desk, make_desk
from ticketing.db import tables
from ticketing.db.engine import Database
from ticketing.domain.enums import Role

OTHER = "dez patos na lagoa azul"


@pytest.fixture
async def desk(db: Database, clock: FakeClock) -> Desk:
    return await make_desk(db, clock)


@pytest.fixture
def browser(desk: Desk) -> Browser:
    return Browser(desk)


async def test_an_admin_adds_somebody_who_then_chooses_a_password(
    desk: Desk, browser: Browser
) -> None:
    await desk.agent("root", role=Role.ADMIN)
    await browser.log_in("root")
    await browser.go("/console/people")
    form = {"csrf": browser.csrf, "email": "bia@example.com", "name": "Bia", "role": "agent"}
    made = await browser.go("/console/people", form=form)
    assert made.status == 200
    code = re.findall(r"<code>([^<]+)</code>", browser.page)[0]
    twice = await browser.go("/console/people", form=form)
    assert twice.status == 409
    assert "Já existe uma conta" in browser.page

    other = Browser(desk)
    await other.go("/console/reset")
    chosen = {"csrf": other.csrf, "code": f" {code} ", "password": OTHER}
    foreign = await other.go("/console/reset", form={**chosen, "csrf": "x"})
    assert foreign.status == 403
    done = await other.go("/console/reset", form=chosen)
    assert done.headers["location"] == "/console/login?done=password"
    again = await other.go("/console/reset", form=chosen)
    assert again.status == 401
    await other.go("/console/login")
    login = {"csrf": other.csrf, "email": "bia@example.com", "password": OTHER}
    assert (await other.go("/console/login", form=login)).status == 303


async def test_the_form_of_a_person_writes_what_it_shows(desk: Desk, browser: Browser) -> None:
    await desk.agent("root", role=Role.ADMIN)
    await desk.agent("ana", queues=("n1_support",))
    await browser.log_in("root")
    path = f"/console/people/{desk.people['ana']}"
    await browser.go(path)
    assert re.search(r'value="n1_support" checked', browser.page)
    form = {
        "csrf": browser.csrf, "name": "Ana Maria", "role": "supervisor", "skills": "risk, billing",
        "languages": "pt es", "capacity": "3", "levels": "N2", "queues": "n2_billing",
    }  # fmt: skip
    done = await browser.go(f"{path}/edit", form=form)
    assert done.headers["location"] == f"{path}?done=person_edit"
    ana = next(row for row in await desk.all(tables.Agent) if row.id == desk.people["ana"])
    assert (ana.name, ana.role, ana.skills, ana.languages, ana.capacity, ana.levels) == (
        "Ana Maria", "supervisor", ["billing", "risk"], ["es", "pt"], 3, ["N2"],
    )  # fmt: skip
    wrong = await browser.go(f"{path}/edit", form={**form, "capacity": "muitos"})
    assert wrong.status == 422
    assert "Atendimentos ao mesmo tempo" in browser.page
    for action, active in (("disable", False), ("enable", True)):
        await browser.go(f"{path}/{action}", form={"csrf": form["csrf"]})
        (row,) = await desk.all(tables.Agent, id=desk.people["ana"])
        assert row.active is active
    assert (await browser.go(f"{path}/explode", form={"csrf": form["csrf"]})).status == 404


async def test_departments_are_made_changed_and_removed(desk: Desk, browser: Browser) -> None:
    await desk.agent("root", role=Role.ADMIN)
    await browser.log_in("root")
    await browser.go("/console/teams")
    csrf = browser.csrf
    form = {"csrf": csrf, "name": "Financeiro", "queues": "n2_billing"}
    assert (await browser.go("/console/teams/add", form=form)).status == 303
    (team,) = await desk.all(tables.Team)
    in_use = await browser.go("/console/teams/delete", form={"csrf": csrf, "team_id": str(team.id)})
    assert in_use.status == 409
    edit = {"csrf": csrf, "team_id": str(team.id), "name": "Cobrança"}
    assert (await browser.go("/console/teams/edit", form=edit)).status == 303
    gone = await browser.go("/console/teams/delete", form={"csrf": csrf, "team_id": str(team.id)})
    assert gone.headers["location"] == "/console/teams?done=team_delete"
    assert await desk.all(tables.Team) == []


async def test_people_change_their_password_and_stay_logged_in(
    desk: Desk, browser: Browser
) -> None:
    await desk.agent("ana")
    elsewhere = Browser(desk)
    await elsewhere.log_in("ana")
    await browser.log_in("ana")
    await browser.go("/console/account")
    form = {"csrf": browser.csrf, "present_password": "wrong", "new_password": OTHER}
    wrong = await browser.go("/console/account/password", form=form)
    assert wrong.status == 403
    assert "senha atual" in browser.page
    right = {**form, "present_password": PASSWORD}
    done = await browser.go("/console/account/password", form=right)
    assert done.headers["location"] == "/console/account?done=password"
    assert (await browser.go("/console/account")).status == 200
    assert (await elsewhere.go("/console/account")).status == 303


async def test_a_token_is_shown_once_and_revoked(desk: Desk, browser: Browser) -> None:
    await desk.agent("ana")
    await browser.log_in("ana")
    await browser.go("/console/account")
    form = {"csrf": browser.csrf, "name": "CRM", "scopes": "tickets:read", "days": "90"}
    assert (await browser.go("/console/account/token", form=form)).status == 200
    secret = re.findall(r"<code>(ponte_[^<]+)</code>", browser.page)[0]
    await browser.go("/console/account")
    assert secret not in browser.page
    token_id = re.findall(r'name="token_id" value="([^"]+)"', browser.page)[0]
    revoke = {"csrf": browser.csrf, "token_id": token_id}
    assert (await browser.go("/console/account/revoke", form=revoke)).status == 303
    await browser.go("/console/account")
    assert "revogado" in browser.page


async def test_who_has_no_tickets_lands_on_their_account(desk: Desk, browser: Browser) -> None:
    await desk.agent("dora", role=Role.DESIGNER)
    await browser.log_in("dora")
    response = await browser.go("/console")
    assert response.headers["location"] == "/console/account"
    assert (await browser.go("/console/rows")).status == 403
