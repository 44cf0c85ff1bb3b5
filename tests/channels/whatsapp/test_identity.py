from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.message import SenderIdentity
from channels.whatsapp.identity import canonical_phone, identity_keys, normalise_phone, same_phone


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("55 11 98765-4321", "+5511987654321"),
        ("551187654321", "+5511987654321"),
        ("+55 (31) 8765-4321", "+5531987654321"),
        ("553171234567", "+5531971234567"),
        ("551161234567", "+5511961234567"),
        ("551133334444", "+551133334444"),  # landline
        ("552155554444", "+552155554444"),  # landline
        ("5511287654321", "+5511287654321"),  # nine digits that are no mobile: left alone
        ("5215512345678", "+525512345678"),
        ("525512345678", "+525512345678"),
        ("5491123456789", "+5491123456789"),
        ("16505551234", "+16505551234"),
        ("whatsapp:+5511987654321", "+5511987654321"),
        ("tel:+5511987654321", "+5511987654321"),
        ("", None),
        (None, None),
        ("abc", None),
        ("US.1349120865530", None),
        ("123456", None),
        ("1234567890123456", None),
        ("011987654321", None),
        ("٥٥١١٩٨٧٦٥٤٣٢١", None),
    ],
)
def test_two_spellings_of_one_number_are_one_key(written: str | None, expected: str | None) -> None:
    assert canonical_phone(written) == expected


@pytest.mark.parametrize(
    ("written", "region", "expected"),
    [
        ("(11) 98765-4321", "BR", "+5511987654321"),
        ("011 98765-4321", "BR", "+5511987654321"),
        ("+1 650 555 1234", "BR", "+16505551234"),
        ("98", "BR", None),
        ("nada", "BR", None),
        ("553187654321", None, "+553187654321"),
    ],
)
def test_a_number_is_normalised_with_or_without_its_country(
    written: str, region: str | None, expected: str | None
) -> None:
    assert normalise_phone(written, region=region) == expected


def test_the_lasting_key_comes_first_and_either_may_be_missing() -> None:
    both = SenderIdentity(user_id="BR.1", phone="+551187654321")

    assert identity_keys(both) == (("bsuid", "BR.1"), ("phone", "+5511987654321"))
    assert identity_keys(SenderIdentity(user_id="BR.1")) == (("bsuid", "BR.1"),)
    assert identity_keys(SenderIdentity(phone="+5511987654321")) == (("phone", "+5511987654321"),)
    assert identity_keys(SenderIdentity()) == ()


def test_no_number_equals_no_number() -> None:
    assert same_phone("5511987654321", "551187654321")
    assert not same_phone(None, None)
    assert not same_phone("abc", "abc")


@given(st.text() | st.from_regex(r"\+?\d{5,17}", fullmatch=True))
def test_a_canonical_number_is_its_own_canonical_number(written: str) -> None:
    once = canonical_phone(written)

    assert once is None or canonical_phone(once) == once
