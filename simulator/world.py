"""What both sides of the simulator share: who is who, and what a message sets in motion."""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from kit.clock import Clock
from simulator.delivery import Delivery
from simulator.numbers import digits_of, key_of, user_id_of, wa_id_of
from simulator.settings import SimulatorSettings
from simulator.store import Customer, Event, Store
from simulator.webhooks import contact_of, status_item

# WhatsApp shows the typing bubble until the answer, at most this long.
TYPING_SECONDS = 25.0


class World:
    """Customers, messages and the webhooks they cause."""

    def __init__(
        self, settings: SimulatorSettings, store: Store, delivery: Delivery, clock: Clock
    ) -> None:
        self.settings = settings
        self.store = store
        self._delivery = delivery
        self._clock = clock
        delivery.on_statuses = self.settle

    def now(self) -> float:
        """The present as an epoch second."""
        return self._clock.now().timestamp()

    def key_for(self, address: str) -> str:
        """The key of a phone number in any spelling, or of a user id."""
        digits = digits_of(address)
        if digits is not None:
            return key_of(digits)
        found = self.store.customer(address.strip())
        return found.key if found else address.strip()

    def ensure_customer(
        self, *, phone: str | None, user_id: str | None = None, name: str | None = None
    ) -> Customer:
        """The customer with this number (digits) or this user id, made when new."""
        known = self.store.customer(user_id) if user_id else None
        if known is None and phone is not None:
            known = self.store.customer(key_of(phone))
        key = known.key if known else key_of(phone) if phone else user_id or ""
        assigned = user_id or (known.user_id if known else user_id_of(key))
        if (
            known is not None
            and (phone is None or known.phone is not None)
            and known.user_id == assigned
            and name in {None, known.name}
        ):
            return known
        wa_id = wa_id_of(phone, rewrite=self.settings.rewrite_numbers) if phone else None
        return self.store.save_customer(key, phone=phone, wa_id=wa_id, user_id=assigned, name=name)

    def window_open(self, customer: Customer) -> bool:
        """Whether the customer wrote within the last 24 h."""
        if customer.window_from is None:
            return False
        return self.now() - customer.window_from < self.settings.window.total_seconds()

    def receive(
        self,
        customer: Customer,
        *,
        item: dict[str, Any],
        view: Mapping[str, Any],
        moment: float,
        copies: int = 1,
    ) -> str:
        """A customer wrote: keep it and tell the callback. Returns the wamid.

        Args:
            customer: Who wrote.
            item: The message object without its address, id and time.
            view: What the chat page shows.
            moment: Epoch second of the webhook's timestamp.
            copies: How often the webhook is delivered.
        """
        identifier = str(item.get("id") or new_wamid())
        whole: dict[str, Any] = {"id": identifier, "timestamp": str(int(moment)), **item}
        if customer.wa_id:
            whole["from"] = customer.wa_id
        whole["from_user_id"] = customer.user_id
        due = self.now() + self.settings.message_delay.total_seconds()
        with self.store.transaction():
            self.store.open_window(customer.key, moment)
            self.store.add_message(
                identifier,
                customer=customer.key,
                direction="in",
                type_=str(item.get("type", "text")),
                view=view,
                status="sent",
                timestamp=moment,
            )
            events = [
                self.store.add_event(
                    "message",
                    lane=customer.key,
                    item=whole,
                    contact=contact_of(customer),
                    due=due,
                )
                for _ in range(copies)
            ]
        for event in events:
            self._delivery.push(event)
        return identifier

    def accept(
        self,
        customer: Customer,
        *,
        kind: str,
        view: Mapping[str, Any],
        callback_data: str | None,
        failure: dict[str, Any] | None,
        statuses: tuple[str, ...],
    ) -> str:
        """Ponte sent a message: keep it and plan its statuses. Returns the wamid."""
        identifier = new_wamid()
        now = self.now()
        planned = ("failed",) if failure is not None else statuses
        errors = [failure] if failure is not None else []
        events: list[Event] = []
        with self.store.transaction():
            self.store.add_message(
                identifier,
                customer=customer.key,
                direction="out",
                type_=kind,
                view=view,
                status="accepted",
                timestamp=now,
                callback_data=callback_data,
            )
            self.store.set_typing(customer.key, 0.0)
            for status in planned:
                due = now + self._delay_of(status).total_seconds()
                item = status_item(
                    identifier,
                    status,
                    customer=customer,
                    seconds=int(due),
                    callback_data=callback_data,
                    errors=errors,
                )
                # A status of a message to a known person names them; a failed one never does.
                contact = {} if status == "failed" else contact_of(customer)
                events.append(
                    self.store.add_event(
                        "status", lane=customer.key, item=item, contact=contact, due=due
                    )
                )
            for status in planned:
                if status in {"sent", "failed"}:
                    self.store.raise_status(identifier, status, errors)
        for event in events:
            self._delivery.push(event)
        return identifier

    def settle(self, events: Sequence[Event]) -> None:
        """Statuses are due: the customers' phones show them, heard or not by the callback."""
        with self.store.transaction():
            for event in events:
                self.store.raise_status(event.item["id"], event.item["status"], [])

    def mark_read(self, message_id: str, *, typing: bool) -> bool:
        """Ponte read a customer's message; False when there is none with this id."""
        message = self.store.message(message_id)
        if message is None or message.direction != "in":
            return False
        with self.store.transaction():
            self.store.raise_status(message_id, "read", [])
            if typing:
                self.store.set_typing(message.customer, self.now() + TYPING_SECONDS)
        return True

    def _delay_of(self, status: str) -> timedelta:
        delays = {
            "delivered": self.settings.delivered_delay,
            "read": self.settings.read_delay,
            # Meta takes a moment to find out; later than the answer to the request.
            "failed": self.settings.delivered_delay,
        }
        return delays.get(status, timedelta())


def new_wamid() -> str:
    """An id as Meta writes them: `wamid.` and base64."""
    return "wamid." + urlsafe_b64encode(b"\x1d\x18\x0c" + secrets.token_bytes(27)).decode()
