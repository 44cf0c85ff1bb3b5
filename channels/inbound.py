"""What arrives on a channel: messages, status updates, echoes and notices.

Every item has a `dedup_key` (the same on every redelivery of the same item) and `raw`, its own part
of the provider's JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class MessageKind(StrEnum):
    """What a message is made of."""

    TEXT = "text"
    BUTTON_REPLY = "button_reply"
    LIST_REPLY = "list_reply"
    BUTTON = "button"  # quick reply of a template
    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    VOICE = "voice"
    DOCUMENT = "document"
    STICKER = "sticker"
    LOCATION = "location"
    CONTACTS = "contacts"
    REACTION = "reaction"
    ORDER = "order"
    SYSTEM = "system"
    INTERACTIVE_OTHER = "interactive_other"
    EDIT = "edit"
    REVOKE = "revoke"
    REQUEST_WELCOME = "request_welcome"
    UNSUPPORTED = "unsupported"
    UNKNOWN = "unknown"


_READABLE = frozenset(
    {MessageKind.TEXT, MessageKind.BUTTON_REPLY, MessageKind.LIST_REPLY, MessageKind.BUTTON}
)
_SILENT = frozenset(
    {
        MessageKind.REACTION,
        MessageKind.SYSTEM,
        MessageKind.REVOKE,
        MessageKind.EDIT,
        MessageKind.REQUEST_WELCOME,
    }
)


@dataclass(frozen=True, slots=True)
class SenderIdentity:
    """Who is on the other side, as far as the channel says.

    Attributes:
        user_id: Meta's business-scoped user id (BSUID), such as `BR.13491208655302741918`.
        phone: The number as the provider wrote it, digits with a leading "+". It is the address
            to send to; for comparing use `channels.whatsapp.identity.identity_keys`.
        username: WhatsApp user name, when the person has one and shows it.
        profile_name: The name the person chose for the profile.
    """

    user_id: str | None = None
    phone: str | None = None
    username: str | None = None
    profile_name: str | None = None

    @property
    def known(self) -> bool:
        """Whether there is anything to recognise the person by."""
        return bool(self.user_id or self.phone)


@dataclass(frozen=True, slots=True)
class Media:
    """A file that came with a message. `provider_id` can be fetched for 7 days (Meta)."""

    provider_id: str | None
    mime_type: str | None = None
    sha256: str | None = None
    caption: str | None = None
    filename: str | None = None
    url: str | None = None
    animated: bool = False


@dataclass(frozen=True, slots=True)
class Location:
    """A place, in decimal degrees."""

    latitude: float
    longitude: float
    name: str | None = None
    address: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class ProviderError:
    """An error as the provider reports it. `code` is None when it was absent or no number."""

    code: int | None
    title: str | None = None
    message: str | None = None
    details: str | None = None


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """One message of a customer.

    Attributes:
        channel: Name of the channel, such as `whatsapp`.
        provider_id: The provider's id (wamid). Derived from the content when the provider sent
            none, so that a redelivery still has the same one.
        account_id: The business's own account on the channel (`phone_number_id`), if named.
        sender: Who wrote it.
        kind: What it is made of.
        timestamp: Aware UTC moment the provider gives; None when it gave none that can be read
            (then the caller uses the time of receipt).
        raw: The message's own JSON.
        text: The words: body, title of the chosen option, or caption of a file.
        reply_id: Id of the button or row that was chosen (template quick reply: its payload).
        media: The file, for kinds that have one.
        location: The place, for kind `location`.
        data: Other parts worth keeping, such as `flow`, `reaction`, `order`, `contacts`.
        context_id: Id of the message this one answers.
        referral: The advertisement or post the customer came from, as Meta describes it.
        group_id: The group it was written in; the bot does not speak in groups.
        errors: What the provider says is wrong with it (kind `unsupported`).
    """

    channel: str
    provider_id: str
    account_id: str | None
    sender: SenderIdentity
    kind: MessageKind
    timestamp: datetime | None
    raw: Mapping[str, Any]
    text: str | None = None
    reply_id: str | None = None
    media: Media | None = None
    location: Location | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    context_id: str | None = None
    referral: Mapping[str, Any] | None = None
    group_id: str | None = None
    errors: tuple[ProviderError, ...] = ()

    @property
    def dedup_key(self) -> str:
        """The provider's message id."""
        return self.provider_id

    @property
    def readable_by_bot(self) -> bool:
        """Whether the bot can be asked to answer it: words or a chosen option, not in a group."""
        return (
            self.kind in _READABLE
            and self.group_id is None
            and bool((self.text and self.text.strip()) or self.reply_id)
        )

    @property
    def needs_answer(self) -> bool:
        """Whether the customer expects something back. A reaction or an edit is only kept."""
        return self.kind not in _SILENT and self.group_id is None


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """What became of a message we sent.

    Attributes:
        channel: Name of the channel.
        provider_id: Id of our message (wamid).
        account_id: The business's own account on the channel, if named.
        status: sent, delivered, read, played, failed, or a word not known yet.
        timestamp: Aware UTC moment, None when unreadable.
        recipient: To whom, as far as it is said (a failed status may say nothing).
        raw: The status's own JSON.
        callback_data: What we put in `biz_opaque_callback_data`, our own message id.
        errors: Why it failed.
        pricing: Billable, category and model, as Meta says them.
    """

    channel: str
    provider_id: str
    account_id: str | None
    status: str
    timestamp: datetime | None
    recipient: SenderIdentity
    raw: Mapping[str, Any]
    callback_data: str | None = None
    errors: tuple[ProviderError, ...] = ()
    pricing: Mapping[str, Any] | None = None

    @property
    def dedup_key(self) -> str:
        """Message id and status: sent, delivered and read share the message id."""
        return f"{self.provider_id}:{self.status}"


@dataclass(frozen=True, slots=True)
class HumanEcho:
    """A person of the business answered from the phone app (coexistence numbers).

    The bot must not talk over them, so this counts as a person taking over.
    """

    channel: str
    provider_id: str
    account_id: str | None
    recipient: SenderIdentity
    kind: MessageKind
    timestamp: datetime | None
    raw: Mapping[str, Any]
    text: str | None = None
    media: Media | None = None

    @property
    def dedup_key(self) -> str:
        """The provider's message id."""
        return self.provider_id


@dataclass(frozen=True, slots=True)
class ChannelNotice:
    """Something that is neither a message nor a status: stored for operators, never answered.

    Attributes:
        channel: Name of the channel.
        account_id: The business's own account on the channel, if named.
        topic: What it is about: the webhook field (`account_update`), or `error`,
            `unreadable_message`, `unreadable_status`, `envelope`.
        raw: Its own JSON.
        reason: Why it could not be read as a message or status, for the `unreadable_...` topics.
        errors: Errors Meta reports outside any message.
        timestamp: Aware UTC moment, when it carries one.
    """

    channel: str
    account_id: str | None
    topic: str
    raw: Mapping[str, Any]
    reason: str | None = None
    errors: tuple[ProviderError, ...] = ()
    timestamp: datetime | None = None

    @property
    def dedup_key(self) -> str:
        """A stable hash of the JSON: the same notice delivered twice has the same key."""
        return f"notice:{self.topic}:{stable_hash(self.raw)}"


InboundItem = InboundMessage | StatusUpdate | HumanEcho | ChannelNotice


def stable_hash(value: Any) -> str:
    """SHA-256 (hex) of a JSON value with sorted keys: the order of keys changes nothing."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
