"""Entity tags: `If-None-Match` saves an answer, `If-Match` saves somebody else's work.

The tag of a ticket begins with its version, because that is what a command is checked against; the
rest is a hash of the answer, because messages and names change without a new version. A command
answers with the new version alone. **Source:** RFC 9110, sections 8.8.3 and 13.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from ticketing.http.problems import Problem, ProblemError

_TAG = re.compile(r'\s*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)')
_VERSION = re.compile(r"(\d{1,9})(?:\.[0-9a-f]{16})?")
NEVER = 0
"""A version that no ticket has: the condition cannot hold."""


def tag_of_read(value: Any, body: bytes) -> str:
    """The entity tag of what was read."""
    digest = hashlib.sha256(body).hexdigest()[:16]
    version = version_of(value)
    return f'"{digest}"' if version is None else f'"{version}.{digest}"'


def tag_of_command(value: Any) -> str | None:
    """The entity tag after a command; None when the answer holds no ticket."""
    version = version_of(value)
    return None if version is None else f'"{version}"'


def version_of(value: Any) -> int | None:
    """The version of the ticket that an answer is about."""
    version = getattr(getattr(value, "ticket", None), "version", None)
    return version if isinstance(version, int) else None


def read_already(header: str | None, tag: str) -> bool:
    """Whether the reader has this very answer (weak comparison)."""
    if header is None:
        return False
    return header.strip() == "*" or any(f'"{opaque}"' == tag for _, opaque in _tags(header))


def wanted_version(header: str | None) -> int | None:
    """The version that `If-Match` wants; None when it wants none.

    Raises:
        ProblemError: when it cannot be read.
    """
    if header is None or header.strip() == "*":
        return None
    tags = _tags(header)
    if len(tags) != 1:
        detail = 'If-Match: expected one entity tag, such as "7", or *'
        raise ProblemError(Problem("invalid_value", detail, field="If-Match"))
    weak, opaque = tags[0]
    found = _VERSION.fullmatch(opaque)
    # A weak tag never matches here, and neither does a tag that is not a ticket's.
    return NEVER if weak or found is None else int(found[1])


def _tags(header: str) -> list[tuple[bool, str]]:
    """All tags of a header, or none when any part of it is no tag."""
    found: list[tuple[bool, str]] = []
    place = 0
    while place < len(header):
        match = _TAG.match(header, place)
        if match is None:
            return []
        found.append((match[1] is not None, match[2]))
        place = match.end()
    return found
