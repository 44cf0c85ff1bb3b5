"""What the context of a job may hold: facts and words, as JSON that can be stored and told."""

from __future__ import annotations

import json
import math
import unicodedata
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from notifications.domain.notice_facts import LONGEST_BODY, LONGEST_TITLE, is_path
from notifications.domain.occasions import PolicyEvent
from notifications.domain.recipients import LANGUAGES

LONGEST_SOURCE = 100
LONGEST_LINK = 500
LONGEST_CONTEXT = 16 * 1024
"""Bytes of JSON: facts of a notice are a few hundred; what is more belongs behind the link."""
DEEPEST_CONTEXT = 5
"""Levels. Facts lie in one, texts by language in two."""

OWN_KEYS = frozenset({"acknowledge", "digest", "event", "form", "nobody_on_duty", "user"})
"""Keys of a context that Ponte writes itself."""


@dataclass(frozen=True, slots=True)
class ContractProblem:
    """One wrong field, what is wrong with it, and what may stand there where that is a list."""

    field: str
    detail: str
    allowed: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.field}: {self.detail}"


def context_problems(value: object, event: PolicyEvent | None) -> list[ContractProblem]:
    """Everything that is wrong with the context of a job.

    Args:
        value: What was given.
        event: Whose words are made of it; None: not known, because it is wrong itself.
    """
    if not isinstance(value, Mapping):
        given = "is missing; " if value is None else ""
        detail = f"{given}expected an object with at least `source`"
        return [ContractProblem("context", detail)]
    bad = [ContractProblem(place, detail) for place, detail in _not_json(value, "context", 1)]
    if bad:
        return bad
    size = len(json.dumps(value, ensure_ascii=False).encode())
    if size > LONGEST_CONTEXT:
        detail = f"expected at most {LONGEST_CONTEXT} bytes of JSON, got {size}"
        return [ContractProblem("context", detail)]
    return [*_source(value), *_own_keys(value), *_words(value, event), *_targets(value)]


def is_id(text: str) -> bool:
    """Whether a text is an id, in the one spelling that addresses of pages have."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def field_name(name: object) -> str:
    """The name of a field that was given, as it can be shown."""
    return "".join(part for part in str(name)[:60] if part.isprintable()) or "(empty)"


def _source(context: Mapping[str, object]) -> Iterator[ContractProblem]:
    source = context.get("source")
    if not isinstance(source, str) or not _is_visible(source) or len(source) > LONGEST_SOURCE:
        given = "is missing; " if source is None else ""
        detail = f"{given}expected who says so, a text of 1 to {LONGEST_SOURCE} characters"
        yield ContractProblem("context.source", detail)


def _own_keys(context: Mapping[str, object]) -> Iterator[ContractProblem]:
    for key in sorted(OWN_KEYS & context.keys()):
        yield ContractProblem(f"context.{key}", "is written by Ponte itself; expected another key")


def _words(context: Mapping[str, object], event: PolicyEvent | None) -> Iterator[ContractProblem]:
    given = [key for key in ("title", "body") if context.get(key) is not None]
    for key in given:
        longest = LONGEST_TITLE if key == "title" else LONGEST_BODY
        yield from _one_text(f"context.{key}", context[key], longest)
    if event is PolicyEvent.USER_NOTICE and not given:
        detail = "is missing; user-notice expects a title, a body, or both"
        yield ContractProblem("context.title", detail)


def _one_text(place: str, value: object, longest: int) -> Iterator[ContractProblem]:
    expected = f"expected a text of 1 to {longest} characters"
    texts = value if isinstance(value, Mapping) else {"": value}
    if not texts or texts.keys() - {*LANGUAGES, ""}:
        detail = f"{expected}, or one for each of {', '.join(LANGUAGES)}"
        yield ContractProblem(place, detail, LANGUAGES)
        return
    for language, text in texts.items():
        if not isinstance(text, str) or not _is_visible(text) or len(text) > longest:
            yield ContractProblem(f"{place}.{language}" if language else place, expected)


def _targets(context: Mapping[str, object]) -> Iterator[ContractProblem]:
    link = context.get("link")
    good = isinstance(link, str) and len(link) <= LONGEST_LINK and is_path(link)
    if link is not None and not good:
        detail = "expected a path of the console such as /console/tickets, no whole address"
        yield ContractProblem("context.link", detail)
    ticket_id = context.get("ticket_id")
    if ticket_id is not None and not (isinstance(ticket_id, str) and is_id(ticket_id)):
        detail = "expected the id of a ticket, such as 019f2c3a-7d10-7c11-8a53-0242ac120002"
        yield ContractProblem("context.ticket_id", detail)


def _is_visible(text: str) -> bool:
    return any(unicodedata.category(character)[0] not in "CZ" for character in text)


def _not_json(value: object, place: str, depth: int) -> Iterator[tuple[str, str]]:
    """Places that cannot be stored as JSON, each with what was expected there."""
    if isinstance(value, Mapping | list | tuple):
        if depth > DEEPEST_CONTEXT:
            yield place, f"expected at most {DEEPEST_CONTEXT} levels"
            return
        for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
            inside = f"{place}.{field_name(key)}"
            if isinstance(value, Mapping) and not (isinstance(key, str) and _is_storable(key)):
                yield inside, "expected a text as key"
            yield from _not_json(item, inside, depth + 1)
    elif isinstance(value, str):
        if not _is_storable(value):
            yield place, "expected a text without NUL and without halves of characters"
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield place, "expected a number that is not infinite"
    elif not (value is None or isinstance(value, int)):
        yield place, "expected a value of JSON"


def _is_storable(text: str) -> bool:
    return "\x00" not in text and not any(
        unicodedata.category(character) == "Cs" for character in text
    )
