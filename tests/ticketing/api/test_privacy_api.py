"""Contacts, exports, erasures and the audit log over HTTP."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from kit.clock import FakeClock
from tests.ticketing.api.test_api import Client
from tests.ticketing.desk import Desk, make_desk
from ticketing.db import tables
from ticketing.db.engine import Database
from ticketing.domain.enums import Role
from ticketing.http.deps import Deps
from ticketing.services import contact_erasure, contact_export, privacy_jobs
from ticketing.services.contact_export import KEPT
from ticketing.services.person_stores import table_stores


@dataclass
class KeyedDesk(Desk):
    """A desk of an installation that has a privacy key."""

    @property
    def deps(self) -> Deps:
        return replace(super().deps, privacy_key="a key for tests only")


@dataclass
class Office:
    desk: Desk
    api: Client
    token: str
    contact_id: str

    async def get(self, path: str, **query: Any) -> Any:
        return await self.api.ask("GET", path, token=self.token, params=query)

    async def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return await self.api.ask("POST", path, token=self.token, json=body or {})

    async def work(self) -> None:
        """What the scheduler does."""
        db, clock = self.desk.db, self.desk.clock
        for job_id in await privacy_jobs.due_jobs(db, now=clock.now()):
            await contact_export.run(db, table_stores(db), job_id, clock=clock)


@pytest.fixture
async def office(db: Database, clock: FakeClock) -> Office:
    plain = await make_desk(db, clock)
    desk = KeyedDesk(db, clock, queues=plain.queues)
    await desk.agent("root", role=Role.ADMIN)
    ticket = await desk.ticket(name="Zenaide Quixaba")
    api = Client(desk)
    contact_id = str((await desk.row(ticket)).contact_id)
    return Office(desk, api, await api.log_in("root"), contact_id)


async def test_a_contact_is_found_read_and_corrected(office: Office) -> None:
    one = f"/contacts/{office.contact_id}"

    found = await office.get("/contacts", q="quixaba", vip="false")
    changed = await office.post(one, {"name": "Zenaide Souza", "vip": True})
    again = await office.post(one, {"name": "Zenaide Souza", "vip": True})

    assert [line["id"] for line in found.json["contacts"]] == [office.contact_id]
    assert (changed.status, changed.json["name"], changed.json["vip"]) == (
        200,
        "Zenaide Souza",
        True,
    )
    assert again.json == changed.json
    assert (await office.get(one)).json == changed.json
    log = await office.get("/audit", action="contact.*")
    assert [(entry["action"], entry["data"]) for entry in log.json["entries"]] == [
        ("contact.changed", {"fields": ["name", "vip"]})
    ]
    ticket = (await office.get("/tickets", q="souza")).json["tickets"]
    assert len(ticket) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [({"email": "nobody"}, "email"), ({"vip": None}, "vip"), ({"phone": "1"}, "phone"), ({}, "")],
)
async def test_a_wrong_correction_names_the_field(
    office: Office, body: dict[str, Any], field: str
) -> None:
    answer = await office.post(f"/contacts/{office.contact_id}", body)

    assert answer.status == 422
    assert field in answer.text


async def test_an_export_is_made_fetched_and_every_read_is_written_down(office: Office) -> None:
    asked = await office.post(f"/contacts/{office.contact_id}/export")
    job = f"/privacy-jobs/{asked.json['id']}"
    early = await office.get(f"{job}/file")
    await office.work()
    done = await office.get(job)
    file = await office.get(f"{job}/file")
    office.desk.clock.advance(KEPT + timedelta(seconds=1))
    token = await office.api.log_in("root")
    late = await office.api.ask("GET", f"{job}/file", token=token)

    assert (asked.status, early.status) == (202, 404)
    assert early.json["code"] == "export_not_found"
    assert done.json["state"] == "done"
    assert file.headers["content-type"] == "application/zip"
    assert "attachment" in file.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(file.body)) as archive:
        assert "Zenaide Quixaba" in archive.read("contacts.json").decode()
    assert late.status == 404
    log = await office.api.ask("GET", "/audit", token=token, params={"action": "contact.*"})
    assert [entry["action"] for entry in log.json["entries"]] == [
        "contact.export_read",
        "contact.exported",
        "contact.export_requested",
    ]


async def test_an_erasure_is_refused_with_the_open_ticket_and_done_after_it(
    office: Office,
) -> None:
    one = f"/contacts/{office.contact_id}"
    preview = await office.get(f"{one}/erasure")
    refused = await office.post(f"{one}/erase")
    assert preview.status == 200
    assert any("#1001" in reason for reason in preview.json["refused"])
    assert (refused.status, refused.json["code"]) == (409, "erasure_refused")
    assert [ticket["number"] for ticket in refused.json["tickets"]] == [1001]

    now = office.desk.clock.now()
    async with office.desk.db.transaction() as session:
        await session.execute(
            update(tables.Ticket).values(status="closed", resolved_at=now, closed_at=now)
        )
    asked = await office.post(f"{one}/erase", {"force": True})
    assert (asked.status, asked.json["state"]) == (202, "pending")
    job_id = (await privacy_jobs.due_jobs(office.desk.db, now=now))[0]
    stores = table_stores(office.desk.db)
    await contact_erasure.run(office.desk.db, stores, job_id, clock=office.desk.clock)

    view = (await office.get(one)).json
    assert (view["name"], view["phone"], view["identities"]) == (None, None, [])
    assert view["erased_at"] is not None
    assert (await office.post(one, {"name": "x"})).json["code"] == "contact_erased"
    assert (await office.get("/contacts")).json["contacts"] == []
    async with office.desk.db.transaction() as session:
        assert await session.scalar(select(tables.Message.text)) is None


async def test_a_legal_hold_stops_an_erasure(office: Office) -> None:
    one = f"/contacts/{office.contact_id}"
    held = await office.post(f"{one}/hold", {"reason": "Processo 1"})
    again = await office.post(f"{one}/hold", {"reason": "Processo 1"})
    refused = await office.post(f"{one}/erase", {"force": True})
    released = await office.post(f"{one}/release")

    assert (held.json["changed"], again.json["changed"], released.json["held"]) == (
        True,
        False,
        False,
    )
    assert any("legal hold" in reason for reason in refused.json["reasons"])


async def test_without_a_key_nobody_can_be_erased(db: Database, clock: FakeClock) -> None:
    desk = await make_desk(db, clock)
    await desk.agent("root", role=Role.ADMIN)
    ticket = await desk.ticket()
    api = Client(desk)
    contact_id = (await desk.row(ticket)).contact_id

    answer = await api.ask(
        "POST", f"/contacts/{contact_id}/erase", token=await api.log_in("root"), json={}
    )

    assert (answer.status, answer.json["code"]) == (503, "erasure_unavailable")


async def test_responsibility_for_a_ticket_is_in_the_audit_log(office: Office) -> None:
    (line,) = (await office.get("/tickets")).json["tickets"]

    await office.post(f"/tickets/{line['id']}/take")

    log = (await office.get("/audit", subject=f"ticket:{line['id']}")).json["entries"]
    assert [entry["action"] for entry in log] == ["ticket.taken"]
    assert log[0]["actor"].startswith("agent:")
    assert log[0]["data"]["to_status"] == "open"


async def test_wrong_filters_of_the_audit_log_are_named(office: Office) -> None:
    for query, field in (({"since": "2026-01-01"}, "since"), ({"cursor": "x"}, "cursor"),
                         ({"limit": "0"}, "limit")):  # fmt: skip
        answer = await office.get("/audit", **query)
        assert answer.status == 422
        assert field in answer.text
