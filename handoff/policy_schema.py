"""The JSON Schema of the policy file, for editors; made from what the readers accept.

`python -m handoff.policy_schema` writes it; `--check` says whether the written one is up to date.
An editor checks names and types while you type; whether an intent or a queue exists, and whether a
rule can ever win, only `ponte handoff check` knows.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from handoff.conditions import FACTS, NEGATION, ChoiceFact, FlagFact, NumberFact
from handoff.fact_texts import CONDITION_TEXTS
from handoff.policy import LEVELS, MAX_TITLE, OUTCOMES, PRIORITIES, REASONS, SEVERITIES
from handoff.policy_calendars import WEEKDAYS
from handoff.policy_rules import MAX_WAIT_MINUTES
from handoff.policy_sections import OPTIONAL_SECTIONS, SECTIONS
from handoff.queue_routing import (
    ASSIGNMENTS,
    MAX_ACCEPT_MINUTES,
    MAX_OVERFLOW_MINUTES,
    MAX_SILENT_MINUTES,
    RELAXATIONS,
    ROUTING_KEYS,
)
from handoff.sentiment import MAX_WEIGHT
from handoff.silence_settings import CHOICES

PATH = Path(__file__).with_name("handoff.schema.json")

_BAD_USE = 2
_CHECK = "--check"

Schema = dict[str, Any]


def schema() -> Schema:
    """The schema as JSON values."""
    sections = {
        "policy": _text("Name of the policy, for people."),
        "languages": _languages(),
        "confidence": _confidence(),
        "intents": _named(_texts(longest=MAX_TITLE), "Title of each intent's button."),
        "small_talk": _name_list("Intents that a low score never makes an escalation of."),
        "out_of_scope": _name_list('Intents that mean "this is not what we do".'),
        "intent_groups": _named(_names(), "Names for several intents, for rules."),
        "keywords": _named(_names(), "Words and phrases that rules can look for."),
        "sentiment_words": _named(
            _number(-MAX_WEIGHT, MAX_WEIGHT), "Further words with their weight for `sentiment`."
        ),
        "clarify": _clarify(),
        "silence": _silence(),
        "while_form_active": _object(
            {
                "low_confidence": _enum(("stay", "clarify")),
                "expects": _named(_names(), "Form to the entities that answer it."),
            },
            required=("low_confidence",),
        ),
        "calendars": _named(_calendar(), "Working hours."),
        "queues": _named(_queue(), "Who answers."),
        "first_response_minutes": _object(
            {name: _whole(1, MAX_WAIT_MINUTES) for name in PRIORITIES}, required=PRIORITIES
        ),
        "messages": _named(
            _texts(), "What the customer reads: {ticket}, {queue}, {opening}, {wait}."
        ),
        "defaults": _defaults(),
        "rules": {"type": "array", "items": _rule()},
    }
    missing = {*SECTIONS, *OPTIONAL_SECTIONS} ^ set(sections)
    if missing:
        message = f"the schema and the sections differ in {', '.join(sorted(missing))}"
        raise AssertionError(message)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Ponte handoff policy",
        **_object(sections, required=SECTIONS),
    }


def _object(properties: Mapping[str, Schema], *, required: Sequence[str] = ()) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def _named(value: Schema, description: str) -> Schema:
    return {"type": "object", "additionalProperties": value, "description": description}


def _text(description: str = "") -> Schema:
    described = {"description": description} if description else {}
    return {"type": "string", "minLength": 1, **described}


def _texts(*, longest: int | None = None) -> Schema:
    """A text for each language; which languages is up to the file."""
    bound = {} if longest is None else {"maxLength": longest}
    return {"type": "object", "additionalProperties": {**_text(), **bound}, "minProperties": 1}


def _names() -> Schema:
    """One name or a list of them."""
    return {"anyOf": [_text(), {"type": "array", "items": _text(), "minItems": 1}]}


def _name_list(description: str) -> Schema:
    may_be_empty = {"anyOf": [_text(), {"type": "array", "items": _text()}]}
    return {**may_be_empty, "description": description}


def _enum(values: Sequence[str]) -> Schema:
    return {"enum": list(values)}


def _one_or_more_of(values: Sequence[str]) -> Schema:
    return {"anyOf": [_enum(values), {"type": "array", "items": _enum(values), "minItems": 1}]}


def _number(low: float, high: float) -> Schema:
    return {"type": "number", "minimum": low, "maximum": high}


def _whole(low: int, high: int) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high}


def _languages() -> Schema:
    properties = {
        "served": _names(),
        "default": _text(),
        "others": _text(),
        "skills": _named(_text(), "Language to the skill an agent needs for it."),
    }
    return _object(properties, required=("served", "default"))


def _confidence() -> Schema:
    share = _number(0, 1)
    threshold = _object({"confident": share, "margin": share})
    required = ("confident", "margin", "out_of_scope", "small_talk")
    properties = {
        **dict.fromkeys((*required, "in_scope"), share),
        "by_language": _named(threshold, "Language to its own thresholds."),
        "by_intent": _named(share, "Intent to its own least score."),
    }
    return _object(properties, required=required)


def _clarify() -> Schema:
    required = {
        "max_questions": _whole(1, 5),
        "options": _whole(2, 3),
        "min_confidence": _number(0, 1),
        "not_offerable": _name_list("Intents that make no sense as an option."),
        "popular": _name_list("Offered when there are too few guesses."),
        "question": _texts(),
        "question_again": _texts(),
        "rephrase": _texts(),
        "none_of_these": _texts(longest=MAX_TITLE),
        "none_intent": _text(),
    }
    optional = {
        "rephrase_again": _texts(),
        "explain": _texts(),
        "not_understood": _texts(),
        "not_understood_intent": _text(),
    }
    return _object({**required, **optional}, required=tuple(required))


def _silence() -> Schema:
    choice = _object(
        {"title": _texts(longest=MAX_TITLE), "intent": _text()}, required=("title", "intent")
    )
    texts = ("reminder", "cancelled", "nothing_open")
    properties = {
        **{name: _texts() for name in texts},
        "choices": _object(dict.fromkeys(CHOICES, choice), required=CHOICES),
        "asking_answers": _name_list("Answers whose buttons wait for an answer."),
    }
    return _object(properties, required=(*texts, "choices"))


def _calendar() -> Schema:
    hours: Schema = {
        "anyOf": [_text(), {"type": "array", "items": _text()}],
        "description": 'Such as ["08:00-12:00", "13:00-18:00"]; an empty list is a closed day.',
    }
    days = "|".join(WEEKDAYS)
    return _object(
        {
            "time_zone": _text("IANA name, such as America/Sao_Paulo."),
            "weekly": {
                "type": "object",
                "patternProperties": {rf"^(?i:({days})(\s*-\s*({days}))?)$": hours},
            },
            "holidays": _object(
                {"country": _text(), "subdivision": _text()}, required=("country",)
            ),
            "closed": {"type": "array", "items": _text()},
            "special_days": _named(hours, "Date to the hours that replace the usual ones."),
        },
        required=("time_zone", "weekly"),
    )


def _queue() -> Schema:
    return _object(
        {
            "name": _texts(),
            "level": _enum(LEVELS),
            "calendar": _text(),
            "skills": _names(),
            "expected_wait_minutes": _whole(1, MAX_WAIT_MINUTES),
            **_queue_routing(),
        },
        required=("name", "level", "calendar"),
    )


def _queue_routing() -> Schema:
    overflow = {"queue": _text(), "after_minutes": _whole(1, MAX_OVERFLOW_MINUTES)}
    steps = {"type": "array", "items": _enum(RELAXATIONS)}
    described = {
        "assignment": {
            **_enum(ASSIGNMENTS),
            "description": "auto: offered to agents who are online. pull: people take them.",
        },
        "accept_within_minutes": _whole(1, MAX_ACCEPT_MINUTES),
        "silent_after_minutes": _whole(0, MAX_SILENT_MINUTES),
        "overflow": {
            **_object(overflow, required=tuple(overflow)),
            "description": "Where a ticket goes that nobody took.",
        },
        "relax": {
            "anyOf": [_enum(RELAXATIONS), steps],
            "description": "Filters to leave out, in this order, while nobody passes.",
        },
        "relax_after_minutes": _whole(1, MAX_OVERFLOW_MINUTES),
    }
    if set(described) != set(ROUTING_KEYS):
        message = "the schema and the routing keys differ"
        raise AssertionError(message)
    return described


def _defaults() -> Schema:
    required = {
        "queue": _text(),
        "priority": _enum(PRIORITIES),
        "severity": _enum(SEVERITIES),
        "message": _text(),
        "message_when_closed": _text(),
    }
    return _object({**required, "vip_priority": _enum(PRIORITIES)}, required=tuple(required))


def _rule() -> Schema:
    conditions = {**_object(_conditions()), "minProperties": 1}
    when = {"anyOf": [conditions, {"type": "array", "items": conditions, "minItems": 1}]}
    properties = {
        "id": {**_text("Unique; stored with each decision."), "not": {"pattern": "^default_"}},
        "why": _text("Why the rule exists, in your words."),
        "when": when,
        "then": _then(),
    }
    return _object(properties, required=("id", "when", "then"))


def _conditions() -> dict[str, Schema]:
    properties: dict[str, Schema] = {}
    for name, kind in FACTS.items():
        described = {"description": CONDITION_TEXTS[name]}
        if isinstance(kind, FlagFact):
            properties[name] = {"type": "boolean", **described}
            continue
        if isinstance(kind, NumberFact):
            bound = _number(kind.low, kind.high)
            ranged = _object({"at_least": bound, "below": bound})
            properties[name] = {**ranged, "minProperties": 1, **described}
            continue
        asked = _names_asked(kind) if isinstance(kind, ChoiceFact) else _pairs()
        properties[name] = {**asked, **described}
        properties[f"{NEGATION}{name}"] = {**asked, "description": "None of these."}
    return properties


def _names_asked(kind: ChoiceFact) -> Schema:
    return _names() if kind.allowed is None else _one_or_more_of(kind.allowed)


def _pairs() -> Schema:
    value = {"type": ["string", "integer"]}
    values = {"anyOf": [value, {"type": "array", "items": value, "minItems": 1}]}
    return {"type": "object", "additionalProperties": values, "minProperties": 1}


def _then() -> Schema:
    shared = {"outcome": _enum(OUTCOMES), "reason": _enum(REASONS), "message": _text()}
    of_handoff = {
        "queue": _text("Key of the queue; as_needed: the one a rule below asks for."),
        "level": _enum(LEVELS),
        "priority": _enum(PRIORITIES),
        "severity": _enum(SEVERITIES),
        "skills": _names(),
        "message_when_closed": _text(),
        "expected_wait_minutes": _whole(1, MAX_WAIT_MINUTES),
    }
    handoff = _object(
        {**shared, "outcome": {"const": "handoff"}, **of_handoff}, required=("outcome", "reason")
    )
    handoff["anyOf"] = [{"required": ["queue"]}, {"required": ["level"]}]
    other = _object(
        {**shared, "outcome": _enum(("stay", "clarify"))}, required=("outcome", "reason")
    )
    return {"anyOf": [handoff, other]}


def written() -> str:
    """The schema as the file has it."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the file, or check it; 0: all right, 1: out of date, 2: bad use."""
    if arguments == [_CHECK]:
        is_current = PATH.is_file() and PATH.read_text(encoding="utf-8") == written()
        if not is_current:
            print(f"{PATH.name} is out of date; run python -m {__spec__.name}", file=sys.stderr)
        return 0 if is_current else 1
    if arguments:
        print(f"usage: python -m {__spec__.name} [{_CHECK}]", file=sys.stderr)
        return _BAD_USE
    PATH.write_text(written(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
