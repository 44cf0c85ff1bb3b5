"""Presence, shifts, the next ticket and its explanation, over HTTP; and the console's pages."""

from __future__ import annotations

from datetime import timedelta

import pytest

from kit.clock import FakeClock
from tests.ticketing.api.test_api import Client
from tests.ticketing.console.test_console import Browser
from tests.ticketing.desk import Desk, make_desk
from ticketing.db.engine import Database
from ticketing.domain.enums import Role


@pytest.fixture
async def desk(db: Database, clock: FakeClock) -> Desk:
    return await make_desk(db, clock)


@pytest.fixture
def api(desk: Desk) -> Client:
    return Client(desk)


async def test_a_login_alone_brings_nobody_online_and_a_lease_runs_out(
    desk: Desk, api: Client, clock: FakeClock
) -> None:
    await desk.agent("ana")
    token = await api.log_in("ana")
    before = (await api.ask("GET", "/me/presence", token=token)).json
    assert (before["state"], before["takes_part"]) == ("offline", False)

    said = await api.ask(
        "POST", "/me/presence", token=token, json={"state": "online", "lease_seconds": 60}
    )
    assert said.json["state"] == "online"
    clock.advance(timedelta(seconds=59))
    assert (await api.ask("POST", "/me/heartbeat", token=token)).json["state"] == "online"
    clock.advance(timedelta(seconds=60))
    gone = (await api.ask("POST", "/me/heartbeat", token=token)).json
    assert (gone["state"], gone["reason"]) == ("offline", "expired")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"state": "sleeping"}, "state"),
        ({"state": "online", "lease_seconds": 5}, "lease_seconds"),
        ({"state": "online", "lease_seconds": 86_401}, "lease_seconds"),
        ({}, "state"),
    ],
)
async def test_a_wrong_presence_names_its_field(
    desk: Desk, api: Client, body: dict[str, object], field: str
) -> None:
    await desk.agent("ana")
    token = await api.log_in("ana")
    refused = await api.ask("POST", "/me/presence", token=token, json=body)
    assert (refused.status, refused.json["field"]) == (422, field)


async def test_a_supervisor_sends_somebody_away_but_brings_nobody_online(
    desk: Desk, api: Client
) -> None:
    ana = await desk.agent("ana")
    await desk.agent("chefe", role=Role.SUPERVISOR)
    token = await api.log_in("chefe")
    path = f"/agents/{ana.agent_id}/presence"
    assert (await api.ask("POST", path, token=token, json={"state": "offline"})).status == 200
    refused = await api.ask("POST", path, token=token, json={"state": "online"})
    assert (refused.status, refused.json["allowed"]) == (422, ["busy", "away", "offline"])
    listed = (await api.ask("GET", "/presence", token=token)).json["people"]
    assert [item["state"] for item in listed] == ["offline"]


async def test_shifts_are_set_as_a_whole_and_a_mistake_names_its_place(
    desk: Desk, api: Client
) -> None:
    ana = await desk.agent("ana")
    await desk.agent("chefe", role=Role.SUPERVISOR)
    token = await api.log_in("chefe")
    path = f"/agents/{ana.agent_id}/shifts"
    plan = {"time_zone": "America/Sao_Paulo", "tue": ["09:00-18:00"], "days_off": ["2026-12-24"]}
    made = (await api.ask("POST", path, token=token, json=plan)).json
    assert (made["planned"], made["in_shift"], made["weekly"]) == (
        True,
        True,
        {"tue": ["09:00-18:00"]},
    )
    refused = await api.ask("POST", path, token=token, json=plan | {"mon": ["9-18"]})
    assert (refused.status, refused.json["field"]) == (422, "weekly.mon")
    assert (await api.ask("GET", path, token=token)).json["weekly"] == {"tue": ["09:00-18:00"]}
    gone = (await api.ask("POST", path, token=token, json={"time_zone": "UTC"})).json
    assert gone["planned"] is False


async def test_the_next_ticket_its_reasons_and_the_standing_of_the_queues(
    desk: Desk, api: Client
) -> None:
    ana = await desk.agent("ana")
    await desk.ticket()
    urgent = await desk.ticket(priority="urgent", name="B")
    token = await api.log_in("ana")
    standings = (await api.ask("GET", "/routing/queues", token=token)).json["queues"]
    support = next(item for item in standings if item["key"] == "n1_support")
    assert (support["waiting"], support["online"]) == (2, 0)
    assert support["next"][0]["ticket_id"] == str(urgent)

    taken = await api.ask("POST", "/next-ticket", token=token, json={"queue": "n1_support"})
    assert taken.json["ticket"]["id"] == str(urgent)
    seen = (await api.ask("GET", f"/tickets/{urgent}/routing", token=token)).json
    assert (seen["state"], seen["agent_id"]) == ("held", str(ana.agent_id))
    assert seen["decisions"][0]["trigger"] == "next_ticket"
    assert seen["now"]["candidates"][0]["refusals"] == ["offline"]

    refused = await api.ask("POST", "/next-ticket", token=token, json={"queue": "nowhere"})
    assert (refused.status, refused.json["field"]) == (422, "queue")
    await api.ask("POST", "/next-ticket", token=token, json={})
    nothing = await api.ask("POST", "/next-ticket", token=token, json={})
    assert (nothing.status, nothing.json["ticket"]) == (200, None)


async def test_the_console_says_presence_and_takes_the_next_ticket(desk: Desk) -> None:
    await desk.agent("ana")
    ticket = await desk.ticket()
    browser = Browser(desk)
    await browser.log_in("ana")
    await browser.go("/console/queues")
    assert "1 esperando" in browser.page
    said = await browser.go("/console/presence", form={"csrf": browser.csrf, "state": "online"})
    assert (said.status, said.headers["location"]) == (303, "/console/queues")
    await browser.go("/console/presence")
    assert 'value="online" aria-pressed="true"' in browser.page
    taken = await browser.go("/console/queues", form={"csrf": browser.csrf})
    assert taken.headers["location"] == f"/console/tickets/{ticket}?done=take"
    await browser.go("/console/queues")
    nothing = await browser.go("/console/queues", form={"csrf": browser.csrf})
    assert nothing.headers["location"] == "/console/queues?none=1"
