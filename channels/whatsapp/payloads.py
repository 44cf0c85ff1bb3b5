"""JSON bodies for `POST /{phone_number_id}/messages`, within every documented limit.

Ids, counts and bodies that do not fit are errors: cutting them would change what is meant. Titles
and descriptions are cut at a whole character, with an ellipsis.
Source: developers.facebook.com/docs/whatsapp/cloud-api/reference/messages.
"""

from __future__ import annotations

import re
from typing import Any

from channels.graphemes import truncate
from channels.outbound import Button, OutboundMessage, OutboundTemplate
from channels.whatsapp import limits
from channels.whatsapp.identity import normalise_phone

Payload = dict[str, Any]

_BLANKS = re.compile(r"\s+")
# C0 and C1 controls except tab and line feed: they show as nothing and NUL is refused.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class PayloadError(ValueError):
    """A message breaks a rule of the WhatsApp Cloud API; nothing was sent.

    Attributes:
        field: The field of the body, such as `interactive.action.buttons[0].reply.id`.
        expected: What it must be.
    """

    def __init__(self, field: str, expected: str) -> None:
        message = f"{field}: expected {expected}"
        super().__init__(message)
        self.field = field
        self.expected = expected


def build_message(
    message: OutboundMessage | OutboundTemplate,
    *,
    phone: str | None = None,
    user_id: str | None = None,
    callback_data: str | None = None,
) -> Payload:
    """The body that sends `message` to one person.

    Args:
        message: What to send.
        phone: The customer's number as WhatsApp wrote it; used when given.
        user_id: The customer's BSUID, for people who show no number.
        callback_data: Our own id of the message; it comes back in every status webhook.

    Raises:
        PayloadError: A field breaks a documented limit; it names the field.
    """
    body = _envelope(phone=phone, user_id=user_id, callback_data=callback_data)
    if isinstance(message, OutboundTemplate):
        return body | {"type": "template", "template": _template(message)}
    if message.reply_to:
        body["context"] = {"message_id": message.reply_to}
    if message.kind == "text":
        words = _body(message.text, "text.body", limits.TEXT_BODY)
        return body | {"type": "text", "text": {"body": words, "preview_url": False}}
    return body | {"type": "interactive", "interactive": _interactive(message)}


def build_mark_read(message_id: str, *, typing: bool = True) -> Payload:
    """The body that shows a customer's message as read and, with `typing`, that we are writing.

    The typing bubble stays until the answer or 25 seconds.

    Raises:
        PayloadError: `message_id` is blank.
    """
    if not message_id.strip():
        field, expected = "message_id", "the id of a customer's message"
        raise PayloadError(field, expected)
    body: Payload = {
        "messaging_product": "whatsapp",
        "status": "read",
        "message_id": message_id,
    }
    if typing:
        body["typing_indicator"] = {"type": "text"}
    return body


def _envelope(*, phone: str | None, user_id: str | None, callback_data: str | None) -> Payload:
    body: Payload = {"messaging_product": "whatsapp", "recipient_type": "individual"}
    if phone is not None:
        number = normalise_phone(phone)
        if number is None:
            field, expected = "to", "a phone number of 7 to 15 digits with country code"
            raise PayloadError(field, expected)
        # Without the "+" Meta puts the business number's country code in front and may deliver
        # to a stranger.
        body["to"] = number
    elif user_id is not None and user_id.strip():
        body["recipient"] = user_id.strip()
    else:
        field, expected = "to", "a phone number or a BSUID"
        raise PayloadError(field, expected)
    if callback_data is not None:
        _within(callback_data, "biz_opaque_callback_data", limits.CALLBACK_DATA)
        body["biz_opaque_callback_data"] = callback_data
    return body


def _interactive(message: OutboundMessage) -> Payload:
    words = _body(message.text, "interactive.body.text", limits.INTERACTIVE_BODY)
    if message.list_button is None:
        kind: str = "button"
        action: Payload = {"buttons": _buttons(message.buttons)}
    else:
        label = _label(message.list_button, "interactive.action.button", limits.LIST_BUTTON)
        rows = _rows(message.buttons)
        # One section needs no title.
        kind, action = "list", {"button": label, "sections": [{"rows": rows}]}
    return {"type": kind, "body": {"text": words}, "action": action}


def _buttons(buttons: tuple[Button, ...]) -> list[Payload]:
    field = "interactive.action.buttons"
    _count(len(buttons), field, limits.BUTTONS)
    _unique(buttons, field)
    titles = _titles(buttons, field, limits.BUTTON_TITLE)
    result: list[Payload] = []
    for number, (button, title) in enumerate(zip(buttons, titles, strict=True)):
        _within(button.id, f"{field}[{number}].reply.id", limits.BUTTON_ID)
        result.append({"type": "reply", "reply": {"id": button.id, "title": title}})
    return result


def _rows(rows: tuple[Button, ...]) -> list[Payload]:
    field = "interactive.action.sections[0].rows"
    _count(len(rows), field, limits.ROWS)
    _unique(rows, field)
    titles = _titles(rows, field, limits.ROW_TITLE)
    result: list[Payload] = []
    for number, (row, title) in enumerate(zip(rows, titles, strict=True)):
        _within(row.id, f"{field}[{number}].id", limits.ROW_ID)
        entry = {"id": row.id, "title": title}
        whole = _one_line(row.title)
        # A title that had to be cut stands whole in the description, when nothing else does.
        description = _one_line(row.description or "") or (whole if whole != title else "")
        if description:
            entry["description"] = truncate(description, limits.ROW_DESCRIPTION)
        result.append(entry)
    return result


def _template(template: OutboundTemplate) -> Payload:
    _within(template.name, "template.name", limits.TEMPLATE_NAME)
    if not template.language.strip():
        field, expected = "template.language.code", "a language code such as pt_BR"
        raise PayloadError(field, expected)
    components: list[Payload] = []
    if template.body_parameters:
        values = [
            {"type": "text", "text": _parameter(value, number)}
            for number, value in enumerate(template.body_parameters)
        ]
        components.append({"type": "body", "parameters": values})
    if len(template.button_payloads) > limits.TEMPLATE_BUTTONS:
        field, expected = "template.components", f"at most {limits.TEMPLATE_BUTTONS} buttons"
        raise PayloadError(field, expected)
    for number, payload in enumerate(template.button_payloads):
        _within(payload, f"template.components.button[{number}].payload", limits.BUTTON_ID)
        components.append(
            {
                "type": "button",
                "sub_type": "quick_reply",
                "index": str(number),
                "parameters": [{"type": "payload", "payload": payload}],
            }
        )
    # `policy` has this one value and Meta's published description requires it.
    language = {"code": template.language, "policy": "deterministic"}
    body: Payload = {"name": template.name, "language": language}
    if components:
        body["components"] = components
    return body


def _parameter(value: str, number: int) -> str:
    """A parameter may hold no line break, no tab and no run of blanks (132018)."""
    words = _one_line(value)
    if not words:
        field = f"template.components.body.parameters[{number}].text"
        expected = "some text"
        raise PayloadError(field, expected)
    return truncate(words, limits.TEMPLATE_PARAMETER)


def _titles(buttons: tuple[Button, ...], field: str, limit: int) -> list[str]:
    """Titles within `limit`, told apart by a number where cutting made two of them equal."""
    titles: list[str] = []
    for number, button in enumerate(buttons):
        title = _label(button.title, f"{field}[{number}].title", limit)
        if title in titles:
            mark = f" {number + 1}"
            title = truncate(title, limit - len(mark)) + mark
        titles.append(title)
    return titles


def _label(value: str, field: str, limit: int) -> str:
    words = _one_line(value)
    if not words:
        expected = f"1 to {limit} characters"
        raise PayloadError(field, expected)
    return truncate(words, limit)


def _body(value: str, field: str, limit: int) -> str:
    words = _CONTROLS.sub("", value).strip()
    if not words or len(words) > limit:
        expected = f"1 to {limit} characters, got {len(words)}"
        raise PayloadError(field, expected)
    return words


def _one_line(value: str) -> str:
    return _BLANKS.sub(" ", _CONTROLS.sub("", value)).strip()


def _within(value: str, field: str, limit: int) -> None:
    if not value.strip() or len(value) > limit:
        expected = f"1 to {limit} characters, got {len(value)}"
        raise PayloadError(field, expected)


def _count(count: int, field: str, limit: int) -> None:
    if not 1 <= count <= limit:
        expected = f"1 to {limit} entries, got {count}"
        raise PayloadError(field, expected)


def _unique(buttons: tuple[Button, ...], field: str) -> None:
    if len({button.id for button in buttons}) != len(buttons):
        expected = "a different id for each entry"
        raise PayloadError(field, expected)
