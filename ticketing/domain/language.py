"""Which language a conversation is in: Portuguese first, sticky, changed on evidence.

Short messages fool every detector ("oi", "ok", "pedido 123"), and most customers are Brazilian: the
error to fear is a Brazilian answered in another language. So a conversation starts in Portuguese
with a prior for it, the language found has a prior from then on, and a change needs an explicit
request, one clear message of three words, or two messages in a row that agree. Until a conversation
has shown its language, a single clear word is enough. Where the signs contradict each other the
customer is asked, once. docs/language.md has the rules and the measurements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

SERVED = ("pt", "en", "es")
DEFAULT = "pt"

# Prior of the conversation's language, the others share the rest. Brazilians are the great majority
# of customers; once a language is settled, people rarely change it.
FIRST_PRIOR = 0.80
SETTLED_PRIOR = 0.90
# After one foreign word ("hello") the customer may still be a Brazilian.
DOUBTED_PRIOR = 0.55
DOUBTED_DEFAULT = 0.40
CLEAR = 0.85  # one message of at least CLEAR_WORDS words at this probability is enough
CLEAR_WORDS = 3
CLEAR_TELLING = 2  # ... of which so many are words that only the other language has
# Telling words it takes against each one of the default language. English holds no Portuguese word
# unless it is a quotation in a Portuguese message; Spanish shares many.
OUTWEIGHS = {"en": 4, "es": 1, "pt": 0}
FIRST = 0.80  # one word is enough for a conversation that has shown no language yet
FIRST_OF_SEVERAL = 0.65  # ... and of three words this is
LIKELY = 0.60  # two messages in a row at this probability are enough
FOREIGN_CLEAR = 0.85  # a language we do not serve ends the bot's part: be surer
FOREIGN_WORDS = 3
UNDECIDED_DEFAULT = 0.35  # Portuguese at least so likely is the natural reading: nobody is asked
SWITCHES_UNASKED = 2  # changes on evidence, away and back, before the customer is asked instead


@dataclass(frozen=True, slots=True)
class Guess:
    """What a detector says of one message, before anything is known of the conversation.

    Attributes:
        language: The best guess of all languages, ISO 639-1.
        confidence: 0..1, of `language`.
        served_language: The best guess among the languages we serve.
        served_confidence: 0..1, of `served_language` against the other served ones.
        words: Words in the message.
        telling: Known words that speak for `served_language` and against the other served ones;
            None when the detector does not count them.
        contrary: Known words that speak for the default language when `served_language` is
            another: "jogo the last of us" is a Brazilian who names a game.
        evidence: Probability per served language, all equally likely beforehand. Empty stands for
            `served_confidence` and an equal share of the rest for the others.
        requested: The language the customer asks to be answered in, served or not.
        script: Whether the message is in a script, or has letters, that no served language uses.
        named: Whether it is written like a name or a title ("The Last of Us"): evidence for a
            conversation that has shown no language yet, none for one that has.
        doubt: A language not served that the message may be in, without proof: no word of it is
            Portuguese, hardly any is English or Spanish.
        only_request: Whether the message is nothing but the request for a language.
    """

    language: str
    confidence: float
    served_language: str
    served_confidence: float
    words: int
    telling: int | None = None
    contrary: int = 0
    evidence: Mapping[str, float] = field(default_factory=dict)
    requested: str | None = None
    script: bool = False
    named: bool = False
    doubt: str | None = None
    only_request: bool = False


@dataclass(frozen=True, slots=True)
class LanguageState:
    """What a conversation knows of its language.

    Attributes:
        language: The language of the answers, always one we serve.
        candidate: A different language that the previous message hinted at.
        foreign: The language of the present message when it is one we do not serve.
        foreign_confidence: How sure that is.
        settled: Whether the conversation has shown its language: then one word changes nothing.
        doubt: The unserved language that the previous message may have been in.
        switches: How often the language was changed on evidence after it had settled.
        asked: Whether the customer was asked for the language; that happens once.
        undecided: Of the present message: the signs contradict each other, so ask.
        requested: Of the present message: it asked for the language, and for nothing else.
    """

    language: str = DEFAULT
    candidate: str | None = None
    foreign: str | None = None
    foreign_confidence: float = 0.0
    settled: bool = False
    doubt: str | None = None
    switches: int = 0
    asked: bool = False
    undecided: bool = False
    requested: bool = False

    @property
    def must_ask(self) -> bool:
        """Whether to ask the customer now."""
        return self.undecided and not self.asked

    def chosen(self, language: str, *, only: bool = False) -> LanguageState:
        """The state after the customer has named a language that we serve, and maybe only that."""
        return LanguageState(language, settled=True, asked=self.asked, requested=only)

    def to_json(self) -> dict[str, Any]:
        """What is stored; `foreign`, `undecided` and `requested` are of one message only."""
        return {
            "candidate": self.candidate,
            "settled": self.settled,
            "doubt": self.doubt,
            "switches": self.switches,
            "asked": self.asked,
        }

    @classmethod
    def from_json(cls, language: str, value: Mapping[str, Any]) -> LanguageState:
        """Read what `to_json` wrote; what is missing or unknown there counts as not seen yet."""
        if language not in SERVED:
            return cls()
        candidate = value.get("candidate")
        known = candidate in SERVED and candidate != language
        doubt, switches = value.get("doubt"), value.get("switches")
        return cls(
            language,
            candidate if known else None,
            settled=value.get("settled") is True,
            doubt=doubt if isinstance(doubt, str) else None,
            switches=switches if isinstance(switches, int) else 0,
            asked=value.get("asked") is True,
        )


def update(state: LanguageState, guess: Guess | None) -> LanguageState:
    """The state after one more message; `guess` is None when it holds nothing to judge by."""
    present = replace(state, foreign=None, foreign_confidence=0.0, undecided=False, requested=False)
    if guess is None:
        return present
    if guess.requested in SERVED:
        return state.chosen(guess.requested, only=guess.only_request)
    if _is_foreign(guess):
        return replace(present, foreign=guess.language, foreign_confidence=guess.confidence)
    if guess.doubt is not None:
        again = state.doubt is not None and (not state.settled or state.doubt == guess.doubt)
        if again:
            return replace(
                present, doubt=guess.doubt, foreign=guess.doubt, foreign_confidence=FOREIGN_CLEAR
            )
        return replace(present, doubt=guess.doubt, undecided=not state.settled)
    return _served(replace(present, doubt=None), state, guess)


def _served(present: LanguageState, state: LanguageState, guess: Guess) -> LanguageState:
    """The state after a message in a language that we serve, as far as anybody can tell."""
    seen, probability = _with_prior(state, guess)
    if seen == state.language:
        return _confirmed(present, guess, probability)
    if guess.named and state.settled:
        return present
    telling = guess.words if guess.telling is None else guess.telling
    if seen != guess.served_language:
        telling = 0
    elif seen == DEFAULT and not state.settled and guess.words > 1:
        telling = max(telling, 1)  # the way back to the default needs no better proof
    pure = not guess.contrary or telling > OUTWEIGHS[seen] * guess.contrary
    clear = (
        probability >= CLEAR and guess.words >= CLEAR_WORDS and telling >= CLEAR_TELLING and pure
    )
    likely = probability >= LIKELY and telling >= 1
    agreed = likely and state.candidate == seen
    enough = FIRST_OF_SEVERAL if guess.words >= CLEAR_WORDS else FIRST
    first = not state.settled and probability >= enough and telling >= 1 and pure
    if clear or agreed or first:
        mixes = state.settled and seen != DEFAULT and state.switches >= SWITCHES_UNASKED
        if mixes and not state.asked:
            return replace(present, candidate=seen, undecided=True)
        # "hello" alone does not settle: Brazilians say it too, and their next words tell.
        return LanguageState(
            seen,
            settled=clear or agreed or guess.words > 1,
            switches=state.switches + state.settled,
            asked=state.asked,
        )
    torn = not state.settled and state.language == DEFAULT and _is_torn(state, guess)
    return replace(present, candidate=seen if likely else state.candidate, undecided=torn)


def _is_torn(state: LanguageState, guess: Guess) -> bool:
    """Whether a first message speaks for two languages at once, none of them Portuguese."""
    prior = _prior(state)
    joint = {one: guess.evidence.get(one, 0.0) * prior[one] for one in SERVED}
    total = sum(joint.values())
    if total <= 0 or not guess.telling or guess.contrary or guess.named:
        return False
    return joint[DEFAULT] / total < UNDECIDED_DEFAULT


def _is_foreign(guess: Guess) -> bool:
    if guess.language in SERVED:
        return False
    enough = guess.script or guess.requested == guess.language or guess.words >= FOREIGN_WORDS
    return enough and guess.confidence >= FOREIGN_CLEAR


def _with_prior(state: LanguageState, guess: Guess) -> tuple[str, float]:
    """The likeliest served language and its probability, given the conversation so far."""
    evidence = guess.evidence
    if not evidence:
        rest = (1 - guess.served_confidence) / (len(SERVED) - 1)
        evidence = dict.fromkeys(SERVED, rest) | {guess.served_language: guess.served_confidence}
    prior = _prior(state)
    joint = {language: evidence.get(language, 0.0) * prior[language] for language in SERVED}
    total = sum(joint.values())
    if total <= 0:
        return state.language, prior[state.language]
    seen = max(SERVED, key=joint.__getitem__)
    return seen, joint[seen] / total


def _prior(state: LanguageState) -> dict[str, float]:
    """How likely each language is before the message is read."""
    if not state.settled and state.language != DEFAULT:
        rest = (1 - DOUBTED_PRIOR - DOUBTED_DEFAULT) / (len(SERVED) - 2)
        return dict.fromkeys(SERVED, rest) | {
            state.language: DOUBTED_PRIOR,
            DEFAULT: DOUBTED_DEFAULT,
        }
    home = SETTLED_PRIOR if state.settled else FIRST_PRIOR
    other = (1 - home) / (len(SERVED) - 1)
    return dict.fromkeys(SERVED, other) | {state.language: home}


def _confirmed(present: LanguageState, guess: Guess, probability: float) -> LanguageState:
    """A message in the conversation's own language, or one that says nothing either way."""
    own = guess.evidence.get(present.language, guess.served_confidence)
    speaks = guess.served_language == present.language and own >= LIKELY
    if not speaks:
        return present  # "ok", "4521": what the message before hinted at still stands
    shows = probability >= CLEAR and (guess.telling is None or guess.telling >= 1)
    return replace(present, candidate=None, settled=present.settled or shows)
