"""GET /tickets: filters, search, orders and cursors, over HTTP and a real PostgreSQL."""

from __future__ import annotations

import base64
import itertools
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from sqlalchemy import update

from kit.clock import FakeClock
from tests.ticketing.api.test_api import Client
from tests.ticketing.desk import Desk, make_desk
from ticketing.db.engine import Database
from ticketing.db.tables import Company, Contact, Team, Ticket
from ticketing.domain.enums import Role
from ticketing.services import ticket_search


@pytest.fixture
async def desk(db: Database, clock: FakeClock) -> Desk:
    return await make_desk(db, clock)


@pytest.fixture
def api(desk: Desk) -> Client:
    return Client(desk)


async def change(desk: Desk, ticket_id: uuid.UUID, **values: Any) -> None:
    async with desk.db.transaction() as session:
        await session.execute(update(Ticket).where(Ticket.id == ticket_id).values(**values))


async def ask(api: Client, token: str, query: str) -> list[str]:
    page = await api.ask("GET", f"/tickets?{query}", token=token)
    assert page.status == 200, page.json
    return [item["id"] for item in page.json["tickets"]]


async def test_every_filter_takes_several_values_and_narrows(desk: Desk, api: Client) -> None:
    await desk.agent("sofia", role=Role.SUPERVISOR)
    ana = await desk.agent("ana")
    token = await api.log_in("sofia")
    first = await desk.ticket(priority="urgent", language="es")
    desk.clock.advance(timedelta(hours=1))
    second = await desk.ticket(queue="n2_billing")
    team, company = Team(name="Financeiro"), Company(name="ACME, Ltda")
    async with desk.db.transaction() as session:
        session.add_all([team, company])
    opened = (await desk.row(second)).opened_at
    await change(
        desk, first, tags=["a", "vip"], severity="S1", sla_state="breached", channel="webchat",
        team_id=team.id, company_id=company.id, status="open", agent_id=ana.agent_id,
    )  # fmt: skip
    await change(desk, second, updated_at=opened + timedelta(hours=5))
    contact = (await desk.row(first)).contact_id
    middle = quote((opened - timedelta(minutes=30)).isoformat())
    only_first = [
        "priority=urgent", "priority=urgent,low", "severity=S1&severity=S2", "level=N1",
        "status=open", "queue=n1_support,n3_risk", f"queue={desk.queues['n1_support']}",
        f"agent={ana.agent_id}", f"team={quote('Financeiro')}", f"team={team.id}",
        f"company={company.id}", "tag=vip", "tag=x,a", "channel=webchat", "language=es,en",
        "sla=breached,warning", f"contact={contact}", f"opened_to={middle}",
        f"updated_to={middle}", "priority=urgent&language=es&tag=a",
    ]  # fmt: skip
    for query in only_first:
        assert await ask(api, token, query) == [str(first)], query
    only_second = ["agent=none", "status=new", f"opened_from={middle}", f"updated_from={middle}"]
    for query in only_second:
        assert await ask(api, token, query) == [str(second)], query
    for query in (f"agent=none,{ana.agent_id}", "", "open=true", "status=new,open"):
        assert len(await ask(api, token, query)) == 2, query
    for query in ("agent=me", "tag=none", "sla=met", f"opened_from={middle}&priority=urgent"):
        assert await ask(api, token, query) == [], query


@pytest.mark.parametrize(
    ("query", "field", "allowed"),
    [
        ("priority=HIGH", "priority.0", ["low", "normal", "high", "urgent"]),
        ("sla=late", "sla.0", ["none", "ok", "warning", "breached", "paused", "met"]),
        ("sort=age", "sort", ["urgency", "newest", "oldest", "due", "updated"]),
        ("queue=nope", "queue", sorted(
            ["n1_support", "n1_spanish", "n2_technical", "n2_billing", "n3_risk"]
        )),
        ("team=nope", "team", None),
        ("company=nope", "company", None),
        ("agent=somebody", "agent.0", None),
        ("contact=1", "contact", None),
        ("language=portuguese", "language.0", None),
        ("opened_from=yesterday", "opened_from", None),
        ("opened_from=2026-03-10T13:00:00", "opened_from", None),
        ("opened_from=2026-03-10T13:00:00Z&opened_to=2026-03-10T13:00:00Z", "body", None),
        ("limit=101", "limit", None),
        ("limit=5&limit=6", "limit", None),
        ("colour=red", "colour", None),
        ("q=" + "x" * 101, "q", None),
        ("q=a%00b", "q", None),
        ("tag=" + "x," * 60, "tag", None),
    ],
)  # fmt: skip
async def test_a_wrong_filter_is_named_with_what_is_allowed(
    desk: Desk, api: Client, query: str, field: str, allowed: list[str] | None
) -> None:
    await desk.agent("ana")
    response = await api.ask("GET", f"/tickets?{query}", token=await api.log_in("ana"))
    assert (response.status, response.json["field"]) == (422, field), response.json
    if allowed is not None:
        assert response.json["allowed"] == allowed


@pytest.mark.parametrize(
    "words",
    [
        "Julia", "JÚLIA", "jul", "conceicao", "júlia conceição", "reembolso", "Conceição reembolso",
        "duplicada", "77821", "julia@acme", "acme.com.br", "+55 11 91234-5678", "11912345678",
        "1112345678", "5678", "nota fiscal", "interna", "#{number}", "{number}",
    ],
)  # fmt: skip
async def test_a_ticket_is_found_by_anything_people_remember(
    desk: Desk, api: Client, words: str
) -> None:
    await desk.agent("ana")
    token = await api.log_in("ana")
    await desk.ticket(name="Pedro Alves", subject="Entrega", text="onde está?")
    wanted = await desk.ticket(
        name="Júlia Conceição", subject="Reembolso", text="Cobrança duplicada do pedido 77821"
    )
    row = await desk.row(wanted)
    async with desk.db.transaction() as session:
        await session.execute(
            update(Contact)
            .where(Contact.id == row.contact_id)
            .values(email="julia@acme.com.br", phone="+5511912345678")
        )
        await ticket_search.index_contact(session, row.contact_id)
    base = f"/tickets/{wanted}"
    await api.ask("POST", f"{base}/reply", token=token, json={"text": "Envie a Nota Fiscal"})
    await api.ask("POST", f"{base}/notes", token=token, json={"text": "Observação interna"})
    found = await ask(api, token, "q=" + quote(words.format(number=row.number)))
    assert found == [str(wanted)]


async def test_words_are_all_wanted_and_punctuation_is_no_word(desk: Desk, api: Client) -> None:
    await desk.agent("ana")
    token = await api.log_in("ana")
    await desk.ticket(name="Júlia", text="cobrança")
    for words in (
        "julia entrega",
        "!!!",
        "%",
        "' or 1=1",
        "\\",
        "🙂",
        "#0",
        "#99999999999999999999",
    ):
        assert await ask(api, token, "q=" + quote(words)) == [], words
    assert len(await ask(api, token, "q=")) == 1
    assert len(await ask(api, token, "text=julia")) == 1


async def test_every_order_shows_every_ticket_once_also_while_tickets_change(
    desk: Desk, api: Client
) -> None:
    await desk.agent("sofia", role=Role.SUPERVISOR)
    token = await api.log_in("sofia")
    ids = []
    for priority in ("low", "urgent", "normal", "high", "normal", "urgent", "low"):
        ids.append(await desk.ticket(priority=priority))
        desk.clock.advance(timedelta(minutes=1))
    await change(desk, ids[1], status="resolved", resolved_at=desk.clock.now())
    await change(desk, ids[2], sla_expires_at=None)
    seen: dict[str, list[str]] = {}
    for sort in ("urgency", "newest", "oldest", "due", "updated"):
        seen[sort] = []
        cursor = ""
        while True:
            path = f"/tickets?limit=2&sort={sort}" + (f"&cursor={cursor}" if cursor else "")
            page = (await api.ask("GET", path, token=token)).json
            seen[sort] += [item["id"] for item in page["tickets"]]
            cursor = page["next_cursor"]
            assert page["has_more"] is (cursor is not None)
            if cursor is None:
                break
            # What was shown already changes behind the reader's back.
            shown = uuid.UUID(seen[sort][0])
            await change(desk, shown, version=Ticket.version + 1, subject="changed")
        assert sorted(seen[sort]) == sorted(str(item) for item in ids), sort
    rows = [await desk.row(item) for item in ids]
    by_number = [str(row.id) for row in sorted(rows, key=lambda row: row.number)]
    assert seen["oldest"] == by_number
    assert seen["newest"] == by_number[::-1]
    assert seen["urgency"][0] == str(ids[5])  # the open urgent one
    assert seen["urgency"][-1] == seen["due"][-1] == str(ids[1])  # the resolved one
    assert seen["due"][-2] == str(ids[2])  # without a clock
    ranks = [row.serve_rank for item in seen["urgency"][:-1] for row in rows if str(row.id) == item]
    assert ranks == sorted(ranks)


def _cursor(*values: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(values)).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "xxx", "%20", "a", _cursor(), _cursor("newest"), _cursor("newest", "1"),
        _cursor("newest", True), _cursor("newest", 2**63), _cursor("newest", 1, 2),
        _cursor("urgency", 0, 1, 1), _cursor("urgency", False, 2**62, 1),
        _cursor("due", False, "2026-03-10", 1),
        _cursor("due", False, "0001-01-01T00:00:00+09:00", 1),
        _cursor("updated", None, 1), _cursor({"a": 1}), "é" * 20, "=" * 8,
    ],
)  # fmt: skip
async def test_a_cursor_that_was_not_made_here_is_refused(
    desk: Desk, api: Client, cursor: str
) -> None:
    await desk.agent("ana")
    token = await api.log_in("ana")
    for sort in ("newest", "urgency", "due", "updated"):
        path = f"/tickets?sort={sort}&cursor={quote(cursor)}"
        response = await api.ask("GET", path, token=token)
        assert (response.status, response.json["field"]) == (422, "cursor")


async def test_a_count_is_given_when_asked_for(desk: Desk, api: Client) -> None:
    await desk.agent("ana", queues=("n1_support",))
    token = await api.log_in("ana")
    for queue in ("n1_support", "n1_support", "n2_billing"):
        await desk.ticket(queue=queue)
    page = (await api.ask("GET", "/tickets?limit=1&count=true", token=token)).json
    assert (len(page["tickets"]), page["count"], page["count_is_capped"]) == (1, 2, False)
    assert (await api.ask("GET", "/tickets", token=token)).json["count"] is None


async def test_filters_never_show_what_is_not_visible(desk: Desk, api: Client) -> None:
    await desk.agent("ana", queues=("n1_support",))
    token = await api.log_in("ana")
    foreign = await desk.ticket(queue="n2_billing", name="Segredo")
    number = (await desk.row(foreign)).number
    queries = ["q=segredo", f"q=%23{number}", "queue=n2_billing", "agent=none", "sort=due"]
    for query, more in itertools.product(queries, ("", "&open=true")):
        assert await ask(api, token, query + more) == []


async def test_a_rebuild_finds_nothing_to_repair_after_real_work(desk: Desk, api: Client) -> None:
    await desk.agent("ana")
    token = await api.log_in("ana")
    ticket_id = await desk.ticket(text="Cobrança indevida")
    base = f"/tickets/{ticket_id}"
    await api.ask("POST", f"{base}/reply", token=token, json={"text": "Olá, já vejo"})
    await api.ask("POST", f"{base}/notes", token=token, json={"text": "ligou também"})
    await api.ask("POST", f"{base}/resolve", token=token, json={"closing_text": "Feito"})
    assert await ticket_search.reindex(desk.db) == ticket_search.Reindexed(1, 0)
    async with desk.db.transaction() as session:
        contact_id = (await desk.row(ticket_id)).contact_id
        assert await ticket_search.forget_contact(session, contact_id) == 1
    assert await ask(api, token, "q=cobranca") == []
    assert await ticket_search.reindex(desk.db, batch=1) == ticket_search.Reindexed(1, 1)
    assert await ask(api, token, "q=cobranca") == [str(ticket_id)]


def test_times_in_cursors_are_exact() -> None:
    from ticketing.services.ticket_cursor import Sort, make_cursor, read_cursor  # noqa: PLC0415

    moment = datetime(2026, 3, 10, 13, 0, 0, 123456, tzinfo=UTC)
    (at, number) = read_cursor(make_cursor(Sort.UPDATED, (moment, 7)), Sort.UPDATED)
    assert (at.value, number.value) == (moment, 7)  # type: ignore[attr-defined]
