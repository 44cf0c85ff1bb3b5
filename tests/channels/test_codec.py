from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from channels.codec import item_from_json, item_to_json, kind_of
from channels.message import (
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

MOMENT = datetime(2026, 3, 10, 13, 0, tzinfo=UTC)
SENDER = SenderIdentity(user_id="BR.1", phone="+5511987654321", profile_name="Ana")
RAW = {"id": "wamid.1"}

ITEMS: list[InboundItem] = [
    InboundMessage("whatsapp", "wamid.1", "1000", SENDER, MessageKind.TEXT, MOMENT, RAW, text="oi"),
    InboundMessage(
        "whatsapp",
        "wamid.2",
        None,
        SenderIdentity(),
        MessageKind.IMAGE,
        None,
        RAW,
        media=Media("m1", mime_type="image/jpeg"),
        errors=(ProviderError(131051, title="unsupported"),),
    ),
    InboundMessage(
        "whatsapp",
        "wamid.3",
        "1000",
        SENDER,
        MessageKind.LOCATION,
        MOMENT,
        RAW,
        location=Location(-23.5, -46.6, name="SP"),
        data={"flow": {"a": [1, 2]}},
    ),
    StatusUpdate(
        "whatsapp",
        "wamid.9",
        "1000",
        "failed",
        MOMENT,
        SENDER,
        RAW,
        callback_data="x",
        errors=(ProviderError(131026),),
    ),
    HumanEcho("whatsapp", "wamid.8", "1000", SENDER, MessageKind.TEXT, MOMENT, RAW, text="oi"),
    ChannelNotice("whatsapp", "1000", "account_update", RAW, reason="why"),
]


@pytest.mark.parametrize("item", ITEMS, ids=kind_of)
def test_an_item_survives_its_json(item: InboundItem) -> None:
    stored = json.loads(json.dumps(item_to_json(item)))

    assert item_from_json(kind_of(item), stored, RAW) == item
