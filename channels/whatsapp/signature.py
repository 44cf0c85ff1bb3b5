"""X-Hub-Signature-256: proof that Meta sent a webhook.

HMAC-SHA256 with the app secret over the raw bytes of the body. Meta signs a body with escaped
unicode, so JSON that was parsed and written again never verifies: keep the bytes.
Source: developers.facebook.com/docs/graph-api/webhooks/getting-started#event-notifications.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

_PREFIX = "sha256="


def sign(raw: bytes, secret: str) -> str:
    """The header value for `raw`: `sha256=` and 64 hex digits."""
    return _PREFIX + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()


def verify(raw: bytes, header: str | None, secrets: Sequence[str]) -> bool:
    """Whether `header` signs `raw` with one of `secrets`.

    Several secrets are allowed while the app secret is being rotated; each is tried, so the time
    taken tells nothing about which one matched. Blank secrets never match. Never raises.
    """
    if header is None:
        return False
    try:
        # Meta writes lower-case hex; the comparison below refuses non-ASCII text with TypeError.
        given = header.strip().lower().encode("ascii")
    except UnicodeEncodeError:
        return False
    matched = False
    for secret in secrets:
        if secret.strip():
            expected = sign(raw, secret.strip()).encode("ascii")
            matched = hmac.compare_digest(expected, given) or matched
    return matched
