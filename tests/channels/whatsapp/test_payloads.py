from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.message import Button, OutboundMessage, OutboundTemplate
from channels.whatsapp.payloads import PayloadError, build_mark_read, build_message
from simulator.contract import check_message, check_read_mark

TO = "+5511987654321"


def build(message: OutboundMessage | OutboundTemplate, **extra: Any) -> dict[str, Any]:
    payload = build_message(message, **{"phone": TO, **extra})
    assert check_message(payload) == payload["type"]  # the other side agrees
    return payload


def test_a_text_has_metas_shape() -> None:
    payload = build(OutboundMessage("Olá", reply_to="wamid.1"), callback_data="m-1")

    assert payload == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": TO,
        "type": "text",
        "text": {"body": "Olá", "preview_url": False},
        "context": {"message_id": "wamid.1"},
        "biz_opaque_callback_data": "m-1",
    }


def test_buttons_and_lists_have_metas_shape() -> None:
    options = (Button("/a", "Sim"), Button("/b", "Não", "mesmo"))

    assert build(OutboundMessage("?", options))["interactive"]["action"] == {
        "buttons": [
            {"type": "reply", "reply": {"id": "/a", "title": "Sim"}},
            {"type": "reply", "reply": {"id": "/b", "title": "Não"}},
        ]
    }
    assert build(OutboundMessage("?", options, list_button="Abrir"))["interactive"]["action"] == {
        "button": "Abrir",
        "sections": [
            {
                "rows": [
                    {"id": "/a", "title": "Sim"},
                    {"id": "/b", "title": "Não", "description": "mesmo"},
                ]
            }
        ],
    }


def test_a_template_has_metas_shape_and_no_line_break_in_a_parameter() -> None:
    template = OutboundTemplate("retomar", "pt_BR", ("Ana\nLima \t  2",), ("continue",))

    assert build(template)["template"] == {
        "name": "retomar",
        "language": {"code": "pt_BR", "policy": "deterministic"},
        "components": [
            {"type": "body", "parameters": [{"type": "text", "text": "Ana Lima 2"}]},
            {
                "type": "button",
                "sub_type": "quick_reply",
                "index": "0",
                "parameters": [{"type": "payload", "payload": "continue"}],
            },
        ],
    }


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ({"phone": "5511987654321"}, {"to": "+5511987654321"}),
        ({"phone": "+55 11 8765-4321"}, {"to": "+551187654321"}),
        ({"phone": TO, "user_id": "BR.1"}, {"to": TO}),
        ({"phone": None, "user_id": "BR.1"}, {"recipient": "BR.1"}),
    ],
)
def test_the_address_has_a_plus_or_is_a_user_id(
    address: dict[str, Any], expected: dict[str, str]
) -> None:
    payload = build_message(OutboundMessage("x"), **address)

    assert {key: payload[key] for key in ("to", "recipient") if key in payload} == expected


@pytest.mark.parametrize("typing", [True, False])
def test_a_read_mark_has_metas_shape(*, typing: bool) -> None:
    assert check_read_mark(build_mark_read("wamid.1", typing=typing)) == ("wamid.1", typing)


LONG = "palavra " * 20


@pytest.mark.parametrize(
    ("options", "list_button", "expected"),
    [
        ((Button("a", LONG),), None, ["palavra palavra pal…"]),
        (
            (Button("a", LONG + "1"), Button("b", LONG + "2")),
            None,
            ["palavra palavra pal…", "palavra palavra p… 2"],
        ),
        ((Button("a", "Sim"), Button("b", "Sim")), None, ["Sim", "Sim 2"]),
        ((Button("a", "duas\nlinhas"),), None, ["duas linhas"]),
        ((Button("a", LONG),), "Abrir", ["palavra palavra palavra…"]),
    ],
)
def test_titles_are_cut_and_stay_different(
    options: tuple[Button, ...], list_button: str | None, expected: list[str]
) -> None:
    action = build(OutboundMessage("?", options, list_button))["interactive"]["action"]

    titles = (
        [button["reply"]["title"] for button in action["buttons"]]
        if list_button is None
        else [row["title"] for row in action["sections"][0]["rows"]]
    )
    assert titles == expected


def test_a_row_title_that_was_cut_stands_whole_in_the_description() -> None:
    title = "Segunda via da fatura do cartão"

    action = build(OutboundMessage("?", (Button("a", title),), "Abrir"))["interactive"]["action"]

    assert action["sections"][0]["rows"][0]["description"] == title


def rows(count: int, size: int = 2) -> tuple[Button, ...]:
    return tuple(Button(str(n).rjust(size, "x"), f"t{n}") for n in range(count))


@pytest.mark.parametrize(
    ("message", "extra", "field"),
    [
        (OutboundMessage(""), {}, "text.body"),
        (OutboundMessage("\x00 "), {}, "text.body"),
        (OutboundMessage("x" * 4097), {}, "text.body"),
        (OutboundMessage("x" * 1025, rows(1)), {}, "interactive.body.text"),
        (OutboundMessage("x", rows(4)), {}, "interactive.action.buttons"),
        (OutboundMessage("x", rows(1, 257)), {}, "interactive.action.buttons[0].reply.id"),
        (OutboundMessage("x", (Button("a", " "),)), {}, "interactive.action.buttons[0].title"),
        (OutboundMessage("x", rows(1) * 2), {}, "interactive.action.buttons"),
        (OutboundMessage("x", rows(11), "v"), {}, "interactive.action.sections[0].rows"),
        (OutboundMessage("x", rows(1, 201), "v"), {}, "interactive.action.sections[0].rows[0].id"),
        (OutboundMessage("x", rows(1), " "), {}, "interactive.action.button"),
        (OutboundMessage("x"), {"phone": "abc"}, "to"),
        (OutboundMessage("x"), {"phone": None}, "to"),
        (OutboundMessage("x"), {"phone": None, "user_id": " "}, "to"),
        (OutboundMessage("x"), {"callback_data": "x" * 513}, "biz_opaque_callback_data"),
        (OutboundTemplate("", "pt_BR"), {}, "template.name"),
        (OutboundTemplate("a", ""), {}, "template.language.code"),
        (OutboundTemplate("a", "pt_BR", ("",)), {}, "template.components.body.parameters[0].text"),
        (OutboundTemplate("a", "pt_BR", (), ("",)), {}, "template.components.button[0].payload"),
    ],
)
def test_what_cannot_be_cut_is_refused_by_name(
    message: OutboundMessage | OutboundTemplate, extra: dict[str, Any], field: str
) -> None:
    with pytest.raises(PayloadError) as caught:
        build(message, **extra)

    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: expected ")


TEXT = st.text(min_size=1, max_size=90)


@given(TEXT, st.lists(st.builds(Button, TEXT, TEXT, st.none() | TEXT), max_size=12), st.booleans())
def test_every_body_that_is_built_is_accepted(
    text: str,
    options: list[Button],
    as_list: bool,
) -> None:
    message = OutboundMessage(text, tuple(options), "Abrir" if as_list and options else None)

    try:
        payload = build_message(message, phone=TO)
    except PayloadError:
        return
    assert check_message(payload) == payload["type"]
