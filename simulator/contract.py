"""Is this body what Meta would accept? Checked apart from the code that builds it.

Numbers: Meta's OpenAPI description business-messaging-api v23.0, and the Cloud API reference for
the text body (4096) and the 10 rows of a list in total.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from simulator.graph_errors import refuse

_INVALID, _MISSING, _UNKNOWN_KEY, _TYPE = 131009, 131008, 100, 131051
_COMMON = {"messaging_product", "recipient_type", "to", "recipient", "type", "context"}
_TYPES = {"text", "interactive", "template"}
_NEWLINE_OR_TAB = re.compile(r"[\n\r\t]| {5,}")
_MAX_INTERACTIVE_BODY = 1024


def check_message(body: Mapping[str, Any]) -> str:
    """The type of a message body that keeps every documented limit.

    Raises:
        GraphError: It does not; the details name the field.
    """
    _same(body, "messaging_product", "whatsapp")
    if "recipient_type" in body:
        _same(body, "recipient_type", "individual")
    kind = _text(body, "type", 1, 32) if "type" in body else "text"
    if kind not in _TYPES:
        refuse(_TYPE, f"type: expected one of {sorted(_TYPES)}, got {kind}")
    _keys(body, "", _COMMON | {kind, "biz_opaque_callback_data"})
    if "to" in body:
        number = _text(body, "to", 1, 32)
        # Meta would put the business number's country code in front: perhaps a stranger's number.
        if re.fullmatch(r"\+[1-9]\d{6,14}", number, re.ASCII) is None:
            refuse(_INVALID, "to: expected '+' and 7 to 15 digits, country code first")
    elif "recipient" in body:
        _text(body, "recipient", 1, 150)
    else:
        refuse(_MISSING, "to: expected a phone number, or recipient with a user id")
    if "context" in body:
        _text(_object(body, "context"), "message_id", 1, 512, where="context.")
    if "biz_opaque_callback_data" in body:
        _text(body, "biz_opaque_callback_data", 1, 512)
    part = _object(body, kind)
    {"text": _check_text, "interactive": _check_interactive, "template": _check_template}[kind](
        part
    )
    return kind


def check_read_mark(body: Mapping[str, Any]) -> tuple[str, bool]:
    """The message id of a read mark, and whether it shows the typing bubble.

    Raises:
        GraphError: It is no read mark.
    """
    _same(body, "messaging_product", "whatsapp")
    _same(body, "status", "read")
    _keys(body, "", {"messaging_product", "status", "message_id", "typing_indicator"})
    message_id = _text(body, "message_id", 1, 512)
    if "typing_indicator" in body:
        _same(_object(body, "typing_indicator"), "type", "text", where="typing_indicator.")
        return message_id, True
    return message_id, False


def _check_text(part: Mapping[str, Any]) -> None:
    _keys(part, "text.", {"body", "preview_url"})
    _text(part, "body", 1, 4096, where="text.")
    if not isinstance(part.get("preview_url", False), bool):
        refuse(_INVALID, "text.preview_url: expected true or false")


def _check_interactive(part: Mapping[str, Any]) -> None:
    where = "interactive."
    _keys(part, where, {"type", "header", "body", "footer", "action"})
    kind = _text(part, "type", 1, 32, where=where)
    body = _object(part, "body", where=where)
    _text(body, "text", 1, _MAX_INTERACTIVE_BODY, where="interactive.body.")
    if "header" in part:
        header = _object(part, "header", where=where)
        _same(header, "type", "text", where="interactive.header.")
        _text(header, "text", 1, 60, where="interactive.header.")
    if "footer" in part:
        _text(_object(part, "footer", where=where), "text", 1, 60, where="interactive.footer.")
    action = _object(part, "action", where=where)
    if kind == "button":
        _check_buttons(action)
    elif kind == "list":
        _check_list(action)
    else:
        refuse(_TYPE, f"interactive.type: expected button or list, got {kind}")


def _check_buttons(action: Mapping[str, Any]) -> None:
    where = "interactive.action."
    _keys(action, where, {"buttons"})
    buttons = _list(action, "buttons", 1, 3, where=where)
    replies = []
    for number, button in enumerate(buttons):
        place = f"{where}buttons[{number}]."
        _keys(button, place, {"type", "reply"})
        _same(button, "type", "reply", where=place)
        reply = _object(button, "reply", where=place)
        _keys(reply, f"{place}reply.", {"id", "title"})
        replies.append(
            (
                _text(reply, "id", 1, 256, where=f"{place}reply."),
                _text(reply, "title", 1, 20, where=f"{place}reply."),
            )
        )
    _unique([identifier for identifier, _ in replies], f"{where}buttons ids")
    _unique([title for _, title in replies], f"{where}buttons titles")


def _check_list(action: Mapping[str, Any]) -> None:
    where = "interactive.action."
    _keys(action, where, {"button", "sections"})
    _text(action, "button", 1, 20, where=where)
    sections = _list(action, "sections", 1, 10, where=where)
    identifiers: list[str] = []
    for number, section in enumerate(sections):
        place = f"{where}sections[{number}]."
        _keys(section, place, {"title", "rows"})
        if "title" in section or len(sections) > 1:
            _text(section, "title", 1, 24, where=place)
        for index, row in enumerate(_list(section, "rows", 1, 10, where=place)):
            spot = f"{place}rows[{index}]."
            _keys(row, spot, {"id", "title", "description"})
            identifiers.append(_text(row, "id", 1, 200, where=spot))
            _text(row, "title", 1, 24, where=spot)
            if "description" in row:
                _text(row, "description", 1, 72, where=spot)
    total = 10
    if len(identifiers) > total:
        details = f"{where}sections: expected at most {total} rows in all, got {len(identifiers)}"
        refuse(_INVALID, details)
    _unique(identifiers, f"{where}sections row ids")


def _check_template(part: Mapping[str, Any]) -> None:
    where = "template."
    _keys(part, where, {"name", "language", "components", "namespace"})
    name = _text(part, "name", 1, 512, where=where)
    if re.fullmatch(r"[a-z0-9_]+", name, re.ASCII) is None:
        refuse(132001, f"template.name: no template has the name {name}")
    language = _object(part, "language", where=where)
    _text(language, "code", 2, 16, where="template.language.")
    if "components" not in part:
        return
    for number, component in enumerate(_list(part, "components", 0, 20, where=where)):
        place = f"{where}components[{number}]."
        _keys(component, place, {"type", "sub_type", "index", "parameters"})
        kind = _text(component, "type", 1, 32, where=place)
        if kind not in {"header", "body", "button"}:
            refuse(_INVALID, f"{place}type: expected header, body or button")
        for index, parameter in enumerate(_list(component, "parameters", 0, 50, where=place)):
            spot = f"{place}parameters[{index}]."
            if parameter.get("type") == "text":
                value = _text(parameter, "text", 1, 1024, where=spot)
                if _NEWLINE_OR_TAB.search(value):
                    details = f"{spot}text: expected no line break, tab or 5 blanks in a row"
                    refuse(132018, details)


def _same(part: Mapping[str, Any], key: str, value: str, *, where: str = "") -> None:
    if part.get(key) != value:
        refuse(_UNKNOWN_KEY, f"{where}{key}: expected {value}")


def _keys(part: Mapping[str, Any], where: str, allowed: set[str]) -> None:
    extra = sorted(set(part) - allowed)
    if extra:
        refuse(_UNKNOWN_KEY, f"{where}{extra[0]}: unexpected key on this message")


def _object(part: Mapping[str, Any], key: str, *, where: str = "") -> Mapping[str, Any]:
    value = part.get(key)
    if not isinstance(value, Mapping):
        refuse(_MISSING, f"{where}{key}: expected an object")
    return value


def _list(
    part: Mapping[str, Any], key: str, least: int, most: int, *, where: str
) -> list[Mapping[str, Any]]:
    value = part.get(key)
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        refuse(_MISSING, f"{where}{key}: expected a list of objects")
    if not least <= len(value) <= most:
        details = f"{where}{key}: expected {least} to {most} entries, got {len(value)}"
        refuse(_INVALID, details)
    return value


def _text(part: Mapping[str, Any], key: str, least: int, most: int, *, where: str = "") -> str:
    value = part.get(key)
    if not isinstance(value, str):
        refuse(_MISSING, f"{where}{key}: expected text")
    if not least <= len(value) <= most or not value.strip():
        details = f"{where}{key}: expected {least} to {most} characters, got {len(value)}"
        refuse(_INVALID, details)
    return value


def _unique(values: list[str], name: str) -> None:
    if len(set(values)) != len(values):
        refuse(_INVALID, f"{name}: expected each to be different")
