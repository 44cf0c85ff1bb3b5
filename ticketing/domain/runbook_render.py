r"""Fill the variables of a text in: one pass, no code, and nothing half-filled leaves.

A variable is written `{{contact.first_name}}`. What it stands for is put in as it is and never
looked at again, so a customer whose name is `{{agent.name}}` changes nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from channels.message import MAX_TEXT, OutboundTemplate
from ticketing.domain.runbook import LANGUAGES, ClosedWindow

VARIABLES = (
    "contact.first_name",
    "contact.name",
    "contact.company",
    "ticket.number",
    "ticket.subject",
    "agent.name",
    "agent.first_name",
    "queue.name",
    "sla.due",
)
"""The variables that every ticket may have, besides `entity.<name>`."""

ENTITY = "entity."
"""Begins the variables for what the customer named: `entity.order_number`."""

_NAME = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*")
_VARIABLE = re.compile(r"\{\{([^{}]*)\}\}")
_MAX_VALUE = 300  # code points; a longer "order number" is the customer's whole story
_KEPT_CONTROLS = "\n\t"
_INSIDE_NAMES = "-'\u2019."  # Ana-Clara, D'Ávila, with either apostrophe


class GapReason(StrEnum):
    """Why a variable cannot be filled in."""

    UNKNOWN = "unknown"
    """No such variable exists."""
    MISSING = "missing"
    """This ticket has no value for it."""
    SEVERAL = "several"
    """The customer named more than one; only a person can tell which is meant."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A variable that could not be filled in; `found` are the values to choose from."""

    variable: str
    reason: GapReason
    found: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rendered:
    """A text for one customer.

    Attributes:
        text: The words; gaps still stand in it as `{{variable}}`, for the agent to write over.
        gaps: What could not be filled in, in the order of the text, each once.
        length: Code points, as WhatsApp counts them.
        limit: How many may leave.
    """

    text: str
    gaps: tuple[Gap, ...]
    length: int
    limit: int = MAX_TEXT

    @property
    def ready(self) -> bool:
        """Whether it may leave as it is."""
        return not self.gaps and 0 < self.length <= self.limit


Values = Mapping[str, Sequence[str]]
"""Variable to the values known of this ticket: none, one, or several to choose from."""


def variables_in(text: str) -> tuple[str, ...]:
    """The names in double braces, each once, blanks around them removed."""
    return tuple(dict.fromkeys(name.strip() for name in _VARIABLE.findall(text)))


def mistakes_in(text: str, *, entities: Sequence[str] | None = None) -> list[str]:
    """What is wrong with a text before any ticket is known.

    Args:
        text: The words with variables.
        entities: Names of the assistant's entities; None: not known here, any will do.
    """
    known = [*VARIABLES, *(f"{ENTITY}{name}" for name in entities or ())]
    found = [
        f"unknown variable {{{{{name}}}}}; expected one of {', '.join(known)}"
        for name in variables_in(text)
        if not _is_known(name, entities)
    ]
    if has_braces(_VARIABLE.sub("", text)):
        found.append("double braces without their partner; expected {{variable}}")
    return found


def has_braces(text: str) -> bool:
    """Whether something like a variable still stands in a text."""
    return "{{" in text or "}}" in text


def render(text: str, values: Values) -> Rendered:
    """Fill a text in for one ticket."""
    gaps: dict[str, Gap] = {}

    def value_of(match: re.Match[str]) -> str:
        name = match[1].strip()
        found = _choices(values, name)
        if len(found) == 1:
            return found[0]
        gaps.setdefault(name, _gap(name, found))
        return f"{{{{{name}}}}}"

    filled = _VARIABLE.sub(value_of, text).strip()
    return Rendered(filled, tuple(gaps.values()), len(filled))


def closed_window_message(
    template: ClosedWindow, values: Values, *, language: str
) -> tuple[OutboundTemplate, tuple[Gap, ...]]:
    """The WhatsApp template for one customer, and the parameters that could not be filled in.

    With gaps it must not leave: WhatsApp refuses empty parameters.
    """
    parameters: list[str] = []
    gaps: dict[str, Gap] = {}
    for name in template.parameters:
        found = _choices(values, name)
        if len(found) != 1:
            gaps.setdefault(name, _gap(name, found))
        parameters.append(" ".join(found[0].split()) if len(found) == 1 else "")
    code = template.languages.get(language, template.languages[LANGUAGES[0]])
    return OutboundTemplate(template.name, code, tuple(parameters)), tuple(gaps.values())


def closed_window_words(body: str, parameters: Sequence[str]) -> str:
    """The approved words with {{1}}, {{2}}, ... filled in, for the agent to read beforehand."""

    def parameter(match: re.Match[str]) -> str:
        place = match[1].strip()
        inside = place.isascii() and place.isdigit() and 1 <= int(place) <= len(parameters)
        return (parameters[int(place) - 1] or match[0]) if inside else match[0]

    return _VARIABLE.sub(parameter, body)


def first_name(name: str | None) -> str | None:
    """The first word of a name; None when there is nothing to call a person by.

    WhatsApp names are what people type: "🌸Ana🌸 Lima", "+55 11 9...", ".". A first word without a
    letter is nobody's name.
    """
    for word in (name or "").split():
        kept = "".join(letter for letter in word if letter.isalpha() or letter in _INSIDE_NAMES)
        kept = kept.strip(_INSIDE_NAMES)
        if any(letter.isalpha() for letter in kept):
            return kept
    return None


def _choices(values: Values, name: str) -> tuple[str, ...]:
    cleaned = (_clean(value) for value in values.get(name, ()))
    return tuple(dict.fromkeys(value for value in cleaned if value))


def _clean(value: str) -> str:
    """A value as it may stand in a message: no controls, no double braces, not endless."""
    shown = "".join(
        letter
        for letter in value
        if letter in _KEPT_CONTROLS or unicodedata.category(letter) not in {"Cc", "Cs"}
    )
    while has_braces(shown):
        shown = shown.replace("{{", "{").replace("}}", "}")
    shown = " ".join(shown.split())
    return shown if len(shown) <= _MAX_VALUE else ""


def _gap(name: str, found: tuple[str, ...]) -> Gap:
    if not _is_known(name, None):
        return Gap(name, GapReason.UNKNOWN)
    return Gap(name, GapReason.SEVERAL if found else GapReason.MISSING, found)


def _is_known(name: str, entities: Sequence[str] | None) -> bool:
    if name in VARIABLES:
        return True
    entity = name.removeprefix(ENTITY)
    if entity == name or _NAME.fullmatch(entity) is None:
        return False
    return entities is None or entity in entities
