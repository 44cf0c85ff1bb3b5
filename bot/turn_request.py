"""What the gateway posts for one turn, checked field by field.

Rasa runs any text that starts with "/" as an intent with confidence 1.0, `/restart` included. Only
`payload`, which Ponte itself made (a button the customer pressed), may do that, and only for the
domain's own intents.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Optional

# Intents that Rasa treats as commands (rasa.shared.core.constants.DEFAULT_INTENTS and
# RulePolicy's DEFAULT_ACTION_MAPPINGS): they reset, revert or reopen a conversation.
REFUSED_INTENTS = frozenset({"restart", "back", "session_start"})

# Sent when nothing of a text is left; no intent of an assistant is trained on it.
HARMLESS_TEXT = "?"

# WhatsApp allows 4096 characters in a text; the margin is for the web chat.
MAX_TEXT_CHARACTERS = 10_000
_MAX_PAYLOAD_CHARACTERS = 1_000
_MAX_METADATA_BYTES = 32_768

# Ids are UUIDs today; the column holds 255.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:=+-]{0,199}")
_PAYLOAD = re.compile(r"/(?P<intent>[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)?)(?P<entities>\{.*\})?")
# The slashes that look like one, too: a component that normalises text makes "/" of them.
_LEADING_COMMAND = re.compile(r"^[\s/\uff0f\u2044\u2215\u29f8]+")
# Characters that are not seen: controls, directions, zero-width signs, tags, the byte order mark.
# Joiners stay, emoji and some scripts are written with them.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
# A joiner joins nothing at the beginning of a text.
_LEADING_JOINERS = re.compile("^[\\s\u200c\u200d]+")
_FIELDS = frozenset({"conversation_id", "message_id", "text", "payload", "metadata"})


class TurnRequestError(ValueError):
    """The request is not a turn.

    Attributes:
        field: the part of the body that is wrong; "body" for the whole.
        expected: what belongs there.
    """

    def __init__(self, *, field: str, expected: str) -> None:
        super().__init__(f"{field}: {expected}")
        self.field = field
        self.expected = expected


@dataclass(frozen=True)
class TurnRequest:
    """One message of one conversation.

    Attributes:
        conversation_id: Rasa's sender id.
        message_id: the turn's id; the same id is the same turn, however often it is posted.
        rasa_text: what Rasa reads; starts with "/" only if it came from `payload`.
        metadata: the gateway's, with `message_id` added; stored with the message.
    """

    conversation_id: str
    message_id: str
    rasa_text: str
    metadata: dict[str, Any]


def parse_turn_request(body: Any, *, intents: Collection[str]) -> TurnRequest:
    """Check a decoded body.

    Args:
        body: JSON value.
        intents: names of the domain's intents.

    Raises:
        TurnRequestError: names the first field that is wrong and what was expected.
    """
    if not isinstance(body, dict):
        raise TurnRequestError(field="body", expected="expected a JSON object")
    unknown = sorted(str(name) for name in set(body) - _FIELDS)
    if unknown:
        raise TurnRequestError(
            field=unknown[0], expected=f"unknown field; expected {', '.join(sorted(_FIELDS))}"
        )
    conversation_id = _id(body, "conversation_id")
    message_id = _id(body, "message_id")
    payload = _payload(body.get("payload"), intents=intents)
    text = _text(body, required=payload is None)
    return TurnRequest(
        conversation_id=conversation_id,
        message_id=message_id,
        rasa_text=payload if payload is not None else typed_text(text),
        metadata={**_metadata(body.get("metadata")), "message_id": message_id},
    )


def typed_text(text: str) -> str:
    """The text as Rasa may read it: never a command, never empty.

    Lone surrogates (half of a broken emoji) are replaced; no encoder downstream accepts them.
    Characters that nobody sees are left out: behind one, "/restart" would look like text here and
    like a command to whoever strips it later.
    """
    whole = _UNSEEN.sub("", text.encode("utf-8", "replace").decode("utf-8"))
    before = None
    while whole != before:
        before = whole
        whole = _LEADING_COMMAND.sub("", _LEADING_JOINERS.sub("", whole)).strip()
    return whole or HARMLESS_TEXT


def _id(body: Mapping[str, Any], field: str) -> str:
    value = body.get(field)
    if not isinstance(value, str) or not _ID.fullmatch(value):
        expected = "expected a string of 1 to 200 letters, digits and _.:=+- that starts with a letter or digit"  # noqa: E501
        raise TurnRequestError(field=field, expected=expected)
    return value


def _text(body: Mapping[str, Any], *, required: bool) -> str:
    value = body.get("text")
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        raise TurnRequestError(field="text", expected="expected a string")
    if len(value) > MAX_TEXT_CHARACTERS:
        raise TurnRequestError(
            field="text", expected=f"expected at most {MAX_TEXT_CHARACTERS} characters"
        )
    return value


def _payload(value: Any, *, intents: Collection[str]) -> Optional[str]:
    if value is None:
        return None
    shape = 'expected null or "/intent" or "/intent{"entity":"value"}"'
    if not isinstance(value, str) or len(value) > _MAX_PAYLOAD_CHARACTERS:
        raise TurnRequestError(field="payload", expected=shape)
    match = _PAYLOAD.fullmatch(value)
    if match is None:
        raise TurnRequestError(field="payload", expected=shape)
    intent = match.group("intent")
    if intent.split("/")[0] in REFUSED_INTENTS:
        raise TurnRequestError(
            field="payload", expected=f"intent {intent} is a command of Rasa and is refused"
        )
    if intent not in intents:
        raise TurnRequestError(field="payload", expected=f"intent {intent} is not in the domain")
    _check_entities(match.group("entities"), shape)
    return value


def _check_entities(entities: Optional[str], shape: str) -> None:
    if entities is None:
        return
    try:
        parsed = json.loads(entities)
    except ValueError:
        raise TurnRequestError(field="payload", expected=shape) from None
    for name, value in parsed.items():
        several = value if isinstance(value, list) else [value]
        if not all(isinstance(one, (str, int, float)) for one in several):
            expected = f"expected a string, a number or a list of them for entity {name}"
            raise TurnRequestError(field="payload", expected=expected)


def _metadata(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TurnRequestError(field="metadata", expected="expected a JSON object")
    if len(json.dumps(value)) > _MAX_METADATA_BYTES:
        raise TurnRequestError(
            field="metadata", expected=f"expected at most {_MAX_METADATA_BYTES} bytes of JSON"
        )
    return value
