"""Phone numbers and the keys by which a person is recognised.

WhatsApp writes some numbers without a digit that people dial: Brazilian mobiles of older accounts
lack the ninth digit (55 31 8765-4321 for 55 31 98765-4321) and Mexican ones carry an extra 1 after
the country code (52 1 55 ...). Both spellings are one person.
"""

from __future__ import annotations

import re

import phonenumbers

from channels.inbound import SenderIdentity

BSUID_KEY = "bsuid"
PHONE_KEY = "phone"

# Digits and what people and gateways put around them; letters make it another kind of id.
_SPELLING = re.compile(r"(?:(?:whatsapp|tel):)?\+?[0-9 ().\u00a0/-]+", re.IGNORECASE)
_NOT_A_DIGIT = re.compile(r"[^0-9]+")
# E.164: 15 digits at most. Seven is the shortest complete international number in use.
_MIN_DIGITS, _MAX_DIGITS = 7, 15
# 55, area code (no zero in it), eight digits beginning with 6-9: a mobile from before the ninth
# digit (Anatel resolution 553/2010, complete in 2016). Landlines begin with 2-5.
_BRAZIL_OLD_MOBILE = re.compile(r"55([1-9][1-9])([6-9]\d{7})")
# 52, the 1 that mobiles carried until 2019, ten digits (IFT numbering plan of 2019-08-03).
_MEXICO_OLD_MOBILE = re.compile(r"521(\d{10})")


def normalise_phone(raw: str | None, *, region: str | None = None) -> str | None:
    """`raw` as digits with a leading "+", or None when it cannot be a phone number.

    Args:
        raw: A number with country code, in any spelling; with `region` also a national one.
        region: Two letters (`BR`): the country of a number written without a "+".
    """
    text = (raw or "").strip()
    if region is not None and not text.startswith("+"):
        return _national(text, region)
    if _SPELLING.fullmatch(text) is None:
        return None
    digits = _NOT_A_DIGIT.sub("", text)
    if not _MIN_DIGITS <= len(digits) <= _MAX_DIGITS or digits.startswith("0"):
        return None
    return f"+{digits}"


def canonical_phone(raw: str | None) -> str | None:
    """One spelling per person: with the Brazilian ninth digit, without the Mexican 1.

    It is for comparing and for showing. Send to the number as WhatsApp wrote it.
    """
    phone = normalise_phone(raw)
    if phone is None:
        return None
    digits = phone[1:]
    if match := _BRAZIL_OLD_MOBILE.fullmatch(digits):
        return f"+55{match[1]}9{match[2]}"
    if match := _MEXICO_OLD_MOBILE.fullmatch(digits):
        return f"+52{match[1]}"
    return phone


def same_phone(one: str | None, other: str | None) -> bool:
    """Whether both are one number, whatever the spelling; False when either is no number."""
    first = canonical_phone(one)
    return first is not None and first == canonical_phone(other)


def identity_keys(sender: SenderIdentity) -> tuple[tuple[str, str], ...]:
    """The keys to look a contact up by, the more lasting first: `bsuid`, then `phone`.

    A person with a user name may come without a phone, an older payload without a BSUID; two
    messages of one person share at least one key as long as either is repeated.
    """
    keys: list[tuple[str, str]] = []
    if sender.user_id:
        keys.append((BSUID_KEY, sender.user_id))
    phone = canonical_phone(sender.phone)
    if phone is not None:
        keys.append((PHONE_KEY, phone))
    return tuple(keys)


def _national(text: str, region: str) -> str | None:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
