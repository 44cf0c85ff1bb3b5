"""What a turn may look like: pure functions, no Rasa."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.turn_request import (
    HARMLESS_TEXT,
    TurnRequest,
    TurnRequestError,
    parse_turn_request,
    typed_text,
)

INTENTS = frozenset({"greet", "inform", "restart", "back", "session_start"})


def body(**changes: object) -> dict[str, object]:
    return {"conversation_id": "c1", "message_id": "m1", "text": "oi"} | changes


@given(st.text())
def test_no_typed_text_reaches_rasa_as_a_command(text: str) -> None:
    read = typed_text(text)
    # Rasa strips blanks, then looks for the slash.
    assert not read.strip().startswith("/")
    assert read.strip()


@given(
    st.text(alphabet="/ \t\n\u00a0\u2003\u200b\u200d\u202e\ufeff\uff0f\x00restart{}", min_size=1)
)
def test_blanks_and_slashes_in_any_order_are_stripped(text: str) -> None:
    assert not typed_text(text).strip().startswith("/")


@given(st.text())
def test_typed_text_is_a_fixed_point(text: str) -> None:
    assert typed_text(typed_text(text)) == typed_text(text)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("/restart", "restart"),
        (" // /restart agora", "restart agora"),
        ("/", HARMLESS_TEXT),
        ("", HARMLESS_TEXT),
        ("24/7", "24/7"),
        ("  oi  ", "oi"),
        ("\udcff", "?"),
        ("\uff0frestart", "restart"),
        ("\u200b/restart", "restart"),
        ("\u202e/restart", "restart"),
        ("\ufeff/restart", "restart"),
        ("\u200d / \u200d/session_start", "session_start"),
        ("\x00\x1b[31m/restart", "[31m/restart"),
        ('/order_status{"order_number":"1"}', 'order_status{"order_number":"1"}'),
        ("EXTERNAL: restart", "EXTERNAL: restart"),
        ("{{7*7}} ${jndi:ldap://x}", "{{7*7}} ${jndi:ldap://x}"),
        ("[boleto](entity)", "[boleto](entity)"),
        ("👩\u200d💻", "👩\u200d💻"),
        ("\u0301\u0301", "\u0301\u0301"),
        ("שלום", "שלום"),
    ],
)
def test_typed_text_examples(text: str, read: str) -> None:
    assert typed_text(text) == read


def test_metadata_always_carries_the_message_id() -> None:
    request = parse_turn_request(
        body(metadata={"language": "pt", "message_id": "forged"}), intents=INTENTS
    )
    assert request == TurnRequest("c1", "m1", "oi", {"language": "pt", "message_id": "m1"})


@pytest.mark.parametrize(
    "payload", ["/greet", '/inform{"order_number":"123"}', '/inform{"amount": 1.5}', "/greet{}"]
)
def test_a_payload_of_ponte_is_passed_on_as_it_is(payload: str) -> None:
    assert parse_turn_request(body(payload=payload), intents=INTENTS).rasa_text == payload


@pytest.mark.parametrize(
    "payload",
    [
        "/restart",
        "/back",
        "/session_start",
        "/restart{}",
        "/greet@1.0",
        "//greet",
        " /greet",
        "/greet\n",
        "/greet{",
        "/greet{]}",
        '/greet{"a":{}}',
        '/greet{"a":null}',
        "/unknown",
        "greet",
        "",
        7,
        "/greet" + "x" * 1000,
    ],
)
def test_any_other_payload_is_refused(payload: object) -> None:
    with pytest.raises(TurnRequestError) as caught:
        parse_turn_request(body(payload=payload), intents=INTENTS)
    assert caught.value.field == "payload"


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists))
def test_a_body_that_is_no_object_is_refused(value: object) -> None:
    with pytest.raises(TurnRequestError):
        parse_turn_request(value, intents=INTENTS)
