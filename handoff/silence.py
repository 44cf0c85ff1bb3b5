"""Silence: what the customer is offered when the bot waits for an answer and none comes.

"Continue, a person, or cancel?" The offer is made once for each question; later the question ends.
When both happen is a setting of the process; what is said, and what a typed answer means, is here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from handoff.answer_words import (
    FILLERS,
    NO,
    NO_COMPANIONS,
    SILENCE_WORDS,
    THUMBS_DOWN,
    THUMBS_UP,
    YES,
    YES_COMPANIONS,
)
from handoff.edit_distance import is_phrase_with_slips
from handoff.short_answers import is_made_of, number_in, signs_in
from handoff.silence_settings import CANCEL, CHOICES, CONTINUE, PERSON, SilenceSettings
from handoff.text import words

__all__ = [
    "CANCEL",
    "CHOICES",
    "CLOSE",
    "CONTINUE",
    "PERSON",
    "REMIND",
    "SilenceSettings",
    "SilenceTimes",
    "choice_of",
    "payload_of",
    "read_choice",
]

REMIND, CLOSE = "remind", "close"
"""The two steps: the offer, and the end of the question."""

_BY_SIGNS = {THUMBS_UP: CONTINUE, THUMBS_DOWN: CANCEL}
_PAYLOAD_PREFIX = "silence:"  # no slash: it is Ponte's own and must never run as an intent
_MAX_WORDS = 6  # a longer answer is a sentence of its own


@dataclass(frozen=True, slots=True)
class SilenceTimes:
    """When something happens, counted from the customer's last message or the question to it.

    Attributes:
        remind_after: Until the offer; None: no offer is made, the question only ends.
        close_after: Until the question ends; longer than `remind_after`.
    """

    remind_after: timedelta | None
    close_after: timedelta

    def __post_init__(self) -> None:
        first = self.remind_after if self.remind_after is not None else timedelta()
        if not timedelta() <= first < self.close_after:
            message = f"silence times: got {first} and {self.close_after}; expected first < second"
            raise ValueError(message)


def payload_of(choice: str) -> str:
    """What a press on the choice's button sends back."""
    return f"{_PAYLOAD_PREFIX}{choice}"


def choice_of(payload: str | None) -> str | None:
    """The choice whose button was pressed; None for any other button."""
    if payload is None or not payload.startswith(_PAYLOAD_PREFIX):
        return None
    choice = payload[len(_PAYLOAD_PREFIX) :]
    return choice if choice in CHOICES else None


def read_choice(text: str, settings: SilenceSettings) -> str | None:
    """The choice that was typed while the offer is open: its number, its title, or such words.

    The languages are read together. None for anything else: that is a message of its own, or the
    answer to the question that was open before.
    """
    typed = words(text)
    if not typed:
        signs = signs_in(text)
        return None if signs is None else _BY_SIGNS[signs]
    for choice in CHOICES:
        titles = [words(title) for title in settings.titles[choice].values()]
        if any(typed in {title, title[1:]} for title in titles):  # with and without its number
            return choice
    if len(typed) > _MAX_WORDS:
        return None
    number = number_in(typed, count=len(CHOICES))
    if number is not None:
        return CHOICES[number - 1] if number <= len(CHOICES) else None
    return _by_words(typed)


def _by_words(typed: tuple[str, ...]) -> str | None:
    bare = _without_fillers(typed)
    for choice, phrases in SILENCE_WORDS.items():
        if typed in phrases or (bare and bare in _BARE_WORDS[choice]):
            return choice
    if is_made_of(typed, YES, YES_COMPANIONS):
        return CONTINUE
    if is_made_of(typed, NO, NO_COMPANIONS):
        return CANCEL
    near = {
        choice
        for choice, phrases in SILENCE_WORDS.items()
        for phrase in phrases
        if is_phrase_with_slips(typed, phrase)
    }
    return near.pop() if len(near) == 1 else None


def _without_fillers(typed: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for word in typed if word not in FILLERS)


_BARE_WORDS = {
    choice: frozenset(_without_fillers(phrase) for phrase in phrases)
    for choice, phrases in SILENCE_WORDS.items()
}
