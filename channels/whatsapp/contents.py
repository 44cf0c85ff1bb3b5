"""The content of one message object of the WhatsApp Cloud API, by its `type`.

Source: developers.facebook.com/docs/whatsapp/cloud-api/webhooks/reference/messages.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from channels.inbound import (
    InboundMessage,
    Location,
    Media,
    MessageKind,
    SenderIdentity,
    stable_hash,
)
from channels.whatsapp import fields

CHANNEL = "whatsapp"


@dataclass(frozen=True, slots=True)
class Content:
    """What a message says, apart from who wrote it and when."""

    kind: MessageKind
    text: str | None = None
    reply_id: str | None = None
    media: Media | None = None
    location: Location | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


def read_message(
    item: Mapping[str, Any], sender: SenderIdentity, account: str | None
) -> InboundMessage:
    """One entry of `messages` as an inbound message.

    Raises:
        UnreadableItemError: Nobody can be recognised as its sender.
    """
    if not sender.known:
        message = "expected a sender: from, from_user_id or a matching contact"
        raise fields.UnreadableItemError(message)
    content = read_content(item)
    context = fields.mapping(item.get("context"))
    referral = fields.mapping(item.get("referral"))
    return InboundMessage(
        channel=CHANNEL,
        provider_id=message_id(item),
        account_id=account,
        sender=sender,
        kind=content.kind,
        timestamp=message_time(item),
        raw=item,
        text=content.text,
        reply_id=content.reply_id,
        media=content.media,
        location=content.location,
        data={**content.data, **_context_data(context)},
        context_id=fields.text(context.get("id")) or fields.text(context.get("message_id")),
        referral=dict(referral) if referral else None,
        group_id=fields.text(item.get("group_id")),
        errors=fields.errors(item.get("errors")),
    )


def message_id(item: Mapping[str, Any]) -> str:
    """The wamid, or an id made of the content when there is none: a redelivery has it again."""
    return fields.text(item.get("id")) or f"content:{stable_hash(item)}"


def message_time(item: Mapping[str, Any]) -> datetime | None:
    """The moment the provider gives for the message."""
    return fields.timestamp(item.get("timestamp"))


def read_content(item: Mapping[str, Any]) -> Content:
    """The content by `type`; without a usable type, by the part that is present."""
    named = fields.text(item.get("type"))
    if named is None:
        named = next((name for name in _READERS if name in item), None)
    if named is None:
        return Content(MessageKind.UNKNOWN)
    reader = _READERS.get(named)
    if reader is None:
        return Content(MessageKind.UNKNOWN, data={"type": named})
    return reader(fields.mapping(item.get(named)), item)


def _text(part: Mapping[str, Any], item: Mapping[str, Any]) -> Content:
    body = part.get("body", item.get("text"))
    return Content(MessageKind.TEXT, text=fields.text(body))


def _interactive(part: Mapping[str, Any], _item: Mapping[str, Any]) -> Content:
    named = fields.text(part.get("type"))
    if named is None:
        named = next((name for name in ("button_reply", "list_reply") if name in part), "")
    chosen = fields.mapping(part.get(named))
    if named in {"button_reply", "list_reply"}:
        data = {"description": chosen["description"]} if chosen.get("description") else {}
        return Content(
            MessageKind(named),
            text=fields.text(chosen.get("title")),
            reply_id=fields.text(chosen.get("id")),
            data=data,
        )
    if named == "nfm_reply":
        return Content(
            MessageKind.INTERACTIVE_OTHER,
            text=fields.text(chosen.get("body")),
            data={"type": named, "flow": _flow(chosen)},
        )
    return Content(MessageKind.INTERACTIVE_OTHER, data={"type": named, "body": dict(part)})


def _flow(reply: Mapping[str, Any]) -> dict[str, Any]:
    """A flow's answers; `response` stays None when Meta's `response_json` is no JSON object."""
    written = reply.get("response_json")
    answers: Any = written
    if isinstance(written, str):
        try:
            answers = fields.storable(json.loads(written))
        except (ValueError, RecursionError):
            answers = None
    response = answers if isinstance(answers, dict) else None
    return {"name": fields.text(reply.get("name")), "response": response, "written": written}


def _button(part: Mapping[str, Any], _item: Mapping[str, Any]) -> Content:
    return Content(
        MessageKind.BUTTON,
        text=fields.text(part.get("text")),
        reply_id=fields.text(part.get("payload")),
    )


def _media(kind: MessageKind) -> Callable[[Mapping[str, Any], Mapping[str, Any]], Content]:
    def read(part: Mapping[str, Any], _item: Mapping[str, Any]) -> Content:
        voice = kind is MessageKind.AUDIO and part.get("voice") is True
        caption = fields.text(part.get("caption"))
        media = Media(
            provider_id=fields.text(part.get("id")),
            mime_type=fields.text(part.get("mime_type")),
            sha256=fields.text(part.get("sha256")),
            caption=caption,
            filename=fields.text(part.get("filename")),
            url=fields.text(part.get("url")) or fields.text(part.get("link")),
            animated=part.get("animated") is True,
        )
        return Content(MessageKind.VOICE if voice else kind, text=caption, media=media)

    return read


def _location(part: Mapping[str, Any], _item: Mapping[str, Any]) -> Content:
    latitude, longitude = fields.number(part.get("latitude")), fields.number(part.get("longitude"))
    if latitude is None or longitude is None:
        return Content(MessageKind.LOCATION, data={"location": dict(part)})
    place = Location(
        latitude=latitude,
        longitude=longitude,
        name=fields.text(part.get("name")),
        address=fields.text(part.get("address")),
        url=fields.text(part.get("url")),
    )
    return Content(MessageKind.LOCATION, location=place)


def _contacts(_part: Mapping[str, Any], item: Mapping[str, Any]) -> Content:
    cards = [dict(card) for card in fields.mappings(item.get("contacts"))]
    return Content(MessageKind.CONTACTS, data={"contacts": cards})


def _reaction(part: Mapping[str, Any], _item: Mapping[str, Any]) -> Content:
    # A missing or blank emoji takes the reaction back.
    data = {
        "message_id": fields.text(part.get("message_id")),
        "emoji": fields.text(part.get("emoji")),
    }
    return Content(MessageKind.REACTION, data=data)


def _order(part: Mapping[str, Any], _item: Mapping[str, Any]) -> Content:
    return Content(
        MessageKind.ORDER, text=fields.text(part.get("text")), data={"order": dict(part)}
    )


def _system(part: Mapping[str, Any], _item: Mapping[str, Any]) -> Content:
    return Content(
        MessageKind.SYSTEM, text=fields.text(part.get("body")), data={"system": dict(part)}
    )


def _edit(part: Mapping[str, Any], _item: Mapping[str, Any]) -> Content:
    changed = read_content(fields.mapping(part.get("message")))
    return Content(
        MessageKind.EDIT,
        text=changed.text,
        media=changed.media,
        data={"original_message_id": fields.text(part.get("original_message_id"))},
    )


def _revoke(part: Mapping[str, Any], _item: Mapping[str, Any]) -> Content:
    original = fields.text(part.get("original_message_id"))
    return Content(MessageKind.REVOKE, data={"original_message_id": original})


def _unsupported(part: Mapping[str, Any], _item: Mapping[str, Any]) -> Content:
    named = fields.text(part.get("type"))
    return Content(MessageKind.UNSUPPORTED, data={"type": named} if named else {})


def _request_welcome(_part: Mapping[str, Any], _item: Mapping[str, Any]) -> Content:
    return Content(MessageKind.REQUEST_WELCOME)


_READERS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Content]] = {
    "text": _text,
    "interactive": _interactive,
    "button": _button,
    "image": _media(MessageKind.IMAGE),
    "video": _media(MessageKind.VIDEO),
    "audio": _media(MessageKind.AUDIO),
    "voice": _media(MessageKind.VOICE),
    "document": _media(MessageKind.DOCUMENT),
    "sticker": _media(MessageKind.STICKER),
    "location": _location,
    "contacts": _contacts,
    "reaction": _reaction,
    "order": _order,
    "system": _system,
    "edit": _edit,
    "revoke": _revoke,
    "unsupported": _unsupported,
    "request_welcome": _request_welcome,
}


def _context_data(context: Mapping[str, Any]) -> dict[str, Any]:
    """What the message quotes or forwards, as far as it is worth showing to an agent."""
    kept = ("forwarded", "frequently_forwarded", "referred_product")
    return {key: context[key] for key in kept if context.get(key)}
