"""Webhook bodies as Meta sends them, built from the documented fields."""

from __future__ import annotations

import json
from typing import Any

PHONE_NUMBER_ID = "106540352242922"
SENT_AT = 1795348800  # 2026-11-22T12:00:00Z
WA_ID = "5511987654321"
USER_ID = "BR.13491208655302741918"
WAMID = "wamid.HBgNNTUxMTk4NzY1NDMyMRUCABIYFDNBMDJCMUQzNEZDRkE5OTg5RTYxAA=="
CONTACT = {
    "profile": {"name": "Ana Lima", "username": "ana.lima"},
    "wa_id": WA_ID,
    "user_id": USER_ID,
}
METADATA = {"display_phone_number": "551155501234", "phone_number_id": PHONE_NUMBER_ID}


def message(kind: str, part: Any = None, **extra: Any) -> dict[str, Any]:
    """One entry of `messages`; pass `field=None` to leave a field out."""
    item = {
        "from": WA_ID,
        "from_user_id": USER_ID,
        "id": WAMID,
        "timestamp": str(SENT_AT),
        "type": kind,
        **({kind: part} if part is not None else {}),
        **{name.rstrip("_"): value for name, value in extra.items()},
    }
    return {name: value for name, value in item.items() if value is not None}


def text(body: str = "Olá, meu boleto não chegou", **extra: Any) -> dict[str, Any]:
    return message("text", {"body": body}, **extra)


def status(name: str = "delivered", **extra: Any) -> dict[str, Any]:
    item = {
        "id": WAMID,
        "status": name,
        "timestamp": str(SENT_AT),
        "recipient_id": WA_ID,
        "recipient_user_id": USER_ID,
        "biz_opaque_callback_data": "0199-turn",
        "pricing": {"billable": True, "pricing_model": "PMP", "category": "service"},
        **extra,
    }
    return {name: value for name, value in item.items() if value is not None}


def failed_status() -> dict[str, Any]:
    """As documented: no contacts beside it and no recipient_user_id."""
    return status(
        "failed",
        recipient_user_id=None,
        pricing=None,
        errors=[
            {
                "code": 131047,
                "title": "Re-engagement message",
                "message": "Re-engagement message",
                "error_data": {"details": "More than 24 hours have passed."},
                "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
            }
        ],
    )


def value(**parts: Any) -> dict[str, Any]:
    whole = {"messaging_product": "whatsapp", "metadata": METADATA, **parts}
    if "messages" in parts:
        whole.setdefault("contacts", [CONTACT])
    return {name: part for name, part in whole.items() if part is not None}


def change(part: Any, field: str = "messages") -> dict[str, Any]:
    return {"field": field, "value": part}


def envelope(*entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Each argument is the list of changes of one entry."""
    return {
        "object": "whatsapp_business_account",
        "entry": [
            {"id": "102290129340398", "time": SENT_AT, "changes": changes} for changes in entries
        ],
    }


def body(payload: Any) -> bytes:
    """Written as Meta writes it: escaped unicode, escaped slashes."""
    return json.dumps(payload, separators=(",", ":")).replace("/", "\\/").encode("ascii")


def webhook(*messages: Any, **parts: Any) -> bytes:
    """A webhook of one change with these messages."""
    return body(envelope([change(value(messages=list(messages), **parts))]))
