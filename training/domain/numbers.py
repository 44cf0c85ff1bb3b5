"""What a long number is: CPF, CNPJ, card, telephone. Check digits, nothing else."""

from __future__ import annotations

from collections.abc import Sequence

_CPF, _CNPJ = 11, 14  # digits
_CARD = range(13, 20)  # digits; ISO/IEC 7812 allows up to 19
_PHONE = range(8, 16)  # digits; E.164 allows up to 15
_NINE = 9


def kind_of(digits: str) -> str:
    """`cpf`, `cnpj`, `card`, `phone` or `number`, for reports; every long number is removed alike.

    A CPF or CNPJ with a wrong check digit is a `phone` or a `number`: it is removed all the same,
    because it is a slip of the finger away from a real one.
    """
    if len(digits) == _CPF and is_cpf(digits):
        return "cpf"
    if len(digits) == _CNPJ and is_cnpj(digits):
        return "cnpj"
    if len(digits) in _CARD and is_card(digits):
        return "card"
    return "phone" if len(digits) in _PHONE else "number"


def is_cpf(digits: str) -> bool:
    """Whether eleven digits end in the check digits of a CPF (Receita Federal, modulo 11)."""
    if len(digits) != _CPF or len(set(digits)) == 1:
        return False
    first = _modulo_11(digits[:9], range(10, 1, -1))
    second = _modulo_11(digits[:10], range(11, 1, -1))
    return digits[9:] == f"{first}{second}"


def is_cnpj(digits: str) -> bool:
    """Whether fourteen digits end in the check digits of a CNPJ."""
    if len(digits) != _CNPJ or len(set(digits)) == 1:
        return False
    weights = (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)
    first = _modulo_11(digits[:12], weights[1:])
    second = _modulo_11(digits[:13], weights)
    return digits[12:] == f"{first}{second}"


def is_card(digits: str) -> bool:
    """Whether the digits pass the Luhn check of payment cards (ISO/IEC 7812-1)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - _NINE if value > _NINE else value
    return total % 10 == 0


def _modulo_11(digits: str, weights: Sequence[int]) -> int:
    rest = sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True)) % 11
    return 0 if rest < 2 else 11 - rest  # noqa: PLR2004 - the rule of both numbers
