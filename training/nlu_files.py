"""Training files: read the examples, and add one without touching anything else.

An example is added as one new line at the end of its intent's block; every other byte stays, and
the file is read again before it replaces the old one. A lock on the folder lets one writer in at a
time; a crash leaves either the old file or the new one.
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from training.domain.scrub import ORDER_NUMBER
from training.domain.similarity import key_of

_ANNOTATION = re.compile(r"\[([^\]]+)\](?:\([^)]*\)|\{[^}]*\})")
_INTENT = re.compile(r"^(?P<indent> *)- intent: *[\"']?(?P<intent>[\w/+-]+)[\"']? *(?:#.*)?$")
_EXAMPLES = re.compile(r"^ *examples: *\|[+-]? *$")
_MAX_TEXT = 300
HELD_OUT = ("tests/rasa/nlu_validation.yml", "tests/rasa/nlu_test.yml")


class TrainingDataError(Exception):
    """The files cannot be read or written; the text says which and what to do."""


class ExampleRefusedError(ValueError):
    """This text may not become an example of this intent."""

    def __init__(self, problem: str, *, field: str) -> None:
        self.field = field
        super().__init__(f"{field}: {problem}")


@dataclass(frozen=True, slots=True)
class Example:
    """One sentence of the training data, without markup."""

    language: str
    intent: str
    text: str


@dataclass(frozen=True, slots=True)
class Written:
    """Where an example stands. `added` is False when it had been there before."""

    path: str
    line: str
    added: bool


@dataclass(frozen=True, slots=True)
class NluFiles:
    """The training data of a checkout.

    Attributes:
        root: The project's folder, with `data/nlu/<language>/*.yml` and the held-out sets.
    """

    root: Path

    @property
    def folder(self) -> Path:
        """Where the examples are."""
        return self.root / "data" / "nlu"

    def examples(self) -> tuple[Example, ...]:
        """Every example, in the order of the files.

        Raises:
            TrainingDataError: a file cannot be read.
        """
        found: list[Example] = []
        for path in self._files():
            for intent, texts in _read(path):
                found.extend(Example(path.parent.name, intent, plain(text)) for text in texts)
        return tuple(found)

    def held_out(self) -> frozenset[str]:
        """Keys of the sentences that measure and are never trained on."""
        keys: set[str] = set()
        for name in HELD_OUT:
            path = self.root / name
            if path.is_file():
                keys |= {key_of(plain(text)) for _, texts in _read(path) for text in texts}
        return frozenset(keys)

    def add(self, example: Example) -> Written:
        """Write an example at the end of its intent's block; the same one again writes nothing.

        Raises:
            ExampleRefusedError: it is in a held-out set, belongs to another intent, or is no text.
            TrainingDataError: the files are not there, not writable, or not as expected.
        """
        line = as_line(example.text)
        key = key_of(plain(line))
        if key in self.held_out():
            problem = "stands in a held-out set, which measures the bot and is never trained on"
            raise ExampleRefusedError(problem, field="text")
        with self._locked():
            for other in self.examples():
                if other.language != example.language or key_of(other.text) != key:
                    continue
                if other.intent != example.intent:
                    problem = f"is an example of {other.intent} already"
                    raise ExampleRefusedError(problem, field="text")
                path = self._block_of(example.language, example.intent)
                return Written(self._name(path), line, added=False)
            path = self._block_of(example.language, example.intent)
            _replace(path, with_example(_text_of(path), example.intent, line))
            return Written(self._name(path), line, added=True)

    def _files(self) -> list[Path]:
        paths = sorted(self.folder.glob("*/*.yml"))
        if not paths:
            message = (
                f"{self.folder} holds no training files: this server has no checkout of the "
                "training data. Accept candidates where the repository is."
            )
            raise TrainingDataError(message)
        return paths

    def _block_of(self, language: str, intent: str) -> Path:
        """The file with the most examples of the intent in the language."""
        best: tuple[int, Path] | None = None
        for path in self._files():
            if path.parent.name != language:
                continue
            count = sum(len(texts) for own, texts in _read(path) if own == intent)
            if count and (best is None or count > best[0]):
                best = count, path
        if best is None:
            problem = f"no file of data/nlu/{language}/ has a block of {intent}; expected one"
            raise ExampleRefusedError(problem, field="intent")
        return best[1]

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.root))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time, on this machine; the lock goes with the process."""
        try:
            handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            self._files()  # says it better when nothing is there
            message = f"{self.folder}: {error.strerror}"
            raise TrainingDataError(message) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def plain(text: str) -> str:
    """An example without the markup of entities."""
    return _ANNOTATION.sub(r"\1", text).strip()


def as_line(text: str) -> str:
    """The text as it stands in a file: nothing in it that Rasa would read as markup.

    Brackets would mark an entity, a leading "/" would be an intent's name, a leading "-" a list.
    The stock order number gets its mark, as everywhere in the data.

    Raises:
        ExampleRefusedError: nothing to learn from is left, or too much.
    """
    free = re.sub(r"[\[\]{}\\]", " ", re.sub(r"[\x00-\x20\x7f\x85\u2028\u2029]+", " ", text))
    free = re.sub(r" +", " ", free).strip().lstrip("-/*+!#>|& ").strip()
    if not any(char.isalpha() for char in free):
        problem = "expected a sentence with words in it"
        raise ExampleRefusedError(problem, field="text")
    if len(free) > _MAX_TEXT:
        problem = f"expected at most {_MAX_TEXT} characters"
        raise ExampleRefusedError(problem, field="text")
    return re.sub(rf"(?<!\w){ORDER_NUMBER}(?!\w)", f"[{ORDER_NUMBER}](order_number)", free)


def with_example(content: str, intent: str, line: str) -> str:
    """The file's text with one line more, at the end of the intent's largest block.

    Raises:
        TrainingDataError: when the result would differ in anything else.
    """
    lines = content.splitlines(keepends=True)
    at, indent = _end_of_block(lines, intent)
    ending = "\r\n" if lines[at - 1].endswith("\r\n") else "\n"
    before = lines[at - 1]
    if not before.endswith("\n"):  # the last line of a file without a line break at its end
        lines[at - 1] = before + ending
    lines.insert(at, f"{indent}- {line}{ending}")
    result = "".join(lines)
    _check(content, result, intent, line)
    return result


def _end_of_block(lines: list[str], intent: str) -> tuple[int, str]:
    """The place behind the last example of the intent's largest block, and its indentation."""
    best: tuple[int, int, str] | None = None
    place = 0
    while place < len(lines):
        found = _INTENT.match(lines[place].rstrip("\r\n"))
        place += 1
        if found is None or found["intent"] != intent:
            continue
        while place < len(lines) and not _EXAMPLES.match(lines[place].rstrip("\r\n")):
            if _INTENT.match(lines[place].rstrip("\r\n")):
                break
            place += 1
        count, end, indent = _block(lines, place + 1)
        if count and (best is None or count > best[0]):
            best = count, end, indent
    if best is None:
        message = f"no block `examples: |` of {intent} with lines `- ...` was found"
        raise TrainingDataError(message)
    return best[1], best[2]


def _block(lines: list[str], begin: int) -> tuple[int, int, str]:
    """How many examples a block has, the place behind the last one, and their indentation."""
    if begin >= len(lines):
        return 0, begin, ""
    indent = lines[begin][: len(lines[begin]) - len(lines[begin].lstrip(" "))]
    count, end, place = 0, begin, begin
    while place < len(lines):
        line = lines[place]
        if line.strip() and not line.startswith(indent):
            break
        if line.startswith(f"{indent}- "):
            count, end = count + 1, place + 1
        place += 1
    return (count, end, indent) if indent else (0, begin, "")


def _check(before: str, after: str, intent: str, line: str) -> None:
    old, new = _parse(before), _parse(after)
    blocks = list(zip(old["nlu"], new["nlu"], strict=False))
    changed = [(a, b) for a, b in blocks if a != b]
    same_rest = {**old, "nlu": 0} == {**new, "nlu": 0} and len(old["nlu"]) == len(new["nlu"])
    if same_rest and len(changed) == 1:
        one, other = changed[0]
        grown = [*_texts(one), line]
        rest = {**one, "examples": 0} == {**other, "examples": 0}
        if rest and other.get("intent") == intent and _texts(other) == grown:
            return
    message = f"adding {line!r} to {intent} would change something else in the file"
    raise TrainingDataError(message)


def _read(path: Path) -> list[tuple[str, list[str]]]:
    try:
        document = _parse(path.read_text(encoding="utf-8"))
        return [
            (str(entry["intent"]), _texts(entry))
            for entry in document["nlu"]
            if "intent" in entry and "examples" in entry
        ]
    except (OSError, YAMLError, KeyError, TypeError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        message = f"{path}: cannot be read as training data: {reason}"
        raise TrainingDataError(message) from error


def _parse(content: str) -> Any:
    return YAML(typ="safe", pure=True).load(content)


def _texts(entry: Mapping[str, Any]) -> list[str]:
    lines = str(entry["examples"]).splitlines()
    return [line.strip()[2:].strip() for line in lines if line.strip().startswith("- ")]


def _text_of(path: Path) -> str:
    with path.open(encoding="utf-8", newline="") as file:  # keeps "\r\n"
        return file.read()


def _replace(path: Path, content: str) -> None:
    """Write beside the file, then put it in place in one step."""
    part = ""
    try:
        mode = path.stat().st_mode & 0o777
        handle, part = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode())
            file.flush()
            os.fsync(file.fileno())
        Path(part).chmod(mode)
        Path(part).replace(path)
    except OSError as error:
        if part:
            Path(part).unlink(missing_ok=True)
        message = (
            f"{path}: cannot be written here ({error.strerror}). Accept candidates where the "
            "repository is checked out and writable."
        )
        raise TrainingDataError(message) from error
