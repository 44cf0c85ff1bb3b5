from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.json import dumps, storable, storable_text


@pytest.mark.parametrize(
    ("given_text", "stored"),
    [
        ("plain", "plain"),
        ("ol\x00a", "ola"),
        ("\ud83d", "\ufffd"),
        ("\ud83d\ude00", "😀"),
        ("ação 😀", "ação 😀"),
    ],
)
def test_text_loses_only_what_postgresql_refuses(given_text: str, stored: str) -> None:
    assert storable_text(given_text) == stored


def test_numbers_that_json_does_not_know_become_null() -> None:
    assert storable({"a": [float("nan"), float("inf"), 1.5]}) == {"a": [None, None, 1.5]}


def test_integers_beyond_64_bits_are_written() -> None:
    assert json.loads(dumps({"n": 2**80})) == {"n": 2**80}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
        max_leaves=20,
    )
)
def test_any_json_becomes_storable_text(value: object) -> None:
    text = dumps(storable(value))

    assert "\\u0000" not in text
    text.encode("utf-8")
    json.loads(text)
