"""What a decision record, a review or a chosen option teaches: which sentence means which intent.

Signals of one sentence differ in strength; the strongest gives the suggested intent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

LOW_CONFIDENCE = 0.6
"""A message that was answered with less is worth a look, although the rules believed it."""

MIN_LETTERS = 2  # "k", "?" teach nothing
MAX_WORDS = 40
MAX_CHARACTERS = 300
"""Longer texts tell a story with several wishes; one example of them teaches no one intent."""


class Source(StrEnum):
    """Where a suggestion comes from, weakest first."""

    LOW_CONFIDENCE = "low_confidence"
    OUT_OF_SCOPE = "out_of_scope"
    UNSURE = "unsure"
    MARKED = "marked"
    CHOSEN = "chosen"
    AGENT = "agent"


STRENGTH: Mapping[Source, int] = {source: place for place, source in enumerate(Source)}
LABELS = frozenset({Source.CHOSEN, Source.AGENT})
"""Sources in which a person said what was meant."""


@dataclass(frozen=True, slots=True)
class Signal:
    """Why a turn's text is a candidate.

    Attributes:
        source: What noticed it.
        suggested_intent: What it probably means; None when nobody knows.
        confidence: Of the model's best intent, 0..1; None when the model had none.
    """

    source: Source
    suggested_intent: str | None
    confidence: float | None


def of_decision(record: Mapping[str, Any], *, bound: float = LOW_CONFIDENCE) -> Signal | None:
    """What a decision's own record says of its text; None when there is nothing to learn.

    Args:
        record: `{"snapshot": ..., "decision": ...}` as stored.
        bound: Confidence below which an answered message is a candidate.
    """
    snapshot, decision = record["snapshot"], record["decision"]
    if not is_free_text(snapshot) or snapshot.get("active_form"):
        return None  # what answers a form's question is no intent
    ranking = ranking_of(snapshot)
    best, confidence = ranking[0] if ranking else (None, None)
    understood = decision.get("understanding")
    if understood in {"unsure", "out_of_scope"}:
        return Signal(Source(understood), best, confidence)
    if understood == "confident" and confidence is not None and confidence < bound:
        return Signal(Source.LOW_CONFIDENCE, best, confidence)
    return None


def of_review(record: Mapping[str, Any], *, verdict: str, true_intent: str | None) -> Signal | None:
    """What an agent's mark says of a turn's text.

    A mark that only confirms what the bot was sure of teaches nothing.
    """
    snapshot, decision = record["snapshot"], record["decision"]
    if not is_free_text(snapshot):
        return None
    ranking = ranking_of(snapshot)
    best, confidence = ranking[0] if ranking else (None, None)
    if true_intent is not None:
        sure = decision.get("understanding") in {"confident", "small_talk"}
        if true_intent == best and sure:
            return None
        return Signal(Source.AGENT, true_intent, confidence)
    return None if verdict == "right" else Signal(Source.MARKED, best, confidence)


def question_behind(
    chosen: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """The record of the text that a chosen option explains.

    Args:
        chosen: Record of the turn in which an option was chosen.
        earlier: Records of the conversation before it, newest first.

    Returns:
        The newest written question of the unbroken row of clarifying questions before the choice;
        "none of these" in between does not break the row. None when there is none.
    """
    if chosen["snapshot"].get("clarification_answer") != "chosen":
        return None
    for record in earlier:
        if record["outcome"] != "clarify":
            return None
        if is_free_text(record["snapshot"]):
            return record
    return None


def is_free_text(snapshot: Mapping[str, Any]) -> bool:
    """Whether the customer wrote words of their own, and not an answer to the bot's options."""
    if snapshot.get("trigger", "message") != "message":
        return False  # decided because the bot was away, or because nobody wrote
    kind = snapshot.get("message_kind", "text")
    return kind == "text" and snapshot.get("clarification_answer") is None


def ranking_of(snapshot: Mapping[str, Any]) -> list[tuple[str, float]]:
    """(intent, confidence), best first."""
    return [(str(pair[0]), float(pair[1])) for pair in snapshot.get("ranking") or ()]


def is_worth_reading(text: str, *, placeholder: str) -> bool:
    """Whether a scrubbed text can be an example: some words are left, and not a whole story."""
    kept = [word for word in text.split() if word.strip(".,;:!?") != placeholder]
    letters = sum(char.isalpha() for word in kept for char in word)
    return letters >= MIN_LETTERS and len(kept) <= MAX_WORDS and len(text) <= MAX_CHARACTERS
