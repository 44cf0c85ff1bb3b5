"""What a customer sends, described in short, as the message object of a webhook."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

from simulator.store import Message

_MIME = {
    "image": "image/jpeg",
    "video": "video/mp4",
    "audio": "audio/ogg; codecs=opus",
    "voice": "audio/ogg; codecs=opus",
    "document": "application/pdf",
    "sticker": "image/webp",
}
TYPES = (
    "text",
    *_MIME,
    "location",
    "contacts",
    "reaction",
    "order",
    "flow",
    "unsupported",
    "edit",
    "revoke",
    "request_welcome",
)
MAX_TEXT = 4096


class CustomerMessageError(ValueError):
    """A description that makes no message; `field` names what is wrong."""

    def __init__(self, field: str, message: str, *, allowed: list[str] | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.allowed = allowed


def build_item(body: Mapping[str, Any], last: Message | None) -> tuple[dict[str, Any], str]:
    """The message object (no address, id or time) and the words the chat page shows.

    Args:
        body: The request: `text`, `button`, `type` with its parts, or `raw`.
        last: The last message with options that this customer received.

    Raises:
        CustomerMessageError: Nothing, or nothing valid, is described.
    """
    if "raw" in body:
        if not isinstance(body["raw"], dict):
            _refuse("raw", "expected an object, a message as in a webhook")
        return dict(body["raw"]), str(body["raw"].get("type", "raw"))
    item, shown = _described(body, last)
    reply_to = body.get("reply_to")
    if isinstance(reply_to, str) and "context" not in item:
        item["context"] = {"id": reply_to}
    return item, shown


def _described(body: Mapping[str, Any], last: Message | None) -> tuple[dict[str, Any], str]:
    if body.get("button") is not None:
        return _choice(body["button"], last)
    kind = body.get("type", body.get("kind", "text"))
    if kind not in TYPES:
        _refuse("type", f"expected one of {', '.join(TYPES)}")
    if kind == "text":
        words = body.get("text")
        if not isinstance(words, str) or not words.strip() or len(words) > MAX_TEXT:
            _refuse("text", f"expected 1 to {MAX_TEXT} characters")
        return {"type": "text", "text": {"body": words}}, words
    if kind in _MIME:
        return _media(kind, body)
    return _other(kind, body)


def moment_of(body: Mapping[str, Any], now: float) -> float:
    """The webhook's timestamp: `at` (ISO 8601, or epoch seconds) or the present.

    Raises:
        CustomerMessageError: `at` is no moment.
    """
    at = body.get("at")
    if at is None:
        return now
    if isinstance(at, int | float) and not isinstance(at, bool):
        return float(at)
    try:
        moment = datetime.fromisoformat(at)
    except (TypeError, ValueError):
        _refuse("at", "expected an ISO 8601 time such as 2026-11-22T03:00:00-03:00")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _choice(wanted: Any, last: Message | None) -> tuple[dict[str, Any], str]:
    if last is None:
        _refuse("button", "this customer has received no message with options")
    options = last.view["buttons"]
    chosen = _find(str(wanted).strip(), options)
    if chosen is None:
        allowed = [str(option["id"]) for option in options]
        names = "; ".join(
            f"{number}: {option['title']} ({option['id']})"
            for number, option in enumerate(options, start=1)
        )
        _refuse("button", f"expected one of {names}", allowed=allowed)
    context = {"id": last.id}
    if last.view.get("template"):
        button = {"text": chosen["title"], "payload": chosen["id"]}
        return {"type": "button", "button": button, "context": context}, chosen["title"]
    kind = "list_reply" if last.view.get("sections") else "button_reply"
    reply = {key: chosen[key] for key in ("id", "title", "description") if key in chosen}
    interactive = {"type": kind, kind: reply}
    return {"type": "interactive", "interactive": interactive, "context": context}, chosen["title"]


def _find(wanted: str, options: list[dict[str, Any]]) -> dict[str, Any] | None:
    """By id, then by title (any case), then by its number from 1."""
    for option in options:
        if option["id"] == wanted:
            return option
    for option in options:
        if option["title"].casefold() == wanted.casefold():
            return option
    if wanted.isascii() and wanted.isdecimal() and 1 <= int(wanted) <= len(options):
        return options[int(wanted) - 1]
    return None


def _media(kind: str, body: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    name = "audio" if kind == "voice" else kind
    identifier = str(body.get("media_id") or "1908647269898587")
    part: dict[str, Any] = {
        "mime_type": str(body.get("mime_type") or _MIME[kind]),
        "sha256": hashlib.sha256(identifier.encode()).hexdigest(),
        "id": identifier,
    }
    if name == "audio":
        part["voice"] = kind == "voice" or body.get("voice") is True
    if name == "sticker":
        part["animated"] = body.get("animated") is True
    if name == "document":
        part["filename"] = str(body.get("filename") or "documento.pdf")
    caption = body.get("caption", body.get("text"))
    if isinstance(caption, str) and caption and name in {"image", "video", "document"}:
        part["caption"] = caption
        return {"type": name, name: part}, caption
    return {"type": name, name: part}, ""


def _other(kind: str, body: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    given = body.get(kind)
    target = str(body.get("message_id") or "")
    if kind in {"reaction", "edit", "revoke"} and not target:
        _refuse("message_id", f"expected the id of the message that the {kind} is about")
    emoji = str(body.get("emoji", "👍"))
    words = str(body.get("text") or "")
    edited = {"type": "text", "text": {"body": words}}
    usual: dict[str, Any] = {
        "location": {"latitude": -23.5614, "longitude": -46.6559, "name": "Avenida Paulista"},
        "contacts": [
            {
                "name": {"formatted_name": "Ana Lima", "first_name": "Ana"},
                "phones": [{"phone": "+55 11 98765-4321", "wa_id": "5511987654321"}],
            }
        ],
        "reaction": {"message_id": target, "emoji": emoji},
        "order": {
            "catalog_id": "194836987003835",
            "text": words,
            "product_items": [
                {"product_retailer_id": "p1", "quantity": 1, "item_price": 10, "currency": "BRL"}
            ],
        },
        "unsupported": {"type": "unknown"},
        "edit": {"original_message_id": target, "message": edited},
        "revoke": {"original_message_id": target},
        "request_welcome": {},
    }
    if kind == "flow":
        written = body.get("response_json", '{"flow_token": "unused"}')
        reply = {"name": "flow", "body": "Sent", "response_json": written}
        interactive = {"type": "nfm_reply", "nfm_reply": reply}
        return {"type": "interactive", "interactive": interactive}, "flow"
    item: dict[str, Any] = {"type": kind, kind: usual[kind] if given is None else given}
    if kind == "unsupported":
        item["errors"] = [
            {
                "code": 131051,
                "title": "Message type unknown",
                "message": "Message type unknown",
                "error_data": {"details": "Message type is currently not supported."},
            }
        ]
    return item, emoji if kind == "reaction" else words


def _refuse(field: str, message: str, *, allowed: list[str] | None = None) -> NoReturn:
    raise CustomerMessageError(field, message, allowed=allowed)
