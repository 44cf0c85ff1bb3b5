"""Where Twilio tells what became of an SMS: written by the sender, served by the web process."""

from __future__ import annotations

import uuid
from urllib.parse import urlencode

CALLBACK_PATH = "/webhooks/twilio/status"
CALLBACK_ID = "n"
"""Name of the query's field that holds the notification's id."""

CALLBACK_RETRIES = "rc=4&rp=all"
"""Twilio's connection overrides, in the fragment: by default it tries a callback again only when it
got no connection; so it also does when we answer 500. All tries together take at most 15 s.
twilio.com/docs/usage/webhooks/webhooks-connection-overrides"""


def callback_url(public_url: str, notification_id: uuid.UUID) -> str:
    """The StatusCallback of a notice."""
    query = urlencode({CALLBACK_ID: str(notification_id)})
    return f"{public_url.rstrip('/')}{CALLBACK_PATH}?{query}#{CALLBACK_RETRIES}"
