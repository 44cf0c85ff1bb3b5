from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from kit.clock import FakeClock
from tests.ticketing.api.test_api import Client
from tests.ticketing.desk import Desk, make_desk, order
from ticketing.db import tables
from ticketing.db.engine import Database
from ticketing.domain.enums import Role
from ticketing.domain.holder import Holder
from ticketing.domain.quality_file import parse_plan
from ticketing.gateways.content_files import load_runbooks
from ticketing.http.deps import Deps

ROOT = Path(__file__).resolve().parents[3]
PLAN = parse_plan((ROOT / "quality.yml").read_text("utf-8"))
GOOD = {item.key: item.kind.answers[-2] for item in PLAN.scorecard.criteria}


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
def api(desk: ContentDesk) -> Client:
    return Client(desk)


async def order_ticket(desk: Desk) -> uuid.UUID:
    ticket_id = await desk.ticket()
    evidence = {"intent": "order_status", "entities": {"order_number": ["77"]}}
    async with desk.db.transaction() as session:
        await session.execute(
            update(tables.Handoff)
            .where(tables.Handoff.ticket_id == ticket_id)
            .values(evidence=evidence)
        )
    return ticket_id


async def test_a_program_works_by_the_runbook(desk: ContentDesk, api: Client) -> None:
    await desk.agent("ana")
    token = await api.log_in("ana")
    ticket_id = await order_ticket(desk)
    book = (await api.ask("GET", "/runbooks?language=en", token=token)).json["runbooks"]
    assert "Where is the order" in [item["name"] for item in book]
    base = f"/tickets/{ticket_id}"
    found = (await api.ask("GET", f"{base}/runbook", token=token)).json
    assert (found["intent"], found["runbook"]["runbook"]) == ("order_status", "order_status")
    assert found["runbook"]["missing"] == ["find_order", "tell_customer"]
    body = {"step": "find_order", "version": found["runbook"]["version"], "note": "achei"}
    key = {"Idempotency-Key": "k1"}
    first = await api.ask("POST", f"{base}/runbook/tick", token=token, json=body, headers=key)
    assert (first.status, first.json["missing"]) == (200, ["tell_customer"])
    again = await api.ask("POST", f"{base}/runbook/tick", token=token, json=body, headers=key)
    assert again.json["repeated"] is True
    offers = (await api.ask("GET", f"{base}/templates", token=token)).json
    assert offers["window_open"] is True
    mine = {item["template"]: item for item in offers["templates"]}["order_status.on_its_way"]
    assert mine["text"].startswith("Carlos, o pedido 77")
    assert mine["closed_window"]["parameters"] == ["Carlos", "77"]
    sent = await api.ask(
        "POST",
        f"{base}/template-reply",
        token=token,
        json={"template": "order_status.on_its_way", "status": "pending_customer"},
        headers={"Idempotency-Key": "k2"},
    )
    assert sent.status == 200, sent.json
    (message,) = await desk.all(tables.Message, author="agent")
    assert message.text == mine["text"]
    assert message.data["closed_window"]["name"] == "order_update"


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "extra"),
    [
        ("runbook/tick", {"step": "nope"}, 422, "invalid_value", {"field": "step"}),
        ("runbook/tick", {"step": "find_order", "version": "old"}, 409, "runbook_changed", {}),
        ("runbook/notes", {"step": "find_order"}, 422, "invalid_value", {"field": "note"}),
        ("template-reply", {"template": "x.y"}, 422, "invalid_value", {"field": "template"}),
        (
            "template-reply",
            {"template": "general.hello", "text": "{{agent.name}}"},
            422,
            "invalid_value",
            {"field": "text"},
        ),
    ],
)
async def test_what_is_wrong_is_named(
    desk: ContentDesk,
    api: Client,
    *,
    path: str,
    body: dict[str, Any],
    status: int,
    code: str,
    extra: dict[str, str],
) -> None:
    await desk.agent("ana")
    ticket_id = await order_ticket(desk)
    token = await api.log_in("ana")
    response = await api.ask("POST", f"/tickets/{ticket_id}/{path}", token=token, json=body)
    assert (response.status, response.json["code"]) == (status, code), response.json
    assert extra.items() <= response.json.items()


async def test_missing_steps_are_listed_when_a_ticket_is_resolved(
    desk: ContentDesk, api: Client
) -> None:
    await desk.agent("sofia", role=Role.SUPERVISOR)
    ticket_id = await desk.ticket(queue="n3_risk")
    token = await api.log_in("sofia")
    path = f"/tickets/{ticket_id}/resolve"
    refused = await api.ask("POST", path, token=token, json={})
    assert (refused.status, refused.json["code"]) == (409, "steps_missing")
    assert refused.json["missing"][0] == "nobody_in_danger"
    body = {"override_reason": "aberto por engano"}
    assert (await api.ask("POST", path, token=token, json=body)).status == 200


async def test_reviews_and_feedback_over_the_api(desk: ContentDesk, api: Client) -> None:
    ana = await desk.agent("ana")
    await desk.agent("sofia", role=Role.SUPERVISOR)
    ticket_id = await order_ticket(desk)
    await desk.service.take(order(ana, ticket_id))
    await desk.service.resolve(order(ana, ticket_id))
    early = await api.ask(
        "POST", "/quality/periods", token=await api.log_in("sofia"), json={"period": "2026-W11"}
    )
    assert (early.status, early.json["code"]) == (409, "period_not_over")
    desk.clock.advance(timedelta(days=7))
    sofia, agent = await api.log_in("sofia"), await api.log_in("ana")
    drawn = await api.ask("POST", "/quality/periods", token=sofia, json={})
    assert (drawn.json["period"], drawn.json["sampled"]) == ("2026-W11", 1)
    periods = (await api.ask("GET", "/quality/periods", token=sofia)).json["periods"]
    assert periods[0]["seed"] == drawn.json["seed"]
    listed = (await api.ask("GET", "/quality/samples?state=pending", token=sofia)).json
    (sample,) = listed["samples"]
    path = f"/quality/samples/{sample['id']}"
    assert (await api.ask("GET", path, token=agent)).status == 403
    early = await api.ask("POST", f"{path}/acknowledge", token=agent, json={})
    assert (early.status, early.json["code"]) == (409, "review_state")
    for _ in range(2):
        assert (await api.ask("POST", f"{path}/start", token=sofia, json={})).status == 200
    wrong = {"answers": GOOD | {"tone": "9"}}
    refused = await api.ask("POST", f"{path}/submit", token=sofia, json=wrong)
    assert (refused.status, refused.json["field"]) == (422, "answers.tone")
    assert refused.json["allowed"] == ["1", "2", "3", "4", "5", "na"]
    done = await api.ask("POST", f"{path}/submit", token=sofia, json={"answers": GOOD})
    assert (done.json["sample"]["state"], done.json["sample"]["score"]) == ("done", 100)
    feedback = (await api.ask("GET", "/quality/feedback", token=agent)).json["feedback"]
    assert [item["sample"]["id"] for item in feedback] == [sample["id"]]
    foreign = await api.ask("POST", f"{path}/acknowledge", token=sofia, json={})
    assert (foreign.status, foreign.json["code"]) == (403, "not_your_review")
    agreed = await api.ask("POST", f"{path}/acknowledge", token=agent, json={})
    assert agreed.json["sample"]["state"] == "settled"
    report = (await api.ask("GET", "/quality/report?by=team", token=sofia)).json
    assert (report["judged"], report["overall"]["refused"]) == (1, "too_few")
    unknown = await api.ask("GET", "/quality/report?period=2020-W01", token=sofia)
    assert (unknown.status, unknown.json["allowed"]) == (422, ["2026-W11"])
    missing = await api.ask("GET", "/quality/samples/not-an-id", token=sofia)
    assert (missing.status, missing.json["code"]) == (404, "sample_not_found")


async def test_without_a_plan_the_report_says_so(db: Database, clock: FakeClock) -> None:
    desk = await make_desk(db, clock)
    await desk.agent("sofia", role=Role.SUPERVISOR)
    api = Client(desk)
    response = await api.ask("GET", "/quality/report", token=await api.log_in("sofia"))
    assert (response.status, response.json["code"]) == (503, "quality_plan_missing")
