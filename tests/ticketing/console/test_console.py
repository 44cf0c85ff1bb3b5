from __future__ import annotations

import itertools
import re
from datetime import timedelta
from typing import Any

import pytest
from sanic import Sanic

from kit.clock import FakeClock
from tests.ticketing.desk import PASSWORD, Desk, make_desk, order
from ticketing.console.app import create_blueprints
from ticketing.db import tables
from ticketing.db.engine import Database
from ticketing.domain.enums import Role

_names = itertools.count()


class Browser:
    """A browser with cookies that follows no redirects by itself."""

    def __init__(self, desk: Desk) -> None:
        self.app: Sanic[Any, Any] = Sanic(f"console-{next(_names)}", configure_logging=False)
        for blueprint in create_blueprints(desk.deps):
            self.app.blueprint(blueprint)
        self.cookies: dict[str, str] = {}
        self.page = ""

    async def go(
        self,
        path: str,
        *,
        form: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        client = self.app.asgi_client
        client.cookies.clear()
        sent = {"Accept-Language": "pt-BR", **(headers or {})}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        method = "GET" if form is None else "POST"
        _, response = await client.request(
            method, path, data=form, headers=sent, follow_redirects=False
        )
        for line in response.headers.get_list("set-cookie"):
            name, _, rest = line.partition("=")
            self.cookies[name] = rest.partition(";")[0]
        self.page = response.text
        return response

    @property
    def csrf(self) -> str:
        return re.findall(r'name="csrf" value="([^"]+)"', self.page)[0]

    async def log_in(self, name: str) -> Any:
        await self.go("/console/login")
        form = {"csrf": self.csrf, "email": f"{name}@example.com", "password": PASSWORD}
        return await self.go("/console/login", form=form)


@pytest.fixture
async def desk(db: Database, clock: FakeClock) -> Desk:
    return await make_desk(db, clock)


@pytest.fixture
def browser(desk: Desk) -> Browser:
    return Browser(desk)


async def test_without_a_login_every_page_leads_to_it_and_back(
    desk: Desk, browser: Browser
) -> None:
    ticket_id = await desk.ticket()
    for path in ("/console", f"/console/tickets/{ticket_id}", "/console/whatever"):
        response = await browser.go(path)
        assert response.status == 303
        assert response.headers["location"] == f"/console/login?next={path}"
    assert (await browser.go("/console/rows")).status == 401


@pytest.mark.parametrize(
    ("wanted", "target"),
    [
        ("/console/tickets/1", "/console/tickets/1"),
        ("https://evil.example/console", "/console"),
        ("//evil.example/console", "/console"),
        ("/console\\@evil.example", "/console"),
        ("/other", "/console"),
    ],
)
async def test_the_login_goes_on_to_our_own_pages_only(
    desk: Desk, browser: Browser, wanted: str, target: str
) -> None:
    await desk.agent("ana")
    await browser.go("/console/login")
    form = {
        "csrf": browser.csrf,
        "email": "ana@example.com",
        "password": PASSWORD,
        "next": wanted,
    }
    response = await browser.go("/console/login", form=form)
    assert (response.status, response.headers["location"]) == (303, target)


async def test_a_wrong_password_is_told_in_portuguese_and_keeps_the_address(
    desk: Desk, browser: Browser
) -> None:
    await desk.agent("ana")
    await browser.go("/console/login")
    form = {"csrf": browser.csrf, "email": "ana@example.com", "password": "x"}
    response = await browser.go("/console/login", form=form)
    assert response.status == 401
    assert "E-mail ou senha incorretos" in response.text
    assert 'value="ana@example.com"' in response.text


async def test_a_login_form_of_another_site_is_refused(desk: Desk, browser: Browser) -> None:
    await desk.agent("ana")
    form = {"csrf": "x", "email": "ana@example.com", "password": PASSWORD}
    assert (await browser.go("/console/login", form=form)).status == 403


async def test_the_list_shows_who_waits_and_the_filters_narrow_it(
    desk: Desk, browser: Browser
) -> None:
    await desk.agent("ana")
    await desk.ticket(name="Carlos", priority="urgent")
    await desk.ticket(name="Marta")
    await browser.log_in("ana")
    page = (await browser.go("/console")).text
    assert page.index("Carlos") < page.index("Marta")
    assert "Vence em 4 h" in page
    page = (await browser.go("/console?priority=urgent")).text
    assert "Carlos" in page
    assert "Marta" not in page
    for odd in ("priority=nope", "cursor=zzz", "tab=zzz", "text=%00", "queue=%00"):
        assert (await browser.go(f"/console?{odd}")).status == 200


async def test_a_part_that_has_not_changed_is_not_sent_again(desk: Desk, browser: Browser) -> None:
    await desk.agent("ana")
    ticket_id = await desk.ticket()
    await browser.log_in("ana")
    path = f"/console/tickets/{ticket_id}/conversation"
    tag = (await browser.go(path)).headers["etag"]
    again = await browser.go(path, headers={"If-None-Match": tag})
    assert again.status == 304


async def test_take_reply_note_and_resolve_by_forms(desk: Desk, browser: Browser) -> None:
    await desk.agent("ana")
    ticket_id = await desk.ticket()
    await browser.log_in("ana")
    base = f"/console/tickets/{ticket_id}"
    await browser.go(base)
    csrf = browser.csrf
    taken = await browser.go(f"{base}/take", form={"csrf": csrf, "expected_version": "1"})
    assert taken.headers["location"] == f"{base}?done=take"
    assert "O atendimento é seu." in (await browser.go(f"{base}?done=take")).text
    reply = {"csrf": csrf, "text": "Olá <b>", "key": "k1", "status": "pending_customer"}
    for _ in range(2):  # a double click
        await browser.go(f"{base}/reply", form=reply)
    await browser.go(f"{base}/note", form={"csrf": csrf, "text": "nota", "key": "k2"})
    messages = await desk.all(tables.Message)
    assert [item.author for item in messages] == ["customer", "agent", "agent"]
    page = (await browser.go(base)).text
    assert "Olá &lt;b&gt;" in page
    assert "Nota interna" in page
    version = (await desk.row(ticket_id)).version
    await browser.go(f"{base}/resolve", form={"csrf": csrf, "expected_version": str(version)})
    assert (await desk.row(ticket_id)).status == "resolved"
    assert "Este atendimento terminou." in (await browser.go(base)).text


async def test_a_form_without_the_token_changes_nothing(desk: Desk, browser: Browser) -> None:
    await desk.agent("ana")
    ticket_id = await desk.ticket()
    await browser.log_in("ana")
    for form in ({}, {"csrf": "wrong"}):
        response = await browser.go(f"/console/tickets/{ticket_id}/take", form=form or {"a": "b"})
        assert response.status == 403
    await browser.go(f"/console/tickets/{ticket_id}")
    foreign = await browser.go(
        f"/console/tickets/{ticket_id}/take",
        form={"csrf": browser.csrf},
        headers={"Origin": "https://evil.example"},
    )
    assert foreign.status == 403
    assert (await desk.row(ticket_id)).agent_id is None


async def test_the_slower_of_two_is_told_and_keeps_their_words(
    desk: Desk, browser: Browser
) -> None:
    ana = await desk.agent("ana")
    await desk.agent("bia")
    ticket_id = await desk.ticket()
    await browser.log_in("bia")
    base = f"/console/tickets/{ticket_id}"
    await browser.go(base)
    csrf = browser.csrf
    await desk.service.take(order(ana, ticket_id))
    lost = await browser.go(f"{base}/take", form={"csrf": csrf, "expected_version": "1"})
    assert lost.status == 409
    assert "Outra pessoa foi mais rápida" in lost.text
    refused = await browser.go(f"{base}/note", form={"csrf": csrf, "text": " "})
    assert refused.status == 422
    assert "Confira o campo Mensagem." in refused.text


async def test_escalating_up_and_down_by_one_form(desk: Desk, browser: Browser) -> None:
    await desk.agent("sofia", role=Role.SUPERVISOR)
    ticket_id = await desk.ticket()
    await browser.log_in("sofia")
    base = f"/console/tickets/{ticket_id}"
    await browser.go(base)
    for queue, level in (("n3_risk", "N3"), ("n1_support", "N1")):
        form = {"csrf": browser.csrf, "queue": queue, "reason": "porque sim"}
        response = await browser.go(f"{base}/escalate", form=form)
        assert response.status == 303, response.text
        assert (await desk.row(ticket_id)).level == level
        await browser.go(base)
    assert "N1 → N3" in browser.page
    assert "porque sim" in browser.page


async def test_customer_text_is_text_and_loses_what_reorders_it(
    desk: Desk, browser: Browser
) -> None:
    await desk.agent("ana")
    ticket_id = await desk.ticket(
        name="<script>alert(1)</script>\u202e", text="<img src=x onerror=alert(1)>\u202etxt\x07"
    )
    await browser.log_in("ana")
    for path in ("/console", f"/console/tickets/{ticket_id}"):
        page = (await browser.go(path)).text
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "\u202e" not in page
        assert "&lt;script&gt;alert(1)" in page
    assert "&lt;img src=x onerror=alert(1)&gt;txt<" in page


async def test_the_page_says_why_the_conversation_came_to_a_person(
    desk: Desk, browser: Browser
) -> None:
    await desk.agent("ana")
    ticket_id = await desk.ticket()
    await browser.log_in("ana")
    page = (await browser.go(f"/console/tickets/{ticket_id}")).text
    assert "O cliente pediu para falar com uma pessoa." in page
    assert "asked_for_person@v1" in page
    assert "91%" in page
    assert "critical_intents" in page
    assert "esperado: one of report_fraud, safety_incident" in page


async def test_a_ticket_of_another_queue_is_not_shown(desk: Desk, browser: Browser) -> None:
    await desk.agent("ana", queues=("n2_billing",))
    ticket_id = await desk.ticket()
    await browser.log_in("ana")
    response = await browser.go(f"/console/tickets/{ticket_id}")
    assert response.status == 403
    assert "núcleo que você não atende" in response.text
    assert "Carlos" not in response.text


async def test_the_closed_window_is_announced(desk: Desk, browser: Browser) -> None:
    await desk.agent("ana")
    ticket_id = await desk.ticket()
    desk.clock.advance(timedelta(hours=25))
    await browser.log_in("ana")
    assert "Passaram 24 h" in (await browser.go(f"/console/tickets/{ticket_id}")).text


@pytest.mark.parametrize(
    ("language", "words"), [("pt", "Esperando"), ("en", "Waiting"), ("es", "En espera")]
)
async def test_the_language_that_was_chosen_is_kept(
    desk: Desk, browser: Browser, language: str, words: str
) -> None:
    await desk.agent("ana")
    await browser.log_in("ana")
    await browser.go(f"/console?lang={language}")
    page = (await browser.go("/console")).text
    assert words in page
    ticket_id = await desk.ticket()
    assert (await browser.go(f"/console/tickets/{ticket_id}")).status == 200


async def test_pages_are_hardened_and_styles_may_be_kept(desk: Desk, browser: Browser) -> None:
    response = await browser.go("/console/login")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "<style" not in response.text
    assert re.search(r"<script(?! src=)", response.text) is None
    path = re.findall(r'href="(/console/static/[^"]+\.css)"', response.text)[0]
    styles = await browser.go(path)
    assert "immutable" in styles.headers["cache-control"]
    assert (await browser.go("/console/static/x/../app.py")).status in {303, 404}


async def test_logging_out_ends_the_session_on_the_server(desk: Desk, browser: Browser) -> None:
    await desk.agent("ana")
    await browser.log_in("ana")
    await browser.go("/console")
    await browser.go("/console/logout", form={"csrf": browser.csrf})
    assert await desk.all_sessions() == []


async def test_an_agent_says_whether_the_handoff_was_right_and_may_think_again(
    desk: Desk, browser: Browser
) -> None:
    await desk.agent("ana")
    ticket_id = await desk.ticket()
    await browser.log_in("ana")
    await browser.go(f"/console/tickets/{ticket_id}")
    assert "Esta transferência foi certa?" in browser.page
    for verdict in ("wrong", "right"):
        form = {"csrf": browser.csrf, "verdict": verdict, "true_intent": "order_status"}
        response = await browser.go(f"/console/tickets/{ticket_id}/review", form=form)
        assert response.status == 303
        await browser.go(response.headers["location"])
        assert "Avaliação salva." in browser.page
    assert re.search(r'value="right" class="chosen"', browser.page)
    assert '<option value="order_status" selected>' in browser.page
    assert "Ana avaliou a transferência" in browser.page


async def test_a_review_of_an_unknown_kind_is_refused_on_the_page(
    desk: Desk, browser: Browser
) -> None:
    await desk.agent("ana")
    ticket_id = await desk.ticket()
    await browser.log_in("ana")
    await browser.go(f"/console/tickets/{ticket_id}")
    form = {"csrf": browser.csrf, "verdict": "perhaps"}
    response = await browser.go(f"/console/tickets/{ticket_id}/review", form=form)
    assert response.status == 422
