"""Reading `handoff.yml`: every mistake in it named with its line.

`python -m handoff.policy_file handoff.yml` prints "ok" or the mistakes (exit code 0 or 1).
The only module of `handoff` that does I/O and needs a library (ruamel.yaml, for line numbers).
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from datetime import date
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as YAMLNode

from handoff.policy import HandoffPolicy
from handoff.policy_calendars import HolidayDates
from handoff.policy_nodes import Node, Problem, Reader, Scalar
from handoff.policy_sections import read_policy

_TAG = "tag:yaml.org,2002:"
_TRUE = frozenset({"true", "True", "TRUE"})
_BAD_USE = 2


class PolicyError(ValueError):
    """The policy file is wrong; the text lists every problem with its line.

    Attributes:
        problems: The same, as values, in line order.
    """

    def __init__(self, filename: str, problems: Sequence[Problem]) -> None:
        self.filename = filename
        self.problems = tuple(sorted(set(problems)))
        lines = [f"{filename}:{item.line}: {item.path}: {item.text}" for item in self.problems]
        super().__init__("\n".join(lines))


def load_policy(
    path: str | Path,
    *,
    known_intents: Collection[str] | None = None,
    holiday_dates: HolidayDates | None = None,
) -> HandoffPolicy:
    """The policy in a file; see `parse_policy`.

    Raises:
        PolicyError: It cannot be read, or something in it is wrong.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        problem = Problem(1, "file", f"cannot be read ({err}); expected a UTF-8 text file")
        raise PolicyError(str(path), [problem]) from err
    return parse_policy(
        text,
        filename=str(path),
        known_intents=known_intents,
        holiday_dates=holiday_dates,
    )


def parse_policy(
    text: str,
    *,
    filename: str = "handoff.yml",
    known_intents: Collection[str] | None = None,
    holiday_dates: HolidayDates | None = None,
) -> HandoffPolicy:
    """The policy a YAML text describes.

    Args:
        text: The content of the file.
        filename: For the messages.
        known_intents: The intents of the assistant's domain; when given, the file must have
            titles for exactly these.
        holiday_dates: Source of public holidays (`ponte.holiday_dates.holiday_dates`); needed
            when a calendar names a country.

    Raises:
        PolicyError: Something is wrong; lists all of it.
    """
    reader = Reader()
    root = _compose(text, filename, reader)
    policy = read_policy(
        root,
        reader,
        known_intents=known_intents,
        holiday_dates=holiday_dates,
    )
    if policy is None or reader.problems:
        raise PolicyError(filename, reader.problems)
    return policy


def _compose(text: str, filename: str, reader: Reader) -> Node:
    try:
        root = YAML(pure=True).compose(text)
    except MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        line = mark.line + 1 if mark is not None else 1
        problem = Problem(line, "yaml", str(err.problem or err.context or "cannot be parsed"))
        raise PolicyError(filename, [problem]) from err
    except (YAMLError, ValueError) as err:
        raise PolicyError(filename, [Problem(1, "yaml", f"cannot be parsed ({err})")]) from err
    if root is None:
        raise PolicyError(filename, [Problem(1, "file", "is empty; expected a handoff policy")])
    return _convert(root, line=root.start_mark.line + 1, path="", inside=(), reader=reader)


def _convert(
    node: YAMLNode,
    *,
    line: int,
    path: str,
    inside: tuple[int, ...],
    reader: Reader,
) -> Node:
    """The tree of the YAML library as our own, with duplicate keys and loops reported."""
    shown = path or "file"
    if id(node) in inside:
        reader.wrong(Node(line, shown, None), "refers to itself; expected a value")
        return Node(line, shown, None)
    inside = (*inside, id(node))
    if isinstance(node, ScalarNode):
        return Node(line, shown, _scalar(node))
    if isinstance(node, SequenceNode):
        items = [
            _convert(
                item,
                line=item.start_mark.line + 1,
                path=f"{path}[{number}]",
                inside=inside,
                reader=reader,
            )
            for number, item in enumerate(node.value)
        ]
        return Node(line, shown, items)
    entries: dict[str, Node] = {}
    for key_node, value_node in node.value if isinstance(node, MappingNode) else ():
        key, key_line = str(key_node.value), key_node.start_mark.line + 1
        entry_path = f"{path}.{key}" if path else key
        entry = _convert(value_node, line=key_line, path=entry_path, inside=inside, reader=reader)
        if key in entries:
            reader.wrong(entry, f"key is given twice, first in line {entries[key].line}")
        entries[key] = entry
    return Node(line, shown, entries)


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


def _no_holidays(_country: str, _subdivision: str | None, _year: int) -> Collection[date]:
    """Stands in for the calendar library, which this module does not know."""
    return ()


def main(arguments: Sequence[str]) -> int:
    """Check the files named on the command line; 0: all right, 1: mistakes, 2: bad use."""
    if not arguments or arguments[0] in {"-h", "--help"}:
        print("usage: python -m handoff.policy_file FILE...   (example: handoff.yml)")
        return 0 if arguments else _BAD_USE
    results = [_check(name) for name in arguments]
    return 0 if all(results) else 1


def _check(name: str) -> bool:
    try:
        policy = load_policy(name, holiday_dates=_no_holidays)
    except PolicyError as err:
        print(err, file=sys.stderr)
        return False
    print(f"{name}: ok ({policy.name}, version {policy.version})")
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
