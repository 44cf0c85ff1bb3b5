"""Titles of buttons and rows keep WhatsApp's limits, in every language, wherever they are written.

Meta counts characters; a picture such as a flag is several code points and several UTF-16 units.
Whoever counts most is taken, so that no count of theirs finds a title too long.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from actions.texts import TEXTS
from channels.whatsapp.limits import BUTTON_TITLE, ROW_DESCRIPTION, ROW_TITLE
from handoff.policy import MAX_ROW_TITLE, MAX_TITLE
from handoff.silence import CHOICES
from handoff.text import fold
from scripts.check_titles import problems_in, utf16_length
from tests.ticketing.services.talk import POLICY

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = POLICY.languages.served
DOMAIN = YAML(typ="safe").load((ROOT / "domain.yml").read_text(encoding="utf-8"))
TITLES_OF_ACTIONS = ("talk_to_person",)  # the keys of actions/texts.py that are titles


def titles_of_the_policy(language: str) -> Iterator[str]:
    yield from (titles[language] for titles in POLICY.intents.values())
    yield POLICY.clarify.none_title[language]
    assert POLICY.silence is not None
    yield from (POLICY.silence.titles[choice][language] for choice in CHOICES)


def test_the_limits_are_metas() -> None:
    assert (MAX_TITLE, MAX_ROW_TITLE) == (BUTTON_TITLE, ROW_TITLE)
    assert (BUTTON_TITLE, ROW_TITLE, ROW_DESCRIPTION) == (20, 24, 72)


@pytest.mark.parametrize("language", LANGUAGES)
def test_titles_of_the_policy(language: str) -> None:
    too_long = [t for t in titles_of_the_policy(language) if utf16_length(t) > BUTTON_TITLE]
    assert too_long == []
    assert utf16_length(POLICY.clarify.not_understood_title[language]) <= ROW_TITLE


@pytest.mark.parametrize("language", LANGUAGES)
def test_options_that_may_stand_in_one_menu_have_different_titles(language: str) -> None:
    offerable = [name for name in POLICY.intents if name not in POLICY.clarify.not_offerable]
    titles = [fold(POLICY.intents[name][language]) for name in offerable]
    titles += [
        fold(POLICY.clarify.none_title[language]),
        fold(POLICY.clarify.not_understood_title[language]),
    ]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("key", TITLES_OF_ACTIONS)
def test_titles_of_actions(key: str) -> None:
    assert all(utf16_length(title) <= BUTTON_TITLE for title in TEXTS[key].values())


def test_titles_of_the_domain() -> None:
    assert problems_in(ROOT / "domain.yml") == []


class TestTheCheckCommand:
    def check(self, tmp_path: Path, *buttons: str) -> list[str]:
        lines = [f'        - {{title: "{title}", payload: /greet}}\n' for title in buttons]
        path = tmp_path / "domain.yml"
        path.write_text(
            'responses:\n  utter_x:\n    - text: "?"\n      buttons:\n' + "".join(lines),
            encoding="utf-8",
        )
        return problems_in(path)

    def test_what_fits_is_right(self, tmp_path: Path) -> None:
        assert self.check(tmp_path, "x" * 20, "Falar com pessoa 😊") == []

    @pytest.mark.parametrize(
        ("buttons", "line", "words"),
        [
            (("ok", "x" * 21), 6, "has 21 characters; expected at most 20"),
            (("🇧🇷" * 6,), 5, "has 24 characters; expected at most 20"),
            (("Sim", "sim"), 6, "is there twice"),
            (("a", "b", "c", "d"), 4, "4 buttons; expected at most 3"),
            (("",), 5, "is empty"),
        ],
    )
    def test_mistakes_are_named_with_their_line(
        self, tmp_path: Path, buttons: tuple[str, ...], line: int, words: str
    ) -> None:
        (problem,) = self.check(tmp_path, *buttons)

        assert problem.startswith(f"{tmp_path / 'domain.yml'}:{line}: responses.utter_x")
        assert words in problem

    def test_a_button_without_a_title_is_a_mistake(self, tmp_path: Path) -> None:
        path = tmp_path / "domain.yml"
        path.write_text(
            "responses:\n  utter_x:\n    - text: a\n      buttons:\n        - payload: /x\n"
        )
        (problem,) = problems_in(path)
        assert ":5: " in problem
        assert "title" in problem

    @pytest.mark.parametrize("text", ["", "a: [", "- 1", "responses: 1", "responses: {a: 1}"])
    def test_other_files_give_problems_or_nothing_but_never_an_exception(
        self, tmp_path: Path, text: str
    ) -> None:
        path = tmp_path / "domain.yml"
        path.write_text(text)
        result: Any = problems_in(path)
        assert isinstance(result, list)
