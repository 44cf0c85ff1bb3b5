"""Files, tags, status and release by the forms of a ticket's page."""

from __future__ import annotations

import re
from typing import Any

import pytest

from kit.clock import FakeClock
from tests.ticketing.console.test_console import Browser
from tests.ticketing.desk import Desk, make_desk
from ticketing.db.attachment_tables import Attachment
from ticketing.db.engine import Database

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20


@pytest.fixture
async def desk(db: Database, clock: FakeClock) -> Desk:
    return await make_desk(db, clock)


@pytest.fixture
def browser(desk: Desk) -> Browser:
    return Browser(desk)


async def _act(browser: Browser, ticket_id: Any, action: str, **fields: str) -> Any:
    await browser.go(f"/console/tickets/{ticket_id}")
    token = re.search(r'name="csrf" value="([^"]+)"', browser.page)
    assert token is not None
    form = {"csrf": token.group(1), **fields}
    return await browser.go(f"/console/tickets/{ticket_id}/{action}", form=form)


async def test_status_tags_and_release_by_forms_and_the_history_is_in_words(
    desk: Desk, browser: Browser
) -> None:
    await desk.agent("ana")
    ticket_id = await desk.ticket()
    await browser.log_in("ana")
    await _act(browser, ticket_id, "take")
    await _act(browser, ticket_id, "tags", tags="VIP Cliente, reembolso")
    await _act(browser, ticket_id, "tags", tags="vip-cliente")
    await _act(browser, ticket_id, "status", status="pending_third_party", reason="transportadora")
    row = await desk.row(ticket_id)
    assert (row.tags, row.status) == (["vip-cliente"], "pending_third_party")
    await _act(browser, ticket_id, "release", reason="fim do turno")
    assert (await desk.row(ticket_id)).agent_id is None
    await browser.go(f"/console/tickets/{ticket_id}")
    for words in (
        "Ana mudou as etiquetas",
        "+ vip-cliente",
        "- reembolso",
        "Ana mudou a situação",
        "Aberto → Aguarda terceiro",
        "fim do turno",
    ):
        assert words in browser.page


async def test_a_form_of_another_site_uploads_nothing(desk: Desk, browser: Browser) -> None:
    await desk.agent("ana")
    ticket_id = await desk.ticket()
    await browser.log_in("ana")
    client = browser.app.asgi_client
    _, response = await client.request(
        "POST",
        f"/console/upload/{ticket_id}",
        data={"csrf": "wrong"},
        files={"file": ("tela.png", PNG, "image/png")},
        headers={"Cookie": "; ".join(f"{k}={v}" for k, v in browser.cookies.items())},
    )
    assert response.status == 403
    assert await desk.all(Attachment) == []


async def test_a_file_is_uploaded_shown_and_given_out_to_be_saved(
    desk: Desk, browser: Browser
) -> None:
    await desk.agent("ana")
    ticket_id = await desk.ticket()
    await browser.log_in("ana")
    await browser.go(f"/console/tickets/{ticket_id}")
    token = re.search(r'name="csrf" value="([^"]+)"', browser.page)
    assert token is not None
    cookie = {"Cookie": "; ".join(f"{k}={v}" for k, v in browser.cookies.items())}
    client = browser.app.asgi_client
    client.cookies.clear()
    _, response = await client.request(
        "POST",
        f"/console/upload/{ticket_id}",
        data={"csrf": token.group(1)},
        files={"file": ("tela.png", PNG, "image/png")},
        headers=cookie,
    )
    assert response.status == 303, response.text
    (row,) = await desk.all(Attachment)
    assert (row.filename, row.media_type) == ("tela.png", "image/png")
    await browser.go(f"/console/tickets/{ticket_id}")
    assert f"/console/files/{row.id}" in browser.page
    client.cookies.clear()
    _, file = await client.request("GET", f"/console/files/{row.id}", headers=cookie)
    assert file.body == PNG
    assert file.headers["content-disposition"].startswith("attachment")
    assert file.headers["x-content-type-options"] == "nosniff"
