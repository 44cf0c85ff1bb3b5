"""X-Twilio-Signature: HMAC over the public address and every field of the form.

Source: twilio.com/docs/usage/webhooks/webhooks-security; computed by Twilio's SDK.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from twilio.request_validator import (
    SIGNATURE_HEADER,
    SIGNATURE_SETTINGS_HEADER,
    RequestValidator,
    get_signature_algorithm,
)

__all__ = ["SIGNATURE_HEADER", "SIGNATURE_SETTINGS_HEADER", "Form", "is_signed"]


class Form:
    """Fields of a form in the shape the SDK reads: a name may have several values."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def getall(self, name: str) -> list[str]:
        """Every value of a name."""
        return self._values.get(name, [])

    def get(self, name: str) -> str:
        """The first value of a name; empty when there is none."""
        return next(iter(self._values.get(name, ())), "")

    def to_json(self) -> dict[str, list[str]]:
        """All fields, to be stored."""
        return {name: list(values) for name, values in self._values.items()}


def is_signed(
    urls: Sequence[str],
    form: Form,
    signature: str | None,
    *,
    auth_token: str,
    settings: str | None = None,
) -> bool:
    """Whether Twilio signed a request to one of these addresses.

    Args:
        urls: Our address as Twilio knows it, with its query; with and without a port are tried.
        form: Every field of the body, also those nobody here knows.
        signature: The header X-Twilio-Signature.
        auth_token: The secret.
        settings: The header X-Twilio-Webhooks-Signature-Settings, which names the algorithm.
    """
    if not signature or not signature.isascii():
        return False
    validator = RequestValidator(auth_token)
    algorithm = get_signature_algorithm(settings)
    return any(validator.validate(url, form, signature, algorithm) for url in urls)
