"""Runbooks: what to check and what to say, by level, intent and queue.

A runbook is one file of `runbooks/`: steps to tick off, and texts to send. This module says which
one belongs to a ticket and which of its steps are done; `runbook_file` reads the files, and
`runbook_render` fills the texts in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ticketing.domain.enums import Level

LANGUAGES = ("pt", "en", "es")
"""Every text of a runbook exists in these; the first stands in for any other language."""


def in_language(texts: Mapping[str, str], language: str) -> str:
    """The text in a language, in Portuguese when that is not served."""
    return texts.get(language, texts[LANGUAGES[0]])


@dataclass(frozen=True, slots=True)
class Situation:
    """What of a ticket decides which runbook it gets.

    Attributes:
        level: Its level.
        intent: What it is about; None when the bot did not know.
        queue: Key of its queue.
    """

    level: str
    intent: str | None
    queue: str


@dataclass(frozen=True, slots=True)
class Fit:
    """Which tickets something is for; an empty part admits all.

    Attributes:
        levels: Any of these levels.
        intents: Any of these intents.
        queues: Keys, any of these queues.
    """

    levels: tuple[str, ...] = ()
    intents: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()

    def admits(self, situation: Situation) -> bool:
        """Whether it is for a ticket like this."""
        return (
            (not self.levels or situation.level in self.levels)
            and (not self.intents or situation.intent in self.intents)
            and (not self.queues or situation.queue in self.queues)
        )

    @property
    def rank(self) -> tuple[bool, bool, bool]:
        """How specific it is: a named intent says more than a queue, a queue more than a level."""
        return bool(self.intents), bool(self.queues), bool(self.levels)

    def meets(self, other: Fit) -> bool:
        """Whether some ticket is admitted by both."""
        pairs = (
            (self.levels, other.levels),
            (self.intents, other.intents),
            (self.queues, other.queues),
        )
        return all(not mine or not theirs or {*mine} & {*theirs} for mine, theirs in pairs)

    def narrowed_by(self, other: Fit) -> Fit:
        """The same, with each part that the other names taken from there."""
        return Fit(
            other.levels or self.levels,
            other.intents or self.intents,
            other.queues or self.queues,
        )


@dataclass(frozen=True, slots=True)
class ClosedWindow:
    """The approved WhatsApp template that leaves when the 24 h window is closed.

    Attributes:
        name: Its name in the business account.
        languages: Our language to WhatsApp's code, such as pt to pt_BR.
        parameters: Variables for {{1}}, {{2}}, ... of its body, in that order.
        body: Its approved words by language, for agents to read; empty: not told.
    """

    name: str
    languages: Mapping[str, str]
    parameters: tuple[str, ...] = ()
    body: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReplyText:
    """A named text for customers.

    Attributes:
        key: `<runbook>.<name>`.
        names: What agents call it, by language.
        fit: The tickets it is offered for.
        texts: The words by language, with `{{variables}}`.
        closed_window: What leaves instead when WhatsApp takes no free text; None: whatever the
            settings say.
    """

    key: str
    names: Mapping[str, str]
    fit: Fit
    texts: Mapping[str, str]
    closed_window: ClosedWindow | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do or to look at.

    Attributes:
        key: Its name within the runbook.
        texts: What to do, by language.
        obligatory: Whether it must be ticked before the ticket is resolved, where the runbook
            demands that.
        reply: Key of a `ReplyText` that goes with it.
    """

    key: str
    texts: Mapping[str, str]
    obligatory: bool = False
    reply: str | None = None


@dataclass(frozen=True, slots=True)
class Runbook:
    """Steps and texts for one kind of ticket.

    Attributes:
        key: Its name, also that of its file.
        version: Hash of its content.
        names: Its title by language.
        fit: The tickets it is for.
        demands_steps: Whether a ticket can only be resolved with all obligatory steps ticked.
        steps: In their order; none in a runbook that only holds texts.
        replies: Its texts.
    """

    key: str
    version: str
    names: Mapping[str, str]
    fit: Fit
    demands_steps: bool
    steps: tuple[Step, ...]
    replies: tuple[ReplyText, ...]

    def step(self, key: str) -> Step:
        """The step of this name.

        Raises:
            UnknownStepError: there is none.
        """
        for step in self.steps:
            if step.key == key:
                return step
        raise UnknownStepError(key, [step.key for step in self.steps])


class UnknownStepError(ValueError):
    """The runbook has no such step."""

    def __init__(self, key: str, allowed: list[str]) -> None:
        self.field = "step"
        self.allowed = allowed
        super().__init__(
            f"step: {key!r} is not in this runbook; expected one of {', '.join(allowed)}"
        )


class UnknownReplyTextError(Exception):
    """No runbook has a text of this name."""

    def __init__(self, key: str, allowed: Sequence[str]) -> None:
        self.field = "template"
        self.allowed = list(allowed)
        super().__init__(
            f"template: {key!r} is not offered for this ticket; "
            f"expected one of {', '.join(allowed) or 'none'}"
        )


@dataclass(frozen=True, slots=True)
class RunbookBook:
    """All runbooks of a service, checked against each other."""

    runbooks: tuple[Runbook, ...] = ()

    def for_ticket(self, situation: Situation) -> Runbook | None:
        """The one with steps that fits most closely; None when none does.

        A checked book has no two that fit equally closely, so the names at the end decide nothing
        there; they keep an unchecked one repeatable.
        """
        fitting = [
            runbook for runbook in self.runbooks if runbook.steps and runbook.fit.admits(situation)
        ]
        return max(fitting, key=lambda one: (one.fit.rank, one.key), default=None)

    def replies_for(self, situation: Situation) -> tuple[ReplyText, ...]:
        """The texts to offer: the closest first, then by name."""
        fitting = [
            reply
            for runbook in self.runbooks
            for reply in runbook.replies
            if reply.fit.admits(situation)
        ]
        by_name = sorted(fitting, key=lambda reply: reply.key)
        return tuple(sorted(by_name, key=lambda reply: reply.fit.rank, reverse=True))


def rivals(runbooks: Iterable[Runbook]) -> list[tuple[Runbook, Runbook]]:
    """Pairs with steps that fit some ticket equally closely: nobody could say which one it gets."""
    with_steps = [runbook for runbook in runbooks if runbook.steps]
    return [
        (first, second)
        for place, first in enumerate(with_steps)
        for second in with_steps[place + 1 :]
        if first.fit.rank == second.fit.rank and first.fit.meets(second.fit)
    ]


class MarkKind(StrEnum):
    """What was said of a step."""

    TICKED = "ticked"
    UNTICKED = "unticked"
    NOTED = "noted"


@dataclass(frozen=True, slots=True)
class Mark:
    """One entry about a step, as far as counting needs it. Entries are never changed."""

    step: str
    kind: MarkKind


def ticked(marks: Iterable[Mark]) -> frozenset[str]:
    """The steps that are done: the last tick or untick of each counts, notes do not.

    Args:
        marks: Of one ticket and runbook, oldest first.
    """
    last: dict[str, MarkKind] = {}
    for mark in marks:
        if mark.kind is not MarkKind.NOTED:
            last[mark.step] = mark.kind
    return frozenset(step for step, kind in last.items() if kind is MarkKind.TICKED)


def missing_steps(runbook: Runbook, marks: Iterable[Mark]) -> tuple[Step, ...]:
    """The obligatory steps that are not ticked, in their order."""
    done = ticked(marks)
    return tuple(step for step in runbook.steps if step.obligatory and step.key not in done)


ALL_LEVELS = tuple(level.value for level in Level)
