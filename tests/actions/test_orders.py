from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from rasa_sdk import Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.orders import (
    ActionAskOrderNumber,
    ActionOrderStatus,
    FileOrders,
    HTTPOrders,
    Order,
    OrdersUnavailableError,
    ValidateOrderStatusForm,
    order_number_in,
)
from actions.texts import TEXTS


def tracker(language: str = "pt", *, slots: dict[str, Any] | None = None) -> Tracker:
    metadata = {
        "message_id": "m",
        "conversation_id": "c",
        "correlation_id": "k",
        "channel": "whatsapp",
        "sent_at": "2026-03-10T13:00:00+00:00",
        "language": language,
    }
    message = {"intent": {}, "entities": [], "text": "", "metadata": metadata}
    return Tracker("c", slots or {}, message, [], False, None, {}, "action_listen")


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("12345", "12345"),
        ("é o pedido #12345 por favor", "12345"),
        ("A-98213", "A-98213"),
        ("a-98213", "A-98213"),
        ("meu cpf é 11144477735", None),
        ("11987654321", None),
        ("nao sei", None),
        ("123", None),
        ("", None),
    ],
)
def test_order_numbers_are_found_and_a_cpf_or_phone_is_none(typed: str, number: str | None) -> None:
    assert order_number_in(typed) == number


@pytest.mark.parametrize("key", TEXTS)
def test_every_text_exists_in_the_three_languages(key: str) -> None:
    assert set(TEXTS[key]) == {"pt", "en", "es"}
    assert all(TEXTS[key].values())


class Known:
    async def find(self, number: str) -> Order | None:
        return Order(number, "shipped") if number == "12345" else None


class Away:
    async def find(self, number: str) -> Order | None:
        raise OrdersUnavailableError


class TestOrderStatus:
    @pytest.mark.parametrize(
        ("language", "words"),
        [("pt", "a caminho"), ("en", "on its way"), ("es", "en camino")],
    )
    async def test_is_told_in_the_customers_language(self, language: str, words: str) -> None:
        dispatcher = CollectingDispatcher()

        events = await ActionOrderStatus(Known()).run(
            dispatcher, tracker(language, slots={"order_number": "12345"}), {}
        )

        assert words in dispatcher.messages[0]["text"]
        assert events[0]["value"] is None

    @pytest.mark.parametrize("orders", [Known(), Away()])
    async def test_what_cannot_be_found_offers_a_person(self, orders: Any) -> None:
        dispatcher = CollectingDispatcher()

        await ActionOrderStatus(orders).run(dispatcher, tracker(slots={"order_number": "9"}), {})

        assert dispatcher.messages[0]["buttons"][0]["payload"] == "/talk_to_person"


class TestAskingForTheNumber:
    def asked(self, *events: dict[str, Any]) -> str:
        dispatcher = CollectingDispatcher()
        talk = tracker()
        talk.events = list(events)
        asyncio.run(ActionAskOrderNumber().run(dispatcher, talk, {}))
        return str(dispatcher.messages[0]["response"])

    FORM: ClassVar[dict[str, Any]] = {"event": "active_loop", "name": "order_status_form"}
    ASKED: ClassVar[dict[str, Any]] = {
        "event": "bot",
        "metadata": {"utter_action": "utter_ask_order_number"},
    }

    def test_the_first_time_in_full(self) -> None:
        assert self.asked() == "utter_ask_order_number"
        assert self.asked(self.FORM, {"event": "bot", "metadata": {}}) == "utter_ask_order_number"

    def test_then_in_other_words(self) -> None:
        other = {"event": "bot", "metadata": None}
        assert self.asked(self.FORM, self.ASKED, other) == "utter_ask_order_number_again"

    def test_a_new_form_begins_anew(self) -> None:
        assert self.asked(self.FORM, self.ASKED, self.FORM) == "utter_ask_order_number"


class TestDirectories:
    async def test_a_file_knows_its_orders_only(self, tmp_path: Path) -> None:
        path = tmp_path / "orders.json"
        path.write_text(json.dumps({"1": {"state": "shipped", "expected_on": "2026-03-12"}}))

        orders = FileOrders(path)

        found = await orders.find("1")
        assert found is not None
        assert found.state == "shipped"
        assert await orders.find("2") is None

    @pytest.mark.parametrize(
        ("status", "body", "outcome"),
        [
            (200, '{"state": "delivered"}', "found"),
            (404, "", "none"),
            (500, "", "away"),
            (200, "not json", "away"),
            (200, "{}", "away"),
        ],
    )
    async def test_an_address_is_asked_and_its_errors_are_no_orders(
        self, status: int, body: str, outcome: str
    ) -> None:
        seen: list[str] = []

        def answer(request: httpx.Request) -> httpx.Response:
            seen.append(request.url.raw_path.decode())
            return httpx.Response(status, text=body)

        http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
        orders = HTTPOrders(http, "http://orders.example/v1/")

        if outcome == "away":
            with pytest.raises(OrdersUnavailableError):
                await orders.find("A/1")
        else:
            found = await orders.find("A/1")
            assert (found is not None) == (outcome == "found")
        assert seen == ["/v1/A%2F1"]


async def test_the_form_refuses_what_is_no_number() -> None:
    dispatcher = CollectingDispatcher()
    asked = tracker()
    asked.events = [{"event": "slot", "name": "order_number", "value": "12"}]

    events = await ValidateOrderStatusForm().run(dispatcher, asked, {})

    assert events == [{"event": "slot", "timestamp": None, "name": "order_number", "value": None}]
    assert dispatcher.messages[0]["response"] == "utter_invalid_order_number"
