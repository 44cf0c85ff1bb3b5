"""The clarifying question: what it offers, and what a typed answer to it means.

Rasa takes a typed "sim" or "2" for a new message; while a question is open, this module reads it
as the answer it is. Anything that is not clearly an answer is left alone: it is a new message.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from handoff.answer_words import (
    FILLERS,
    NO,
    NO_COMPANIONS,
    NUMBERS,
    OTHER_THING,
    THUMBS_UP,
    YES,
    YES_COMPANIONS,
)
from handoff.decision import Decision
from handoff.policy import ClarifySettings, HandoffPolicy, Texts
from handoff.short_answers import (
    MAX_ANSWER_WORDS,
    is_made_of,
    is_not_understood,
    number_in,
    signs_in,
    with_no_mended,
)
from handoff.text import words

MAX_PAYLOAD = 200  # characters of a list row's id (Cloud API); a reply button's may have 256

_MAX_REPLY_BUTTONS = 3  # more options become a list (Cloud API, interactive messages)
_NEAR = 0.85  # likeness (difflib) from which a title counts as typed: one or two slips
_MIN_NEAR_LENGTH = 5  # shorter answers differ in every letter or are equal


@dataclass(frozen=True, slots=True)
class ClarifyOption:
    """One thing the customer may have meant.

    Attributes:
        intent: What choosing it means.
        title: What the button says, in the customer's language.
        entities: Found in the message that was not understood; they travel with the choice.
    """

    intent: str
    title: str
    entities: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The answer is this option."""

    option: ClarifyOption


@dataclass(frozen=True, slots=True)
class NoneOfThese:
    """The answer is that no option fits."""


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """The answer is that the question itself is not understood."""


@dataclass(frozen=True, slots=True)
class NotAnAnswer:
    """It is a new message, to be understood on its own."""


Answer = Chosen | NoneOfThese | NotUnderstood | NotAnAnswer


@dataclass(frozen=True, slots=True)
class Menu:
    """A clarifying question ready for a channel.

    Attributes:
        question: The text above the options.
        options: What to offer, best first; empty: ask to say it in other words.
        none_title: Title of "none of these"; shown only when there are options.
        none_payload: Its payload.
        not_understood_title: Title of the row "I don't understand" below it; shown where the
            question is a list anyway, because three reply buttons leave no room. Empty: no row.
        not_understood_payload: Its payload.
    """

    question: str
    options: tuple[ClarifyOption, ...]
    none_title: str
    none_payload: str
    not_understood_title: str = ""
    not_understood_payload: str = ""


def menu(
    decision: Decision,
    policy: HandoffPolicy,
    language: str,
    *,
    entities: Mapping[str, tuple[str, ...]] | None = None,
    asked: int = 0,
) -> Menu:
    """The question a "clarify" decision asks, in the customer's language.

    Args:
        decision: Its `options` are offered.
        policy: Texts and titles.
        language: The customer's language; for one that is not served, `languages.others`.
        entities: Found in the message, to travel with every option.
        asked: Clarifying questions asked just before, in a row: no text comes twice in a row.
    """
    settings, written = policy.clarify, policy.languages.written(language)
    options = tuple(
        ClarifyOption(intent, policy.intent_title(intent, language=written), dict(entities or {}))
        for intent in decision.options
    )
    is_list = len(options) + 1 > _MAX_REPLY_BUTTONS
    may_say = is_list and settings.not_understood_title and settings.not_understood_intent
    return Menu(
        question=_question(settings, asked=asked, has_options=bool(options))[written],
        options=options,
        none_title=settings.none_title[written],
        none_payload=f"/{settings.none_intent}",
        not_understood_title=settings.not_understood_title[written] if may_say else "",
        not_understood_payload=f"/{settings.not_understood_intent}" if may_say else "",
    )


def _question(settings: ClarifySettings, *, asked: int, has_options: bool) -> Texts:
    """Two texts in turn, so that two questions in a row never sound the same."""
    texts = (
        (settings.question, settings.question_again)
        if has_options
        else (settings.rephrase, settings.rephrase_again or settings.rephrase)
    )
    return texts[asked % 2]


def explanation(titles: Sequence[str], policy: HandoffPolicy, language: str) -> str | None:
    """The open menu in simpler words, its entries numbered; None when the policy has no such text.

    Args:
        titles: All entries, "none of these" included, in order.
        policy: Its `clarify.explain`.
        language: The customer's language.
    """
    text = policy.clarify.explain.get(policy.languages.written(language))
    if text is None:
        return None
    numbered = "\n".join(f"{number}. {title}" for number, title in enumerate(titles, start=1))
    return text.format(options=numbered)


def payload_for(option: ClarifyOption) -> str:
    """What a press on the option sends to Rasa: `/intent{"entity": "value"}`.

    Entities are left out, last name first, while the payload would be longer than `MAX_PAYLOAD`:
    a cut one would be no JSON.
    """
    names = sorted(name for name, values in option.entities.items() if values)
    while names:
        entities = {name: _single(option.entities[name]) for name in names}
        payload = f"/{option.intent}{json.dumps(entities, ensure_ascii=False)}"
        if len(payload) <= MAX_PAYLOAD:
            return payload
        names.pop()
    return f"/{option.intent}"


def options_from_json(stored: Sequence[Mapping[str, Any]]) -> tuple[ClarifyOption, ...]:
    """The options of a question, as they were kept with the conversation."""
    return tuple(
        ClarifyOption(
            intent=option["intent"],
            title=option["title"],
            entities={name: tuple(values) for name, values in option["entities"].items()},
        )
        for option in stored
    )


def read_answer(
    text: str,
    options: Sequence[ClarifyOption],
    *,
    none_index: int | None = None,
    none_titles: Sequence[str] = (),
) -> Answer:
    """What a typed text answers to the open question, in Portuguese, English or Spanish.

    Understood are numbers, ordinals and places ("2", "2️⃣", "opção 2", "a segunda", "o de baixo"),
    yes (the first option), no and "none of these", "I don't understand", titles with small slips,
    and a part of a title that only one option has ("boleto"). A number that is not in the list, two
    numbers, or a longer sentence are no answer.

    Args:
        text: As typed.
        options: As offered, in order.
        none_index: Number of "none of these" in the list, from 1; None: right after the options.
        none_titles: How "none of these" was titled.
    """
    typed = words(text)
    if not options:
        return NotAnAnswer()
    if not typed:
        return _read_signs(text, options)
    if any(typed == words(title) for title in none_titles):
        return NoneOfThese()
    exact = [option for option in options if typed == words(option.title)]
    if exact:
        return Chosen(exact[0])
    if is_not_understood(text):
        return NotUnderstood()
    return _read_words(typed, options, none_index or len(options) + 1)


def read_offer(text: str, titles: Sequence[str], *, numbers: bool = True) -> int | None:
    """Which of the buttons under an ordinary answer was typed, from 0; None for anything else.

    Unlike the answers to a clarifying question, "sim" and "não" choose nothing here: the dialogue
    has rules of its own for them. Nor does a part of a title: "pedido" is a message.

    Args:
        text: As typed.
        titles: Of the buttons, in order.
        numbers: Whether "2" and "a segunda" choose one too.
    """
    typed = words(text)
    if not typed or not titles:
        return None
    for index, title in enumerate(titles):
        if typed == words(title):
            return index
    if len(typed) > MAX_ANSWER_WORDS:
        return None
    number = number_in(typed, count=len(titles)) if numbers and YES.isdisjoint(typed) else None
    if number is not None:
        return number - 1 if number <= len(titles) else None
    near = [index for index, title in enumerate(titles) if _is_near(typed, words(title))]
    return near[0] if len(near) == 1 else None


def _read_words(typed: Sequence[str], options: Sequence[ClarifyOption], none_index: int) -> Answer:
    if len(typed) > MAX_ANSWER_WORDS:  # a sentence of its own, unless it is a title
        return NotAnAnswer()
    number = number_in(typed, count=len(options))
    if number is not None:
        return _numbered(number, options, none_index)
    if is_made_of(typed, YES, YES_COMPANIONS):
        return Chosen(options[0])
    if tuple(typed) in OTHER_THING or is_made_of(typed, NO, NO_COMPANIONS):
        return NoneOfThese()
    chosen = _by_title(typed, options)
    if isinstance(chosen, NotAnAnswer) and is_made_of(with_no_mended(typed), NO, NO_COMPANIONS):
        return NoneOfThese()
    return chosen


def _single(values: tuple[str, ...]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)


def _read_signs(text: str, options: Sequence[ClarifyOption]) -> Answer:
    signs = signs_in(text)
    if signs is None:
        return NotAnAnswer()
    return Chosen(options[0]) if signs == THUMBS_UP else NoneOfThese()


def _numbered(number: int, options: Sequence[ClarifyOption], none_index: int) -> Answer:
    if number == none_index:
        return NoneOfThese()
    position = number if number < none_index else number - 1  # the list may begin with "none"
    if position <= len(options):
        return Chosen(options[position - 1])
    return NotAnAnswer()


def _by_title(typed: Sequence[str], options: Sequence[ClarifyOption]) -> Answer:
    said = _content(typed)
    if not said:
        return NotAnAnswer()
    titles = [_content(words(option.title)) for option in options]
    near = [option for option, title in zip(options, titles, strict=True) if _is_near(said, title)]
    within = [
        option for option, title in zip(options, titles, strict=True) if set(said) <= set(title)
    ]
    for found in (near, within):
        if len(found) == 1:
            return Chosen(found[0])
    return NotAnAnswer()


def _content(typed: Sequence[str]) -> tuple[str, ...]:
    """The words that carry meaning, with ordinals as digits: "segunda via" is "2 via"."""
    content = (word for word in typed if word not in FILLERS)
    return tuple(str(NUMBERS.get(word, word)) for word in content)


def _is_near(said: Sequence[str], title: Sequence[str]) -> bool:
    left, right = " ".join(said), " ".join(title)
    if left == right:
        return True
    if min(len(left), len(right)) < _MIN_NEAR_LENGTH:
        return False
    return difflib.SequenceMatcher(None, left, right).ratio() >= _NEAR
