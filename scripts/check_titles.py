"""Check the buttons in `domain.yml`: WhatsApp refuses a title that is too long or there twice.

    python scripts/check_titles.py domain.yml

prints every mistake with its line (exit code 1), or "ok". `make assistant-test` runs it. Titles in
`handoff.yml` are checked where that file is read.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

# Meta's OpenAPI description of the Cloud API, interactive messages; more buttons become a list.
BUTTON_TITLE = 20
BUTTONS = 3
_BAD_USE = 2


def utf16_length(text: str) -> int:
    """Length in UTF-16 units: never less than code points or what a person sees."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def problems_in(path: Path) -> list[str]:
    """Every mistake of a domain file, as `file:line: place: what`."""
    try:
        root = YAML(pure=True).compose(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        return [f"{path}:{line}: yaml: {error.problem}"]
    except (YAMLError, OSError, UnicodeDecodeError) as error:
        return [f"{path}:1: file: cannot be read ({error})"]
    found = []
    for name, variations in _entries(_child(root, "responses")):
        for number, variation in enumerate(_items(variations)):
            buttons = _child(variation, "buttons")
            place = f"responses.{name}[{number}].buttons"
            found += [f"{path}:{line}: {place}{what}" for line, what in _buttons(buttons)]
    return found


def _buttons(node: Node | None) -> Iterator[tuple[int, str]]:
    buttons = _items(node)
    if node is not None and len(buttons) > BUTTONS:
        # The line of the key: the list begins below it.
        yield node.start_mark.line, f": {len(buttons)} buttons; expected at most {BUTTONS}"
    seen: set[str] = set()
    for number, button in enumerate(buttons):
        title = _child(button, "title")
        line = button.start_mark.line + 1
        if not isinstance(title, ScalarNode):
            yield line, f"[{number}]: has no title; expected title: a text"
            continue
        words = str(title.value).strip()
        length = utf16_length(words)
        if not words:
            yield title.start_mark.line + 1, f"[{number}].title: is empty; expected a text"
        elif length > BUTTON_TITLE:
            what = f"{words!r} has {length} characters; expected at most {BUTTON_TITLE}"
            yield title.start_mark.line + 1, f"[{number}].title: {what}"
        elif words.casefold() in seen:
            what = f"{words!r} is there twice; expected another title"
            yield title.start_mark.line + 1, f"[{number}].title: {what}"
        seen.add(words.casefold())


def _child(node: Node | None, key: str) -> Node | None:
    return next((value for name, value in _entries(node) if name == key), None)


def _entries(node: Node | None) -> Sequence[tuple[str, Node]]:
    if not isinstance(node, MappingNode):
        return ()
    return [(str(key.value), value) for key, value in node.value]


def _items(node: Node | None) -> Sequence[Node]:
    return node.value if isinstance(node, SequenceNode) else ()


def main(arguments: Sequence[str]) -> int:
    """0: all right, 1: mistakes, 2: bad use."""
    if not arguments or arguments[0] in {"-h", "--help"}:
        print("usage: python scripts/check_titles.py FILE...   (example: domain.yml)")
        return 0 if arguments else _BAD_USE
    problems = [problem for name in arguments for problem in problems_in(Path(name))]
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"{', '.join(arguments)}: titles ok")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
