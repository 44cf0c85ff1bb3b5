"""The policy in force, for whoever must notice that it was replaced while the process runs."""

from __future__ import annotations

from handoff.policy import HandoffPolicy


class PolicyHolder:
    """Holds one policy; a new one takes its place at once and as a whole.

    Whoever does something with several steps asks `current` once, at its beginning, and goes on
    with what it got: so one turn is never decided by two versions.
    """

    __slots__ = ("_policy",)

    def __init__(self, policy: HandoffPolicy) -> None:
        self._policy = policy

    def current(self) -> HandoffPolicy:
        """The policy in force now."""
        return self._policy

    def replace(self, policy: HandoffPolicy) -> None:
        """Put another policy in force."""
        self._policy = policy
