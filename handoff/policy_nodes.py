"""Reading typed values out of a parsed file, keeping line numbers and collecting every problem.

A reader never stops at the first mistake: it notes it, answers with a harmless value and goes on,
so that a designer sees all of them at once.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

Scalar = str | int | float | bool | None

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_SHORT_LIST = 12  # more names than this do not help in an error message


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the file.

    Attributes:
        line: Line of the value (for an entry of a mapping: of its key), from 1.
        path: Where it is, for example "rules[3].when.top_intent".
        value: A scalar, the items of a list, or the entries of a mapping.
    """

    line: int
    path: str
    value: Scalar | Sequence[Node] | Mapping[str, Node]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong in the file."""

    line: int
    path: str
    text: str

    def located(self, filename: str) -> str:
        """As compilers print it, so that editors jump to the line."""
        return f"{filename}:{self.line}: {self.path}: {self.text}"


@dataclass(slots=True)
class Reader:
    """Typed access to nodes; what is wrong ends up in `problems`."""

    problems: list[Problem] = field(default_factory=list)

    def wrong(self, node: Node, what: str) -> None:
        """Note a problem at a node."""
        self.problems.append(Problem(node.line, node.path, what))

    def section(
        self,
        node: Node,
        *,
        required: Collection[str],
        optional: Collection[str] = (),
    ) -> dict[str, Node]:
        """The entries of a mapping with fixed keys; unknown and missing keys are problems."""
        entries = self.entries(node)
        known = [*required, *optional]
        for key, entry in entries.items():
            if key not in known:
                self.wrong(entry, f"unknown key{expected_names(key, known)}")
        for key in required:
            if key not in entries and isinstance(node.value, Mapping):
                self.wrong(node, f"key {key!r} is missing")
        return {key: entry for key, entry in entries.items() if key in known}

    def entries(self, node: Node) -> Mapping[str, Node]:
        """The entries of a mapping with free keys."""
        if isinstance(node.value, Mapping):
            return node.value
        self.wrong(node, f"got {shown(node)}; expected keys with values")
        return {}

    def items(self, node: Node) -> Sequence[Node]:
        """The items of a list."""
        if isinstance(node.value, Sequence) and not isinstance(node.value, str):
            return node.value
        self.wrong(node, f"got {shown(node)}; expected a list")
        return ()

    def text(self, node: Node) -> str:
        """A text that is not blank."""
        if isinstance(node.value, str) and node.value.strip():
            return node.value.strip()
        self.wrong(node, f"got {shown(node)}; expected a text")
        return ""

    def flag(self, node: Node) -> bool:
        """True or false."""
        if isinstance(node.value, bool):
            return node.value
        self.wrong(node, f"got {shown(node)}; expected true or false")
        return False

    def number(self, node: Node, *, low: float, high: float) -> float:
        """A number from `low` to `high`, both included."""
        value = node.value
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if is_number and isinstance(value, (int, float)) and low <= value <= high:
            return float(value)
        self.wrong(node, f"got {shown(node)}; expected a number from {low:g} to {high:g}")
        return low

    def whole(self, node: Node, *, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        value = node.value
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self.wrong(node, f"got {shown(node)}; expected a whole number from {low} to {high}")
        return low

    def one_of(self, node: Node, allowed: Collection[str], *, kind: str = "value") -> str:
        """One name out of a list."""
        value = self.text(node)
        if value and value not in allowed:
            self.wrong(node, f"unknown {kind} {value!r}{expected_names(value, allowed)}")
        return value if value in allowed else next(iter(allowed), "")

    def names(
        self,
        node: Node,
        *,
        allowed: Collection[str] | None = None,
        kind: str = "value",
        may_be_empty: bool = False,
    ) -> tuple[str, ...]:
        """One name or a list of them, each once."""
        if isinstance(node.value, str):
            nodes: Sequence[Node] = (node,)
        else:
            nodes = self.items(node)
            if not nodes and not may_be_empty and isinstance(node.value, Sequence):
                self.wrong(node, "the list is empty; expected at least one value")
        read = (
            self.text(item) if allowed is None else self.one_of(item, allowed, kind=kind)
            for item in nodes
        )
        return tuple(dict.fromkeys(name for name in read if name))

    def by_language(
        self,
        node: Node,
        languages: Sequence[str],
        *,
        longest: int | None = None,
        placeholders: Collection[str] = (),
    ) -> dict[str, str]:
        """A text in each language, with only the placeholders that will be filled in."""
        entries = self.section(node, required=languages)
        texts = {language: self.text(entry) for language, entry in entries.items()}
        for language, written in texts.items():
            entry = entries[language]
            # In UTF-16, as nobody counts more: a flag is 4 of them, whatever the channel says.
            length = len(written.encode("utf-16-le", "surrogatepass")) // 2
            if longest is not None and length > longest:
                what = f"{written!r} has {length} characters; expected at most {longest}"
                self.wrong(entry, what)
            unknown = set(_PLACEHOLDER.findall(written)) - set(placeholders)
            for name in sorted(unknown):
                what = f"unknown placeholder {{{name}}}{expected_names(name, placeholders)}"
                self.wrong(entry, what)
            if not {"{", "}"}.isdisjoint(_PLACEHOLDER.sub("", written)):
                self.wrong(entry, "a brace without its partner; expected {name}")
        return texts


def expected_names(given: str, known: Collection[str]) -> str:
    """The tail of an error message: what was expected, and the nearest name if there is one."""
    if not known:
        return "; expected none"
    near = difflib.get_close_matches(given, list(known), n=1)
    suggestion = f"; did you mean {near[0]!r}?" if near else ""
    if len(known) > _SHORT_LIST and near:
        return suggestion
    return f"; expected one of {', '.join(known)}{suggestion}"


def shown(node: Node) -> str:
    """What stands in the file, short enough for a message."""
    value = node.value
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "keys with values"
    if isinstance(value, (str, int, float)):
        return repr(value)
    return "a list"
