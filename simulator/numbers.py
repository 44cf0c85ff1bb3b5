"""Phone numbers as WhatsApp writes them, apart from how Ponte reads them."""

from __future__ import annotations

import hashlib
import re

_MIN_DIGITS, _MAX_DIGITS = 8, 15
# Area codes 11-28 (São Paulo, Rio, Espírito Santo) keep the ninth digit in a wa_id.
_LAST_AREA_WITH_NINTH_DIGIT = 28
_BRAZIL = re.compile(r"55(\d\d)(9?)([6-9]\d{7})")
_MEXICO = re.compile(r"521?(\d{10})")


def digits_of(text: str) -> str | None:
    """The digits of a number in any spelling, or None when it is no international number."""
    if re.fullmatch(r"\+?[\d ().-]+", text.strip(), re.ASCII) is None:
        return None
    digits = re.sub(r"\D", "", text)
    if not _MIN_DIGITS <= len(digits) <= _MAX_DIGITS or digits.startswith("0"):
        return None
    return digits


def key_of(digits: str) -> str:
    """One key per person: with the ninth digit in Brazil, without the extra 1 in Mexico."""
    if match := _BRAZIL.fullmatch(digits):
        return f"55{match[1]}9{match[3]}"
    if match := _MEXICO.fullmatch(digits):
        return f"52{match[1]}"
    return digits


def wa_id_of(digits: str, *, rewrite: bool) -> str:
    """The number as WhatsApp knows it, which is what webhooks and answers carry."""
    match = _BRAZIL.fullmatch(digits)
    if not rewrite or match is None:
        return digits
    ninth = "9" if int(match[1]) <= _LAST_AREA_WITH_NINTH_DIGIT else ""
    return f"55{match[1]}{ninth}{match[3]}"


def user_id_of(key: str) -> str:
    """A business-scoped user id that is always the same for one person, such as `BR.1349...`."""
    country = "BR" if key.startswith("55") else "US"
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
    return f"{country}.{number:020d}"
