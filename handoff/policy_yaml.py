"""YAML text as a tree of our own nodes with line numbers; whatever is odd in it is a problem.

With `policy_file` the only module of `handoff` that needs a library (ruamel.yaml, for the lines).
Nothing is constructed from the text but texts, numbers, true, false and nothing, so no tag can run
anything. Anchors, aliases and merge keys (`<<`) work; what they expand to is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as YAMLNode
from ruamel.yaml.reader import ReaderError

from handoff.policy_nodes import Node, Problem, Reader, Scalar

MAX_VALUES = 50_000
"""Values after aliases are expanded; a policy of a hundred rules has about 3,000."""

_MAX_DEPTH = 30  # the format needs 7
_TAG = "tag:yaml.org,2002:"
_MERGE = "<<"
_TRUE = frozenset({"true", "True", "TRUE"})


class YAMLProblemError(ValueError):
    """The text is no YAML that could be a policy.

    Attributes:
        problem: What, and where.
    """

    def __init__(self, line: int, path: str, text: str) -> None:
        self.problem = Problem(line, path, text)
        super().__init__(f"{line}: {path}: {text}")


def read_tree(text: str, reader: Reader) -> Node:
    """The root node; duplicate keys, loops and odd keys are noted in the reader.

    Raises:
        YAMLProblemError: It cannot be parsed, is empty, or expands to too much.
    """
    try:
        root = YAML(pure=True).compose(text)
    except MarkedYAMLError as err:
        raise _explained(err, text) from err
    except ReaderError as err:
        line = text.count("\n", 0, err.position or 0) + 1
        what = f"the character {err.character!r} does not belong in a text; expected none such"
        raise YAMLProblemError(line, "yaml", what) from err
    except RecursionError as err:
        raise YAMLProblemError(1, "yaml", "is nested too deeply; expected a policy") from err
    # The library answers some broken texts with whatever went wrong inside it; to the designer
    # all of that is a text that is no YAML.
    except (YAMLError, ValueError, AttributeError, IndexError, KeyError, TypeError) as err:
        raise YAMLProblemError(1, "yaml", f"cannot be parsed ({err})") from err
    if root is None:
        raise YAMLProblemError(1, "file", "is empty; expected a handoff policy")
    return _Converter(reader).node(root, _Place(root.start_mark.line + 1, ""), inside=())


def _explained(err: MarkedYAMLError, text: str) -> YAMLProblemError:
    mark = err.problem_mark or err.context_mark
    line = mark.line + 1 if mark is not None else 1
    lines = text.splitlines()
    written = lines[line - 1] if 0 < line <= len(lines) else ""
    indent = written[: len(written) - len(written.lstrip())]
    what = str(err.problem or err.context or "cannot be parsed")
    if "\t" in indent or "'\\t'" in what:
        what = "a tab in the indentation; expected spaces"
    elif err.problem and err.context:
        what = f"{err.problem} ({err.context})"
    return YAMLProblemError(line, "yaml", " ".join(what.split()))


@dataclass(frozen=True, slots=True)
class _Place:
    line: int
    path: str

    @property
    def shown(self) -> str:
        return self.path or "file"

    def wrong(self) -> Node:
        """A value that stands for something that cannot be used."""
        return Node(self.line, self.shown, None)


@dataclass(slots=True)
class _Converter:
    """The tree of the YAML library as our own."""

    reader: Reader
    values: int = 0

    def node(self, node: YAMLNode, place: _Place, *, inside: tuple[int, ...]) -> Node:
        self.values += 1
        if self.values > MAX_VALUES:
            what = f"expands to more than {MAX_VALUES} values; expected fewer aliases"
            raise YAMLProblemError(place.line, place.shown, what)
        if len(inside) > _MAX_DEPTH:
            raise YAMLProblemError(place.line, place.shown, "is nested too deeply")
        if id(node) in inside:
            self.reader.wrong(place.wrong(), "refers to itself; expected a value")
            return place.wrong()
        inside = (*inside, id(node))
        if isinstance(node, ScalarNode):
            return Node(place.line, place.shown, _scalar(node))
        if isinstance(node, SequenceNode):
            items = [
                self.node(
                    item,
                    _Place(item.start_mark.line + 1, f"{place.path}[{number}]"),
                    inside=inside,
                )
                for number, item in enumerate(node.value)
            ]
            return Node(place.line, place.shown, items)
        return Node(place.line, place.shown, self._entries(node, place, inside))

    def _entries(
        self,
        node: YAMLNode,
        place: _Place,
        inside: tuple[int, ...],
    ) -> dict[str, Node]:
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for key_node, value_node in node.value if isinstance(node, MappingNode) else ():
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                self.reader.wrong(Node(line, place.shown, None), "a key is no text; expected one")
                continue
            key = str(key_node.value)
            if key == _MERGE and key_node.style is None:
                for name, entry in self._merged(value_node, place, inside).items():
                    merged.setdefault(name, entry)
                continue
            at = _Place(line, f"{place.path}.{key}" if place.path else key)
            entry = self.node(value_node, at, inside=inside)
            if key in own:
                what = f"key is given twice, first in line {own[key].line}"
                self.reader.wrong(entry, what)
            own[key] = entry
        return {**merged, **own}

    def _merged(self, node: YAMLNode, place: _Place, inside: tuple[int, ...]) -> dict[str, Node]:
        """What `<<: *name`, or a list of such names, brings in; the first one wins."""
        sources = node.value if isinstance(node, SequenceNode) else [node]
        merged: dict[str, Node] = {}
        for source in sources:
            if id(source) in inside or not isinstance(source, MappingNode):
                self.reader.wrong(
                    Node(node.start_mark.line + 1, f"{place.path}.<<".lstrip("."), None),
                    "cannot be merged; expected the name of a mapping (<<: *name)",
                )
                continue
            self.values += 1
            if len(inside) > _MAX_DEPTH or self.values > MAX_VALUES:
                raise YAMLProblemError(place.line, place.shown, "is nested too deeply")
            entries = self._entries(source, place, (*inside, id(source)))
            for name, entry in entries.items():
                merged.setdefault(name, entry)
        return merged


def _scalar(node: ScalarNode) -> Scalar:
    """The scalar by its YAML 1.2 type; what is no number, boolean or null stays text."""
    kind, raw = str(node.tag).removeprefix(_TAG), str(node.value)
    if kind == "null":
        return None
    if kind == "bool":
        return raw in _TRUE
    try:
        if kind == "int":
            return int(raw.replace("_", ""), 0)
        if kind == "float":
            return float(raw.replace("_", ""))
    except ValueError:  # forms such as .inf or 010: no number that this file could want
        return raw
    return raw
