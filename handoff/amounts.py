"""Amounts of money as people write them: "R$ 1.234,56", "1,234.56", "2 mil reais", "dois mil"."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from handoff.text import fold

AMOUNT = "amount"
"""Name of the entity that holds an amount (data/nlu/entities.yml)."""

_DIGITS = re.compile(r"\d[\d.,' ]*")
_WORD = re.compile(r"[a-z]+")
_THOUSANDS_LENGTH = 3  # digits after a separator that groups thousands

_MULTIPLIERS: Mapping[str, float] = {
    **dict.fromkeys(("mil", "k", "thousand"), 1e3),
    **dict.fromkeys(("mi", "milhao", "milhoes", "million", "millon", "millones"), 1e6),
}
_SPELLED = """
    1 um uma one uno un una
    2 dois duas two dos
    3 tres three
    4 quatro four cuatro
    5 cinco five
    6 seis six
    7 sete seven siete
    8 oito eight ocho
    9 nove nine nueve
    10 dez ten diez
    11 onze eleven once
    12 doze twelve doce
    13 treze thirteen trece
    14 quatorze catorze fourteen
    15 quinze fifteen quince
    16 dezesseis sixteen dieciseis
    17 dezessete seventeen diecisiete
    18 dezoito eighteen dieciocho
    19 dezenove nineteen diecinueve
    20 vinte twenty veinte
    30 trinta thirty treinta
    40 quarenta forty cuarenta
    50 cinquenta fifty cincuenta
    60 sessenta sixty sesenta
    70 setenta seventy
    80 oitenta eighty ochenta
    90 noventa ninety
    100 cem cento cien ciento
    200 duzentos duzentas doscientos doscientas
    300 trezentos trezentas trescientos trescientas
    400 quatrocentos quatrocentas cuatrocientos cuatrocientas
    500 quinhentos quinhentas quinientos quinientas
    600 seiscentos seiscentas seiscientos seiscientas
    700 setecentos setecentas setecientos setecientas
    800 oitocentos oitocentas ochocientos ochocientas
    900 novecentos novecentas novecientos novecientas
"""
_NUMBERS: Mapping[str, float] = {
    word: float(value)
    for value, *spelled in (line.split() for line in _SPELLED.strip().splitlines())
    for word in spelled
}
_HUNDRED = "hundred"


def largest_amount(values: Iterable[str]) -> float | None:
    """The greatest amount among the values of an entity; None when none of them is a number."""
    found = [amount for value in values if (amount := parse_amount(value)) is not None]
    return max(found, default=None)


def parse_amount(text: str) -> float | None:
    """The number an amount names, without its currency; None when there is none.

    A separator that stands once, before exactly three digits, groups thousands ("1.234" is 1234);
    any other last separator begins the decimals. "mil", "k", "thousand" and millions multiply.
    """
    folded = fold(text)
    digits = _DIGITS.search(folded)
    if digits is None:
        return _spelled(_WORD.findall(folded))
    number = _number(digits.group())
    for word in _WORD.findall(folded[digits.end() :]):
        if word not in _MULTIPLIERS:
            break
        number *= _MULTIPLIERS[word]
    return number if math.isfinite(number) else None


def _number(written: str) -> float:
    compact = written.replace(" ", "").replace("'", "").rstrip(".,")
    last = max(compact.rfind("."), compact.rfind(","))
    if last < 0:
        return float(compact)
    whole, tail = compact[:last], compact[last + 1 :]
    separators = {char for char in compact if char in ".,"}
    groups_thousands = len(tail) == _THOUSANDS_LENGTH and len(separators) == 1
    plain = re.sub(r"[.,]", "", whole)
    return float(f"{plain}{tail}" if groups_thousands else f"{plain}.{tail}")


def _spelled(words: Iterable[str]) -> float | None:
    """A number in words: "dois mil e quinhentos" is 2500; None without any number word."""
    total, part, said_any = 0.0, 0.0, False
    for word in words:
        if word in _NUMBERS:
            part += _NUMBERS[word]
        elif word == _HUNDRED:
            part = max(part, 1.0) * 100
        elif word in _MULTIPLIERS:
            total, part = total + max(part, 1.0) * _MULTIPLIERS[word], 0.0
        else:
            continue
        said_any = True
    return total + part if said_any else None
