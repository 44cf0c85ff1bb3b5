from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

from handoff.policy import REASONS
from ticketing.console import app, forms, texts
from ticketing.domain.enums import (
    Author,
    Control,
    DeliveryState,
    Priority,
    Severity,
    TicketStatus,
)
from ticketing.domain.review import Verdict

TEMPLATES = Path(texts.__file__).parent / "templates"
DEFAULT = texts.catalogue("pt")


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("language", texts.LANGUAGES)
def test_no_language_lacks_a_text_or_a_placeholder(language: str) -> None:
    words = texts.catalogue(language)
    assert list(words) == list(DEFAULT)
    assert all(value.strip() for value in words.values())
    assert {key: fields(value) for key, value in words.items()} == {
        key: fields(value) for key, value in DEFAULT.items()
    }


def test_every_text_that_a_template_asks_for_exists() -> None:
    asked = {
        key
        for template in TEMPLATES.glob("*.html")
        for key in re.findall(r"""\bt\("([\w.-]+)"(?!\s*~)""", template.read_text("utf-8"))
    }
    assert asked
    assert asked <= set(DEFAULT)


def test_every_code_that_a_page_can_show_has_words() -> None:
    wanted = {f"reason.{code}" for code in REASONS}
    for group, enum in (
        ("status", TicketStatus),
        ("priority", Priority),
        ("severity", Severity),
        ("control", Control),
        ("author", Author),
        ("delivery", DeliveryState),
    ):
        wanted |= {f"{group}.{item.value}" for item in enum}
    wanted |= {f"verdict.{item.value}" for item in Verdict}
    wanted |= {f"done.{action}" for action in forms.ACTIONS}
    wanted |= {f"list.{tab}" for tab in app._TABS}
    assert wanted <= set(DEFAULT)


@pytest.mark.parametrize(
    ("asked", "kept", "accepted", "chosen"),
    [
        ("es", "en", "en-US", "es"),
        (None, "en", "es", "en"),
        ("xx", "yy", "es-AR,en;q=0.8", "es"),
        (None, None, "fr, en;q=0.5, es;q=0.9", "es"),
        (None, None, "en;q=x, es", "es"),
        (None, None, "fr", "pt"),
        (None, None, "", "pt"),
    ],
)
def test_the_language_is_what_was_asked_then_kept_then_accepted(
    asked: str | None, kept: str | None, accepted: str, chosen: str
) -> None:
    assert texts.choose_language(asked=asked, kept=kept, accepted=accepted) == chosen
