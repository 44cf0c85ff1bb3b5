"""The API of dead letters: dry run, confirmation by the number seen, audit."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sanic import Sanic

from kit.clock import FakeClock
from kit.ids import new_id
from notifications.api.dead_letter_routes import dead_letter_routes
from tests.notifications.conftest import World
from tests.notifications.services.test_reprocess import Dlq
from tests.ticketing.desk import PASSWORD, Desk, make_desk
from ticketing.api.app import create_blueprints
from ticketing.api.openapi import PREFIX
from ticketing.db.engine import Database
from ticketing.domain.enums import Role

_names = itertools.count()
Ask = Callable[..., Awaitable[Any]]


@pytest.fixture
async def desk(db: Database, clock: FakeClock) -> Desk:
    return await make_desk(db, clock)


@pytest.fixture
def dlq(desk: Desk, world: World) -> Dlq:
    del desk  # it has filled the database first
    return Dlq(world)


@pytest.fixture
async def ask(desk: Desk) -> Ask:
    await desk.agent("olga", role=Role.OPERATOR)
    app: Sanic[Any, Any] = Sanic(f"dlq-{next(_names)}", configure_logging=False)
    for blueprint in create_blueprints(desk.deps, further=dead_letter_routes()):
        app.blueprint(blueprint)
    tokens: list[str] = []

    async def send(method: str, path: str, **kwargs: Any) -> Any:
        app.asgi_client.cookies.clear()
        _, response = await app.asgi_client.request(method, PREFIX + path, **kwargs)
        return response

    async def ask(method: str, path: str, **kwargs: Any) -> Any:
        if not tokens:
            body = {"email": "olga@example.com", "password": PASSWORD}
            tokens.append((await send("POST", "/login", json=body)).json["token"])
        return await send(method, path, headers={"Authorization": f"Bearer {tokens[0]}"}, **kwargs)

    return ask


async def test_entries_are_listed_page_by_page_with_masked_recipients(dlq: Dlq, ask: Ask) -> None:
    await dlq.kill_many(3)
    first = (await ask("GET", "/dead-letters?limit=2&since=24h")).json
    assert len(first["dead_letters"]) == 2
    assert "••@example.com" in first["dead_letters"][0]["recipient"]
    second = (await ask("GET", f"/dead-letters?limit=2&cursor={_quoted(first)}")).json
    ids = [entry["id"] for page in (first, second) for entry in page["dead_letters"]]
    assert (len(set(ids)), second["next_cursor"]) == (3, None)
    nothing = await ask("GET", "/dead-letters?job_name=send-sms,send-push&state=recovered")
    assert nothing.json["dead_letters"] == []
    counts = (await ask("GET", "/dead-letters/counts")).json
    assert counts["by_state"]["dead"] == 3
    assert counts["by_job"] == {"send-email": 3}


def _quoted(page: dict[str, Any]) -> str:
    return str(page["next_cursor"]).replace("+", "%2B")


async def test_a_dry_run_gives_the_number_that_the_act_wants_back(dlq: Dlq, ask: Ask) -> None:
    await dlq.kill_many(3)
    body: dict[str, Any] = {"filters": {"job_names": ["send-email"]}, "limit": 10}
    unseen = await ask("POST", "/dead-letters/reprocess", json=body)
    assert (unseen.status, unseen.json["field"]) == (422, "expected")
    preview = await ask("POST", "/dead-letters/reprocess", json={**body, "dry_run": True})
    assert preview.json["preview"]["matched"] == 3
    fewer = await ask("POST", "/dead-letters/reprocess", json={**body, "expected": 2})
    assert (fewer.status, fewer.json["code"], fewer.json["present"]) == (
        409,
        "dead_letters_changed",
        3,
    )
    done = await ask("POST", "/dead-letters/reprocess", json={**body, "expected": 3})
    assert (done.json["done"]["result"], done.json["done"]["done"]) == ("done", 3)
    actions = (await ask("GET", "/dead-letters/actions")).json["actions"]
    assert actions[0]["action_id"] == done.json["done"]["action_id"]
    assert actions[0]["actor"].startswith("agent:")


async def test_discarding_and_the_story_of_an_entry(dlq: Dlq, ask: Ask) -> None:
    await dlq.kill_many(1)
    done = await ask("POST", "/dead-letters/discard", json={"expected": 1})
    assert done.json["done"]["done"] == 1
    (entry,) = (await ask("GET", "/dead-letters?state=discarded")).json["dead_letters"]
    story = (await ask("GET", f"/dead-letters/{entry['id']}")).json
    assert [act["result"] for act in story["acts"]] == ["done"]
    missing = await ask("GET", f"/dead-letters/{new_id()}")
    assert (missing.status, missing.json["code"]) == (404, "dead_letter_not_found")


@pytest.mark.parametrize(
    ("body", "field", "expected"),
    [
        ({"filters": {"job_names": ["send-fax"]}}, "filters.job_names.0", "send-email"),
        ({"filters": {"since": "yesterday"}}, "filters.since", "24h"),
        ({"filters": {"since": 12}}, "filters.since", "24h"),
        ({"filters": {"since": "1h", "until": "24h"}}, "until", "after since"),
        ({"filters": {"ids": []}}, "filters.ids", "1"),
        ({"filters": {"job_names": []}}, "filters.job_names", "1"),
        ({"limit": 10_001}, "limit", "10000"),
        ({"rate": 0}, "rate", "0"),
        ({"filters": {"job": "x"}}, "filters.job", "is not a known field"),
    ],
)
async def test_wrong_values_are_named_with_what_was_expected(
    ask: Ask, body: dict[str, Any], field: str, expected: str
) -> None:
    refused = await ask("POST", "/dead-letters/reprocess", json={**body, "dry_run": True})
    assert refused.status == 422
    assert refused.json["field"] == field
    assert expected in f"{refused.json['detail']} {refused.json.get('allowed')}"


async def test_a_wrong_cursor_is_named(ask: Ask) -> None:
    refused = await ask("GET", "/dead-letters?cursor=x")
    assert (refused.status, refused.json["field"]) == (422, "cursor")


@pytest.mark.parametrize(
    "query",
    [
        "since=0001-01-01T00:00:00%2B14:00",
        "until=9999-12-31T23:59:59-14:00",
        "since=9999w&until=0m",
        "cursor=0001-01-01T00:00:00%2B14:00~019f0000-0000-7000-8000-000000000001",
        "recipient=%20%20%20",
        "error_code=a,,b&error_code=c",
        "http_status=599&queue=x&event=y&reason=poison",
    ],
)
async def test_odd_values_never_end_in_an_error_of_ours(dlq: Dlq, ask: Ask, query: str) -> None:
    await dlq.kill_many(1)
    response = await ask("GET", f"/dead-letters?{query}")
    assert response.status in {200, 422}


async def test_a_repeated_request_is_answered_once_more_and_done_once(
    dlq: Dlq, desk: Desk, ask: Ask
) -> None:
    await dlq.kill_many(2)
    first = await ask("POST", "/dead-letters/reprocess", json={"expected": 2})
    second = await ask("POST", "/dead-letters/reprocess", json={"expected": 2})
    assert (first.json["done"]["done"], second.json["done"]["done"]) == (2, 0)
