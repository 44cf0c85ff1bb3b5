"""Inbound items as JSON and back, so that what is stored can be processed again later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from channels.inbound import (
    ChannelNotice,
    HumanEcho,
    InboundItem,
    InboundMessage,
    Location,
    Media,
    MessageKind,
    ProviderError,
    SenderIdentity,
    StatusUpdate,
)

_KINDS: dict[str, type[InboundItem]] = {
    "message": InboundMessage,
    "status": StatusUpdate,
    "echo": HumanEcho,
    "notice": ChannelNotice,
}


def kind_of(item: InboundItem) -> str:
    """`message`, `status`, `echo` or `notice`."""
    return next(name for name, cls in _KINDS.items() if isinstance(item, cls))


def item_to_json(item: InboundItem) -> dict[str, Any]:
    """The item without `raw`, which is stored beside it."""
    value = {name: part for name, part in asdict(item).items() if name != "raw"}
    moment = value.get("timestamp")
    value["timestamp"] = moment.isoformat() if isinstance(moment, datetime) else None
    return value


def item_from_json(kind: str, value: Mapping[str, Any], raw: Mapping[str, Any]) -> InboundItem:
    """Read what `item_to_json` wrote for an item of this kind."""
    parts = dict(value)
    parts["raw"] = raw
    moment = parts.get("timestamp")
    parts["timestamp"] = datetime.fromisoformat(moment) if moment else None
    for name in ("sender", "recipient"):
        if isinstance(parts.get(name), Mapping):
            parts[name] = SenderIdentity(**parts[name])
    if parts.get("media") is not None:
        parts["media"] = Media(**parts["media"])
    if parts.get("location") is not None:
        parts["location"] = Location(**parts["location"])
    if "errors" in parts:
        parts["errors"] = tuple(ProviderError(**error) for error in parts["errors"])
    if kind in {"message", "echo"}:
        parts["kind"] = MessageKind(parts["kind"])
    return _KINDS[kind](**parts)
