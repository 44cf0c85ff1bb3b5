"""The API of notices: a job is taken once and checked whole; what became of it can be read."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sanic import Sanic
from sqlalchemy import delete, update

from kit.clock import FakeClock
from kit.ids import new_id
from notifications.api.notification_routes import Production, notice_routes
from notifications.domain.failure import Failure, FailureKind
from notifications.domain.jobs import Channel, JobName
from notifications.policy_file import load_policies
from notifications.services.dead_letters import bury
from tests.notifications.conftest import FakeSender, World
from tests.ticketing.desk import PASSWORD, Desk, make_desk
from ticketing.api.app import create_blueprints
from ticketing.api.openapi import PREFIX, openapi_document
from ticketing.db.engine import Database
from ticketing.db.idempotency_tables import IdempotencyKey
from ticketing.db.tables import Notification
from ticketing.domain.enums import Role

_names = itertools.count()
Ask = Callable[..., Awaitable[Any]]

USER_JOB: dict[str, Any] = {
    "job_name": "notify-user",
    "user": "olga@example.com",
    "context": {"source": "import", "title": "Pronto", "secret_fact": "Maria da Silva"},
}


@pytest.fixture
async def desk(db: Database, clock: FakeClock) -> Desk:
    return await make_desk(db, clock)


@pytest.fixture
async def ask(desk: Desk) -> Ask:
    await desk.agent("olga", role=Role.OPERATOR)
    production = Production(load_policies(), frozenset({Channel.EMAIL, Channel.WHATSAPP}))
    app: Sanic[Any, Any] = Sanic(f"notices-{next(_names)}", configure_logging=False)
    for blueprint in create_blueprints(desk.deps, further=notice_routes(production)):
        app.blueprint(blueprint)
    body = {"email": "olga@example.com", "password": PASSWORD}
    tokens: list[str] = []

    async def send(method: str, path: str, **kwargs: Any) -> Any:
        app.asgi_client.cookies.clear()
        _, response = await app.asgi_client.request(method, PREFIX + path, **kwargs)
        return response

    async def ask(method: str, path: str, *, key: str | None = None, **kwargs: Any) -> Any:
        if not tokens:
            tokens.append((await send("POST", "/login", json=body)).json["token"])
        headers = {"Authorization": f"Bearer {tokens[0]}"} | kwargs.pop("headers", {})
        if key is not None:
            headers["Idempotency-Key"] = key
        return await send(method, path, headers=headers, **kwargs)

    return ask


async def rows(world: World) -> list[Notification]:
    return await world.notifications()


async def test_a_job_is_taken_with_202_its_id_and_its_state(ask: Ask, world: World) -> None:
    headers = {"X-Correlation-Id": "import-7"}
    taken = await ask("POST", "/notifications", key="k-1", json=USER_JOB, headers=headers)

    assert taken.status == 202, taken.text
    (row,) = await rows(world)
    assert taken.json | {"created_at": None, "expires_at": None} == {
        "id": str(row.id),
        "job_name": "notify-user",
        "event": "user-notice",
        "state": "pending",
        "urgent": False,
        "created_at": None,
        "expires_at": None,
        "correlation_id": row.correlation_id,
        "repeated": False,
    }
    assert taken.headers["x-correlation-id"] == row.correlation_id
    assert row.context["secret_fact"] == "Maria da Silva"


async def test_a_repetition_makes_no_second_one_at_once_together_or_after_days(
    ask: Ask, world: World, desk: Desk
) -> None:
    first = await ask("POST", "/notifications", key="k-1", json=USER_JOB)
    again = await ask("POST", "/notifications", key="k-1", json=USER_JOB)
    together = await asyncio.gather(
        *(ask("POST", "/notifications", key="k-1", json=USER_JOB) for _ in range(4))
    )
    async with desk.db.transaction() as session:  # as after a day
        await session.execute(delete(IdempotencyKey))
    later = await ask("POST", "/notifications", key="k-1", json=USER_JOB)

    for answer in (again, *together, later):
        assert answer.status == 202
        assert answer.headers["idempotent-replayed"] == "true"
        assert (answer.json["id"], answer.json["repeated"]) == (first.json["id"], True)
    assert len(await rows(world)) == 1


async def test_a_key_for_another_job_is_refused_today_and_later(
    ask: Ask, world: World, desk: Desk
) -> None:
    await ask("POST", "/notifications", key="k-1", json=USER_JOB)
    other = USER_JOB | {"context": {"source": "import", "title": "Outro"}}

    today = await ask("POST", "/notifications", key="k-1", json=other)
    async with desk.db.transaction() as session:
        await session.execute(delete(IdempotencyKey))
    later = await ask("POST", "/notifications", key="k-1", json=other)

    for answer in (today, later):
        assert (answer.status, answer.json["code"]) == (422, "idempotency_key_reused")
    assert len(await rows(world)) == 1


@pytest.mark.parametrize("job_name", [None, "", "send-fax", 7])
async def test_a_job_name_that_is_missing_or_unknown_lists_the_valid_ones(
    ask: Ask, world: World, job_name: Any
) -> None:
    body = {**USER_JOB, "job_name": job_name}
    if job_name is None:
        del body["job_name"]

    refused = await ask("POST", "/notifications", key="k-1", json=body)

    assert (refused.status, refused.json["code"]) == (422, "invalid_value")
    assert refused.json["field"] == "job_name"
    assert refused.json["allowed"] == [name.value for name in JobName]
    assert "notify-user, send-email, send-whatsapp, send-sms, send-push" in refused.json["detail"]
    assert await rows(world) == []


async def test_every_mistake_of_body_and_headers_is_told_at_once(ask: Ask) -> None:
    body = {
        "job_name": "send-email",
        "recipient": "ana",
        "context": {"link": "https://evil.example"},
        "correlation_id": "c",
        "wish": 1,
    }

    refused = await ask("POST", "/notifications", json=body)

    assert [error["field"] for error in refused.json["errors"]] == [
        "wish",
        "event",
        "recipient",
        "context.source",
        "context.link",
        "Idempotency-Key",
        "correlation_id",
    ]
    assert refused.json["errors"][1]["allowed"][0] == "ticket-opened"


async def test_the_same_key_may_be_used_again_after_a_refusal(ask: Ask, world: World) -> None:
    bad = USER_JOB | {"user": "nobody at all"}
    assert (await ask("POST", "/notifications", key="k-1", json=bad)).status == 422
    assert (await ask("POST", "/notifications", key="k-1", json=USER_JOB)).status == 202
    assert len(await rows(world)) == 1


async def test_a_channel_without_an_account_here_is_refused(ask: Ask) -> None:
    body = {
        "job_name": "send-sms",
        "recipient": "+5511912345678",
        "event": "user-notice",
        "context": {"source": "x", "body": "oi"},
    }
    refused = await ask("POST", "/notifications", key="k-1", json=body)

    assert (refused.status, refused.json["field"]) == (422, "job_name")
    assert refused.json["allowed"] == ["notify-user", "send-email", "send-whatsapp"]


async def test_notices_are_listed_the_newest_first_page_by_page_and_masked(
    ask: Ask, world: World
) -> None:
    made = [await world.make_notification() for _ in range(5)]
    first = (await ask("GET", "/notifications?limit=2")).json
    second = (await ask("GET", f"/notifications?limit=2&cursor={first['next_cursor']}")).json
    third = (await ask("GET", f"/notifications?limit=2&cursor={second['next_cursor']}")).json

    seen = [one["id"] for page in (first, second, third) for one in page["notifications"]]
    assert seen == sorted((str(one) for one in made), reverse=True)
    assert third["next_cursor"] is None
    assert first["notifications"][0]["recipient"] == "a••@example.com"


async def test_each_filter_finds_its_own(ask: Ask, world: World) -> None:
    plain = await world.make_notification(event="ticket-assigned")
    other = await world.make_notification(
        JobName.SEND_WHATSAPP,
        recipient="+5511912345678",
        state="sent",
        urgent=True,
        correlation_id="c-2",
    )
    ticket_id = (await world.notification(other)).ticket_id

    async def found(query: str) -> set[str]:
        answer = await ask("GET", f"/notifications?{query}")
        assert answer.status == 200, answer.text
        return {one["id"] for one in answer.json["notifications"]}

    assert await found("state=pending,sent") == {str(plain), str(other)}
    for query in (
        "state=sent",
        "state=sent&state=failed",
        "job_name=send-whatsapp,send-sms",
        "event=ticket-opened",
        f"ticket_id={ticket_id}",
        "correlation_id=c-2",
        "urgent=true",
    ):
        assert await found(query) == {str(other)}, query
    assert await found("urgent=false&event=ticket-assigned") == {str(plain)}
    assert await found("correlation_id=c-3") == set()


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=lost", "state.0"),
        ("job_name=send-fax", "job_name.0"),
        ("event=x", "event.0"),
        ("ticket_id=7", "ticket_id"),
        ("urgent=perhaps", "urgent"),
        ("cursor=x", "cursor"),
        ("limit=0", "limit"),
        ("recipient=ana@example.com", "recipient"),
    ],
)
async def test_a_wrong_filter_is_named(ask: Ask, query: str, field: str) -> None:
    refused = await ask("GET", f"/notifications?{query}")
    assert (refused.status, refused.json["field"]) == (422, field)


async def test_one_notice_shows_its_attempts_its_error_and_what_is_told_with_it(
    ask: Ask, world: World, failing: Any
) -> None:
    notice = await world.make_notification(
        context={"ticket_number": 7, "source": "crm", "title": "Maria da Silva"}
    )
    follower = await world.make_notification(digest_id=notice)
    down = failing(FailureKind.TRANSIENT, "connect", detail="ana@example.com is away")
    await world.deliverer(FakeSender(down)).deliver(notice, JobName.SEND_EMAIL)

    shown = (await ask("GET", f"/notifications/{notice}")).json

    assert shown["notification"]["attempts"] == 1
    assert shown["notification"]["error_code"] == "connect"
    assert shown["notification"]["next_attempt_at"] is not None
    error = shown["error"]
    assert (error["kind"], error["attempt"], error["gave_up"]) == ("transient", 1, None)
    assert error["detail"] == "(address) is away"
    assert (shown["context"], shown["hidden"]) == ({"source": "crm", "ticket_number": 7}, ["title"])
    assert (shown["told_with"], shown["told_with_count"]) == ([str(follower)], 1)
    assert (shown["dead_letter_id"], shown["dead_letter_state"]) == (None, None)
    told = (await ask("GET", f"/notifications/{follower}")).json
    assert told["notification"]["digest_id"] == str(notice)


async def test_one_that_was_given_up_names_its_dead_letter(ask: Ask, world: World) -> None:
    notice = await world.make_notification(provider_id="wamid.SECRET")
    async with world.db.transaction() as session:
        row = await session.get_one(Notification, notice)
        await world.give_up.give_up(
            session,
            row,
            Failure(FailureKind.PERMANENT, "smtp_550"),
            reason="permanent",
            now=world.clock.now(),
        )
        entry = await bury(
            session,
            row,
            Failure(FailureKind.PERMANENT, "smtp_550"),
            reason="permanent",
            origin_queue="notifications",
            now=world.clock.now(),
        )

    answer = await ask("GET", f"/notifications/{notice}")

    assert answer.json["error"]["gave_up"] == "permanent"
    assert answer.json["dead_letter_id"] == str(entry.id)
    assert answer.json["dead_letter_state"] == "dead"
    assert "wamid" not in answer.text
    assert "ana@" not in answer.text


async def test_what_is_not_there_is_a_404(ask: Ask) -> None:
    for named in (str(new_id()), "x"):
        missing = await ask("GET", f"/notifications/{named}")
        assert (missing.status, missing.json["code"]) == (404, "notification_not_found")


async def test_an_odd_stored_error_is_shown_all_the_same(ask: Ask, world: World) -> None:
    notice = await world.make_notification()
    async with world.db.transaction() as session:
        await session.execute(
            update(Notification).values(error={"code": 7, "attempt": "x", "detail": None})
        )
    world.clock.advance(timedelta(seconds=1))

    shown = await ask("GET", f"/notifications/{notice}")

    assert shown.status == 200
    assert (shown.json["error"]["code"], shown.json["error"]["attempt"]) == ("", None)


def test_the_description_says_what_a_job_is_and_its_example_fits() -> None:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - only here

    routes = notice_routes()
    document = openapi_document(routes)
    schema = document["components"]["schemas"]["JobBody"]

    assert schema["properties"]["job_name"]["enum"] == [name.value for name in JobName]
    assert schema["required"] == ["job_name", "context"]
    Draft202012Validator(schema).validate(routes[0].example)
