from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.message import (
    MAX_INTERACTIVE_BODY,
    MAX_TEXT,
    Button,
    OutboundMessage,
    OutboundTemplate,
    merge_replies,
    message_from_reply,
)
from channels.whatsapp.payloads import build_message


def buttons(count: int) -> list[dict[str, str]]:
    return [{"title": f"Opção {n}", "payload": f"/o{n}"} for n in range(1, count + 1)]


def test_nothing_to_say_gives_no_message() -> None:
    assert merge_replies([]) == ()
    assert merge_replies([{"text": "  "}, {"custom": {"a": 1}}]) == ()


def test_the_bubbles_of_a_turn_become_one_message() -> None:
    merged = merge_replies([{"text": "Olá!"}, {"text": "Como posso ajudar?"}])

    assert merged == (OutboundMessage("Olá!\n\nComo posso ajudar?"),)


def test_the_last_options_are_offered_and_text_after_them_stays_in_order() -> None:
    replies = [
        {"text": "A", "buttons": buttons(3)},
        {"text": "B", "buttons": [{"title": "Sim", "payload": "/affirm"}]},
        {"text": "C"},
    ]

    assert merge_replies(replies) == (OutboundMessage("A\n\nB\n\nC", (Button("/affirm", "Sim"),)),)


@pytest.mark.parametrize(
    ("options", "kinds", "sizes"),
    [
        (buttons(1), ["buttons"], [1]),
        (buttons(3), ["buttons"], [3]),
        (buttons(4), ["list"], [4]),
        (buttons(10), ["list"], [10]),
        (buttons(11), ["list", "list"], [10, 1]),
        ([{"title": "Um título comprido demais", "payload": "/x"}], ["list"], [1]),
        (buttons(2) * 2, ["buttons"], [2]),
    ],
)
def test_options_become_buttons_or_lists(
    options: list[dict[str, str]], kinds: list[str], sizes: list[int]
) -> None:
    merged = merge_replies([{"text": "Escolha", "buttons": options}], list_button="Opções")

    assert [message.kind for message in merged] == kinds
    assert [len(message.buttons) for message in merged] == sizes
    for message in merged:
        assert build_message(message, phone="+5511987654321")


def test_options_without_words_say_the_label() -> None:
    assert merge_replies([{"buttons": buttons(1)}])[0].text == "Ver opções"


def test_a_text_too_long_above_buttons_keeps_the_question_with_them() -> None:
    long = "Explicação. " * 100
    question = "Ajudou?"

    merged = merge_replies([{"text": long}, {"text": question, "buttons": buttons(2)}])

    assert [message.kind for message in merged] == ["text", "buttons"]
    assert merged[1].text == question


def test_only_the_first_message_quotes() -> None:
    merged = merge_replies([{"text": "x " * 3000}], reply_to="wamid.1")

    assert [message.reply_to for message in merged] == ["wamid.1", None]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ({"text": "a", "image": "https://x/y.png"}, OutboundMessage("a\nhttps://x/y.png")),
        ({"text": None, "buttons": None}, OutboundMessage("")),
        (
            {"text": "a", "buttons": ["x", {"title": "T"}]},
            OutboundMessage("a", (Button("T", "T"),)),
        ),
        ({"text": 5}, OutboundMessage("")),
    ],
)
def test_a_bubble_of_any_shape_is_read(reply: dict[str, Any], expected: OutboundMessage) -> None:
    assert message_from_reply(reply) == expected


@given(
    st.lists(
        st.fixed_dictionaries(
            {"text": st.text(max_size=3000)},
            optional={"buttons": st.integers(0, 25).map(buttons)},
        ),
        max_size=4,
    )
)
def test_whatever_the_bot_says_can_be_sent(replies: list[dict[str, Any]]) -> None:
    for message in merge_replies(replies):
        limit = MAX_TEXT if message.kind == "text" else MAX_INTERACTIVE_BODY
        assert 0 < len(message.text) <= limit
        assert OutboundMessage.from_json(message.to_json()) == message


def test_a_template_survives_its_row() -> None:
    template = OutboundTemplate("retomar", "pt_BR", ("Ana",), ("continue",))

    assert OutboundTemplate.from_json(template.to_json()) == template
