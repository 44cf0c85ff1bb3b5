"""The one message model: every channel parses into it and sends from it.

The parts live in `channels.inbound` (what arrives) and `channels.outbound` (what leaves); other
packages import them from here.
"""

from __future__ import annotations

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
    stable_hash,
)
from channels.outbound import (
    DEFAULT_LIST_BUTTON,
    MAX_BUTTONS,
    MAX_INTERACTIVE_BODY,
    MAX_ROWS,
    MAX_TEXT,
    Button,
    OutboundMessage,
    OutboundTemplate,
    merge_replies,
    message_from_reply,
)

__all__ = [
    "DEFAULT_LIST_BUTTON",
    "MAX_BUTTONS",
    "MAX_INTERACTIVE_BODY",
    "MAX_ROWS",
    "MAX_TEXT",
    "Button",
    "ChannelNotice",
    "HumanEcho",
    "InboundItem",
    "InboundMessage",
    "Location",
    "Media",
    "MessageKind",
    "OutboundMessage",
    "OutboundTemplate",
    "ProviderError",
    "SenderIdentity",
    "StatusUpdate",
    "merge_replies",
    "message_from_reply",
    "stable_hash",
]
