"""Order status: the form's validation and the answer.

Where orders come from is a port. The demonstration reads a JSON file; an operation gives an HTTP
address that answers `GET {url}/{number}` with the same document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import httpx
import structlog
from rasa_sdk import Action, Tracker
from rasa_sdk.events import EventType, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.rules import facts_of
from actions.texts import ORDER_STATES, text

log = structlog.get_logger()

# 4 to 12 digits, with letters or a hyphen in front or behind: "12345", "A-98213", "#4521BR".
_NUMBER = re.compile(r"#?\s*([A-Za-z]{0,3}-?\d{4,12}(?:-?[A-Za-z0-9]{1,3})?)\b")
_TIMEOUT = httpx.Timeout(3.0)  # a customer is waiting for the answer


@dataclass(frozen=True, slots=True)
class Order:
    """An order as its owner is told about it."""

    number: str
    state: str
    expected_on: date | None = None
    tracking_code: str | None = None


class OrdersUnavailableError(Exception):
    """The directory of orders did not answer."""


class Orders(Protocol):
    """Where orders are looked up."""

    async def find(self, number: str) -> Order | None:
        """The order with this number.

        Raises:
            OrdersUnavailableError: nobody knows at the moment.
        """
        ...


class FileOrders:
    """Orders from a JSON file: `{"12345": {"state": "shipped", "expected_on": "2026-11-25"}}`."""

    def __init__(self, path: Path) -> None:
        self._orders: Mapping[str, Any] = (
            json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        )

    async def find(self, number: str) -> Order | None:
        """The order with this number."""
        found = self._orders.get(number)
        return None if found is None else _order(number, found)


class HTTPOrders:
    """Orders from an HTTP address; 404 means that there is no such order."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url.rstrip("/")

    async def find(self, number: str) -> Order | None:
        """The order with this number.

        Raises:
            OrdersUnavailableError: no answer in time, or not the agreed document.
        """
        try:
            response = await self._http.get(
                f"{self._url}/{quote(number, safe='')}", timeout=_TIMEOUT
            )
            if response.status_code == httpx.codes.NOT_FOUND:
                return None
            return _order(number, response.raise_for_status().json())
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise OrdersUnavailableError(type(error).__name__) from error


def _order(number: str, found: Mapping[str, Any]) -> Order:
    expected = found.get("expected_on")
    return Order(
        number=number,
        state=str(found["state"]),
        expected_on=date.fromisoformat(expected) if expected else None,
        tracking_code=found.get("tracking_code"),
    )


def order_number_in(value: str) -> str | None:
    """The order number in what a customer typed, upper case and without "#"; None if there is none.

    A CPF or a phone number (11 digits or more without letters) is not taken for an order.
    """
    longest_plain_number = 10
    for match in _NUMBER.finditer(value):
        number = match[1].upper()
        if number.isdigit() and len(number) > longest_plain_number:
            continue
        return number
    return None


class ValidateOrderStatusForm(Action):  # type: ignore[misc]  # the SDK has no types
    """Take an order number, or say what one looks like and ask again."""

    def name(self) -> str:
        """Named in the domain."""
        return "validate_order_status_form"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[EventType]:
        """Check the number the form has found in this turn."""
        events: list[EventType] = []
        for name, value in tracker.slots_to_validate().items():
            if name != "order_number" or value is None:
                continue
            number = order_number_in(str(value))
            if number is None and any(character.isdigit() for character in str(value)):
                # Words without a digit are no attempt at a number: the form just asks again.
                dispatcher.utter_message(response="utter_invalid_order_number")
            events.append(SlotSet("order_number", number))
        return events


class ActionAskOrderNumber(Action):  # type: ignore[misc]  # the SDK has no types
    """Ask for the number; in other words from the second time on, so that no question repeats."""

    def name(self) -> str:
        """Rasa's name for the action that asks for a slot."""
        return "action_ask_order_number"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[EventType]:
        """Ask, by one of the two answers in `domain.yml`."""
        again = _has_asked(tracker.events)
        dispatcher.utter_message(
            response="utter_ask_order_number_again" if again else "utter_ask_order_number"
        )
        return []


def _has_asked(events: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the form that is open has asked before."""
    for event in reversed(events):
        if event.get("event") == "active_loop":
            return False
        said = (event.get("metadata") or {}).get("utter_action") or ""
        if event.get("event") == "bot" and str(said).startswith("utter_ask_order_number"):
            return True
    return False


class ActionOrderStatus(Action):  # type: ignore[misc]  # the SDK has no types
    """Tell where the order is, and forget its number: the next question may be about another."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    def name(self) -> str:
        """Named in the domain."""
        return "action_order_status"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[EventType]:
        """Look the order up and tell."""
        language = facts_of(tracker).language
        number = str(tracker.get_slot("order_number") or "")
        person = [{"title": text("talk_to_person", language), "payload": "/talk_to_person"}]
        try:
            order = await self._orders.find(number)
        except OrdersUnavailableError:
            log.warning("orders.unavailable")
            dispatcher.utter_message(text=text("orders_unavailable", language), buttons=person)
            return [SlotSet("order_number", None)]
        if order is None:
            words = text("order_unknown", language, number=number)
            dispatcher.utter_message(text=words, buttons=person)
        else:
            dispatcher.utter_message(text=_words(order, language))
        return [SlotSet("order_number", None)]


def _words(order: Order, language: str) -> str:
    known = order.state if order.state in ORDER_STATES else "processing"
    parts = [text(f"order_{known}", language, number=order.number)]
    if order.expected_on is not None and known in {"processing", "shipped"}:
        day = order.expected_on.strftime("%d/%m" if language != "en" else "%d %b")
        parts.append(text("order_expected", language, day=day))
    if order.tracking_code:
        parts.append(text("order_tracking", language, code=order.tracking_code))
    return " ".join(parts)
