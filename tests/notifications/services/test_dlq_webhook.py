"""The webhook: a row first, signed, repeated, and without anything about a person."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select

from notifications.senders.webhook import HttpPost
from notifications.services import dlq_webhook
from notifications.services.dlq_webhook import (
    LEASE,
    MAX_ATTEMPTS,
    SIGNATURE_HEADER,
    DlqWebhook,
    add_call,
)
from notifications.services.reprocess_plan import Options
from tests.notifications.conftest import World
from tests.notifications.services.test_reprocess import ALL, Dlq
from ticketing.db.notification_tables import DlqWebhookCall
from ticketing.domain.enums import DlqAction

SECRET = "a secret of the operator, long enough"


class Receiver:
    """Answers as it is told and keeps what it got."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers = list(answers)
        self.got: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.got.append(request)
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        headers = {"Location": "https://evil.example"} if answer == 302 else {}
        return httpx.Response(answer, headers=headers)


Hook = Callable[..., DlqWebhook]


@pytest.fixture
def hook(world: World) -> Hook:
    def make(receiver: Receiver, url: str = "https://ops.example/hook") -> DlqWebhook:
        http = httpx.AsyncClient(transport=httpx.MockTransport(receiver))
        return DlqWebhook(world.db, world.clock, HttpPost(http), url, SECRET, jitter=lambda: 1.0)

    return make


async def add(world: World, cause: str = "alert:1") -> None:
    async with world.db.transaction() as session:
        await add_call(
            session,
            cause=cause,
            kind="dlq.threshold",
            status="firing",
            more={"alert": {"count": 12}},
            now=world.clock.now(),
        )


async def calls(world: World) -> list[DlqWebhookCall]:
    async with world.db.transaction() as session:
        return list(await session.scalars(select(DlqWebhookCall)))


async def test_an_action_is_told_with_numbers_filters_and_a_sample(
    world: World, hook: Hook
) -> None:
    dlq = Dlq(world)
    await dlq.kill(recipient="maria@example.com", context={"text": "Oi, sou Maria"})
    await dlq.kill(reason="expired")
    done = await dlq.actions(webhook=True).run(DlqAction.REPROCESS, ALL, Options(), actor="cli:ana")
    receiver = Receiver()
    assert await hook(receiver).run() == 1
    body = json.loads(receiver.got[0].content)
    assert (body["version"], body["type"], body["status"]) == (1, "dlq.reprocess", "partly")
    assert body["event_id"] == f"action:{done.action_id}"
    assert body["stats"]["reprocessing"] == 1
    assert body["action"]["refused_by_reason"] == {"expired": 1}
    assert body["sample"][0]["error_code"] == "connect"
    assert "aria" not in receiver.got[0].content.decode()
    (call,) = await calls(world)
    assert (call.state, call.attempts) == ("sent", 1)
    assert await hook(receiver).run() == 0


async def test_the_signature_is_of_the_time_and_the_body(world: World, hook: Hook) -> None:
    await add(world)
    receiver = Receiver()
    await hook(receiver).run()
    request = receiver.got[0]
    parts = dict(part.split("=") for part in request.headers[SIGNATURE_HEADER].split(","))
    signed = parts["t"].encode() + b"." + request.content
    assert hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest() == parts["v1"]
    assert int(parts["t"]) == int(world.clock.now().timestamp())


@pytest.mark.parametrize(
    "answer", [500, 404, 429, 302, httpx.ConnectError("x"), httpx.ReadTimeout("x")]
)
async def test_a_call_that_fails_is_made_again_later(
    world: World, hook: Hook, answer: int | Exception
) -> None:
    await add(world)
    receiver = Receiver(answer)
    sender = hook(receiver)
    assert await sender.run() == 1
    assert await sender.run() == 0  # not at once
    world.clock.advance(timedelta(seconds=5))
    assert await sender.run() == 1
    assert len(receiver.got) == 2
    assert {str(request.url) for request in receiver.got} == {"https://ops.example/hook"}
    (call,) = await calls(world)
    assert (call.state, call.attempts) == ("sent", 2)


async def test_after_the_last_attempt_a_call_is_kept_as_failed(world: World, hook: Hook) -> None:
    await add(world)
    sender = hook(Receiver(*[500] * MAX_ATTEMPTS))
    for _ in range(MAX_ATTEMPTS):
        assert await sender.run() == 1
        world.clock.advance(timedelta(hours=1))
    assert await sender.run() == 0
    (call,) = await calls(world)
    assert (call.state, call.error, call.attempts) == ("failed", "http_500", MAX_ATTEMPTS)


class DyingReceiver(Receiver):
    """The process dies while the call is under way."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.got.append(request)
        raise KeyboardInterrupt


async def test_a_call_whose_sender_died_is_taken_up_after_its_lease(
    world: World, hook: Hook
) -> None:
    await add(world)
    with pytest.raises(KeyboardInterrupt):
        await hook(DyingReceiver()).run()
    receiver = Receiver()
    assert await hook(receiver).run() == 0
    world.clock.advance(LEASE)
    assert await hook(receiver).run() == 1


async def test_without_an_address_waiting_calls_are_dropped(world: World, hook: Hook) -> None:
    await add(world)
    receiver = Receiver()
    await hook(receiver, url="").run()
    (call,) = await calls(world)
    assert (call.state, receiver.got) == ("dropped", [])


async def test_one_cause_is_one_call(world: World) -> None:
    await add(world)
    await add(world)
    assert len(await calls(world)) == 1


async def test_the_lease_is_longer_than_a_call_may_take() -> None:
    assert dlq_webhook.LEASE > dlq_webhook.TIMEOUT
