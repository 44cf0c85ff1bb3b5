"""Customers' messages as Meta posts them, for the faults of the way in."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass

import httpx

from tests.faults.lab import APP_SECRET, PHONE_NUMBER_ID, Lab


@dataclass(frozen=True, slots=True)
class Written:
    """A message of a customer, and when the web process said that it has it."""

    wamid: str
    phone: str
    status: int
    at: float


def write(lab: Lab, phone: str, text: str, *, wamid: str) -> Written:
    """Post one message as a webhook; `status` 0: no answer within ten seconds."""
    message = {
        "from": phone.lstrip("+"),
        "id": wamid,
        "timestamp": str(int(lab.clock_seconds())),
        "type": "text",
        "text": {"body": text},
    }
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "551140000000", "phone_number_id": PHONE_NUMBER_ID},
        "contacts": [{"profile": {"name": "Cliente"}, "wa_id": phone.lstrip("+")}],
        "messages": [message],
    }
    change = {"value": value, "field": "messages"}
    body = {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}
    raw = json.dumps(body).encode()
    digest = hmac.new(APP_SECRET.encode(), raw, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={digest}"}
    at = lab.clock_seconds()
    try:
        answer = httpx.post(
            f"http://127.0.0.1:{lab.web_port}/webhooks/whatsapp",
            content=raw,
            headers=headers,
            timeout=10,
            trust_env=False,
        )
        status = answer.status_code
    except httpx.HTTPError:
        status = 0
    return Written(wamid, phone, status, at)


def customer(number: int) -> str:
    """The phone of the customer with this number."""
    return f"+55119{70000000 + number}"
