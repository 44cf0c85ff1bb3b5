"""Webhook bodies as Meta writes and signs them."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any

from simulator.settings import SimulatorSettings
from simulator.store import Customer, Event


def contact_of(customer: Customer) -> dict[str, Any]:
    """The entry of `contacts` that comes with a customer's message."""
    contact: dict[str, Any] = {"user_id": customer.user_id}
    if customer.name:
        contact["profile"] = {"name": customer.name}
    if customer.wa_id:
        contact["wa_id"] = customer.wa_id
    return contact


def status_item(
    message_id: str,
    status: str,
    *,
    customer: Customer,
    seconds: int,
    callback_data: str | None,
    errors: list[dict[str, Any]],
) -> dict[str, Any]:
    """One entry of `statuses`."""
    item: dict[str, Any] = {"id": message_id, "status": status, "timestamp": str(seconds)}
    if customer.wa_id:
        item["recipient_id"] = customer.wa_id
    if status != "failed":
        # Meta leaves the user id out of a failed status.
        item["recipient_user_id"] = customer.user_id
        item["pricing"] = {
            "billable": True,
            "pricing_model": "PMP",
            "category": "service",
            "type": "regular",
        }
    if callback_data is not None:
        item["biz_opaque_callback_data"] = callback_data
    if errors:
        item["errors"] = errors
    return item


def webhook_body(events: Sequence[Event], settings: SimulatorSettings) -> bytes:
    """One POST that tells `events`, all of them messages or all statuses.

    Every character outside ASCII is escaped and so is the slash: Meta's writer does that, and a
    receiver that checks the signature over JSON it wrote again must fail here too.
    """
    key = {"message": "messages", "status": "statuses"}[events[0].kind]
    value: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "metadata": {
            "display_phone_number": settings.display_phone_number,
            "phone_number_id": settings.phone_number_id,
        },
    }
    contacts = {json.dumps(event.contact): event.contact for event in events if event.contact}
    if contacts:
        value["contacts"] = list(contacts.values())
    value[key] = [event.item for event in events]
    payload = {
        "object": "whatsapp_business_account",
        "entry": [
            {
                "id": settings.business_account_id,
                "changes": [{"value": value, "field": "messages"}],
            }
        ],
    }
    written = json.dumps(payload, separators=(",", ":"), ensure_ascii=True)
    return written.replace("/", "\\/").encode("ascii")


def signature(body: bytes, secret: str) -> str:
    """The value of X-Hub-Signature-256."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
