"""The contract of a job as JSON Schema, for the API's description."""

from __future__ import annotations

from typing import Any

from notifications.domain.contract import EVENTS, EXPECTED_USER, JOB_NAMES
from notifications.domain.job_context import LONGEST_LINK, LONGEST_SOURCE
from notifications.domain.jobs import PAYLOAD_VERSION
from notifications.domain.notice_facts import LONGEST_BODY, LONGEST_TITLE
from notifications.domain.recipients import LANGUAGES


def job_schema() -> dict[str, Any]:
    """A job without what the headers of its request say.

    It describes; `parse_job` decides, and knows what a schema cannot say.
    """
    text = {"type": "string", "minLength": 1}
    languages = {"type": "object", "properties": dict.fromkeys(LANGUAGES, text)}
    by_language = {**languages, "additionalProperties": False, "minProperties": 1}
    return {
        "type": "object",
        "required": ["job_name", "context"],
        "additionalProperties": False,
        "properties": {
            "job_name": {"type": "string", "enum": list(JOB_NAMES)},
            "version": {"type": "integer", "const": PAYLOAD_VERSION, "default": PAYLOAD_VERSION},
            "recipient": {
                **text,
                "description": "Of send-...: an e-mail address, a number in E.164, a push token.",
            },
            "user": {**text, "description": f"Of notify-user: {EXPECTED_USER}."},
            "event": {
                "type": "string",
                "enum": list(EVENTS),
                "description": "Of notify-user user-notice when it is not named.",
            },
            "language": {"type": "string", "enum": list(LANGUAGES)},
            "context": {
                "type": "object",
                "required": ["source"],
                "description": "What the words are made of; at most 16 KB.",
                "properties": {
                    "source": {**text, "maxLength": LONGEST_SOURCE},
                    "title": {"anyOf": [{**text, "maxLength": LONGEST_TITLE}, by_language]},
                    "body": {"anyOf": [{**text, "maxLength": LONGEST_BODY}, by_language]},
                    "link": {**text, "maxLength": LONGEST_LINK, "pattern": "^/(?!/)"},
                    "ticket_id": {"type": "string", "format": "uuid"},
                },
            },
        },
    }
