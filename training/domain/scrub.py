"""Personal data out of a customer's words: what is left may stand in a training file.

Every removed thing becomes `PLACEHOLDER`, one short word that no customer means anything by: a
classifier learns nothing from it, and a designer sees in the file that something was taken out. An
order number becomes the stock number of the training data. When in doubt, it is removed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection
from dataclasses import dataclass

from handoff.text import fold
from training.domain.find_names import name_spans
from training.domain.names import NUMBER_WORDS
from training.domain.numbers import kind_of

PLACEHOLDER = "xxx"
ORDER_NUMBER = "12345"
"""Stands for any order number, as in `data/nlu`."""

_LONG = 8  # digits: from here on a number may be a telephone, a CEP, a document
_SHORT = 4  # digits: below, a number identifies nobody (2 via, 150 reais, dia 10)
_MAX_MONEY = 9  # digits of an amount that is kept when its currency stands beside it

_MONTHS = (
    "janeiro|fevereiro|março|marco|abril|maio|junho|julho|agosto|setembro|outubro|novembro|dezembro"
    "|january|february|march|april|may|june|july|august|september|october|november|december"
    "|enero|febrero|marzo|mayo|junio|julio|septiembre|setiembre|octubre|noviembre|diciembre"
)
_LABELS = (
    "cpf|cnpj|rg|cnh|dni|nif|nie|cuit|rut|curp|ssn|passaporte|passport|pasaporte|cep|zip|pix"
    "|chave|c[oó]digo|code|token|pin|cvv|cvc|ag[eê]ncia|conta|account|agency|agencia|cuenta"
    "|cart[aã]o|card"
    "|tarjeta|final|terminad[oa] em|ending in|ending with|terminada en|tel|fone|telefone|cel"
    "|celular"
    "|whats|whatsapp|zap|phone|mobile|tel[eé]fono|m[oó]vil|placa|plate|matr[ií]cula|protocolo"
    "|protocol|rastreio|rastreamento|tracking|apto|apartamento|apartment|apt"
)
_JOINT = r"(?:\s*(?:é|eh|is|es|are|:|=|#|n[ºo°]\.?|n[uú]mero|number|do|da|:)(?![^\W\d_]))"
_STREETS = (
    r"rua|r\.|av\.?|avenida|travessa|alameda|pra[cç]a|rodovia|estrada|largo|beco|quadra"
    r"|calle|carrera|paseo|plaza|camino"
)
_BORN = (
    r"nasci|nascid[oa]|nascimento|anivers[aá]rio|born|birthday|birthdate|birth|dob"
    r"|nac[ií]|nacid[oa]|nacimiento|cumplea[nñ]os"
)
_NUMBER_WORD = "(?:" + "|".join(NUMBER_WORDS) + "|três|trés)"

_CURRENCY_BEFORE = re.compile(r"(?:r\$|rs|us\$|[$€£]|brl|usd)\s*$", re.IGNORECASE)
_CURRENCY_AFTER = re.compile(
    r"\s*(?:reais|real|conto|contos|pila|mil|d[oó]lares|dollars|euros?|pesos|bucks|€|%)(?!\w)",
    re.IGNORECASE,
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_AMOUNT = re.compile(r"\d{1,3}(?:[.,]\d{3})*[.,]\d{2}|\d{1,4}[.,]\d{1,2}|\d{1,3}(?:\.\d{3})+")
_DAY_AND_MONTH = re.compile(r"\d{1,2}\s*[/-]\s*\d{1,2}")
_ORDER = re.compile(r"[a-z]{1,4}-?\d{4,7}(?:-\d{1,2})?", re.IGNORECASE)
_DIGITS = re.compile(r"[(+]*\d(?:[\s().\-/+,]*\d)*")


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """A text without personal data.

    Attributes:
        text: What is left, on one line.
        removed: Kinds of what was taken out, in order, for counting: `email`, `name`, `cpf`, ...
    """

    text: str
    removed: tuple[str, ...]


Replace = Callable[[re.Match[str]], str]


def _pattern(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.IGNORECASE)


_TAKEN_OUT: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("link", _pattern(r"(?:\b[a-z]{2,8}://|\bwww\.)\S+")),
    ("email", _pattern(r"[^\s@]*\s?@+\s?[^\s@]*")),
    ("email", _pattern(r"\S+\s+arroba\s+\S+(?:\s+(?:ponto|punto|dot)\s+\S+)*")),
    ("email", _pattern(r"\S+\s+at\s+\S+(?:\s+dot\s+\S+)+")),
    ("link", _pattern(r"\b[\w-]+(?:\.[\w-]+)*\.(?:com|net|org|br|io|gov|app|link|ly)\b(?:/\S*)?")),
    ("key", _pattern(r"\b[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}\b")),
    ("key", _pattern(r"(?<![\w-])(?=[\w-]*\d)(?=[\w-]*[^\W\d_])[\w-]{16,}")),
    (
        "birth",
        _pattern(
            rf"(?<!\d)\d{{1,2}}\s+(?:de\s+|of\s+)?(?:{_MONTHS})\s+(?:del?\s+)?\d{{2,4}}"
        ),
    ),
    ("birth", _pattern(rf"\b(?:{_MONTHS})\s+\d{{1,2}}(?:st|nd|rd|th)?,?\s+\d{{4}}")),
    ("date", _pattern(r"(?<!\d)\d{1,2}[/.-]\d{1,2}[/.-](?:\d{4}|\d{2})(?!\d)")),
    ("date", _pattern(r"(?<!\d)\d{4}-\d{2}-\d{2}(?!\d)")),
    ("plate", _pattern(r"(?<!\w)[a-z]{3}-?\d[a-z]\d{2}(?!\w)")),
    ("number", _pattern(rf"\b{_NUMBER_WORD}(?:[\s,-]+{_NUMBER_WORD}){{7,}}\b")),
)  # fmt: skip

_KEEPS_LABEL: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "birth",
        _pattern(
            rf"(\b(?:{_BORN})\b[^.!?\n\d]{{0,25}})"
            r"(\d[\d/.\- ]*(?:\s*de\s+\w+(?:\s+de\s+\d{2,4})?)?)"
        ),
    ),
    (
        "address",
        _pattern(
            rf"(\b)((?:{_STREETS})\s+(?:[^\W\d_][\w.'-]*[,\s]+){{1,6}}(?:n[ºo°]?\.?\s*)?\d{{1,5}}\w?\b"
            r"(?:[,\s-]+(?:apto?|apartamento|bloco|bl|casa|torre|sala|depto|piso)\.?\s*\w{1,5}\b)*)"
        ),
    ),
    (
        "address",
        _pattern(
            r"(\b)(\d{1,5}\s+(?:[^\W\d_][\w.'-]*\s+){1,3}"
            r"(?:street|st|avenue|ave|road|rd|lane|ln|drive|dr|boulevard|blvd)\b\.?)"
        ),
    ),
    (
        "document",
        _pattern(
            rf"(\b(?:{_LABELS})\b{_JOINT}{{0,4}}\s*)"
            r"((?=[\w.\-/]*\d)[\w.\-/]{3,}(?:\s[\d.\-/]+)*)(?!\s*(?:reais|vezes|x\b))"
        ),
    ),
)  # fmt: skip

_PASSWORD = _pattern(
    r"(\b(?:senha|password|passcode|contrase[nñ]a|clave|pwd)\b\s*(?:é|eh|is|es|era|:|=)+\s*)(\S+)"
)
_STREET_NAME = re.compile(
    rf"(\b(?i:{_STREETS}|bairro|barrio|condom[ií]nio|edif[ií]cio)\s+)"
    r"((?:(?:d[aeo]s?|del|la|los|las)\s+)*[A-ZÀ-Þ][\w'-]+(?:\s+(?:(?:d[aeo]s?|del|la|e)\s+)*[A-ZÀ-Þ][\w'-]+)*)"
)  # fmt: skip


def scrub(
    text: str, *, names: Collection[str] = (), known_words: Collection[str] = frozenset()
) -> Scrubbed:
    """The text with every piece of personal data replaced.

    Args:
        text: A customer's words, in Portuguese, English, Spanish or a mixture.
        names: Names that are known to be people's: the contact's own, the agents'.
        known_words: Folded words of the training examples. A word that is among them is no name
            unless it stands where only names stand; without them every rare word is suspect.

    Returns:
        A text in which no run of eight digits, no "@" and no line break is left.
    """
    removed: list[str] = []
    plain = _plain(text)
    for kind, pattern in _TAKEN_OUT:
        plain = pattern.sub(_taking_out(kind, removed), plain)
    for kind, pattern in _KEEPS_LABEL:
        plain = pattern.sub(_keeping_label(kind, removed), plain)
    plain = _PASSWORD.sub(_password(removed, known_words), plain)
    plain = _STREET_NAME.sub(_keeping_label("address", removed), plain)
    plain = re.sub(r"[\w-]*\d[\w-]*", _mixed(removed), plain)
    plain = _DIGITS.sub(_digits(removed), plain)
    plain = _without_names(plain, names, known_words, removed)
    return Scrubbed(_tidy(plain), tuple(removed))


def _plain(text: str) -> str:
    """One line; no invisible characters, which could hide a number; every digit an ASCII digit."""
    kept = []
    for char in unicodedata.normalize("NFC", text):
        category = unicodedata.category(char)
        digit = unicodedata.digit(char, None)
        if char.isspace() or category in {"Cc", "Zl", "Zp"}:
            kept.append(" ")
        elif digit is not None:
            kept.append(str(digit))
        elif category not in {"Cf", "Cs", "Co", "Cn", "Me"} and char != "\N{VARIATION SELECTOR-16}":
            kept.append(
                "@" if char in "\N{FULLWIDTH COMMERCIAL AT}\N{SMALL COMMERCIAL AT}" else char
            )
    return re.sub(r" +", " ", "".join(kept)).strip()


def _taking_out(kind: str, removed: list[str]) -> Replace:
    def replace(_match: re.Match[str]) -> str:
        removed.append(kind)
        return f" {PLACEHOLDER} "

    return replace


def _keeping_label(kind: str, removed: list[str]) -> Replace:
    def replace(match: re.Match[str]) -> str:
        removed.append(kind)
        return f"{match[1]} {PLACEHOLDER} "

    return replace


def _password(removed: list[str], known_words: Collection[str]) -> Replace:
    def replace(match: re.Match[str]) -> str:
        value = fold(match[2]).strip(".,;!?")
        if value in known_words and not any(char.isdigit() for char in value):
            return match[0]  # "minha senha é inválida" says what is wrong, not what it is
        removed.append("password")
        return f"{match[1]} {PLACEHOLDER} "

    return replace


def _mixed(removed: list[str]) -> Replace:
    """Letters and digits in one word: an order number, or something that tells who it is."""

    def replace(match: re.Match[str]) -> str:
        word = match[0]
        digits = sum(char.isdigit() for char in word)
        if digits < _SHORT or re.fullmatch(r"[\d-]+", word):
            return word
        if _ORDER.fullmatch(word):
            removed.append("order_number")
            return f" {ORDER_NUMBER} "
        if re.fullmatch(r"(?:r|rs|us)?\d{1,6}(?:reais|x|h|k|km|gb|mb|v|w)?", word, re.IGNORECASE):
            return word
        removed.append("number")
        return f" {PLACEHOLDER} "

    return replace


def _digits(removed: list[str]) -> Replace:
    def replace(match: re.Match[str]) -> str:
        found = match[0]
        digits = re.sub(r"\D", "", found)
        if len(digits) < _SHORT or _harmless(found, digits, match):
            return found
        if found == ORDER_NUMBER:
            return found
        if len(digits) < _LONG and found.isdigit():
            removed.append("order_number")
            return f" {ORDER_NUMBER} "
        removed.append(kind_of(digits))
        return f" {PLACEHOLDER} "

    return replace


def _harmless(found: str, digits: str, match: re.Match[str]) -> bool:
    """Money, a year, a day without its year."""
    if _DAY_AND_MONTH.fullmatch(found) or _YEAR.fullmatch(found):
        return True
    beside_currency = _CURRENCY_BEFORE.search(match.string[: match.start()]) is not None or (
        _CURRENCY_AFTER.match(match.string, match.end()) is not None
    )
    if beside_currency:
        whole = _AMOUNT.fullmatch(found) is not None or found.isdigit()
        return whole and len(digits) <= _MAX_MONEY and not re.search(r"\d{8}", found)
    return _AMOUNT.fullmatch(found) is not None and len(digits) < _LONG


def _without_names(
    text: str, names: Collection[str], known_words: Collection[str], removed: list[str]
) -> str:
    spans = name_spans(text, names=names, known_words=known_words)
    for start, end in reversed(spans):
        text = f"{text[:start]} {PLACEHOLDER} {text[end:]}"
    removed.extend("name" for _ in spans)
    return text


def _tidy(text: str) -> str:
    text = re.sub(r"\d{8,}", PLACEHOLDER, text.replace("@", " "))
    text = re.sub(rf"\b{PLACEHOLDER}\b(?:[\s,.;:/()+-]*\b{PLACEHOLDER}\b)+", PLACEHOLDER, text)
    text = re.sub(r"\s+([,.;:!?])", r"\1", re.sub(r"\s+", " ", text))
    return text.strip(" ,;:-")
