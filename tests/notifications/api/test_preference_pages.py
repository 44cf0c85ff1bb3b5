"""Preferences in the API and on their page; the link of an e-mail that turns a kind off."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from kit.clock import FakeClock
from kit.ids import new_id
from notifications.domain.failure import Consequence, Failure, FailureKind
from notifications.domain.jobs import Channel
from notifications.domain.unsubscribe import unsubscribe_url
from notifications.services.addresses import note, opt_out
from notifications.services.preferences import preferences_of
from tests.ticketing.api.whole_app import Callers, make_whole_app, serving
from tests.ticketing.desk import make_desk
from ticketing.db.audit_tables import AuditEntry
from ticketing.db.engine import Database
from ticketing.db.notification_tables import RecipientAddress
from ticketing.db.tables import Notification
from ticketing.domain.enums import Role

PHONE = "+5511912345678"
TOKEN = "token-of-a-browser-000001"
SECRET = "a secret of the installation, 32 chars"
ME = "/api/v1/me/notification-preferences"
PAGE = "/console/notifications"


@pytest.fixture
async def callers(db: Database, clock: FakeClock) -> AsyncIterator[Callers]:
    desk = await make_desk(db, clock)
    deps = replace(desk.deps, privacy_key=SECRET)
    async with serving(make_whole_app(deps)) as client:
        made = Callers(desk, client)
        await made.hire()
        yield made


class Me:
    """One agent, in the API by token and in the console by cookie."""

    def __init__(self, callers: Callers, token: str, csrf: str) -> None:
        self.callers, self.csrf = callers, csrf
        self.bearer = {"Authorization": f"Bearer {token}"}
        self.cookie = {"Cookie": f"ponte_session={token}"}

    async def api(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        return await self.callers.ask(method, path, headers=self.bearer, **kwargs)

    async def page(self, language: str = "pt") -> str:
        response = await self.callers.ask("GET", f"{PAGE}?lang={language}", headers=self.cookie)
        assert response.status_code == 200
        return response.text

    async def post(self, action: str, **fields: str) -> httpx.Response:
        form = {"csrf": self.csrf, **fields}
        return await self.callers.ask("POST", f"{PAGE}/{action}", headers=self.cookie, data=form)


@pytest.fixture
async def me(callers: Callers) -> Me:
    return Me(callers, *await callers.session(Role.AGENT))


async def test_preferences_are_put_and_read_again(me: Me) -> None:
    first = (await me.api("GET", ME)).json()
    assert first["phone"] is None
    assert first["channels"]["ticket-opened"] == ["email", "whatsapp", "sms", "push"]

    body = {
        "phone": "(11) 91234-5678", "channels": {"ticket-opened": ["push"], "csat-low": []},
        "quiet_from": "22:00", "quiet_to": "07:00", "time_zone": "America/Recife",
    }  # fmt: skip
    put = await me.api("PUT", ME, json=body)
    again = await me.api("PUT", ME, json=body)
    seen = (await me.api("GET", ME)).json()

    assert put.status_code == again.status_code == 200
    assert seen["phone"] == PHONE
    assert (seen["quiet_from"], seen["quiet_to"]) == ("22:00", "07:00")
    assert seen["channels"]["ticket-opened"] == ["push"]
    assert seen["channels"]["csat-low"] == []
    assert seen["channels"]["sla-alert"] == ["email", "whatsapp", "sms", "push"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"phone": "+5511000"}, "phone"),
        ({"channels": {"nonsense": ["email"]}}, "channels"),
        ({"channels": {"ticket-opened": ["pigeon"]}}, "channels"),
        ({"quiet_from": "25:00", "quiet_to": "07:00"}, "quiet_from"),
        ({"quiet_from": "22:00"}, "quiet_to"),
        ({"quiet_from": "22:00", "quiet_to": "22:00"}, "quiet_to"),
        ({"time_zone": "Brasil"}, "time_zone"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_wrong_wish_names_its_field(me: Me, body: Any, field: str) -> None:
    response = await me.api("PUT", ME, json=body)

    assert response.status_code == 422
    assert response.json()["field"].startswith(field)
    assert "expected" in response.json()["detail"] or response.json()["allowed"]


async def test_devices_come_and_go(me: Me) -> None:
    made = await me.api("POST", "/api/v1/me/push-devices", json={"token": TOKEN, "name": "Casa"})
    again = await me.api("POST", "/api/v1/me/push-devices", json={"token": TOKEN, "name": "Casa"})
    device_id = made.json()["id"]
    assert again.json()["id"] == device_id
    assert TOKEN not in made.text
    assert "Casa" in await me.page()

    path = f"/api/v1/me/push-devices/{device_id}"
    assert (await me.api("DELETE", path)).status_code == 200
    gone = await me.api("DELETE", path)
    assert (gone.status_code, gone.json()["code"]) == (404, "device_not_found")


async def test_operators_lift_what_is_not_a_persons_no_and_it_is_written_down(
    callers: Callers, clock: FakeClock
) -> None:
    gone = Failure(FailureKind.PERMANENT, "21211", consequence=Consequence.DISABLE_RECIPIENT)
    async with callers.desk.db.transaction() as session:
        await note(session, Channel.SMS, PHONE, gone, now=clock.now())
        await opt_out(session, Channel.WHATSAPP, PHONE, code="131050", now=clock.now())
    operator = Me(callers, *await callers.session(Role.OPERATOR))

    listed = (await operator.api("GET", "/api/v1/notification-addresses")).json()["addresses"]
    by_channel = {row["channel"]: row for row in listed}
    assert PHONE not in str(listed)
    assert by_channel["sms"]["state"] == "disabled"

    path = "/api/v1/notification-addresses/{}/lift"
    lifted = await operator.api("POST", path.format(by_channel["sms"]["id"]), json={})
    twice = await operator.api("POST", path.format(by_channel["sms"]["id"]), json={})
    refused = await operator.api("POST", path.format(by_channel["whatsapp"]["id"]), json={})
    assert lifted.status_code == 200
    assert (twice.status_code, twice.json()["code"]) == (404, "address_not_found")
    assert (refused.status_code, refused.json()["code"]) == (409, "address_opted_out")
    async with callers.desk.db.transaction() as session:
        [left] = await session.scalars(select(RecipientAddress))
        entries = await session.scalars(
            select(AuditEntry).where(AuditEntry.action == "address.lifted")
        )
        [entry] = entries
    assert left.state == "opted_out"
    assert PHONE not in str(entry.data)


async def test_who_said_no_takes_it_back_only_after_saying_so_clearly(
    callers: Callers, me: Me, clock: FakeClock
) -> None:
    await me.api("PUT", ME, json={"phone": PHONE})
    async with callers.desk.db.transaction() as session:
        await opt_out(session, Channel.SMS, PHONE, code="STOP", now=clock.now())

    assert "/console/notifications/resume" in await me.page()
    unsure = await me.api("POST", f"{ME}/resume", json={"channel": "sms", "confirm": False})
    assert (unsure.status_code, unsure.json()["field"]) == (422, "confirm")
    assert (await me.post("resume", channel="sms")).status_code == 422
    assert (await me.post("resume", channel="sms", confirm="1")).status_code == 303
    twice = await me.api("POST", f"{ME}/resume", json={"channel": "sms", "confirm": True})
    assert (twice.status_code, twice.json()["code"]) == (409, "not_refused")


@pytest.mark.parametrize("language", ["pt", "en", "es"])
async def test_the_page_reads_in_every_language_and_loads_nothing_from_elsewhere(
    me: Me, language: str
) -> None:
    page = await me.page(language)

    assert page.count('type="checkbox" name="on.') >= 13 * 4
    assert not re.search(r'(?:src|href)="https?://', page)
    assert "onclick" not in page
    assert "style=" not in page


async def test_the_form_saves_what_is_ticked(me: Me) -> None:
    done = await me.post(
        "save",
        **{"on.ticket-opened.email": "1", "on.sla-alert.push": "1"},
        phone=PHONE, quiet_from="22:00", quiet_to="07:00", time_zone="America/Sao_Paulo",
    )  # fmt: skip
    seen = (await me.api("GET", ME)).json()

    assert (done.status_code, done.headers["location"]) == (303, f"{PAGE}?done=save")
    assert seen["channels"]["ticket-opened"] == ["email"]
    assert seen["channels"]["sla-alert"] == ["push"]
    assert seen["channels"]["csat-low"] == []
    assert seen["phone"] == PHONE


@pytest.mark.parametrize(
    "wrong",
    [{"phone": "12"}, {"quiet_from": "22:00"}, {"quiet_from": "late", "quiet_to": "07:00"},
     {"time_zone": "Mars"}],
)  # fmt: skip
async def test_a_wrong_form_comes_back_as_it_was_typed(me: Me, wrong: Any) -> None:
    fields = {"time_zone": "America/Recife", "on.csat-low.push": "1", **wrong}
    response = await me.post("save", **fields)

    assert response.status_code == 422
    assert 'role="alert"' in response.text
    assert re.search(r'name="on\.csat-low\.push" value="1" checked', response.text)
    for value in wrong.values():
        assert value in response.text


async def make_notice(callers: Callers, *, email: str, **changes: Any) -> Notification:
    now = callers.desk.clock.now()
    row = Notification(
        id=new_id(), idempotency_key=str(new_id()), job_name="send-email", event="ticket-opened",
        recipient=email, created_at=now, correlation_id="c-1", **changes,
    )  # fmt: skip
    async with callers.desk.db.transaction() as session:
        session.add(row)
    return row


async def test_the_link_of_an_email_asks_first_and_one_click_turns_it_off(
    callers: Callers,
) -> None:
    row = await make_notice(callers, email="Agent@example.com")
    path = unsubscribe_url(SECRET, "", row.id)

    asked = await callers.ask("GET", path)
    async with callers.desk.db.transaction() as session:
        agent_id = callers.people[Role.AGENT]
        before = await preferences_of(session, agent_id, now=callers.desk.clock.now())
    clicked = await callers.ask("POST", path, data={"List-Unsubscribe": "One-Click"})
    again = await callers.ask("POST", path, data={"List-Unsubscribe": "One-Click"})

    assert asked.status_code == clicked.status_code == again.status_code == 200
    assert 'method="post"' in asked.text
    assert "email" in before.channels["ticket-opened"]
    async with callers.desk.db.transaction() as session:
        after = await preferences_of(session, agent_id, now=callers.desk.clock.now())
        entries = await session.scalars(
            select(AuditEntry).where(AuditEntry.action == "notices.unsubscribed")
        )
        assert len(list(entries)) == 1
    assert after.channels["ticket-opened"] == ("whatsapp", "sms", "push")
    assert after.channels["sla-alert"] == ("email", "whatsapp", "sms", "push")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("kind", ["forged", "none", "odd", "urgent", "stranger", "gone"])
async def test_a_link_that_is_not_good_turns_nothing_off(
    callers: Callers, kind: str, method: str
) -> None:
    email = "fora@example.com" if kind == "stranger" else "agent@example.com"
    row = await make_notice(callers, email=email, urgent=kind == "urgent")
    path = unsubscribe_url(SECRET, "", new_id() if kind == "gone" else row.id)
    path = {
        "forged": unsubscribe_url("another secret", "", row.id),
        "none": "/n/unsubscribe",
        "odd": "/n/unsubscribe?t=" + "é" * 64,
    }.get(kind, path)

    response = await callers.ask(method, path)

    assert response.status_code == 403
    async with callers.desk.db.transaction() as session:
        seen = await preferences_of(
            session, callers.people[Role.AGENT], now=callers.desk.clock.now()
        )
    assert "email" in seen.channels["ticket-opened"]
