"""Answers of Twilio's Messages resource as its documentation shows them."""

from __future__ import annotations

from typing import Any

from tests.fakes.vendor_server import Reply

ACCOUNT = "AC" + "0" * 32
SID = "SM" + "a" * 32
PATH = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"


def message(sid: str = SID, **changes: Any) -> dict[str, Any]:
    return {
        "account_sid": ACCOUNT,
        "api_version": "2010-04-01",
        "body": "Hi",
        "date_created": "Thu, 24 Aug 2026 05:01:45 +0000",
        "date_sent": None,
        "date_updated": "Thu, 24 Aug 2026 05:01:45 +0000",
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "from": "+15557122661",
        "num_media": "0",
        "num_segments": "1",
        "price": None,
        "price_unit": None,
        "messaging_service_sid": None,
        "sid": sid,
        "status": "queued",
        "subresource_uris": {"media": f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}/Media.json"},
        "to": "+15558675310",
        "uri": f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}.json",
    } | changes


def accepted(sid: str = SID, **changes: Any) -> Reply:
    return Reply(201, message(sid, **changes))


def refused(code: int | None, status: int = 400, **headers: str) -> Reply:
    body = {
        "code": code,
        "message": "The number +15558675310 is not valid",
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, {k: v for k, v in body.items() if v is not None}, named)


def listed(*messages: dict[str, Any]) -> Reply:
    return Reply(
        200,
        {
            "end": len(messages),
            "first_page_uri": PATH,
            "next_page_uri": None,
            "page": 0,
            "page_size": 100,
            "previous_page_uri": None,
            "messages": list(messages),
            "start": 0,
            "uri": PATH,
        },
    )
