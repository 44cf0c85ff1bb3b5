"""Status, tags, release and files over HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kit.clock import FakeClock
from tests.ticketing.api.test_api import Client
from tests.ticketing.desk import Desk, make_desk
from ticketing.db.attachment_tables import Attachment
from ticketing.db.engine import Database
from ticketing.db.tables import TicketEvent
from ticketing.domain.enums import Role

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20


@pytest.fixture
async def desk(db: Database, clock: FakeClock) -> Desk:
    return await make_desk(db, clock)


@pytest.fixture
def api(desk: Desk) -> Client:
    return Client(desk)


async def _upload(
    api: Client, ticket_id: Any, token: str, *, name: str = "tela.png", content: bytes = PNG
) -> Any:
    return await api.ask(
        "POST",
        f"/tickets/{ticket_id}/attachments?filename={name}",
        token=token,
        content=content,
        headers={"Content-Type": "application/octet-stream"},
    )


async def test_a_file_is_put_on_a_ticket_listed_and_given_out_to_be_saved(
    desk: Desk, api: Client
) -> None:
    await desk.agent("ana")
    ticket_id, token = await desk.ticket(), await api.log_in("ana")
    added = await _upload(api, ticket_id, token, name="ação.png")
    assert added.status == 201, added.json
    assert (added.json["media_type"], added.json["size"]) == ("image/png", len(PNG))
    listed = await api.ask("GET", f"/tickets/{ticket_id}/attachments", token=token)
    assert [item["filename"] for item in listed.json["attachments"]] == ["ação.png"]
    file = await api.ask("GET", f"/attachments/{added.json['id']}", token=token)
    assert file.body == PNG
    assert file.headers["content-type"] == "image/png"
    disposition = file.headers["content-disposition"]
    assert disposition.startswith("attachment; ")
    assert "filename*=UTF-8''a%C3%A7%C3%A3o.png" in disposition
    assert file.headers["x-content-type-options"] == "nosniff"
    assert file.headers["content-security-policy"].startswith("sandbox")
    assert "private" in file.headers["cache-control"]


async def test_the_same_file_twice_is_one_file_and_one_event(desk: Desk, api: Client) -> None:
    await desk.agent("ana")
    ticket_id, token = await desk.ticket(), await api.log_in("ana")
    first = await _upload(api, ticket_id, token)
    again = await _upload(api, ticket_id, token)
    assert again.json["id"] == first.json["id"]
    assert len(await desk.all(Attachment)) == 1
    (event,) = await desk.all(TicketEvent, kind="attached")
    assert event.data["attachment_id"] == first.json["id"]
    assert "tela" not in str(event.data)


@pytest.mark.parametrize(
    ("name", "content", "field"),
    [
        ("fatura.pdf", b"MZ\x90\x00", "body"),
        ("logo.svg", b"<svg/>", "body"),
        ("foto.pdf", PNG, "filename"),
        ("foto", PNG, "filename"),
    ],
)
async def test_a_file_that_may_not_be_there_is_refused_with_field_and_reason(
    desk: Desk, api: Client, name: str, content: bytes, field: str
) -> None:
    await desk.agent("ana")
    ticket_id, token = await desk.ticket(), await api.log_in("ana")
    response = await _upload(api, ticket_id, token, name=name, content=content)
    assert (response.status, response.json["field"]) == (422, field)
    assert await desk.all(Attachment) == []


async def test_a_file_above_the_limit_is_refused(desk: Desk) -> None:
    await desk.agent("ana")
    ticket_id = await desk.ticket()

    class Small(Desk):
        @property
        def deps(self) -> Any:
            return replace(super().deps, attachment_max_bytes=len(PNG) - 1)

    api = Client(Small(desk.db, desk.clock))
    response = await _upload(api, ticket_id, await api.log_in("ana"))
    assert (response.status, response.json["field"]) == (422, "body")


async def test_who_may_not_see_the_ticket_gets_no_file(desk: Desk, api: Client) -> None:
    await desk.agent("ana", queues=("n1_support",))
    await desk.agent("bia", queues=("n2_technical",))
    ticket_id = await desk.ticket()
    added = await _upload(api, ticket_id, await api.log_in("ana"))
    bia = await api.log_in("bia")
    assert (await _upload(api, ticket_id, bia)).status == 403
    for path in (f"/attachments/{added.json['id']}", f"/tickets/{ticket_id}/attachments"):
        assert (await api.ask("GET", path, token=bia)).json["code"] == "not_visible"
    missing = await api.ask("GET", f"/attachments/{ticket_id}", token=bia)
    assert (missing.status, missing.json["code"]) == (404, "attachment_not_found")


async def test_waiting_needs_a_reason_and_going_on_does_not(desk: Desk, api: Client) -> None:
    await desk.agent("ana")
    ticket_id, token = await desk.ticket(), await api.log_in("ana")
    path = f"/tickets/{ticket_id}/status"
    pending = {"status": "pending_third_party"}
    free = await api.ask("POST", path, token=token, json=pending | {"reason": "x"})
    assert free.json["code"] == "not_allowed"
    await api.ask("POST", f"/tickets/{ticket_id}/take", token=token, json={})
    refused = await api.ask("POST", path, token=token, json=pending)
    assert "stops clocks" in refused.json["detail"]
    done = await api.ask("POST", path, token=token, json=pending | {"reason": "transportadora"})
    assert done.json["ticket"]["status"] == "pending_third_party"
    back = await api.ask("POST", path, token=token, json={"status": "open"})
    assert back.json["ticket"]["status"] == "open"
    wrong = await api.ask("POST", path, token=token, json={"status": "resolved"})
    assert wrong.json["allowed"] == ["open", "pending_customer", "pending_third_party"]


async def test_tags_are_put_on_and_taken_off_and_repeating_is_harmless(
    desk: Desk, api: Client
) -> None:
    await desk.agent("ana")
    ticket_id, token = await desk.ticket(), await api.log_in("ana")
    path = f"/tickets/{ticket_id}/tags"
    body = {"add": ["VIP Cliente", "reembolso"]}
    first = await api.ask("POST", path, token=token, json=body)
    assert first.json["ticket"]["tags"] == ["reembolso", "vip-cliente"]
    again = await api.ask("POST", path, token=token, json=body)
    assert again.json["repeated"] is True
    gone = await api.ask("POST", path, token=token, json={"remove": ["reembolso"]})
    assert gone.json["ticket"]["tags"] == ["vip-cliente"]
    for wrong in ({"add": ["<b>"]}, {}, {"add": [str(n) for n in range(21)]}):
        response = await api.ask("POST", path, token=token, json=wrong)
        assert response.status == 422, response.json


async def test_a_ticket_is_given_back_to_its_queue(desk: Desk, api: Client) -> None:
    await desk.agent("ana")
    ticket_id, token = await desk.ticket(), await api.log_in("ana")
    await api.ask("POST", f"/tickets/{ticket_id}/take", token=token, json={})
    done = await api.ask(
        "POST", f"/tickets/{ticket_id}/release", token=token, json={"reason": "fim do turno"}
    )
    assert done.json["ticket"]["agent_id"] is None
    assert done.json["ticket"]["control"] == "queued"


async def test_a_version_conflict_names_what_happened_since(desk: Desk, api: Client) -> None:
    await desk.agent("ana")
    await desk.agent("sofia", role=Role.SUPERVISOR)
    ticket_id, token = await desk.ticket(), await api.log_in("ana")
    await api.ask("POST", f"/tickets/{ticket_id}/take", token=token, json={})
    late = await api.ask(
        "POST",
        f"/tickets/{ticket_id}/priority",
        token=await api.log_in("sofia"),
        json={"priority": "high", "expected_version": 1},
    )
    assert (late.status, late.json["code"]) == (409, "version_conflict")
    assert [event["kind"] for event in late.json["since"]] == ["taken"]
