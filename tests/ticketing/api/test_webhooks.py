from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from sanic import Sanic
from sqlalchemy import select

from channels.whatsapp.signature import sign
from kit.clock import FakeClock
from tests.ticketing.services.talk import make_world
from ticketing.api.webhooks import FORGERIES, WebhookDeps, create_blueprint
from ticketing.db.engine import Database
from ticketing.db.tables import Message, Turn, WebhookItem
from ticketing.http.rate_limit import Rate

SECRET, OLD_SECRET = "new-app-secret", "old-app-secret"


def envelope(*messages: dict[str, Any], statuses: list[dict[str, Any]] | None = None) -> bytes:
    value: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "551155501234", "phone_number_id": "1000"},
        "contacts": [{"profile": {"name": "Ana"}, "wa_id": "5511987654321"}],
    }
    if messages:
        value["messages"] = list(messages)
    if statuses:
        value["statuses"] = statuses
    entry = {"id": "1", "changes": [{"field": "messages", "value": value}]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


def text_message(number: int, body: str = "oi") -> dict[str, Any]:
    return {
        "from": "5511987654321",
        "id": f"wamid.{number}",
        "timestamp": str(1_773_147_600 + number),
        "type": "text",
        "text": {"body": body},
    }


class Door:
    """The webhook with everything behind it."""

    def __init__(
        self, db: Database, clock: FakeClock, *, broken: bool = False, forgeries: Rate = FORGERIES
    ) -> None:
        self.world = make_world(db, clock)
        self.broken = broken
        self.app: Sanic[Any, Any] = Sanic(f"door-{id(self)}", configure_logging=False)
        deps = WebhookDeps((SECRET, OLD_SECRET), "verify-me", self._accept, clock, forgeries)
        self.app.blueprint(create_blueprint(deps))

    async def _accept(self, items: Any, correlation_id: str) -> Any:
        if self.broken:
            message = "the database is away"
            raise ConnectionError(message)
        return await self.world.inbound.accept(items, correlation_id)

    async def post(self, body: bytes, *, secret: str | None = SECRET) -> int:
        headers = {} if secret is None else {"X-Hub-Signature-256": sign(body, secret)}
        _, response = await self.app.asgi_client.post(
            "/webhooks/whatsapp", content=body, headers=headers
        )
        await self.world.settle()
        return int(response.status)


@pytest.fixture
def door(db: Database, clock: FakeClock) -> Door:
    return Door(db, clock)


class TestVerification:
    @pytest.mark.parametrize(
        ("query", "status"),
        [
            ("hub.mode=subscribe&hub.challenge=42&hub.verify_token=verify-me", 200),
            ("hub.mode=subscribe&hub.challenge=42&hub.verify_token=wrong", 403),
            ("hub.mode=subscribe&hub.challenge=42&hub.verify_token=%C3%A9", 403),
            ("hub.mode=unsubscribe&hub.challenge=42&hub.verify_token=verify-me", 403),
            ("hub.mode=subscribe&hub.verify_token=verify-me", 403),
            ("", 403),
        ],
    )
    async def test_answers_the_challenge_to_who_knows_the_token(
        self, door: Door, query: str, status: int
    ) -> None:
        _, response = await door.app.asgi_client.get(f"/webhooks/whatsapp?{query}")

        assert response.status == status
        if status == 200:
            assert response.text == "42"
            assert response.headers["content-type"].startswith("text/plain")


class TestSignature:
    @pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
    async def test_both_secrets_of_a_rotation_are_right(self, door: Door, secret: str) -> None:
        assert await door.post(envelope(text_message(1)), secret=secret) == 200

    @pytest.mark.parametrize("secret", ["wrong", None])
    async def test_a_bad_signature_is_refused_and_nothing_is_stored(
        self, door: Door, secret: str | None
    ) -> None:
        assert await door.post(envelope(text_message(1)), secret=secret) == 401
        assert await door.world.rows(WebhookItem) == []

    async def test_a_forger_is_slowed_down_and_meta_is_not(
        self, db: Database, clock: FakeClock
    ) -> None:
        door = Door(db, clock, forgeries=Rate(burst=2, every=timedelta(seconds=1)))
        body = envelope(text_message(1))
        statuses = [await door.post(b"{}", secret="wrong") for _ in range(3)]

        assert statuses == [401, 401, 429]
        assert await door.post(body) == 200

    async def test_the_raw_bytes_are_signed_not_what_they_mean(self, door: Door) -> None:
        body = envelope(text_message(1, "ação 😀"))
        assert b"\\u" in body

        assert await door.post(body) == 200


class TestStoring:
    async def test_a_batch_of_two_entries_is_stored_item_by_item(self, door: Door) -> None:
        one = json.loads(envelope(text_message(1), text_message(2)))
        two = json.loads(envelope(statuses=[{"id": "wamid.x", "status": "sent", "timestamp": "1"}]))
        one["entry"] += two["entry"]

        assert await door.post(json.dumps(one).encode()) == 200

        assert sorted(row.kind for row in await door.world.rows(WebhookItem)) == [
            "message",
            "message",
            "status",
        ]

    async def test_redelivery_stores_nothing_new(self, door: Door) -> None:
        body = envelope(text_message(1))

        assert [await door.post(body) for _ in range(3)] == [200, 200, 200]

        assert len(await door.world.rows(WebhookItem)) == 1
        assert len(await door.world.rows(Turn)) == 1

    @pytest.mark.parametrize(
        "body",
        [b"{}", b"[]", b"null", b'"text"', b'{"object":"page","entry":[{"changes":[{}]}]}'],
    )
    async def test_unknown_shapes_are_accepted(self, door: Door, body: bytes) -> None:
        assert await door.post(body) == 200

    async def test_signed_garbage_is_a_bad_request(self, door: Door) -> None:
        assert await door.post(b"\xff not json") == 400

    async def test_when_nothing_can_be_stored_meta_is_asked_to_repeat(
        self, db: Database, clock: FakeClock
    ) -> None:
        door = Door(db, clock, broken=True)

        assert await door.post(envelope(text_message(1))) == 500

    async def test_a_message_without_any_sender_is_kept_as_a_notice(self, door: Door) -> None:
        message = text_message(1)
        del message["from"]
        body = json.loads(envelope(message))
        del body["entry"][0]["changes"][0]["value"]["contacts"]

        assert await door.post(json.dumps(body).encode()) == 200

        (item,) = await door.world.rows(WebhookItem)
        assert (item.kind, item.raw["id"]) == ("notice", "wamid.1")
        assert await door.world.rows(Message) == []

    async def test_the_providers_time_is_kept_beside_ours(self, door: Door) -> None:
        await door.post(envelope(text_message(30)))

        message = await door.world.row(select(Message).where(Message.direction == "inbound"))
        assert int(message.sent_at.timestamp()) == 1_773_147_630
        assert message.created_at == door.world.clock.now()
