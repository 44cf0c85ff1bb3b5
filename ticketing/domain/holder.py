"""What is in force now of something that is read from a file and may change while we run."""

from __future__ import annotations

from typing import Generic, TypeVar

ContentT = TypeVar("ContentT")


class Holder(Generic[ContentT]):
    """Holds one content; another takes its place at once and as a whole.

    Whoever does something with several steps asks `current` once, at its beginning.
    """

    __slots__ = ("_content",)

    def __init__(self, content: ContentT) -> None:
        self._content = content

    def current(self) -> ContentT:
        """The content in force now."""
        return self._content

    def replace(self, content: ContentT) -> None:
        """Put another in force."""
        self._content = content
