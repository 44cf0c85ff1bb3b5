from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.domain.runbook import ClosedWindow
from ticketing.domain.runbook_render import (
    VARIABLES,
    Gap,
    GapReason,
    closed_window_message,
    closed_window_words,
    first_name,
    has_braces,
    mistakes_in,
    render,
)


def test_variables_are_filled_in_with_or_without_blanks_and_the_rest_stays() -> None:
    found = render(
        "Oi {{contact.first_name}}, nº {{ ticket.number }} {ok}",
        {"contact.first_name": ["Ana"], "ticket.number": ["1001"]},
    )
    assert found.text == "Oi Ana, nº 1001 {ok}"
    assert found.ready
    assert found.length == len(found.text)


@pytest.mark.parametrize(
    ("values", "gap"),
    [
        ({}, Gap("entity.order_number", GapReason.MISSING)),
        ({"entity.order_number": []}, Gap("entity.order_number", GapReason.MISSING)),
        ({"entity.order_number": ["", " "]}, Gap("entity.order_number", GapReason.MISSING)),
        ({"entity.order_number": ["x" * 301]}, Gap("entity.order_number", GapReason.MISSING)),
        (
            {"entity.order_number": ["1", "2"]},
            Gap("entity.order_number", GapReason.SEVERAL, ("1", "2")),
        ),
    ],
)
def test_what_cannot_be_filled_in_is_named_and_stays_for_the_agent_to_write_over(
    values: dict[str, list[str]], gap: Gap
) -> None:
    found = render("Pedido {{entity.order_number}}", values)
    assert found.gaps == (gap,)
    assert found.text == "Pedido {{entity.order_number}}"
    assert not found.ready


def test_the_same_value_said_twice_is_one_value_and_an_unknown_variable_is_said_to_be_one() -> None:
    assert render("{{entity.a}}", {"entity.a": ["7", " 7 "]}).text == "7"
    (gap,) = render("{{agent.salary}} {{agent.salary}}", {}).gaps
    assert gap == Gap("agent.salary", GapReason.UNKNOWN)


def test_a_value_is_never_looked_at_again() -> None:
    found = render(
        "{{contact.name}}",
        {"contact.name": ["{{agent.name}}"], "agent.name": ["Ana"]},
    )
    assert found.text == "{agent.name}"
    assert found.ready


@given(
    st.text(alphabet="ab{} .\n\x00é😀", max_size=40),
    st.dictionaries(st.sampled_from(VARIABLES), st.lists(st.text(max_size=20), max_size=3)),
)
def test_a_text_that_is_ready_never_holds_a_variable(
    filler: str, values: dict[str, list[str]]
) -> None:
    text = "".join(f"{{{{{name}}}}}{filler}" for name in VARIABLES[:3])
    found = render(text, values)
    if found.ready and not has_braces(filler) and "{" not in filler and "}" not in filler:
        assert not has_braces(found.text)


def test_the_length_is_counted_after_filling_in() -> None:
    assert render("x" * 4090 + "{{ticket.number}}", {"ticket.number": ["123456"]}).ready
    long = render("x" * 4090 + "{{ticket.number}}", {"ticket.number": ["1234567"]})
    assert (long.length, long.limit, long.ready) == (4097, 4096, False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{contact.name}} {{entity.order_number}}", None),
        ("{{contact.shoe_size}}", "unknown variable {{contact.shoe_size}}"),
        ("{{entity.colour}}", "unknown variable {{entity.colour}}"),
        ("{{}}", "unknown variable {{}}"),
        ("{{contact.name}", "double braces without their partner"),
        ("{{ {{contact.name}} }}", "double braces without their partner"),
        ("{{contact.__class__}}", "unknown variable"),
    ],
)
def test_a_mistake_in_a_text_is_found_before_any_customer_sees_it(
    text: str, words: str | None
) -> None:
    found = mistakes_in(text, entities=["order_number"])
    assert (found == []) if words is None else (words in found[0])


WINDOW = ClosedWindow(
    "order_update",
    {"pt": "pt_BR", "en": "en", "es": "es"},
    ("contact.first_name", "entity.order_number"),
    {"pt": "Olá {{1}}, pedido {{2}}"},
)


def test_the_template_for_the_closed_window_gets_its_parameters_in_one_line() -> None:
    values = {"contact.first_name": ["Ana\n Clara"], "entity.order_number": ["77"]}
    message, gaps = closed_window_message(WINDOW, values, language="pt")
    assert (message.name, message.language) == ("order_update", "pt_BR")
    assert message.body_parameters == ("Ana Clara", "77")
    assert gaps == ()
    shown = closed_window_words("Olá {{1}}, pedido {{ 2 }} {{3}}", message.body_parameters)
    assert shown == "Olá Ana Clara, pedido 77 {{3}}"
    _, gaps = closed_window_message(WINDOW, {}, language="fr")
    assert [gap.variable for gap in gaps] == ["contact.first_name", "entity.order_number"]


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("Ana Lima", "Ana"),
        ("🌸Ana🌸 Lima", "Ana"),
        ("  josé  ", "josé"),
        ("Ana-Clara D'Ávila", "Ana-Clara"),
        ("+55 11 98888-7777", None),
        (". Ana", "Ana"),
        ("", None),
        (None, None),
    ],
)
def test_the_first_name_is_a_word_with_letters(name: str | None, first: str | None) -> None:
    assert first_name(name) == first
