from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from kit.clock import FakeClock
from tests.ticketing.console.test_console import Browser
from tests.ticketing.desk import Desk, make_desk, order
from ticketing.db import tables
from ticketing.db.engine import Database
from ticketing.db.quality_tables import QualitySample
from ticketing.db.runbook_tables import RunbookMark
from ticketing.domain.enums import Role
from ticketing.domain.holder import Holder
from ticketing.domain.quality_file import parse_plan
from ticketing.gateways.content_files import load_runbooks
from ticketing.http.deps import Deps
from ticketing.services.quality_draw import QualityDraw

ROOT = Path(__file__).resolve().parents[3]
PLAN = parse_plan((ROOT / "quality.yml").read_text("utf-8").replace("share: 0.10  ", "share: 1  "))


class ContentDesk(Desk):
    """A desk with the shipped runbooks and plan."""

    @property
    def deps(self) -> Deps:
        book = load_runbooks(ROOT / "runbooks")
        return replace(super().deps, runbooks=Holder(book), quality=Holder(PLAN))


@pytest.fixture
async def desk(db: Database, clock: FakeClock) -> ContentDesk:
    plain = await make_desk(db, clock)
    return ContentDesk(plain.db, plain.clock, plain.woken, plain.queues, plain.people)


@pytest.fixture
def open_browser(desk: ContentDesk) -> Callable[[], Browser]:
    return lambda: Browser(desk)


async def refund_ticket(desk: Desk) -> uuid.UUID:
    ticket_id = await desk.ticket(name="Carlos <b>Lima")
    evidence = {"intent": "refund", "confidence": 0.9, "entities": {"order_number": ["<i>77"]}}
    async with desk.db.transaction() as session:
        await session.execute(
            update(tables.Handoff)
            .where(tables.Handoff.ticket_id == ticket_id)
            .values(evidence=evidence)
        )
    return ticket_id


def forms(page: str, action: str) -> dict[str, str]:
    """The hidden fields of the first form with this address."""
    form = page.split(f'action="{action}"')[1].split("</form>", maxsplit=1)[0]
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form))


async def test_steps_are_ticked_and_taken_back_on_the_ticket_page(
    desk: ContentDesk, open_browser: Callable[[], Browser]
) -> None:
    await desk.agent("ana")
    ticket_id = await refund_ticket(desk)
    browser = open_browser()
    await browser.log_in("ana")
    await browser.go(f"/console/tickets/{ticket_id}")
    assert "Cobrança e reembolso" in browser.page
    assert "faltam 3 passos obrigatórios" in browser.page
    path = f"/console/runbooks/{ticket_id}/tick"
    fields = forms(browser.page, path)
    assert fields["step"] == "confirm_identity"
    response = await browser.go(path, form=fields)
    assert response.status == 303
    await browser.go(response.headers["location"].partition("#")[0])
    assert "Roteiro atualizado" in browser.page
    assert "faltam 2 passos obrigatórios" in browser.page
    note = {**fields, "note": "CPF <conferido>"}
    assert (await browser.go(f"/console/runbooks/{ticket_id}/note", form=note)).status == 303
    await browser.go(f"/console/tickets/{ticket_id}")
    assert "CPF &lt;conferido&gt;" in browser.page
    assert len(await desk.all(RunbookMark)) == 2
    without_token = {**fields, "csrf": "x"}
    assert (await browser.go(path, form=without_token)).status == 403


async def test_a_picked_text_fills_the_box_and_leaves_with_what_it_began_as(
    desk: ContentDesk, open_browser: Callable[[], Browser]
) -> None:
    await desk.agent("ana")
    ticket_id = await refund_ticket(desk)
    browser = open_browser()
    await browser.log_in("ana")
    page = f"/console/tickets/{ticket_id}"
    await browser.go(f"{page}?template=billing.refund_registered")
    assert 'name="template" value="billing.refund_registered"' in browser.page
    box = browser.page.split('<textarea id="reply"')[1].split("</textarea>")[0]
    assert "Carlos, registrei o reembolso do pedido &lt;i&gt;77" in box
    fields = forms(browser.page, f"{page}/reply")
    half = {**fields, "text": "Oi {{contact.first_name}}", "status": "open"}
    response = await browser.go(f"{page}/reply", form=half)
    assert response.status == 422
    assert "Oi {{contact.first_name}}" in browser.page
    assert await desk.all(tables.Message, author="agent") == []
    whole = {**fields, "text": "Carlos, feito!", "status": "open"}
    assert (await browser.go(f"{page}/reply", form=whole)).status == 303
    (event,) = await desk.all(tables.TicketEvent, kind="replied")
    assert (event.data["template"], event.data["edited"]) == ("billing.refund_registered", True)
    desk.clock.advance(timedelta(hours=25))
    await browser.log_in("ana")
    await browser.go(page)
    assert "sai o modelo refund_update" in browser.page


async def test_the_page_says_why_a_ticket_is_not_resolved_and_a_supervisor_may_go_past(
    desk: ContentDesk, open_browser: Callable[[], Browser]
) -> None:
    await desk.agent("ana")
    await desk.agent("sofia", role=Role.SUPERVISOR)
    ticket_id = await refund_ticket(desk)
    page = f"/console/tickets/{ticket_id}"
    browser = open_browser()
    await browser.log_in("ana")
    await browser.go(page)
    await browser.go(f"{page}/take", form=forms(browser.page, f"{page}/take"))
    await browser.go(page)
    assert "override_reason" not in browser.page
    response = await browser.go(f"{page}/resolve", form=forms(browser.page, f"{page}/resolve"))
    assert response.status == 409
    assert "O roteiro pede passos obrigatórios" in browser.page
    supervisor = open_browser()
    await supervisor.log_in("sofia")
    await supervisor.go(page)
    fields = forms(supervisor.page, f"{page}/resolve") | {"override_reason": "duplicado"}
    assert (await supervisor.go(f"{page}/resolve", form=fields)).status == 303
    assert (await desk.row(ticket_id)).status == "resolved"
    await supervisor.go(page)
    assert "Sofia dispensou passos obrigatórios" in supervisor.page


async def test_a_review_from_the_list_to_the_agents_dispute_and_the_answer(
    desk: ContentDesk, open_browser: Callable[[], Browser]
) -> None:
    ana = await desk.agent("ana")
    await desk.agent("sofia", role=Role.SUPERVISOR)
    ticket_id = await refund_ticket(desk)
    await desk.service.take(order(ana, ticket_id))
    await desk.service.resolve(order(ana, ticket_id))
    desk.clock.advance(timedelta(days=7))
    await QualityDraw(desk.db, desk.clock, lambda: PLAN).draw()
    (sample,) = await desk.all(QualitySample)
    page = f"/console/quality/{sample.id}"
    supervisor, agent = open_browser(), open_browser()
    await supervisor.log_in("sofia")
    await agent.log_in("ana")
    assert (await agent.go(page)).status == 404  # a draw is nobody's news
    await agent.go("/console/quality")
    assert "Ainda não há avaliações do seu trabalho" in agent.page
    await agent.go(f"/console/tickets/{ticket_id}")
    assert "Em avaliação" in agent.page
    await supervisor.go("/console/quality")
    assert page in supervisor.page
    await supervisor.go(page)
    await supervisor.go(f"{page}/start", form=forms(supervisor.page, f"{page}/start"))
    await supervisor.go(page)
    fields = forms(supervisor.page, f"{page}/submit") | {"comment": "Faltou o <prazo>"}
    response = await supervisor.go(f"{page}/submit", form=fields)
    assert response.status == 422
    assert "Faltou o &lt;prazo&gt;" in supervisor.page
    answers = {
        f"answer.{item.key}": item.kind.answers[0 if item.key == "tone" else -2]
        for item in PLAN.scorecard.criteria
    }
    assert (await supervisor.go(f"{page}/submit", form=fields | answers)).status == 303
    await agent.go("/console/quality")
    assert "Faltou o &lt;prazo&gt;" in agent.page
    await agent.go(page)
    dispute = forms(agent.page, f"{page}/dispute") | {"reply": "O prazo está lá"}
    assert (await agent.go(f"{page}/dispute", form=dispute)).status == 303
    again = await agent.go(f"{page}/dispute", form=dispute | {"reply": "e mais"})
    assert again.status == 409
    await supervisor.go(page)
    assert "O prazo está lá" in supervisor.page
    settle = forms(supervisor.page, f"{page}/settle") | {"answer": "Tem razão"}
    assert (await supervisor.go(f"{page}/settle", form=settle)).status == 303
    await agent.go(page)
    assert "Tem razão" in agent.page
    for language in ("pt", "en", "es"):
        for tab in ("to_do", "second", "disputed", "done", "report", "mine"):
            response = await supervisor.go(f"/console/quality?tab={tab}&lang={language}")
            assert response.status == 200
    await supervisor.go("/console/quality?tab=report&lang=en")
    assert "too few reviews to say" in supervisor.page


async def test_people_without_the_permission_are_told_so_and_strangers_log_in(
    desk: ContentDesk, open_browser: Callable[[], Browser]
) -> None:
    await desk.agent("olga", role=Role.OPERATOR)
    browser = open_browser()
    assert (await browser.go("/console/quality")).status == 303
    await browser.log_in("olga")
    assert (await browser.go("/console/quality")).status == 403
    assert (await browser.go("/console/quality/xyz")).status in {403, 404}
