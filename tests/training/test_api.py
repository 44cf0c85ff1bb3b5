from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sanic import Sanic

from kit.clock import FakeClock
from tests.ticketing.desk import PASSWORD, Desk, make_desk
from tests.training.services.test_loop import Loop
from ticketing.api.app import create_blueprints
from ticketing.api.openapi import PREFIX, openapi_document
from ticketing.api.routes import ROUTES
from ticketing.db.engine import Database
from ticketing.domain.enums import Role
from ticketing.http.problems import CODES
from training.api import training_routes
from training.nlu_files import NluFiles

_names = itertools.count()
Ask = Callable[..., Awaitable[Any]]


@pytest.fixture
async def desk(db: Database, clock: FakeClock) -> Desk:
    return await make_desk(db, clock)


@pytest.fixture
async def loop(desk: Desk, tmp_path: Path) -> Loop:
    return Loop(desk, tmp_path)


@pytest.fixture
async def ask(loop: Loop) -> Ask:
    await loop.desk.agent("ana")
    await loop.desk.agent("sara", role=Role.SUPERVISOR)
    return asking(loop.desk, loop.files)


def asking(desk: Desk, files: NluFiles) -> Ask:
    app: Sanic[Any, Any] = Sanic(f"training-{next(_names)}", configure_logging=False)
    for blueprint in create_blueprints(desk.deps, further=training_routes(files)):
        app.blueprint(blueprint)
    tokens: dict[str, str] = {}

    async def send(method: str, path: str, **kwargs: Any) -> Any:
        app.asgi_client.cookies.clear()
        _, response = await app.asgi_client.request(method, PREFIX + path, **kwargs)
        return response

    async def ask(method: str, path: str, *, who: str = "sara", **kwargs: Any) -> Any:
        if who not in tokens:
            body = {"email": f"{who}@example.com", "password": PASSWORD}
            tokens[who] = (await send("POST", "/login", json=body)).json["token"]
        return await send(
            method, path, headers={"Authorization": f"Bearer {tokens[who]}"}, **kwargs
        )

    return ask


async def test_a_supervisor_collects_reads_accepts_and_rejects(loop: Loop, ask: Ask) -> None:
    conversation = await loop.conversation()
    await loop.turn(conversation, "me devolve a grana")
    await loop.turn(conversation, "quebrou o controle remoto")
    collected = await ask("POST", "/training/collect", json={})
    assert collected.json == {"looked_at": 2, "results": {"candidate": 2}}
    inbox = (await ask("GET", "/training/inbox?language=pt")).json["candidates"]
    by_text = {item["text"]: item for item in inbox}
    money = by_text["me devolve a grana"]
    accepted = await ask("POST", "/training/accept", json={"ids": [money["id"]]})
    assert accepted.json["accepted"][0]["line"] == "me devolve a grana"
    group = by_text["quebrou o controle remoto"]["group_key"]
    rejected = await ask("POST", "/training/reject", json={"ids": [group], "reason": "x"})
    assert [item["state"] for item in rejected.json["rejected"]] == ["rejected"]
    assert (await ask("GET", "/training/inbox")).json == {"candidates": []}


async def test_refusals_name_what_was_expected(loop: Loop, ask: Ask) -> None:
    await loop.turn(await loop.conversation(), "me devolve a grana")
    await ask("POST", "/training/collect", json={})
    (item,) = (await ask("GET", "/training/inbox")).json["candidates"]
    ids = [item["id"]]
    unknown = await ask("POST", "/training/accept", json={"ids": ids, "intent": "nonsense"})
    assert (unknown.status, unknown.json["field"]) == (422, "intent")
    assert "refund" in unknown.json["allowed"]
    held = await ask(
        "POST", "/training/accept", json={"ids": ids, "text": "devolve o valor do plano"}
    )
    assert "held-out" in held.json["refused"][0]["detail"]
    missing = await ask("POST", "/training/reject", json={"ids": ["deadbeef"]})
    assert (missing.status, missing.json["code"]) == (404, "candidate_not_found")


async def test_a_server_without_the_training_data_answers_503(
    loop: Loop, ask: Ask, tmp_path: Path
) -> None:
    await loop.turn(await loop.conversation(), "me devolve a grana")
    await ask("POST", "/training/collect", json={})
    (item,) = (await ask("GET", "/training/inbox")).json["candidates"]
    elsewhere = asking(loop.desk, NluFiles(tmp_path / "nowhere"))
    refused = await elsewhere("POST", "/training/accept", json={"ids": [item["id"]]})
    assert (refused.status, refused.json["code"]) == (503, "training_data_missing")
    assert len((await ask("GET", "/training/inbox")).json["candidates"]) == 1


async def test_agents_mark_and_supervisors_read_the_rates(loop: Loop, ask: Ask) -> None:
    ticket_id = await loop.desk.ticket()
    body = {"verdict": "wrong", "true_intent": "order_status"}
    first = await ask("POST", f"/tickets/{ticket_id}/review", who="ana", json=body)
    again = await ask("POST", f"/tickets/{ticket_id}/review", who="ana", json=body)
    assert (first.status, first.json["repeated"], again.json["repeated"]) == (200, False, True)
    wrong = await ask(
        "POST", f"/tickets/{ticket_id}/review", who="ana", json={"verdict": "perhaps"}
    )
    assert wrong.json["allowed"] == ["right", "wrong", "late"]
    metrics = (await ask("GET", "/training/metrics")).json
    assert metrics["metrics"]["total"]["over_handoff"]["found"] == 1
    assert "sample" in metrics["note"]


async def test_a_turn_that_the_bot_kept_can_be_marked(loop: Loop, ask: Ask) -> None:
    conversation = await loop.conversation()
    turn = await loop.turn(conversation, "quero gente", outcome="stay")
    path = f"/conversations/{conversation}/turns/{turn}/review"
    assert (await ask("POST", path, who="ana", json={"verdict": "late"})).status == 200
    refused = await ask("POST", path, who="ana", json={"verdict": "wrong"})
    assert (refused.status, refused.json["field"]) == (422, "verdict")
    unknown = await ask(
        "POST", f"/conversations/{conversation}/turns/x/review", json={"verdict": "late"}
    )
    assert (unknown.status, unknown.json["code"]) == (404, "turn_not_found")


ROUTES_HERE = training_routes(NluFiles(Path("nowhere")))


@pytest.mark.parametrize("route", ROUTES_HERE, ids=lambda route: f"{route.method} {route.path}")
async def test_none_of_it_is_for_agents(ask: Ask, route: Any) -> None:
    refused = await ask(route.method, route.path, who="ana")
    assert (refused.status, refused.json["code"]) == (403, "role_not_allowed")


def test_the_routes_are_documented_with_their_errors() -> None:
    document = openapi_document((*ROUTES, *ROUTES_HERE))
    assert "/api/v1/training/inbox" in document["paths"]
    assert {code for route in ROUTES_HERE for code in route.codes} <= set(CODES)
