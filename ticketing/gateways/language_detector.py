"""Language guesses: a model learnt from the project's own sentences, and lingua for foreign ones.

lingua alone guesses short messages badly ("hello" is Spanish to it, "I want a refund" 0.60
English), so the served languages are told apart by `ticketing.domain.language_model`. lingua is
asked only about messages that hold a few small words of a language we do not serve; then both must
agree (docs/language.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from lingua import Language, LanguageDetectorBuilder

from ticketing.domain.language import DEFAULT, SERVED, Guess
from ticketing.domain.language_model import LanguageModel, Weighed, posterior, words_of
from ticketing.domain.language_signs import (
    is_only_request,
    language_of_script,
    looks_like_a_name,
    requested_language,
)
from ticketing.domain.language_words import (
    COMMON,
    FOREIGN,
    FOREIGN_GREETINGS,
    FOREIGN_LETTERS,
    LAUGHTER,
    LEANING,
    NEUTRAL,
    PICKED_UP,
)

_LINGUA = {
    Language.PORTUGUESE: "pt",
    Language.ENGLISH: "en",
    Language.SPANISH: "es",
    Language.FRENCH: "fr",
    Language.GERMAN: "de",
    Language.ITALIAN: "it",
    Language.DUTCH: "nl",
    Language.POLISH: "pl",
    Language.TURKISH: "tr",
    Language.CATALAN: "ca",
    Language.ROMANIAN: "ro",
    Language.SWEDISH: "sv",
    Language.DANISH: "da",
    Language.BOKMAL: "da",  # one reads the other; a person sorts it out
    Language.CZECH: "cs",
    Language.SLOVAK: "cs",
    Language.HUNGARIAN: "hu",
    Language.FINNISH: "fi",
    Language.INDONESIAN: "id",
    Language.MALAY: "id",
    Language.VIETNAMESE: "vi",
}
_SURE = 0.99  # a script, or the customer's own words, leave no doubt worth a number
_LONGEST_TEXT = 1000  # characters looked at; a customer's language shows long before
_LEAST_FOREIGN_WORDS = 3
_LEAST_SIGNS = 2  # different small words of the foreign language
_PLENTY = 3  # ... that no served language knows, half of the message: no second voice is needed
_DOUBT = 0.7  # what lingua must say of a message without any small word of the language
_SIGN_DOUBT = 0.4  # each small word that no served language knows leaves this much of the doubt

# "m'aider", "n'est", "qu'il"; not "d'" and "l'", which surnames and Italian have.
_ELISION = re.compile(r"(?:[jmnstc]|qu|jusqu|lorsqu)'[a-zàâçéèêëîïôûù]{2}")

_EXAMPLE = re.compile(r"^\s{4,}- (.+?)\s*$")
_ENTITY = re.compile(r"\[([^\]]+)\](?:\([^)]*\)|\{[^}]*\})")
_NOT_SENTENCES = re.compile(r"^\s*- (?:synonym|regex|lookup):")
_INTENT = re.compile(r"^\s*- intent:")


def read_examples(folder: Path) -> Iterator[str]:
    """The example sentences of the Rasa training files in a folder; none when it is not there.

    Reads the one shape the files have (`    - text` under an intent): a YAML parser takes seconds
    for what is needed at every start. Entity annotations keep their text only.
    """
    for path in sorted(folder.glob("*.yml")):
        sentences = False
        for line in path.read_text(encoding="utf-8").splitlines():
            if _INTENT.match(line):
                sentences = True
            elif _NOT_SENTENCES.match(line):
                sentences = False
            elif sentences and (found := _EXAMPLE.match(line)):
                yield _ENTITY.sub(r"\1", found[1])


class Detector:
    """`ticketing.services.ports.LanguageDetector`; only read once built: threads may share it."""

    def __init__(self, *, data_dir: Path) -> None:
        """Learn the served languages.

        Args:
            data_dir: Holds one folder of training files per language (`pt/`, `en/`, `es/`). Where
                one is missing, the built-in words alone must do.
        """
        self._model = LanguageModel(
            {language: read_examples(data_dir / language) for language in SERVED},
            common=COMMON,
            neutral=NEUTRAL,
            leaning=LEANING,
        )
        self._signs = {name: frozenset(listed.split()) for name, listed in FOREIGN.items()}
        self._lingua = (
            LanguageDetectorBuilder.from_languages(*_LINGUA)
            # Letters by three only: 25 MB instead of 300, and sentences need no more.
            .with_low_accuracy_mode()
            .with_preloaded_language_models()  # not in the middle of a customer's turn
            .build()
        )

    def guess(self, text: str) -> Guess | None:
        """The guess for a text; None when there is nothing to judge by (a number, a link, 👍)."""
        text = text[:_LONGEST_TEXT]
        requested = requested_language(text)
        script = language_of_script(text)
        if script is not None:
            return Guess(script, _SURE, SERVED[0], 0.0, len(text.split()), script=True)
        words = words_of(text)
        if not words:
            return None
        weighed = self._model.weigh(words)
        evidence = posterior(weighed.scores)
        served = max(SERVED, key=evidence.__getitem__)
        if requested is not None and requested not in SERVED:
            language, confidence = requested, _SURE
        else:
            language, confidence = self._foreign(words, weighed) or (served, evidence[served])
        doubt = self._doubt(words, weighed) if language in SERVED and requested is None else None
        named = looks_like_a_name(text)
        return Guess(
            language,
            confidence,
            served,
            evidence[served],
            weighed.words,
            telling=weighed.telling[served],
            contrary=0 if served == DEFAULT else weighed.telling[DEFAULT] - self._picked_up(words),
            evidence=evidence,
            requested=requested,
            script=self._is_lettered(language, words),
            named=named,
            doubt=None if named else doubt,
            only_request=requested is not None and is_only_request(text),
        )

    def _is_lettered(self, language: str, words: list[str]) -> bool:
        return language not in SERVED and self._lettered(language, words) > 0

    def _foreign(self, words: list[str], weighed: Weighed) -> tuple[str, float] | None:
        """A language we do not serve, with the confidence; None when there is no good sign of one.

        Names, brands, codes and slang look foreign letter by letter; small words like "nicht" or
        "vous" do not occur in them.
        """
        if weighed.words < _LEAST_SIGNS or LAUGHTER in words:
            return None
        signs = {name: self._signs_of(name, words) for name in self._signs}
        best = max(signs, key=lambda name: (len(signs[name]), self._lettered(name, words)))
        found = signs[best]
        lettered = self._lettered(best, found)
        if weighed.words < _LEAST_FOREIGN_WORDS and not lettered:
            return None
        own = sum(1 for word in found if not self._model.knows(word))
        # Without the last condition: a Brazilian who drops a few foreign words.
        if own == 0 or len(found) < _LEAST_SIGNS or weighed.telling[DEFAULT] >= len(found):
            return None
        if own + lettered >= _PLENTY and 2 * own >= len(words):
            return best, 1 - _SIGN_DOUBT ** (own + lettered)
        # Neighbours share words: Italian looks Spanish. Then most of the words must be unknown.
        unknown = len(words) - weighed.known
        if len(found) <= max(weighed.telling.values()) and 2 * unknown < len(words):
            return None
        heard = self._lingua.compute_language_confidence_values(" ".join(words))[0]
        agrees = _LINGUA[heard.language] == best
        return (best, 1 - (1 - heard.value) * _SIGN_DOUBT**own) if agrees else None

    def _doubt(self, words: list[str], weighed: Weighed) -> str | None:
        """A language we do not serve that the message may be in: worth a question, no proof.

        Brands and surnames look like this too, so nobody is handed over for one such message.
        """
        greeting = FOREIGN_GREETINGS.get(" ".join(words))
        if greeting is not None:
            return greeting
        unknown = len(words) - weighed.known
        too_known = unknown < weighed.known or weighed.telling[DEFAULT]
        if weighed.words < _LEAST_SIGNS or LAUGHTER in words or too_known:
            return None
        heard = self._lingua.compute_language_confidence_values(" ".join(words))[0]
        language = _LINGUA[heard.language]
        if language in SERVED:
            best = max(self._signs, key=lambda name: len(self._signs_of(name, words)))
            clear = self._signs_of(best, words) and unknown >= 2 * weighed.known
            return best if clear else None
        sure = heard.value >= _DOUBT or self._signs_of(language, words)
        return language if sure else None

    def _signs_of(self, language: str, words: list[str]) -> list[str]:
        listed = self._signs[language]
        return [
            word
            for word in words
            if not listed.isdisjoint((word, *word.split("-")))
            or self._lettered(language, [word])
            or (language == "fr" and _ELISION.match(word))
        ]

    def _lettered(self, language: str, words: list[str]) -> int:
        """How many of the words hold a letter that only the language has."""
        letters = FOREIGN_LETTERS.get(language, frozenset())
        return sum(1 for word in words if not letters.isdisjoint(word))

    def _picked_up(self, words: list[str]) -> int:
        """How many of the words that tell Portuguese are ones that every visitor knows."""
        return self._model.weigh([word for word in words if word in PICKED_UP]).telling[DEFAULT]
