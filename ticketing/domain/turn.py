"""One customer message on its way through the bot: facts, and what they mean for the rules.

`TurnFacts` is what Ponte knows before the bot is asked. It travels to Rasa as metadata and comes
back to the action server, so that both sides build the same snapshot.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from handoff.policy import HandoffPolicy, match_keywords
from handoff.sentiment import sentiment
from handoff.snapshot import ConversationSnapshot

# What Ponte itself writes into buttons: an intent, and entities as JSON.
PAYLOAD = re.compile(r"/[a-z][a-z0-9_]*(\{.*\})?", re.DOTALL)

MAX_TEXT_FOR_BOT = 1000
"""Characters the bot reads. Longer texts are stored whole; the classifier gains nothing from more,
and its time grows with the length."""


@dataclass(frozen=True, slots=True)
class TurnFacts:
    """What is known of a turn before the bot reads it; JSON types only."""

    message_id: str
    conversation_id: str
    correlation_id: str
    channel: str
    sent_at: str
    message_kind: str = "text"
    language: str = "pt"
    detected_language: str = "pt"
    language_confidence: float = 1.0
    language_served: bool = True
    failures: int = 0
    clarifications_asked: int = 0
    clarification_open: bool = False
    clarification_answer: str | None = None
    already_offered: list[str] = field(default_factory=list)
    last_question: str | None = None
    times_asked: int = 0
    contact_vip: bool = False
    contact_segment: str | None = None
    has_open_ticket: bool = False
    model: str | None = None
    leave_form: bool = False
    agents_available: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Metadata for Rasa."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TurnFacts:
        """Read metadata; unknown keys are ignored.

        Raises:
            ValueError: naming the key that is missing.
        """
        known = {item.name for item in fields(cls)}
        try:
            return cls(**{name: part for name, part in value.items() if name in known})
        except TypeError as error:
            message = f"turn metadata: {error}"
            raise ValueError(message) from error


@dataclass(frozen=True, slots=True)
class Parse:
    """What Rasa understood."""

    intent: str | None = None
    ranking: tuple[tuple[str, float], ...] = ()
    entities: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    in_scope: float | None = None

    @classmethod
    def from_rasa(cls, value: Mapping[str, Any]) -> Parse:
        """Read `parse_data`, or a tracker's `latest_message`, tolerant of missing parts."""
        chosen = value.get("intent") or {}
        intent = chosen.get("name")
        ranking = tuple(
            (str(item["name"]), float(item["confidence"]))
            for item in value.get("intent_ranking") or ()
            if item.get("name") is not None
        )
        if not ranking and intent is not None:
            ranking = ((intent, float(chosen.get("confidence") or 0.0)),)
        in_scope = chosen.get("in_scope")
        return cls(
            intent,
            ranking,
            entities_of(value.get("entities") or ()),
            in_scope=float(in_scope) if isinstance(in_scope, (int, float)) else None,
        )


def entities_of(found: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Rasa's list of entities as name -> values, in order, without repeats."""
    grouped: dict[str, list[str]] = {}
    for item in found:
        name, value = item.get("entity"), item.get("value")
        if name is not None and value is not None:
            values = grouped.setdefault(str(name), [])
            if str(value) not in values:
                values.append(str(value))
    return {name: tuple(values) for name, values in grouped.items()}


def snapshot_of(
    facts: TurnFacts,
    parse: Parse,
    policy: HandoffPolicy,
    *,
    text: str,
    active_form: str | None = None,
    trigger: str = "message",
    silence_minutes: float | None = None,
) -> ConversationSnapshot:
    """All that a rule may know about this turn. The text itself stays out of it."""
    is_text = facts.message_kind == "text"
    return ConversationSnapshot(
        turn_id=facts.message_id,
        conversation_id=facts.conversation_id,
        channel=facts.channel,
        now=datetime.fromisoformat(facts.sent_at),
        message_kind=facts.message_kind,
        text_length=len(text) if is_text else 0,
        top_intent=parse.intent,
        ranking=parse.ranking,
        entities=parse.entities,
        keywords=match_keywords(text, policy) if is_text else (),
        language=facts.detected_language,
        language_confidence=facts.language_confidence,
        language_served=facts.language_served,
        failures=facts.failures,
        clarifications_asked=facts.clarifications_asked,
        clarification_open=facts.clarification_open,
        clarification_answer=facts.clarification_answer,
        already_offered=tuple(facts.already_offered),
        repeated_question=(
            facts.times_asked >= ANSWERED_IN_VAIN
            and facts.last_question == question_of(parse.intent, parse.entities)
        ),
        contact_vip=facts.contact_vip,
        contact_segment=facts.contact_segment,
        has_open_ticket=facts.has_open_ticket,
        active_form=active_form,
        trigger=trigger,
        silence_minutes=silence_minutes,
        in_scope=parse.in_scope,
        sentiment=_sentiment(text, facts, policy) if is_text else None,
        agents_available=facts.agents_available,
    )


def _sentiment(text: str, facts: TurnFacts, policy: HandoffPolicy) -> float:
    """By the words of the language that was recognised."""
    return sentiment(text, language=facts.detected_language, more=policy.sentiment_words)


ANSWERED_IN_VAIN = 2
"""A question that comes again after so many answers in a row was not answered by them. One repeat
proves nothing: a typo mended, a message sent twice."""


def question_of(intent: str | None, entities: Mapping[str, tuple[str, ...]]) -> str | None:
    """What was asked, for telling a repeated question from one about another order."""
    if intent is None:
        return None
    named = sorted(value for values in entities.values() for value in values)
    return " ".join([intent, *named])


@dataclass(frozen=True, slots=True)
class Understanding:
    """Counters over the turns of a conversation that the rules read.

    `last_question` was answered `times_asked` times in a row. `last_offered` are the options of the
    last clarifying question unless one was chosen; the next question offers none of them, even when
    an understood message came in between. `refused` are options the customer said no to ("none of
    these"); they come back when the customer brings the subject up, and with a new beginning (a
    person took over, or the question ended in silence).
    """

    failures: int = 0
    clarifications_asked: int = 0
    already_offered: tuple[str, ...] = ()
    last_question: str | None = None
    times_asked: int = 0
    last_offered: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Understanding:
        """Read what `to_json` wrote; empty for a conversation that begins."""
        return cls(
            failures=int(value.get("failures", 0)),
            clarifications_asked=int(value.get("clarifications_asked", 0)),
            already_offered=tuple(value.get("already_offered", ())),
            last_question=value.get("last_question"),
            times_asked=int(value.get("times_asked", 0)),
            last_offered=tuple(value.get("last_offered", ())),
            refused=tuple(value.get("refused", ())),
        )

    def to_json(self) -> dict[str, Any]:
        """What is stored with the conversation."""
        return {
            "failures": self.failures,
            "clarifications_asked": self.clarifications_asked,
            "already_offered": list(self.already_offered),
            "last_question": self.last_question,
            "times_asked": self.times_asked,
            "last_offered": list(self.last_offered),
            "refused": list(self.refused),
        }

    @property
    def not_to_offer(self) -> tuple[str, ...]:
        """Intents that the next clarifying question must not offer."""
        return tuple(dict.fromkeys((*self.already_offered, *self.last_offered, *self.refused)))

    def answered(self, answer: str | None) -> Understanding:
        """With what the customer answered to the open question: an option, none of them, or else.

        Args:
            answer: "chosen", "none_of_these" or None.
        """
        if answer == "chosen":
            return replace(self, last_offered=())
        if answer == "none_of_these":
            refused = tuple(dict.fromkeys((*self.refused, *self.last_offered)))
            return replace(self, refused=refused)
        return self

    def after(
        self,
        *,
        outcome: str,
        counts_as_failure: bool,
        offered: tuple[str, ...],
        question: str | None,
    ) -> Understanding:
        """The counters after a turn with this outcome."""
        if outcome == "clarify":
            return replace(
                self,
                failures=self.failures + 1,
                clarifications_asked=self.clarifications_asked + 1,
                already_offered=(*self.already_offered, *offered),
                last_offered=offered,
            )
        if counts_as_failure:
            return replace(self, failures=self.failures + 1)
        again = question is not None and question == self.last_question
        return Understanding(
            last_question=question,
            times_asked=self.times_asked + 1 if again else 1,
            last_offered=self.last_offered,
            refused=_without_intent_of(question, self.refused),
        )


def _without_intent_of(question: str | None, refused: tuple[str, ...]) -> tuple[str, ...]:
    intent = question.split(" ", 1)[0] if question else None
    return tuple(name for name in refused if name != intent)
