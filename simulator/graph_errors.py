"""Errors in the words of Meta's Graph API."""

from __future__ import annotations

import secrets
from typing import Any, NoReturn

# Title, HTTP status. developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes
_KNOWN: dict[int, tuple[str, int]] = {
    1: ("API Unknown", 500),
    2: ("API Service", 503),
    4: ("API Too Many Calls", 429),
    33: ("Parameter value is not valid", 400),
    100: ("Invalid parameter", 400),
    190: ("Access token has expired", 401),
    368: ("Temporarily blocked for policies violations", 403),
    80007: ("Rate limit issues", 429),
    130429: ("Rate limit hit", 429),
    130472: ("User's number is part of an experiment", 400),
    131000: ("Something went wrong", 500),
    131008: ("Required parameter is missing", 400),
    131009: ("Parameter value is not valid", 400),
    131016: ("Service unavailable", 500),
    131021: ("Recipient cannot be sender", 400),
    131026: ("Message undeliverable", 400),
    131031: ("Account has been locked", 403),
    131042: ("Business eligibility payment issue", 400),
    131047: ("Re-engagement message", 400),
    131048: ("Spam rate limit hit", 400),
    131049: ("Message was not delivered to maintain healthy ecosystem engagement", 400),
    131050: ("User stopped marketing messages", 400),
    131051: ("Unsupported message type", 400),
    131053: ("Media upload error", 400),
    131056: ("(Business Account, Consumer Account) pair rate limit hit", 400),
    131057: ("Account in maintenance mode", 500),
    132000: ("Template Param Count Mismatch", 400),
    132001: ("Template does not exist", 404),
}
# Meta accepts these and tells of the failure in a status webhook.
TOLD_LATER = frozenset({130472, 131026, 131047, 131048, 131049, 131050, 131053})


class GraphError(Exception):
    """A refusal of the simulated Graph API."""

    def __init__(
        self, code: int, details: str, *, status: int | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(details)
        title, usual = _KNOWN.get(code, ("Something went wrong", 400))
        self.code = code
        self.title = title
        self.details = details
        self.status = usual if status is None else status
        self.retry_after = retry_after

    def answer(self) -> dict[str, Any]:
        """The body Meta answers with."""
        return {
            "error": {
                "message": f"(#{self.code}) {self.title}",
                "type": "OAuthException",
                "code": self.code,
                "error_data": {"messaging_product": "whatsapp", "details": self.details},
                "fbtrace_id": secrets.token_urlsafe(16),
            }
        }

    def in_status(self) -> dict[str, Any]:
        """The same error as a `failed` status carries it."""
        return {
            "code": self.code,
            "title": self.title,
            "message": self.title,
            "error_data": {"details": self.details},
            "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
        }


def refuse(code: int, details: str, *, status: int | None = None) -> NoReturn:
    """Raise the error with this code.

    Raises:
        GraphError: Always.
    """
    raise GraphError(code, details, status=status)
