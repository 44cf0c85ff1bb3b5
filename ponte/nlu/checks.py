"""What the tables of an evaluation must be to each other, and what is worth a warning."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ponte.nlu.tables import Row, Table, TableError, numbers

_SHOWN_INTENTS = 5
_LEAST_INTENTS = 2


@dataclass(frozen=True, slots=True)
class Material:
    """Tables that fit together.

    Attributes:
        train: What is learnt.
        test: What is measured.
        validation: What the threshold is chosen with; None: by cross-validation of `train`.
        oos_label: The intent that means "none of our business"; None when there is none.
        warnings: What the reader of the numbers should know, one sentence each.
    """

    train: Table
    test: Table
    validation: Table | None
    oos_label: str | None
    warnings: tuple[str, ...] = ()


def check_material(material: Material, *, allow_untrained: bool = False) -> Material:
    """The material with its warnings; rows of `train` without text are left out.

    Args:
        material: As it was read.
        allow_untrained: Count test intents that were never trained as wrong instead of refusing.

    Raises:
        TableError: the tables cannot be used together.
    """
    _check_apart(material)
    warnings: list[str] = []
    train = _with_text(material.train, warnings)
    material = replace(material, train=train)
    _check_train(material)
    warnings += _warn_train(material)
    _check_oos_label(material, allow_untrained=allow_untrained)
    for table in (material.validation, material.test):
        if table is not None:
            _check_measured(table, material)
            warnings += _warn_measured(table, material)
    return replace(material, warnings=tuple(warnings))


def _check_apart(material: Material) -> None:
    """A threshold or a model that saw the test rows makes the numbers worthless."""
    measured = _content(material.test)
    for option, table in (("--train", material.train), ("--validation", material.validation)):
        if table is not None and _content(table) == measured:
            message = (
                f"{material.test.name}: has the same rows as {option} {table.name}; expected "
                f"messages that the model has not seen"
            )
            raise TableError(message)


def _content(table: Table) -> Counter[tuple[str, str]]:
    return Counter((row.text, row.intent) for row in table.rows)


def _with_text(table: Table, warnings: list[str]) -> Table:
    if not table.without_text:
        return table
    rows = tuple(row for row in table.rows if row.text.strip())
    if not rows:
        message = f"{table.name}: column text is empty in every row; expected messages"
        raise TableError(message)
    warnings.append(f"{table.name}: {numbers(table.without_text)} without text: not learnt from")
    return Table(table.name, rows)


def _check_train(material: Material) -> None:
    intents = material.train.intents - {material.oos_label}
    if len(intents) < _LEAST_INTENTS:
        found = ", ".join(sorted(intents)) or "none"
        message = (
            f"{material.train.name}: expected at least two intents to tell apart, found "
            f"{len(intents)} ({found})"
        )
        raise TableError(message)


def _warn_train(material: Material) -> list[str]:
    table = material.train
    found = []
    rare = sorted(name for name, n in Counter(row.intent for row in table.rows).items() if n == 1)
    if rare:
        found.append(
            f"{table.name}: {_intents(rare)} with a single example: nothing is left to "
            f"cross-validate with, their confidences are guesses"
        )
    intents: dict[str, set[str]] = defaultdict(set)
    counts: Counter[str] = Counter()
    for row in table.rows:
        intents[_same(row)].add(row.intent)
        counts[_same(row)] += 1
    repeated = sum(counts.values()) - len(counts)
    if repeated:
        found.append(f"{table.name}: {repeated} messages are there more than once")
    torn = [row.number for row in table.rows if len(intents[_same(row)]) > 1]
    if torn:
        found.append(f"{table.name}: {numbers(torn)}: the same message with different intents")
    return found


def _check_oos_label(material: Material, *, allow_untrained: bool) -> None:
    """A test with unknown intents and no word on what they are is a question, not a number."""
    label, tables = material.oos_label, _tables(material)
    unknown = _untrained(material.test, material)
    if label is None:
        if unknown and not allow_untrained:
            names = Counter(row.intent for row in unknown).most_common()
            message = (
                f"{material.test.name}: row {unknown[0].number}: intent {unknown[0].intent!r} is "
                f"not in {material.train.name} ({len(unknown)} such rows: "
                f"{_intents([name for name, _ in names])}); name the one that means out of scope "
                f"with --oos-label, or count them as wrong with --allow-untrained"
            )
            raise TableError(message)
        return
    if not any(label in table.intents for table in tables) and unknown:
        message = (
            f"--oos-label: no row has the intent {label!r}; {material.test.name} has intents that "
            f"are not in {material.train.name}: {_intents(sorted({r.intent for r in unknown}))}"
        )
        raise TableError(message)


def _check_measured(table: Table, material: Material) -> None:
    known = material.train.intents - {material.oos_label}
    if not table.intents & known:
        message = (
            f"{table.name}: no row has an intent of {material.train.name}; expected some of "
            f"{_intents(sorted(known))}"
        )
        raise TableError(message)


def _warn_measured(table: Table, material: Material) -> list[str]:
    found = []
    if table.without_text:
        found.append(f"{table.name}: {numbers(table.without_text)} without text: read as '?'")
    unknown = _untrained(table, material)
    if unknown:
        found.append(
            f"{table.name}: {numbers([row.number for row in unknown])}: intents that are not in "
            f"{material.train.name} ({_intents(sorted({row.intent for row in unknown}))}); they "
            f"count as in scope and can only be wrong or rejected"
        )
    seen = {_same(row) for row in material.train.rows}
    both = sum(_same(row) in seen for row in table.rows)
    if both:
        found.append(
            f"{table.name}: {both} of {len(table.rows)} messages are also in "
            f"{material.train.name}: the numbers flatter"
        )
    label = material.oos_label
    if label is not None and label not in table.intents:
        found.append(f"{table.name}: no row has the intent {label!r}")
    return found


def _untrained(table: Table, material: Material) -> list[Row]:
    known = material.train.intents | {material.oos_label}
    return [row for row in table.rows if row.intent not in known]


def _tables(material: Material) -> Iterable[Table]:
    every = (material.train, material.test, material.validation)
    return [table for table in every if table is not None]


def _same(row: Row) -> str:
    """Messages that differ in capitals and spaces alone are the same message."""
    return " ".join(row.text.casefold().split())


def _intents(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN_INTENTS])
    more = len(names) - _SHOWN_INTENTS
    return shown + (f" and {more} more" if more > 0 else "")
