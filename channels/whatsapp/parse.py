"""A webhook body of the WhatsApp Cloud API, split into items.

Meta batches up to 1000 updates into one POST, adds types and fields without notice and leaves out
fields it documents, so every item is read by itself and nothing is ever thrown away: what cannot be
read becomes a `ChannelNotice` that holds its JSON.
Source: developers.facebook.com/docs/whatsapp/cloud-api/webhooks/components.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from channels.inbound import ChannelNotice, HumanEcho, InboundItem, SenderIdentity, StatusUpdate
from channels.whatsapp import fields
from channels.whatsapp.contents import (
    CHANNEL,
    message_id,
    message_time,
    read_content,
    read_message,
)
from channels.whatsapp.identity import canonical_phone, same_phone

ENVELOPE = "whatsapp_business_account"


class MalformedWebhookError(ValueError):
    """The body is not JSON, so nothing in it can be kept as an item."""


@dataclass(frozen=True, slots=True)
class ParseProblem:
    """Something that was kept as a notice because it could not be read.

    Attributes:
        path: Where it stands in the body, such as `entry[0].changes[1].value.messages[0]`.
        reason: What was expected.
    """

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class ParsedWebhook:
    """All items of one webhook in the order in which they stood, and what was wrong with some."""

    items: tuple[InboundItem, ...]
    problems: tuple[ParseProblem, ...]


Found = tuple[InboundItem, ParseProblem | None]
Reader = Callable[[Mapping[str, Any], Mapping[str, Any], str | None], InboundItem]


def parse_webhook(body: bytes) -> ParsedWebhook:
    """Split a webhook body into items.

    Args:
        body: The raw bytes, after the signature was verified.

    Returns:
        Every message, status, echo and notice in it. Valid JSON of any shape gives a result.

    Raises:
        MalformedWebhookError: The body is not JSON in UTF-8.
    """
    try:
        payload = fields.storable(json.loads(body))
    except (fields.TooDeepError, RecursionError):
        # It is JSON, but nobody could write it again: keep its text.
        raw = fields.storable(body.decode("utf-8", errors="replace"))
        payload = {"object": "too deep", "body": raw}
    except ValueError as error:
        message = f"the webhook body is not JSON: {type(error).__name__}"
        raise MalformedWebhookError(message) from error
    found = tuple(_envelope(payload))
    return ParsedWebhook(
        items=tuple(item for item, _ in found),
        problems=tuple(problem for _, problem in found if problem is not None),
    )


def _envelope(payload: Any) -> Iterator[Found]:
    if not isinstance(payload, Mapping):
        yield _kept(payload, path="$", reason="expected an object")
        return
    # A missing `object` is forgiven, the signature has proved the sender; another one is not ours.
    if payload.get("object", ENVELOPE) != ENVELOPE:
        yield _kept(payload, path="object", reason=f"expected {ENVELOPE}")
        return
    entries = payload.get("entry")
    if not isinstance(entries, list):
        yield _kept(payload, path="entry", reason="expected a list")
        return
    for number, entry in enumerate(entries):
        path = f"entry[{number}]"
        changes = entry.get("changes") if isinstance(entry, Mapping) else None
        if not isinstance(entry, Mapping) or not isinstance(changes, list):
            yield _kept(entry, path=path, reason="expected an object with a list of changes")
            continue
        for place, change in enumerate(changes):
            yield from _change(change, entry, path=f"{path}.changes[{place}]")


def _change(change: Any, entry: Mapping[str, Any], *, path: str) -> Iterator[Found]:
    value = change.get("value") if isinstance(change, Mapping) else None
    if not isinstance(change, Mapping) or not isinstance(value, Mapping):
        yield _kept(change, path=path, reason="expected an object with a value")
        return
    topic = fields.text(change.get("field")) or "messages"
    account = fields.text(fields.mapping(value.get("metadata")).get("phone_number_id"))
    parts: list[Found] = []
    for key, read in _READERS.get(topic, {}).items():
        parts += _items(value, key, read, account=account, path=f"{path}.value.{key}")
    if parts:
        yield from parts
        return
    # The entry's id and time tell two equal notices of different days apart, and stay the same
    # when Meta delivers one again.
    origin = {key: entry[key] for key in ("id", "time") if key in entry}
    moment = fields.timestamp(entry.get("time"))
    raw = {**origin, **change}
    yield ChannelNotice(CHANNEL, account, topic, raw, timestamp=moment), None


def _items(
    value: Mapping[str, Any], key: str, read: Reader, *, account: str | None, path: str
) -> Iterator[Found]:
    items = value.get(key)
    if items is None:
        return
    if not isinstance(items, list):
        yield _kept(items, path=path, reason="expected a list", account=account, topic=key)
        return
    for number, item in enumerate(items):
        place = f"{path}[{number}]"
        if not isinstance(item, Mapping):
            reason = "expected an object"
        else:
            try:
                yield read(item, value, account), None
                continue
            except fields.UnreadableItemError as error:
                reason = str(error)
            except Exception as error:  # noqa: BLE001 - one odd item must not cost the others
                reason = f"{type(error).__name__} while reading it"
        yield _kept(item, path=place, reason=reason, account=account, topic=key)


def _message(item: Mapping[str, Any], value: Mapping[str, Any], account: str | None) -> InboundItem:
    contact = _contact_of(item, value)
    sender = fields.identity(
        user_id=item.get("from_user_id"), phone=item.get("from"), contact=contact
    )
    return read_message(item, sender, account)


def _status(item: Mapping[str, Any], value: Mapping[str, Any], account: str | None) -> InboundItem:
    identifier, status = fields.text(item.get("id")), fields.text(item.get("status"))
    if identifier is None or status is None:
        message = "expected an id and a status"
        raise fields.UnreadableItemError(message)
    contacts = fields.mappings(value.get("contacts"))
    recipient = fields.identity(
        user_id=item.get("recipient_user_id"),
        phone=item.get("recipient_id"),
        contact=contacts[0] if len(contacts) == 1 else None,
    )
    pricing = fields.mapping(item.get("pricing"))
    return StatusUpdate(
        channel=CHANNEL,
        provider_id=identifier,
        account_id=account,
        status=status.lower(),
        timestamp=fields.timestamp(item.get("timestamp")),
        recipient=recipient,
        raw=item,
        callback_data=fields.text(item.get("biz_opaque_callback_data")),
        errors=fields.errors(item.get("errors")),
        pricing=dict(pricing) if pricing else None,
    )


def _echo(item: Mapping[str, Any], value: Mapping[str, Any], account: str | None) -> InboundItem:
    recipient = fields.identity(
        user_id=item.get("to_user_id"), phone=item.get("to"), contact=_contact_of(item, value)
    )
    content = read_content(item)
    return HumanEcho(
        channel=CHANNEL,
        provider_id=message_id(item),
        account_id=account,
        recipient=recipient,
        kind=content.kind,
        timestamp=message_time(item),
        raw=item,
        text=content.text,
        media=content.media,
    )


def _error(item: Mapping[str, Any], _value: Mapping[str, Any], account: str | None) -> InboundItem:
    return ChannelNotice(CHANNEL, account, "error", item, errors=fields.errors([item]))


_READERS: Mapping[str, Mapping[str, Reader]] = {
    "messages": {"messages": _message, "statuses": _status, "errors": _error},
    "smb_message_echoes": {"message_echoes": _echo},
}


def _contact_of(item: Mapping[str, Any], value: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The entry of `contacts` for the other side of this message, out of a batch of several.

    An entry that fits neither id is used only when it is alone and contradicts neither.
    """
    contacts = fields.mappings(value.get("contacts"))
    user_id = fields.text(item.get("from_user_id")) or fields.text(item.get("to_user_id"))
    # In an echo `from` is the business.
    phone = fields.text(item.get("to")) or fields.text(item.get("from"))
    for contact in contacts:
        if user_id is not None and fields.text(contact.get("user_id")) == user_id:
            return contact
    for contact in contacts:
        if same_phone(phone, fields.text(contact.get("wa_id"))):
            return contact
    if len(contacts) != 1:
        return None
    alone = fields.identity(user_id=None, phone=None, contact=contacts[0])
    other = SenderIdentity(user_id=user_id, phone=canonical_phone(phone))
    same_user = None in (alone.user_id, other.user_id) or alone.user_id == other.user_id
    same_number = None in (alone.phone, other.phone)
    return contacts[0] if same_user and same_number else None


def _kept(
    part: Any, *, path: str, reason: str, account: str | None = None, topic: str = "envelope"
) -> Found:
    """A part that is no item, kept whole."""
    named = {
        "envelope": "envelope",
        "messages": "unreadable_message",
        "message_echoes": "unreadable_message",
        "statuses": "unreadable_status",
        "errors": "error",
    }[topic]
    raw = part if isinstance(part, Mapping) else {"value": part}
    notice = ChannelNotice(CHANNEL, account, named, raw, reason=reason)
    return notice, ParseProblem(path=path, reason=reason)
