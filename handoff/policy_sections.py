"""The policy file as a whole: each section read, checked and put together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta

from handoff.policy import (
    CLARIFY,
    LEVELS,
    MAX_ROW_TITLE,
    MAX_TITLE,
    PRIORITIES,
    SEVERITIES,
    STAY,
    ClarifySettings,
    Confidence,
    Defaults,
    FormSettings,
    HandoffPolicy,
    LanguageSettings,
    Queue,
    Threshold,
)
from handoff.policy_calendars import HolidayDates, read_calendars
from handoff.policy_nodes import Node, Reader, Scalar
from handoff.policy_rules import KnownNames, read_rules, read_wait
from handoff.queue_routing import ROUTING_KEYS, check_overflows, read_queue_routing
from handoff.sentiment import MAX_WEIGHT, lexicon_key
from handoff.silence_settings import read_silence
from handoff.text import words

SECTIONS = (
    "policy",
    "languages",
    "confidence",
    "intents",
    "small_talk",
    "out_of_scope",
    "keywords",
    "clarify",
    "while_form_active",
    "calendars",
    "queues",
    "first_response_minutes",
    "messages",
    "defaults",
    "rules",
)

OPTIONAL_SECTIONS = ("intent_groups", "sentiment_words", "silence")

MESSAGE_PLACEHOLDERS = ("ticket", "opening", "queue", "wait")
"""What `handoff.messages.handoff_text` fills in."""

_GROUP_SECTIONS = ("small_talk", "out_of_scope")
_VERSION_LENGTH = 12  # hex digits: 48 bits, no two versions of one file ever meet
_MAX_OPTIONS = 3  # with "none of these" four rows: more is a menu, not a question
_MAX_QUESTIONS = 5
_LONGEST_CLARIFY_TEXT = {"none_of_these": MAX_TITLE, "not_understood": MAX_ROW_TITLE}
_WEEK_MINUTES = 7 * 24 * 60


def read_policy(
    root: Node,
    reader: Reader,
    *,
    known_intents: Collection[str] | None,
    holiday_dates: HolidayDates | None,
) -> HandoffPolicy | None:
    """The policy, or None when whole sections are missing; problems are in the reader."""
    section = reader.section(root, required=SECTIONS, optional=OPTIONAL_SECTIONS)
    if not set(SECTIONS) <= set(section):
        return None
    languages = _read_languages(section["languages"], reader)
    intents = {
        name: reader.by_language(entry, languages.served, longest=MAX_TITLE)
        for name, entry in reader.entries(section["intents"]).items()
    }
    _check_known_intents(section["intents"], reader, known_intents)
    keywords = _read_keywords(section["keywords"], reader)
    calendars = read_calendars(section["calendars"], reader, holiday_dates)
    queues = _read_queues(section["queues"], reader, languages, calendars)
    messages = {
        key: reader.by_language(entry, languages.served, placeholders=MESSAGE_PLACEHOLDERS)
        for key, entry in reader.entries(section["messages"]).items()
    }
    small_talk, out_of_scope = (
        _intent_set(section[name], reader, intents) for name in ("small_talk", "out_of_scope")
    )
    groups = {
        **_read_groups(section.get("intent_groups"), reader, intents),
        "small_talk": small_talk,
        "out_of_scope": out_of_scope,
    }
    known = KnownNames(intents, groups, keywords, queues, messages)
    return HandoffPolicy(
        name=reader.text(section["policy"]),
        version=_version(root),
        languages=languages,
        confidence=_read_confidence(section["confidence"], reader, languages, intents),
        intents=intents,
        small_talk=small_talk,
        out_of_scope=out_of_scope,
        keywords=keywords,
        clarify=_read_clarify(section["clarify"], reader, languages, intents),
        forms=_read_forms(section["while_form_active"], reader),
        calendars=calendars,
        queues=queues,
        first_response=_read_targets(section["first_response_minutes"], reader),
        messages=messages,
        defaults=_read_defaults(section["defaults"], reader, known),
        rules=read_rules(section["rules"], reader, known),
        intent_groups=groups,
        sentiment_words=_read_sentiment(section.get("sentiment_words"), reader),
        lines=dict(_lines(root)),
        silence=read_silence(
            section["silence"],
            reader,
            languages=languages.served,
            intents=intents,
            longest_title=MAX_TITLE,
        )
        if "silence" in section
        else None,
    )


def _read_languages(node: Node, reader: Reader) -> LanguageSettings:
    section = reader.section(node, required=("served", "default"), optional=("others", "skills"))
    served = reader.names(section["served"]) if "served" in section else ()
    served = served or ("pt",)
    skills = reader.entries(section["skills"]) if "skills" in section else {}
    default, others = (
        reader.one_of(section[key], served, kind="language") if key in section else None
        for key in ("default", "others")
    )
    default = default or served[0]
    return LanguageSettings(
        served=served,
        default=default,
        others=others or default,
        skills={language: reader.text(entry) for language, entry in skills.items()},
    )


def _check_known_intents(
    node: Node,
    reader: Reader,
    known_intents: Collection[str] | None,
) -> None:
    """The file's intents must be exactly the ones the assistant is trained for."""
    if known_intents is None:
        return
    entries = reader.section(node, required=(), optional=sorted(known_intents))
    for name in sorted(set(known_intents) - set(entries)):
        reader.wrong(node, f"intent {name!r} of the assistant has no titles")


def _read_keywords(node: Node, reader: Reader) -> dict[str, tuple[str, ...]]:
    keywords: dict[str, tuple[str, ...]] = {}
    for name, entry in reader.entries(node).items():
        keywords[name] = reader.names(entry)
        for phrase in keywords[name]:
            if not words(phrase):
                reader.wrong(entry, f"{phrase!r} can never be found; expected letters or digits")
    return keywords


def _read_groups(
    node: Node | None,
    reader: Reader,
    intents: Collection[str],
) -> dict[str, frozenset[str]]:
    groups: dict[str, frozenset[str]] = {}
    for name, entry in (reader.entries(node) if node is not None else {}).items():
        if name in _GROUP_SECTIONS:
            reader.wrong(entry, f"the section {name!r} is a group already; expected another name")
            continue
        groups[name] = frozenset(reader.names(entry, allowed=intents, kind="intent"))
    return groups


def _read_sentiment(node: Node | None, reader: Reader) -> dict[str, float]:
    weights: dict[str, float] = {}
    for phrase, entry in (reader.entries(node) if node is not None else {}).items():
        key = lexicon_key(phrase)
        if not key:
            reader.wrong(entry, f"{phrase!r} can never be found; expected letters or digits")
        weights[key] = reader.number(entry, low=-MAX_WEIGHT, high=MAX_WEIGHT)
    return weights


def _read_confidence(
    node: Node,
    reader: Reader,
    languages: LanguageSettings,
    intents: Collection[str],
) -> Confidence:
    section = reader.section(
        node,
        required=("confident", "margin", "out_of_scope", "small_talk"),
        optional=("in_scope", "by_language", "by_intent"),
    )
    default = _read_threshold(section, reader, Threshold(1.0, 0.0))
    own = reader.entries(section["by_language"]) if "by_language" in section else {}
    by_language: dict[str, Threshold] = {}
    for language, entry in own.items():
        if language not in languages.served:
            what = f"unknown language {language!r}; expected one of {', '.join(languages.served)}"
            reader.wrong(entry, what)
        fields = reader.section(entry, required=(), optional=("confident", "margin"))
        by_language[language] = _read_threshold(fields, reader, default)
    by_intent = (
        reader.section(section["by_intent"], required=(), optional=intents)
        if "by_intent" in section
        else {}
    )
    return Confidence(
        default=default,
        by_language=by_language,
        by_intent={name: reader.number(entry, low=0, high=1) for name, entry in by_intent.items()},
        out_of_scope=_share(section, "out_of_scope", reader),
        small_talk=_share(section, "small_talk", reader),
        in_scope=_share(section, "in_scope", reader) if "in_scope" in section else None,
    )


def _read_threshold(
    section: Mapping[str, Node],
    reader: Reader,
    base: Threshold,
) -> Threshold:
    return Threshold(
        confident=_share(section, "confident", reader, base.confident),
        margin=_share(section, "margin", reader, base.margin),
    )


def _share(
    section: Mapping[str, Node],
    key: str,
    reader: Reader,
    default: float = 0.0,
) -> float:
    return reader.number(section[key], low=0, high=1) if key in section else default


def _intent_set(node: Node, reader: Reader, intents: Collection[str]) -> frozenset[str]:
    return frozenset(reader.names(node, allowed=intents, kind="intent", may_be_empty=True))


def _read_clarify(
    node: Node,
    reader: Reader,
    languages: LanguageSettings,
    intents: Collection[str],
) -> ClarifySettings:
    texts = ("question", "question_again", "rephrase", "none_of_these")
    more_texts = ("rephrase_again", "explain", "not_understood")
    numbers = ("max_questions", "options", "min_confidence")
    lists = ("not_offerable", "popular")
    section = reader.section(
        node,
        required=(*numbers, *lists, *texts, "none_intent"),
        optional=(*more_texts, "not_understood_intent"),
    )
    written: dict[str, dict[str, str]] = {
        key: reader.by_language(
            section[key],
            languages.served,
            longest=_LONGEST_CLARIFY_TEXT.get(key),
            placeholders=("options",) if key == "explain" else (),
        )
        if key in section
        else {}
        for key in (*texts, *more_texts)
    }
    not_offerable, popular = (_intents(section, key, reader, intents) for key in lists)
    for name in popular:
        if name in not_offerable:
            reader.wrong(section["popular"], f"{name!r} is also in not_offerable")
    return ClarifySettings(
        max_questions=_count(section, "max_questions", reader, low=1, high=_MAX_QUESTIONS),
        options=_count(section, "options", reader, low=2, high=_MAX_OPTIONS),
        min_confidence=_share(section, "min_confidence", reader),
        not_offerable=frozenset(not_offerable),
        popular=popular,
        question=written["question"],
        question_again=written["question_again"],
        rephrase=written["rephrase"],
        none_title=written["none_of_these"],
        none_intent=reader.one_of(section["none_intent"], intents, kind="intent")
        if "none_intent" in section
        else "",
        rephrase_again=written["rephrase_again"],
        explain=written["explain"],
        not_understood_title=written["not_understood"],
        # No intent of a rule: the assistant's own answer to "I don't understand".
        not_understood_intent=reader.text(section["not_understood_intent"])
        if "not_understood_intent" in section
        else "",
    )


def _intents(
    section: Mapping[str, Node],
    key: str,
    reader: Reader,
    intents: Collection[str],
) -> tuple[str, ...]:
    if key not in section:
        return ()
    return reader.names(section[key], allowed=intents, kind="intent", may_be_empty=True)


def _count(section: Mapping[str, Node], key: str, reader: Reader, *, low: int, high: int) -> int:
    return reader.whole(section[key], low=low, high=high) if key in section else low


def _read_forms(node: Node, reader: Reader) -> FormSettings:
    section = reader.section(node, required=("low_confidence",), optional=("expects",))
    low = section.get("low_confidence")
    expects = reader.entries(section["expects"]) if "expects" in section else {}
    return FormSettings(
        low_confidence=reader.one_of(low, (STAY, CLARIFY)) if low is not None else STAY,
        expects={form: reader.names(entry) for form, entry in expects.items()},
    )


def _read_queues(
    node: Node,
    reader: Reader,
    languages: LanguageSettings,
    calendars: Collection[str],
) -> dict[str, Queue]:
    queues: dict[str, Queue] = {}
    required = ("name", "level", "calendar")
    optional = ("skills", "expected_wait_minutes", *ROUTING_KEYS)
    places = reader.entries(node)
    for key, entry in places.items():
        section = reader.section(entry, required=required, optional=optional)
        if not set(required) <= set(section):
            continue
        queues[key] = Queue(
            key=key,
            names=reader.by_language(section["name"], languages.served),
            level=reader.one_of(section["level"], LEVELS, kind="level"),
            calendar=reader.one_of(section["calendar"], calendars, kind="calendar"),
            skills=reader.names(section["skills"]) if "skills" in section else (),
            expected_wait=read_wait(section["expected_wait_minutes"], reader)
            if "expected_wait_minutes" in section
            else None,
            routing=read_queue_routing(section, reader, key=key, queues=places),
        )
    check_overflows({key: queue.routing for key, queue in queues.items()}, places, reader)
    if not queues and isinstance(node.value, Mapping):
        reader.wrong(node, "no queue; expected at least one")
    return queues


def _read_targets(node: Node, reader: Reader) -> dict[str, timedelta]:
    section = reader.section(node, required=PRIORITIES)
    return {
        priority: timedelta(minutes=reader.whole(entry, low=1, high=_WEEK_MINUTES))
        for priority, entry in section.items()
    }


def _read_defaults(node: Node, reader: Reader, known: KnownNames) -> Defaults:
    choices: Mapping[str, tuple[Collection[str], str]] = {
        "queue": (known.queues, "queue"),
        "priority": (PRIORITIES, "priority"),
        "severity": (SEVERITIES, "severity"),
        "message": (known.messages, "message"),
        "message_when_closed": (known.messages, "message"),
    }
    section = reader.section(node, required=choices, optional=("vip_priority",))
    chosen = {
        key: reader.one_of(section[key], allowed, kind=kind) if key in section else ""
        for key, (allowed, kind) in choices.items()
    }
    vip = section.get("vip_priority")
    return Defaults(
        **chosen,
        vip_priority=None if vip is None else reader.one_of(vip, PRIORITIES, kind="priority"),
    )


def _version(root: Node) -> str:
    """Short hash of what the file says; comments, order of keys and layout do not count."""
    content = json.dumps(plain(root), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()[:_VERSION_LENGTH]


def _lines(node: Node) -> Iterator[tuple[str, int]]:
    yield node.path, node.line
    value = node.value
    if isinstance(value, Mapping):
        for entry in value.values():
            yield from _lines(entry)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for item in value:
            yield from _lines(item)


def plain(node: Node) -> Scalar | list[object] | dict[str, object]:
    """The node without its lines: texts, numbers, lists and mappings."""
    value = node.value
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    return value
