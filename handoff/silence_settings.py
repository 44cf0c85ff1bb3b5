"""The `silence` section of the policy as values, and how it is read from the file."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from handoff.policy_nodes import Node, Reader

CONTINUE, PERSON, CANCEL = "continue", "person", "cancel"
CHOICES = (CONTINUE, PERSON, CANCEL)
"""In the order in which they are offered: typed 1, 2 and 3."""

_TEXTS = ("reminder", "cancelled", "nothing_open")


@dataclass(frozen=True, slots=True)
class SilenceSettings:
    """The `silence` section of the policy.

    Attributes:
        reminder: What the silent customer reads; {minutes}: how long the question stays open.
        titles: Title of each choice, by language.
        intents: Intent that each choice stands for in the decision record.
        cancelled: Answer to "cancel".
        nothing_open: Answer to a late "continue" when nothing is left to continue.
        asking_answers: Names of the bot's answers (`utter_...`) whose buttons are a question that
            waits for an answer; all other buttons only offer something.
    """

    reminder: Mapping[str, str]
    titles: Mapping[str, Mapping[str, str]]
    intents: Mapping[str, str]
    cancelled: Mapping[str, str]
    nothing_open: Mapping[str, str]
    asking_answers: frozenset[str]


def read_silence(
    node: Node,
    reader: Reader,
    *,
    languages: Sequence[str],
    intents: Collection[str],
    longest_title: int,
) -> SilenceSettings:
    """The section; what is wrong ends up in the reader."""
    section = reader.section(node, required=(*_TEXTS, "choices"), optional=("asking_answers",))
    texts = {
        key: reader.by_language(
            section[key], languages, placeholders=("minutes",) if key == "reminder" else ()
        )
        if key in section
        else {}
        for key in _TEXTS
    }
    titles: dict[str, Mapping[str, str]] = {choice: {} for choice in CHOICES}
    meant = dict.fromkeys(CHOICES, "")
    if "choices" in section:
        for choice, entry in reader.section(section["choices"], required=CHOICES).items():
            fields = reader.section(entry, required=("title", "intent"))
            if "title" in fields:
                titles[choice] = reader.by_language(
                    fields["title"], languages, longest=longest_title
                )
            if "intent" in fields:
                meant[choice] = reader.one_of(fields["intent"], intents, kind="intent")
        _check_titles(section["choices"], reader, titles, languages)
    asking = section.get("asking_answers")
    return SilenceSettings(
        **texts,
        titles=titles,
        intents=meant,
        asking_answers=frozenset(reader.names(asking, may_be_empty=True) if asking else ()),
    )


def _check_titles(
    node: Node,
    reader: Reader,
    titles: Mapping[str, Mapping[str, str]],
    languages: Sequence[str],
) -> None:
    """Two buttons with one title cannot be told apart, and Meta refuses them."""
    for language in languages:
        shown = [titles[choice].get(language, choice).casefold() for choice in CHOICES]
        if len(set(shown)) < len(shown):
            reader.wrong(node, f"two choices have one title in {language!r}; expected three titles")
