"""What a tag may look like."""

from __future__ import annotations

import re

MAX_TAGS = 20
"""Of one ticket: more cannot be read at a glance, and are a sign of a program gone wrong."""
MAX_TAG = 40  # characters; fits a column of the list
_WORD = re.compile(r"[^\W_]+(?:[-_.:][^\W_]+)*")


class InvalidTagError(ValueError):
    """A tag is not written as tags are, or there are too many."""

    field = "tags"

    def __init__(self, problem: str) -> None:
        super().__init__(f"tags: {problem}")


def tag_of(text: str) -> str:
    """The tag that a text means: lower case, spaces as hyphens. `VIP Cliente` is `vip-cliente`.

    Raises:
        InvalidTagError: when it is empty, too long or has other characters than words need.
    """
    tag = "-".join(text.casefold().split())
    if not tag or len(tag) > MAX_TAG or _WORD.fullmatch(tag) is None:
        problem = (
            f"{text[:MAX_TAG]!r} is not a tag; expected 1 to {MAX_TAG} letters and digits, "
            "joined by - _ . or :"
        )
        raise InvalidTagError(problem)
    return tag
