"""The clarifying question: what it offers, and what a typed answer to it means.

Rasa takes a typed "sim" or "2" for a new message; while a question is open, this module reads it
as the answer it is. Anything that is not clearly an answer is left alone: it is a new message.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from handoff.answer_words import (
    FILLERS,
    LAST,
    NO,
    NO_COMPANIONS,
    NUMBERS,
    OTHER_THING,
    SKIN_TONES,
    SOFT_NUMBERS,
    THUMBS_DOWN,
    THUMBS_UP,
    YES,
    YES_COMPANIONS,
)
from handoff.decision import Decision
from handoff.policy import HandoffPolicy
from handoff.text import fold, words

MAX_PAYLOAD = 200  # characters of a list row's id (Cloud API); a reply button's may have 256

_MAX_ANSWER_WORDS = 8  # more is a sentence of its own, unless it is a title word by word
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
class NotAnAnswer:
    """It is a new message, to be understood on its own."""


Answer = Chosen | NoneOfThese | NotAnAnswer


@dataclass(frozen=True, slots=True)
class Menu:
    """A clarifying question ready for a channel.

    Attributes:
        question: The text above the options.
        options: What to offer, best first; empty: ask to say it in other words.
        none_title: Title of the last choice; shown only when there are options.
        none_payload: Its payload.
    """

    question: str
    options: tuple[ClarifyOption, ...]
    none_title: str
    none_payload: str


def menu(
    decision: Decision,
    policy: HandoffPolicy,
    language: str,
    *,
    entities: Mapping[str, tuple[str, ...]] | None = None,
    is_first: bool = True,
) -> Menu:
    """The question a "clarify" decision asks, in the customer's language.

    Args:
        decision: Its `options` are offered.
        policy: Texts and titles.
        language: The customer's language; for one that is not served, `languages.others`.
        entities: Found in the message, to travel with every option.
        is_first: No other clarifying question was asked just before.
    """
    settings, written = policy.clarify, policy.languages.written(language)
    options = tuple(
        ClarifyOption(intent, policy.intent_title(intent, language=written), dict(entities or {}))
        for intent in decision.options
    )
    texts = settings.question if is_first else settings.question_again
    return Menu(
        question=(texts if options else settings.rephrase)[written],
        options=options,
        none_title=settings.none_title[written],
        none_payload=f"/{settings.none_intent}",
    )


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


def read_answer(
    text: str,
    options: Sequence[ClarifyOption],
    *,
    none_index: int | None = None,
    none_titles: Sequence[str] = (),
) -> Answer:
    """What a typed text answers to the open question, in Portuguese, English or Spanish.

    Understood are numbers and ordinals ("2", "2️⃣", "opção 2", "a segunda"), yes (the first
    option), no and "none of these", titles with small slips, and a part of a title that only one
    option has ("boleto"). A number that is not in the list, two numbers, or a longer sentence are
    no answer.

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
    if len(typed) > _MAX_ANSWER_WORDS:
        return NotAnAnswer()
    return _read_words(typed, options, none_index or len(options) + 1)


def _read_words(typed: Sequence[str], options: Sequence[ClarifyOption], none_index: int) -> Answer:
    number = _number(typed, last=len(options))
    if number is not None:
        return _numbered(number, options, none_index)
    if _is_made_of(typed, YES, YES_COMPANIONS):
        return Chosen(options[0])
    if tuple(typed) in OTHER_THING or _is_made_of(typed, NO, NO_COMPANIONS):
        return NoneOfThese()
    return _by_title(typed, options)


def _single(values: tuple[str, ...]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)


def _read_signs(text: str, options: Sequence[ClarifyOption]) -> Answer:
    signs = {char for char in fold(text) if not char.isspace() and ord(char) not in SKIN_TONES}
    if signs and signs <= THUMBS_UP:
        return Chosen(options[0])
    if signs and signs <= THUMBS_DOWN:
        return NoneOfThese()
    return NotAnAnswer()


def _number(typed: Sequence[str], *, last: int) -> int | None:
    """The one number an answer names, when it says nothing else."""
    rest = [word for word in typed if word not in FILLERS and word not in YES]
    if any(word not in NUMBERS and word not in LAST for word in rest):
        return None
    firm = [word for word in rest if word not in SOFT_NUMBERS] or rest
    numbers = {last if word in LAST else NUMBERS[word] for word in firm}
    return numbers.pop() if len(numbers) == 1 else None


def _numbered(number: int, options: Sequence[ClarifyOption], none_index: int) -> Answer:
    if number == none_index:
        return NoneOfThese()
    position = number if number < none_index else number - 1  # the list may begin with "none"
    if position <= len(options):
        return Chosen(options[position - 1])
    return NotAnAnswer()


def _is_made_of(typed: Sequence[str], core: frozenset[str], companions: frozenset[str]) -> bool:
    known = core | companions
    return not core.isdisjoint(typed) and known.issuperset(typed)


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
