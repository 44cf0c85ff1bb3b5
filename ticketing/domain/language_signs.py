"""Signs of a language that need no statistics: the script of a text, and a request in words."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from itertools import groupby

# First word of a letter's Unicode name -> ISO 639-1 code of the language most likely to write to a
# Brazilian company in that script.
_SCRIPTS = {
    "CYRILLIC": "ru",
    "ARABIC": "ar",
    "HEBREW": "he",
    "GREEK": "el",
    "DEVANAGARI": "hi",
    "BENGALI": "bn",
    "TAMIL": "ta",
    "THAI": "th",
    "ARMENIAN": "hy",
    "GEORGIAN": "ka",
    "HANGUL": "ko",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "CJK": "zh",
}
# Letters that tell a language from others of its script.
_TELLING = {"uk": frozenset("іїєґ"), "fa": frozenset("پچژگ")}
_PARENT = {"uk": "ru", "fa": "ar"}
# Kaomoji put single foreign letters between signs; a word of Chinese
# has two characters, a word of an alphabet three letters.
_SHORTEST = {"zh": 2, "ja": 2, "ko": 2}
_SHORTEST_ALPHABET = 3
# Order numbers, models and links are Latin in every language.
_CODE = re.compile(r"[0-9]|://|www\.|@")
_LATIN_RUN = re.compile(r"[!-~]+")


def _script(letter: str) -> str | None:
    """The code a letter speaks for, "latin" for Latin letters, None for what is no letter."""
    if letter.isascii():
        return "latin" if letter.isalpha() else None
    if not letter.isalpha():
        return None
    name = unicodedata.name(letter, "").split(" ", 1)[0]
    return "latin" if name == "LATIN" else _SCRIPTS.get(name)


def language_of_script(text: str) -> str | None:
    """The language of a text in another script than Latin; None when the text is Latin.

    Decorated letters (bold, circled, full width) count as the Latin ones they stand for. Most of
    the text must be in the script, and at least one word of it: Brazilians use kaomoji.
    """
    folded = _LATIN_RUN.sub(
        lambda run: " " if _CODE.search(run[0]) else run[0], unicodedata.normalize("NFKC", text)
    )
    # Vowel signs and tones would cut words of Thai and Hindi into pieces.
    folded = "".join(sign for sign in folded if not unicodedata.category(sign).startswith("M"))
    counts: Counter[str] = Counter()
    words: set[str] = set()
    for script, run in groupby(folded, key=_script):
        if script is None:
            continue
        length = sum(1 for _ in run)
        counts[script] += length * (2 if script in _SHORTEST else 1)
        if length >= _SHORTEST.get(script, _SHORTEST_ALPHABET):
            words.add(script)
    latin = counts.pop("latin", 0)
    if counts["ja"] and "ja" in words:  # Japanese mixes kana with Chinese characters
        counts["ja"] += counts.pop("zh", 0)
    if not counts:
        return None
    best, letters = counts.most_common(1)[0]
    if best not in words or letters <= latin:
        return None
    lowered = set(folded.lower())
    for language, telling in _TELLING.items():
        if _PARENT[language] == best and lowered & telling:
            return language
    return best


_NAMES = {
    "pt": r"portugu[eéê]se?s?(?: br(?:asil)?)?|pt[- ]?br|pt",
    "en": r"ingl[eê]s|ingl[eé]s|english|inglish",
    "es": r"espa[nñ]ol|espanhol|spanish|castellano",
}
# The name in the language itself.
_OWN_NAMES = {"pt": r"portugu[eê]s", "en": r"english", "es": r"espa[nñ]ol|castellano"}
_POLITE = (
    r"(?:please|pls|plz|por favor|porfa|pfv|pfvr|s'il (?:vous|te) pla[iî]t|svp|bitte|per favore|"
    r"obrigad[oa]|thanks|thank you|gracias|merci|danke|grazie)"
)
_BEFORE = (
    r"(?:hi|hello|hey|ol[aá]|oi|hola|ok|no(?=\s*,)|n[aã]o(?=\s*,)|sorry|desculpe?|bonjour|hallo|ciao|"
    r"bom dia|boa tarde|boa noite|good morning|buen[oa]s (?:d[ií]as|tardes|noches)|"
    + _POLITE
    + r")"
)
_VERB = (
    r"(?:(?:can|could) (?:we|you|i) (?:please )?"
    r"(?:speak|talk|continue|write|answer|reply|switch to)|"
    r"(?:i (?:want|prefer|need)|i'd (?:like|prefer|rather)|i would (?:like|prefer|rather))"
    r"(?: (?:to )?(?:speak|talk|continue|write|chat))?|"
    r"(?:do |can |could )(?:you|u|they) (?:speak|write|understand)|(?:do )?u speak|"
    r"i (?:only |just )?(?:speak|understand)|"
    r"(?:can|could) (?:we|i|you) (?:do|get|have|see|read) (?:this|it|that)|"
    r"is there (?:any|some)(?:one|body) (?:who|that) speaks?|"
    r"idioma|language|"
    r"(?:let's |lets )?(?:speak|talk|answer|reply|write|continue)(?: to me| me)?|"
    r"(?:switch|change)(?: (?:the )?language)? to|"
    r"(?:eu )?(?:quero|prefiro|queria|gostaria de|podemos|posso|vamos|pode|d[aá] pra)"
    r"(?: (?:falar|continuar|conversar|escrever|responder|ser|(?:um )?atendimento))?|"
    r"volt[ae]r?|volte|s[oó](?: (?:falo|entendo|sei))?|only|"
    r"atendimento|fal[ae]|responda?|escreva|continu[ae]|"
    r"(?:mud[ae]r?|troc[ae]r?|troque)(?: o idioma)? (?:para|pra)|"
    r"(?:yo )?(?:me )?"
    r"(?:quiero|prefiero|quisiera|podemos|puedo|pueden?|puedes|podr[ií]amos|podr[ií]an?)"
    r"(?: (?:hablar|continuar|seguir|conversar|escribir|responder|atender))?|"
    r"s[oó]lo(?: (?:hablo|entiendo|s[eé]))?|atenci[oó]n|alguien que hable|"
    r"habl[ae]|h[aá]blame|respond[ae]|escrib[ae]|(?:cambi[ae]r?)(?: el idioma)? a)"
)
_PREPOSITION = r"(?:in|em|en|auf|to|para|pra|pro)"
_GAP = r"[\s,.;!?]+"
_REQUESTS = {
    language: (
        # The whole message is the request: "hello, can we speak in english please?"
        re.compile(
            rf"(?:{_BEFORE}{_GAP})*(?:{_VERB}:?\s+)?(?:{_PREPOSITION}\s+)?(?:{name})"
            rf"(?: version| comigo)?(?:{_GAP}{_POLITE})*[\s,.;!?]*",
            re.IGNORECASE,
        ),
        # The message ends with it, with the courtesy: "I need help, in english please". Who writes
        # "manda o manual em inglês por favor" wants a manual, hence the language's own name only.
        re.compile(
            rf"(?<!\w)(?:in|em|en)\s+(?:{_OWN_NAMES[language]}){_GAP}{_POLITE}[\s,.;!?]*\Z",
            re.IGNORECASE,
        ),
    )
    for language, name in _NAMES.items()
}
# Said in the language itself, these ask for it too.
_OWN_WORDS = {
    "en": re.compile(
        r"(?<!\w)(?:you|any(?:one|body)|some(?:one|body)) speaks? english(?!\w)|"
        r"(?<!\w)(?:don'?t|do not|can'?t|cannot) (?:speak|understand|read|know) portuguese(?!\w)|"
        r"(?<!\w)(?:no|not) portuguese(?!\w)",
        re.IGNORECASE,
    ),
    "es": re.compile(
        r"(?<!\w)hablan? (?:en )?español(?!\w)|(?<!\w)hablas (?:en )?espa[nñ]ol(?!\w)|"
        r"(?<!\w)no (?:hablo|entiendo|comprendo|s[eé]) (?:el |en )?portugu[eé]s(?!\w)",
        re.IGNORECASE,
    ),
    # Languages not served: only in whole phrases, since "alemão", "italiano" and "Deutsch" are also
    # what Brazilians call people and things.
    "fr": re.compile(
        r"(?<!\w)(?:parlez[- ]vous|vous parlez|en) fran[cç]ais(?!\w)|"
        r"(?<!\w)(?:parle|parlons|comprends|comprend) pas (?:le )?portugais(?!\w)|"
        r"(?<!\w)fran[cç]ais,? (?:s'il (?:vous|te) pla[iî]t|svp)(?!\w)",
        re.IGNORECASE,
    ),
    "de": re.compile(
        r"(?<!\w)(?:sprechen sie|sprichst du|auf) deutsch(?!\w)|(?<!\w)deutsch,? bitte(?!\w)|"
        r"(?<!\w)(?:spreche|verstehe|kann) (?:kein|nicht) portugiesisch(?!\w)",
        re.IGNORECASE,
    ),
    "it": re.compile(
        r"(?<!\w)(?:parlate|in) italiano(?!\w)|(?<!\w)italiano,? per favore(?!\w)|"
        r"(?<!\w)non (?:parlo|capisco|so) (?:il )?portoghese(?!\w)",
        re.IGNORECASE,
    ),
    "ca": re.compile(
        r"(?<!\w)no (?:parlo|entenc) (?:el )?portugu[eè]s(?!\w)|(?<!\w)en català(?!\w)",
        re.IGNORECASE,
    ),
    "nl": re.compile(
        r"(?<!\w)(?:spreek|begrijp) geen portugees(?!\w)|"
        r"(?<!\w)(?:spreekt u|in het) nederlands(?!\w)",
        re.IGNORECASE,
    ),
    "pl": re.compile(
        r"(?<!\w)nie (?:mówię|rozumiem) po portugalsku(?!\w)|(?<!\w)po polsku(?!\w)",
        re.IGNORECASE,
    ),
}
_DENIED = re.compile(
    r"(?<!\w)(?:n[aã]o|no|don't|dont|not|nicht|ne|pas)\s+(?:\w+\s+){0,2}"
    r"(?:fal\w+|entend\w+|habl\w+|entiend\w+|speak|understand|parl\w+|comprend\w+|in|em|en)(?!\w)",
    re.IGNORECASE,
)
_REFUSED = re.compile(
    rf"(?<!\w)(?:n[aã]o|no|not|don'?t)(?!\w).*(?:{'|'.join(_NAMES.values())})", re.IGNORECASE
)
_LONGEST_REQUEST = 120  # characters; a longer message is about something else


def requested_language(text: str) -> str | None:
    """The language that a message asks to be answered in; None when it asks for none.

    "english please", "em português", "¿podemos hablar en español?" ask; "o manual veio em inglês",
    "não falo inglês" and "vocês falam inglês?" do not; "I don't speak Portuguese" does. The code
    may be one that is not served ("en français s'il vous plaît").
    """
    asked = unicodedata.normalize("NFKC", text).replace("\u2019", "'").strip("¿¡ \n\t\"'")
    if not asked or len(asked) > _LONGEST_REQUEST:
        return None
    for language, (whole, end) in _REQUESTS.items():
        if whole.fullmatch(asked) or (end.search(asked) and not _DENIED.search(asked)):
            return language
    for language, words in _OWN_WORDS.items():
        if words.search(asked):
            return language
    return _instead(asked)


def _instead(asked: str) -> str | None:
    """The language asked for in place of a refused one: "não falo inglês, português"."""
    refused, comma, wanted = asked.rpartition(",")
    if not comma or not _REFUSED.search(refused):
        return None
    for language, (whole, _) in _REQUESTS.items():
        if whole.fullmatch(wanted.strip()):
            return language
    return None


_LONGEST_BARE_REQUEST = 6  # words: "sorry, I don't speak Portuguese"


def is_only_request(text: str) -> bool:
    """Whether a message asks for a served language and for nothing else: "em inglês, por favor"."""
    asked = unicodedata.normalize("NFKC", text).replace("\u2019", "'").strip("¿¡ \n\t\"'")
    if any(whole.fullmatch(asked) for whole, _ in _REQUESTS.values()):
        return True
    short = len(asked.split()) <= _LONGEST_BARE_REQUEST
    return short and any(_OWN_WORDS[one].search(asked) for one in ("en", "es"))


_NAME_WORD = re.compile(r"[^\W\d_]+(?:['.-][^\W\d_]+)*")
_SMALL_IN_NAMES = frozenset(
    {"a", "an", "and", "at", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with"}
    | {"de", "del", "la", "las", "los", "el", "y", "en", "o", "os", "as", "da", "do", "das", "dos"}
    | {"e", "von", "van", "di", "du", "le", "les", "et", "und"}
)


def looks_like_a_name(text: str) -> bool:
    """Whether a text is written as names and titles are: every main word with a capital.

    "The Last of Us", "Call of Duty", "Victoria's Secret", "Juan Carlos": what they are called says
    nothing of the language of the customer. All capitals are shouting, not a name.
    """
    words = _NAME_WORD.findall(text)
    main = [word for word in words if word.lower() not in _SMALL_IN_NAMES]
    # A sentence begins with a capital too: one main word is no proof.
    return len(main) > 1 and all(word[0].isupper() and not word.isupper() for word in main)
