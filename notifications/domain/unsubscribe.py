"""The signed link of an e-mail that turns its kind off: it names the notice, and nobody.

It holds as long as the row of the notice is kept (`retention.yml`): who may unsubscribe, and from
what, is read there. So the link itself needs no end, and a stolen one turns off one kind of e-mail
for one person, which they can turn on again.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid

PATH = "/n/unsubscribe"
_PURPOSE = b"ponte: unsubscribe link, version 1"
_MAC_DIGITS = 32  # hexadecimal: 128 bits, beyond guessing


def unsubscribe_url(secret: str, base_url: str, notification_id: uuid.UUID) -> str:
    """The link of one notice. `secret` is any secret of the installation: a key is derived."""
    return f"{base_url.rstrip('/')}{PATH}?t={notification_id.hex}{_mac(secret, notification_id)}"


def read_token(secret: str, token: str) -> uuid.UUID | None:
    """Which notice a link is of; None when the token is not one that we made."""
    if not secret or len(token) != 32 + _MAC_DIGITS or not token.isascii():
        return None
    try:
        notification_id = uuid.UUID(hex=token[:32])
    except ValueError:
        return None
    good = hmac.compare_digest(_mac(secret, notification_id), token[32:])
    return notification_id if good else None


def _mac(secret: str, notification_id: uuid.UUID) -> str:
    key = hmac.new(secret.encode(), _PURPOSE, hashlib.sha256).digest()
    return hmac.new(key, notification_id.bytes, hashlib.sha256).hexdigest()[:_MAC_DIGITS]
