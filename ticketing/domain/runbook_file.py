"""Reading runbooks: every mistake named with its file, line and field.

Pure: it gets the texts of the files. `ticketing.gateways.content_files` opens them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from channels.message import MAX_TEXT
from handoff.policy_nodes import Node, Problem, Reader
from handoff.policy_yaml import YAMLProblemError, read_tree
from ticketing.domain.runbook import (
    ALL_LEVELS,
    LANGUAGES,
    ClosedWindow,
    Fit,
    ReplyText,
    Runbook,
    RunbookBook,
    Step,
    rivals,
)
from ticketing.domain.runbook_render import mistakes_in, variables_in

MAX_STEPS = 30
"""More is no short runbook; agents stop reading after a page."""
MAX_TITLE = 80
MAX_STEP_TEXT = 300

_KEY = re.compile(r"[a-z][a-z0-9_]{0,59}")
_WHATSAPP_NAME = re.compile(r"[a-z0-9_]{1,512}")  # as Meta accepts template names
_WHATSAPP_LANGUAGE = re.compile(r"[a-z]{2,3}(_[A-Z]{2})?")
_WHATSAPP_LANGUAGES = {"pt": "pt_BR", "en": "en", "es": "es"}
_BODY_PLACE = re.compile(r"\{\{\s*(\d+)\s*\}\}")
_VERSION_LENGTH = 12  # hex digits, as in versions of handoff.yml


@dataclass(frozen=True, slots=True)
class KnownNames:
    """What runbooks may refer to; None: not known here, not checked.

    Attributes:
        intents: The assistant's intents.
        queues: Keys of the queues.
        entities: The assistant's entities.
    """

    intents: Collection[str] | None = None
    queues: Collection[str] | None = None
    entities: Sequence[str] | None = None


class RunbooksError(ValueError):
    """Some runbook is wrong; the text lists every problem.

    Attributes:
        lines: "file:line: field: what is wrong", one for each problem.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("\n".join(self.lines))


@dataclass(slots=True)
class _File:
    """One file being read."""

    name: str
    text: str
    known: KnownNames
    reader: Reader = field(default_factory=Reader)
    runbook: Runbook | None = None
    lines: dict[str, int] = field(default_factory=dict)
    """Path of a value to its line, for what is found only when all files are read."""

    def problems(self) -> Iterator[str]:
        for problem in sorted(set(self.reader.problems)):
            yield problem.located(self.name)


def parse_runbooks(
    files: Mapping[str, str],
    *,
    known: KnownNames = KnownNames(),
) -> RunbookBook:
    """The book that these files make.

    Args:
        files: File name (the runbook's key and ".yml") to its text.
        known: Names they may refer to.

    Raises:
        RunbooksError: something in them is wrong; lists all of it.
    """
    read = [_read(_File(name, files[name], known)) for name in sorted(files)]
    _check_together(read)
    lines = [line for file in read for line in file.problems()]
    if lines:
        raise RunbooksError(lines)
    return RunbookBook(tuple(file.runbook for file in read if file.runbook is not None))


def _read(file: _File) -> _File:
    try:
        root = read_tree(file.text, file.reader)
    except YAMLProblemError as error:
        file.reader.problems.append(error.problem)
        return file
    reader = file.reader
    section = reader.section(
        root, required=("runbook", "names"), optional=("when", "demands_steps", "steps", "replies")
    )
    if not {"runbook", "names"} <= set(section):
        return file
    key = _key(section["runbook"], reader)
    stem = file.name.rpartition("/")[2].removesuffix(".yml")
    if key and key != stem:
        reader.wrong(section["runbook"], f"got {key!r}; expected {stem!r}, the name of the file")
    fit = _fit(section.get("when"), file)
    replies = _replies(section.get("replies"), file, runbook=key, fit=fit)
    steps = _steps(section.get("steps"), file, runbook=key)
    demands = "demands_steps" in section and reader.flag(section["demands_steps"])
    if demands and not any(step.obligatory for step in steps):
        reader.wrong(section["demands_steps"], "is true; expected a step with obligatory: true")
    if not steps and not replies:
        reader.wrong(root, "has neither steps nor replies; expected some of either")
    file.lines["when"] = section["when"].line if "when" in section else root.line
    version = hashlib.sha256(file.text.encode()).hexdigest()[:_VERSION_LENGTH]
    names = _texts(section["names"], reader, longest=MAX_TITLE)
    file.runbook = Runbook(key, version, names, fit, demands, steps, replies)
    return file


def _key(node: Node, reader: Reader) -> str:
    key = reader.text(node)
    if key and _KEY.fullmatch(key) is None:
        reader.wrong(node, f"got {key!r}; expected lower case letters, digits and _, at most 60")
    return key


def _fit(node: Node | None, file: _File) -> Fit:
    if node is None:
        return Fit()
    reader = file.reader
    section = reader.section(node, required=(), optional=("level", "intent", "queue"))

    def names(key: str, allowed: Collection[str] | None) -> tuple[str, ...]:
        return reader.names(section[key], allowed=allowed, kind=key) if key in section else ()

    return Fit(
        levels=names("level", ALL_LEVELS),
        intents=names("intent", file.known.intents),
        queues=names("queue", file.known.queues),
    )


def _steps(node: Node | None, file: _File, *, runbook: str) -> tuple[Step, ...]:
    if node is None:
        return ()
    reader = file.reader
    steps: list[Step] = []
    nodes = reader.items(node)
    if len(nodes) > MAX_STEPS:
        reader.wrong(node, f"has {len(nodes)} steps; expected at most {MAX_STEPS}")
    for item in nodes:
        section = reader.section(item, required=("step", "texts"), optional=("obligatory", "reply"))
        if not {"step", "texts"} <= set(section):
            continue
        key = _key(section["step"], reader)
        if key in {step.key for step in steps}:
            reader.wrong(section["step"], f"{key!r} is given twice; expected each step once")
        reply = None
        if "reply" in section:
            written = reader.text(section["reply"])
            reply = written if "." in written else f"{runbook}.{written}"
            file.lines[f"reply of {key}"] = section["reply"].line
        texts = _texts(section["texts"], reader, longest=MAX_STEP_TEXT)
        must = "obligatory" in section and reader.flag(section["obligatory"])
        steps.append(Step(key, texts, must, reply))
    return tuple(steps)


def _replies(node: Node | None, file: _File, *, runbook: str, fit: Fit) -> tuple[ReplyText, ...]:
    if node is None:
        return ()
    reader = file.reader
    replies: list[ReplyText] = []
    for name, entry in reader.entries(node).items():
        if _KEY.fullmatch(name) is None:
            reader.wrong(entry, "is no name; expected lower case letters, digits and _")
        section = reader.section(
            entry, required=("names", "texts"), optional=("when", "closed_window")
        )
        if not {"names", "texts"} <= set(section):
            continue
        texts = _texts(section["texts"], reader, longest=MAX_TEXT)
        for language, text in texts.items():
            for mistake in mistakes_in(text, entities=file.known.entities):
                reader.wrong(reader.entries(section["texts"])[language], mistake)
        own = _fit(section.get("when"), file)
        window = section.get("closed_window")
        replies.append(
            ReplyText(
                key=f"{runbook}.{name}",
                names=_texts(section["names"], reader, longest=MAX_TITLE),
                fit=fit.narrowed_by(own),
                texts=texts,
                closed_window=None if window is None else _closed_window(window, file),
            )
        )
    return tuple(replies)


def _closed_window(node: Node, file: _File) -> ClosedWindow | None:
    reader = file.reader
    section = reader.section(
        node, required=("template",), optional=("languages", "parameters", "body")
    )
    if "template" not in section:
        return None
    name = reader.text(section["template"])
    if name and _WHATSAPP_NAME.fullmatch(name) is None:
        what = f"got {name!r}; expected lower case letters, digits and _, as Meta approved it"
        reader.wrong(section["template"], what)
    languages: Mapping[str, str] = _WHATSAPP_LANGUAGES
    if "languages" in section:
        languages = _texts(section["languages"], reader, longest=6)
        for ours, code in languages.items():
            if code and _WHATSAPP_LANGUAGE.fullmatch(code) is None:
                entry = reader.entries(section["languages"])[ours]
                reader.wrong(entry, f"got {code!r}; expected a code such as pt_BR")
    parameters = _parameters(section.get("parameters"), file)
    body: Mapping[str, str] = {}
    if "body" in section:
        body = _texts(section["body"], reader, longest=1024)  # Meta's limit for a template's body
        for language, text in body.items():
            places = {int(place) for place in _BODY_PLACE.findall(text)}
            if places != set(range(1, len(parameters) + 1)):
                entry = reader.entries(section["body"])[language]
                what = f"uses the places {sorted(places)}; expected 1 to {len(parameters)}"
                reader.wrong(entry, f"{what}, one for each of parameters")
    return ClosedWindow(name, languages, parameters, body)


def _parameters(node: Node | None, file: _File) -> tuple[str, ...]:
    if node is None:
        return ()
    names = []
    for item in file.reader.items(node):  # not `names`: a variable may stand in two places
        name = file.reader.text(item)
        for mistake in mistakes_in(f"{{{{{name}}}}}", entities=file.known.entities):
            file.reader.wrong(item, mistake)
        names.append(name)
    return tuple(names)


def _texts(node: Node, reader: Reader, *, longest: int) -> dict[str, str]:
    """A text in each language. Not `Reader.by_language`: braces mean variables here."""
    entries = reader.section(node, required=LANGUAGES)
    texts = {language: reader.text(entry) for language, entry in entries.items()}
    for language, text in texts.items():
        if len(text) > longest:
            what = f"has {len(text)} characters; expected at most {longest}"
            reader.wrong(entries[language], what)
    return {language: texts.get(language, "") for language in LANGUAGES}


def _check_together(files: Sequence[_File]) -> None:
    """What only shows when all files are read: rivals, and texts that do not exist."""
    by_key = {file.runbook.key: file for file in files if file.runbook is not None}
    runbooks = [file.runbook for file in files if file.runbook is not None]
    for first, second in rivals(runbooks):
        file = by_key[second.key]
        what = (
            f"fits some tickets as closely as {first.key!r} does; expected conditions that say "
            "which of the two such a ticket gets"
        )
        file.reader.problems.append(Problem(file.lines["when"], "when", what))
    texts = {reply.key for runbook in runbooks for reply in runbook.replies}
    for file in files:
        for step in file.runbook.steps if file.runbook is not None else ():
            if step.reply is not None and step.reply not in texts:
                line = file.lines[f"reply of {step.key}"]
                what = f"unknown reply {step.reply!r}; expected one of {', '.join(sorted(texts))}"
                file.reader.problems.append(Problem(line, f"steps.{step.key}.reply", what))


def used_variables(book: RunbookBook) -> frozenset[str]:
    """Every variable that some text or parameter of the book asks for."""
    used: set[str] = set()
    for runbook in book.runbooks:
        for reply in runbook.replies:
            used.update(*(variables_in(text) for text in reply.texts.values()))
            if reply.closed_window is not None:
                used.update(reply.closed_window.parameters)
    return frozenset(used)
