"""Phone numbers in the one spelling everything else expects: E.164."""

from __future__ import annotations

import re

import phonenumbers

HOME_REGION = "BR"
"""Of a number that was written without its country: `(11) 91234-5678`."""

_E164 = re.compile(r"\+[1-9][0-9]{9,14}")
"""10 to 15 digits: what WhatsApp and Twilio take for a mobile number."""


class InvalidPhoneError(ValueError):
    """What was written is no phone number that can exist. Never holds the number."""

    field = "phone"
    expected = "a phone number that exists, such as +5511912345678"

    def __init__(self) -> None:
        super().__init__(f"{self.field}: expected {self.expected}")


def is_e164(number: str) -> bool:
    """Whether the text has the form of a number that a message can be sent to."""
    return _E164.fullmatch(number) is not None


def phone_number(written: str) -> str:
    """The number in E.164.

    Raises:
        InvalidPhoneError: when no such number can exist, by the plan of its country.
    """
    try:
        parsed = phonenumbers.parse(written, HOME_REGION)
    except phonenumbers.NumberParseException as error:
        raise InvalidPhoneError from error
    number = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    if not phonenumbers.is_valid_number(parsed) or not _E164.fullmatch(number):
        raise InvalidPhoneError
    return number
