"""The handoff policy as values: what `handoff.yml` says, checked and ready to decide with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from handoff.business_hours import Calendar
from handoff.conditions import (
    CONFIDENT,
    FORM_ANSWER,
    OUT_OF_SCOPE,
    SMALL_TALK,
    UNREADABLE,
    UNSURE,
    Condition,
    Flag,
    OneOf,
    Within,
)
from handoff.queue_routing import QueueRouting
from handoff.silence_settings import SilenceSettings
from handoff.text import phrases_in

STAY, CLARIFY, HANDOFF = "stay", "clarify", "handoff"
OUTCOMES = (STAY, CLARIFY, HANDOFF)
LEVELS = ("N1", "N2", "N3")
PRIORITIES = ("low", "normal", "high", "urgent")
SEVERITIES = ("S1", "S2", "S3", "S4")

REASONS = (
    "angry_customer",
    "bot_unavailable",
    "complaint",
    "critical_intent",
    "customer_request",
    "form_answer",
    "high_value",
    "language",
    "low_confidence",
    "nobody_available",
    "out_of_scope",
    "outside_hours",
    "repeated_failure",
    "repeated_question",
    "silence",
    "small_talk",
    "understood",
    "unreadable_message",
    "vip",
)
"""Reason codes of decisions: stored, counted and reported, so a new one is a code change."""

QUEUE_AS_NEEDED = "as_needed"
"""As a rule's queue: take the destination of the rule that would have won without this one."""

MAX_TITLE = 20  # characters of a WhatsApp reply button's title (Cloud API, interactive messages)
MAX_ROW_TITLE = 24  # characters of a list row's title, same page

Texts = Mapping[str, str]
"""Language code to text."""


@dataclass(frozen=True, slots=True)
class Stay:
    """The bot answers."""


@dataclass(frozen=True, slots=True)
class Clarify:
    """The bot asks which of a few things was meant."""


@dataclass(frozen=True, slots=True)
class HandOff:
    """A person takes over.

    Attributes:
        queue: Key of the queue, or `QUEUE_AS_NEEDED`.
        priority: None: the policy's default (or the needed rule's).
        severity: None: the policy's default (or the needed rule's).
        skills: Wanted besides the queue's own.
        message_when_closed: Message key used instead of the rule's while the queue is closed.
        expected_wait: Until a person answers, as the customer is told; None: the queue's.
    """

    queue: str
    priority: str | None = None
    severity: str | None = None
    skills: tuple[str, ...] = ()
    message_when_closed: str | None = None
    expected_wait: timedelta | None = None


Outcome = Stay | Clarify | HandOff


def outcome_name(outcome: Outcome) -> str:
    """The stored name: "stay", "clarify" or "handoff"."""
    if isinstance(outcome, HandOff):
        return HANDOFF
    return STAY if isinstance(outcome, Stay) else CLARIFY


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: when it matches, and what then.

    Attributes:
        id: Unique in the policy.
        when: Alternatives, each a set of conditions that must all hold; one alternative is enough.
        outcome: What happens.
        reason: One of `REASONS`.
        message: Key of the text for the customer; None: the bot's ordinary answer.
        description: Why the rule exists, in the designer's words.
    """

    id: str
    when: tuple[tuple[Condition, ...], ...]
    outcome: Outcome
    reason: str
    message: str | None = None
    description: str = ""

    @property
    def takes_needed_queue(self) -> bool:
        """Whether the rule only re-labels the handoff that a later rule asks for."""
        return isinstance(self.outcome, HandOff) and self.outcome.queue == QUEUE_AS_NEEDED


@dataclass(frozen=True, slots=True)
class Threshold:
    """From which score on an intent counts as understood.

    Attributes:
        confident: Least confidence of the top intent, 0..1.
        margin: Least lead over the second intent, 0..1.
    """

    confident: float
    margin: float


@dataclass(frozen=True, slots=True)
class Confidence:
    """The thresholds, per language where they differ.

    Attributes:
        default: For languages without their own.
        by_language: Language code to thresholds.
        by_intent: Intent to least confidence; replaces `confident` for that intent.
        out_of_scope: Least confidence to believe an out-of-scope intent.
        small_talk: Least confidence to take a greeting, thanks or yes/no at its word.
        in_scope: Least `snapshot.in_scope` of a message that counts as understood; None: not asked.
    """

    default: Threshold
    by_language: Mapping[str, Threshold]
    by_intent: Mapping[str, float]
    out_of_scope: float
    small_talk: float
    in_scope: float | None = None

    def threshold(self, *, language: str, intent: str | None) -> Threshold:
        """The thresholds that hold for an intent in a language."""
        base = self.by_language.get(language, self.default)
        own = self.by_intent.get(intent) if intent is not None else None
        return base if own is None else Threshold(own, base.margin)


@dataclass(frozen=True, slots=True)
class Queue:
    """A group of people who answer (núcleo).

    Attributes:
        key: Stored name.
        names: Display name per language.
        level: One of `LEVELS`.
        calendar: Name of the calendar it works by.
        skills: Skills that an agent needs for anything in it.
        expected_wait: Until a person answers, as customers are told; None: the priority's target.
        routing: How its tickets find a person.
    """

    key: str
    names: Texts
    level: str
    calendar: str
    skills: tuple[str, ...] = ()
    expected_wait: timedelta | None = None
    routing: QueueRouting = field(default_factory=QueueRouting)


@dataclass(frozen=True, slots=True)
class ClarifySettings:
    """How the bot asks back.

    Attributes:
        max_questions: Clarifying questions in a row; after them a person takes over.
        options: Most options in one question (2 or 3).
        min_confidence: An intent below it is no option (noise at the end of the ranking).
        not_offerable: Intents that make no sense as an option (greet, affirm, ...).
        popular: Offered when the ranking gives fewer than two options.
        question: Text of the first question.
        question_again: Text of the following ones.
        rephrase: Text when there is nothing to offer.
        none_title: Title of "none of these".
        none_intent: Intent its payload stands for.
        rephrase_again: Text when there is nothing to offer once more; empty: `rephrase`.
        explain: Text that explains the menu once to who does not understand it; {options} is the
            numbered list. Empty: "I don't understand" counts as "none of these" at once.
        not_understood_title: Title of the row for it, where the question is a list; empty: none.
        not_understood_intent: Intent that row's payload stands for; empty: none.
    """

    max_questions: int
    options: int
    min_confidence: float
    not_offerable: frozenset[str]
    popular: tuple[str, ...]
    question: Texts
    question_again: Texts
    rephrase: Texts
    none_title: Texts
    none_intent: str
    rephrase_again: Texts = field(default_factory=dict)
    explain: Texts = field(default_factory=dict)
    not_understood_title: Texts = field(default_factory=dict)
    not_understood_intent: str = ""


@dataclass(frozen=True, slots=True)
class FormSettings:
    """What a low score means while a form is asking.

    Attributes:
        low_confidence: "stay": it is probably the form's answer; "clarify": treat it as always.
        expects: Form to the entities that answer it; a low-scored message without any of them
            counts as a failure. A form that is not named takes any text.
    """

    low_confidence: str
    expects: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class LanguageSettings:
    """The languages the bot speaks.

    Attributes:
        served: Codes; every text of the policy exists in each.
        default: Assumed until a customer's language is known.
        others: In which a customer is addressed whose language is not served.
        skills: Language code to the skill an agent needs for it.
    """

    served: tuple[str, ...]
    default: str
    others: str
    skills: Mapping[str, str] = field(default_factory=dict)

    def written(self, language: str) -> str:
        """The language in which a customer of that language is addressed."""
        return language if language in self.served else self.others


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds where a rule says nothing.

    Attributes:
        queue: For a handoff that only the built-in rules ask for.
        priority: One of `PRIORITIES`.
        severity: One of `SEVERITIES`.
        message: Message key of such a handoff.
        message_when_closed: Message key of any handoff to a closed queue without its own.
        vip_priority: VIP contacts get at least this priority; None: no difference.
    """

    queue: str
    priority: str
    severity: str
    message: str
    message_when_closed: str
    vip_priority: str | None = None


@dataclass(frozen=True, slots=True)
class HandoffPolicy:
    """Everything `decide` needs besides the snapshot.

    Attributes:
        name: The policy's name, for people.
        version: Short hash of the content (comments and layout do not count).
        intents: Titles per intent: what the bot understands and may offer.
        small_talk: Intents that a low score never makes an escalation of.
        out_of_scope: Intents that mean "this is not what we do".
        keywords: List name to phrases; matched by `match_keywords`.
        first_response: Target for a person's first answer, by priority.
        rules: In order; the first that matches wins.
        intent_groups: Group name to intents; `small_talk` and `out_of_scope` are groups too.
        sentiment_words: Folded words with a weight, besides those of `handoff.sentiment`.
        silence: What a silent customer is offered; None: nothing, the question just ends.
        lines: Place in the file, such as "rules[3].when", to its line.
    """

    name: str
    version: str
    languages: LanguageSettings
    confidence: Confidence
    intents: Mapping[str, Texts]
    small_talk: frozenset[str]
    out_of_scope: frozenset[str]
    keywords: Mapping[str, tuple[str, ...]]
    clarify: ClarifySettings
    forms: FormSettings
    calendars: Mapping[str, Calendar]
    queues: Mapping[str, Queue]
    first_response: Mapping[str, timedelta]
    messages: Mapping[str, Texts]
    defaults: Defaults
    rules: tuple[Rule, ...]
    intent_groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    sentiment_words: Mapping[str, float] = field(default_factory=dict)
    silence: SilenceSettings | None = None
    lines: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)

    @property
    def all_rules(self) -> tuple[Rule, ...]:
        """The rules of the file, then the built-in ones, of which the last always matches."""
        return (*self.rules, *_built_in_rules(self))

    def groups_of(self, intent: str | None) -> tuple[str, ...]:
        """The groups an intent belongs to, in file order."""
        return tuple(name for name, members in self.intent_groups.items() if intent in members)

    def calendar_of(self, queue: str) -> Calendar:
        """The calendar a queue works by."""
        return self.calendars[self.queues[queue].calendar]

    def text(self, key: str, *, language: str) -> str:
        """A message in the customer's language, or in `languages.others` when it is not served.

        Raises:
            KeyError: There is no such message.
        """
        return self.messages[key][self.languages.written(language)]

    def intent_title(self, intent: str, *, language: str) -> str:
        """What an option or button for the intent is called; the intent's name if it has none."""
        titles = self.intents.get(intent)
        return intent if titles is None else titles[self.languages.written(language)]


def match_keywords(text: str, policy: HandoffPolicy) -> tuple[str, ...]:
    """Which phrases of the policy's keyword lists a text contains, for `snapshot.keywords`.

    Whole words, without regard to accents, case or punctuation. The phrases are the policy's own,
    so nothing the customer wrote is kept.
    """
    phrases = (phrase for listed in policy.keywords.values() for phrase in listed)
    return phrases_in(text, phrases)


def _built_in_rules(policy: HandoffPolicy) -> tuple[Rule, ...]:
    """What happens when no rule of the file matches: answer, escalate when asked enough, or ask."""
    max_questions = policy.clarify.max_questions
    exhausted = Within("clarifications_asked", at_least=max_questions)
    unavailable = OneOf("trigger", ("bot_unavailable",))
    silent = OneOf("trigger", ("silence",))
    handoff, message = HandOff(policy.defaults.queue), policy.defaults.message
    return (
        Rule("default_bot_unavailable", ((unavailable,),), handoff, "bot_unavailable", message),
        Rule("default_silence", ((silent,),), Stay(), "silence"),
        Rule("default_unreadable", _understood_as(UNREADABLE), Stay(), "unreadable_message"),
        Rule("default_small_talk", _understood_as(SMALL_TALK), Stay(), "small_talk"),
        Rule("default_form_answer", _understood_as(FORM_ANSWER), Stay(), "form_answer"),
        Rule("default_confident", _understood_as(CONFIDENT), Stay(), "understood"),
        *_form_rules(policy),
        Rule("default_handoff", ((exhausted,),), handoff, "repeated_failure", message),
        Rule("default_clarify", ((),), Clarify(), "low_confidence"),
    )


def _form_rules(policy: HandoffPolicy) -> tuple[Rule, ...]:
    if policy.forms.low_confidence != STAY:
        return ()
    understood_as = OneOf("understanding", (UNSURE, OUT_OF_SCOPE))
    when: tuple[tuple[Condition, ...], ...] = ((Flag("form_active", value=True), understood_as),)
    return (Rule("default_form_asks_again", when, Stay(), "low_confidence"),)


def _understood_as(*values: str) -> tuple[tuple[Condition, ...], ...]:
    return ((OneOf("understanding", values),),)
