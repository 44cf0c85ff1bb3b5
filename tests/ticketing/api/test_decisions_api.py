"""Explained decisions over the API: of a conversation and of a ticket, in pages."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from handoff.decide import decide
from handoff.snapshot import ConversationSnapshot
from kit.clock import FakeClock
from kit.ids import new_id
from tests.ticketing.api.test_api import Client
from tests.ticketing.desk import Desk, make_desk, make_policy
from ticketing.db import tables
from ticketing.db.engine import Database
from ticketing.domain.enums import Role


@pytest.fixture
async def desk(db: Database, clock: FakeClock) -> Desk:
    return await make_desk(db, clock)


# The desk has a few queues only, which the rules of the real policy do not all know.
POLICY = replace(make_policy(), rules=())


@pytest.fixture
def api(desk: Desk) -> Client:
    client = Client(desk)
    client.deps.policy.replace(POLICY)
    return client


async def decided(desk: Desk, conversation_id: uuid.UUID, count: int) -> list[uuid.UUID]:
    """Real decisions of so many turns; the ids of the records."""
    ids = []
    for number in range(count):
        snapshot = ConversationSnapshot(
            turn_id=str(new_id()),
            conversation_id=str(conversation_id),
            channel="whatsapp",
            now=desk.clock.now() + timedelta(minutes=number),
            top_intent="order_status",
            ranking=(("order_status", 0.2),),
        )
        decision = decide(snapshot, POLICY)
        ids.append(new_id())
        async with desk.db.transaction() as session:
            session.add(
                tables.Decision(
                    id=ids[-1],
                    conversation_id=conversation_id,
                    turn_id=uuid.UUID(snapshot.turn_id),
                    outcome=decision.outcome,
                    reason=decision.reason,
                    rule=decision.rule_version,
                    snapshot=snapshot.to_json(),
                    decision=decision.to_json(),
                    versions={"policy": decision.policy_version},
                    created_at=snapshot.now,
                    correlation_id="abc",
                )
            )
    return sorted(ids)


@pytest.mark.parametrize(
    ("language", "said", "changed"),
    [
        ("pt", "O bot pergunta de volta", "O que teria mudado o resultado:"),
        ("en", "The bot asks back", "What would have changed it:"),
        ("es", "El bot pregunta de vuelta", "Qué habría cambiado el resultado:"),
    ],
)
async def test_a_tickets_decisions_are_explained_in_words_and_as_values(
    desk: Desk, api: Client, language: str, said: str, changed: str
) -> None:
    await desk.agent("ana")
    ticket_id = await desk.ticket()
    (mine,) = await decided(desk, (await desk.row(ticket_id)).conversation_id, 1)
    token = await api.log_in("ana")

    page = await api.ask("GET", f"/tickets/{ticket_id}/decisions?language={language}", token=token)

    (record,) = [one for one in page.json["decisions"] if one["id"] == str(mine)]
    assert said in record["text"]
    assert changed in record["text"]
    why = record["explanation"]
    assert (why["outcome"], why["rule"]) == ("clarify", "default_clarify")
    assert all(miss["missing"] for miss in why["not_these"])
    assert why["what_if"][0]["fact"] == "confidence"
    assert page.json["next_cursor"] is None


async def test_a_record_that_cannot_be_read_is_shown_without_an_explanation(
    desk: Desk, api: Client
) -> None:
    await desk.agent("ana")
    ticket_id = await desk.ticket()
    async with desk.db.transaction() as session:
        await session.execute(update(tables.Decision).values(decision={"evaluations": []}))
    token = await api.log_in("ana")

    page = await api.ask("GET", f"/tickets/{ticket_id}/decisions", token=token)

    (record,) = page.json["decisions"]
    assert (record["text"], record["explanation"]) == (None, None)
    assert record["decision"] == {"evaluations": []}


async def test_decisions_come_in_pages_the_newest_page_first(desk: Desk, api: Client) -> None:
    await desk.agent("eva", role=Role.SUPERVISOR)
    ticket_id = await desk.ticket()
    conversation = (await desk.row(ticket_id)).conversation_id
    ids = await decided(desk, conversation, 5)
    token = await api.log_in("eva")
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(10):
        more = "" if cursor is None else f"&cursor={cursor}"
        path = f"/conversations/{conversation}/decisions?limit=2{more}"
        page: dict[str, Any] = (await api.ask("GET", path, token=token)).json
        seen = [*(one["id"] for one in page["decisions"]), *seen]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert seen[-5:] == [str(one) for one in ids]
    assert len(seen) == len(set(seen)) == 6  # the desk's own one too


@pytest.mark.parametrize("query", ["language=de", "limit=0", "limit=101", "cursor=x", "loud=1"])
async def test_a_wrong_query_is_named(desk: Desk, api: Client, query: str) -> None:
    await desk.agent("ana")
    ticket_id = await desk.ticket()
    token = await api.log_in("ana")

    response = await api.ask("GET", f"/tickets/{ticket_id}/decisions?{query}", token=token)

    assert (response.status, response.json["code"]) == (422, "invalid_value")
    assert query.split("=", maxsplit=1)[0] in str(response.json)


async def test_decisions_of_other_queues_and_of_nothing_are_refused(
    desk: Desk, api: Client
) -> None:
    await desk.agent("ana", queues=("n1_support",))
    foreign = await desk.ticket(queue="n2_billing")
    token = await api.log_in("ana")

    for path, status in (
        (f"/tickets/{foreign}/decisions", 403),
        (f"/conversations/{(await desk.row(foreign)).conversation_id}/decisions", 403),
        (f"/tickets/{new_id()}/decisions", 404),
        (f"/conversations/{new_id()}/decisions", 404),
    ):
        assert (await api.ask("GET", path, token=token)).status == status, path
