"""Service levels in the console: the panel of a ticket, the badge and the filter of the list."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from kit.clock import FakeClock
from tests.ticketing.console.test_console import Browser
from tests.ticketing.desk import Desk, make_desk
from tests.ticketing.sla_desk import sla_in_force
from ticketing.console import texts
from ticketing.db.engine import Database
from ticketing.domain.enums import ClockState, SlaMetric, SlaState, SlaThreshold, TicketStatus
from ticketing.domain.sla_alerts import Silence
from ticketing.services import sla_follow
from ticketing.services.sla_sweep import SlaSweep

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def desk(db: Database, clock: FakeClock) -> AsyncIterator[Desk]:
    made = await make_desk(db, clock)
    with sla_in_force(db):
        yield made


async def test_a_tickets_page_shows_every_clock_why_it_stands_so_and_who_was_told(
    desk: Desk, clock: FakeClock
) -> None:
    browser = Browser(desk)
    await desk.agent("ana")
    ticket_id = await desk.ticket()
    async with desk.db.transaction() as session:
        await sla_follow.follow(session, ticket_id, now=clock.now())
    clock.advance(250 * MINUTE)
    await SlaSweep(desk.db, clock, batch=10, cooldown=15 * MINUTE).run()
    await browser.log_in("ana")

    page = (await browser.go(f"/console/tickets/{ticket_id}")).text

    for words in (
        "Prazos (SLA)",
        "Primeira resposta",
        "vencido",
        "4 h 10 min de 4 h usados",
        "contam 4 h 10 min",
        "Prazo vencido",
        "Vencimento: Primeira resposta",
        "não avisado: o vencimento foi avisado",
    ):
        assert words in page


async def test_the_list_shows_how_a_ticket_stands_and_can_be_narrowed_to_it(
    desk: Desk, clock: FakeClock
) -> None:
    browser = Browser(desk)
    await desk.agent("ana")
    late = await desk.ticket(name="Zulmira Tardia")
    clock.advance(250 * MINUTE)
    fresh = await desk.ticket(name="Beto Novo")
    for ticket_id in (late, fresh):
        async with desk.db.transaction() as session:
            await sla_follow.follow(session, ticket_id, now=clock.now())
    await SlaSweep(desk.db, clock, batch=10, cooldown=15 * MINUTE).run()
    await browser.log_in("ana")

    everything = (await browser.go("/console")).text
    only_late = (await browser.go("/console?sla=breached")).text

    assert "Venceu há 10 min" in everything
    assert "Vence em 4 h" in everything
    assert "Zulmira Tardia" in only_late
    assert "Beto Novo" not in only_late


def test_every_code_of_the_panel_has_words() -> None:
    words = texts.catalogue("pt")
    wanted = {f"sla.metric.{item}" for item in SlaMetric}
    wanted |= {f"sla.clock.{item}" for item in ClockState}
    wanted |= {f"sla.state.{item}" for item in SlaState}
    wanted |= {f"sla.threshold.{item}" for item in SlaThreshold}
    wanted |= {f"sla.silence.{item}" for item in Silence}
    wanted |= {f"sla.why.{item}" for item in TicketStatus if item.value.startswith("pending")}
    reasons = ("running", "resolved", "no_target", "returned_to_bot", "closed", "merged")
    wanted |= {f"sla.why.{reason}" for reason in (*reasons, "calendar_never_opens")}
    assert wanted <= set(words)
