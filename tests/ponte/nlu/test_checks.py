"""What tables of an evaluation must be to each other."""

from __future__ import annotations

import pytest

from ponte.nlu.checks import Material, check_material
from ponte.nlu.tables import Row, Table, TableError

TRAIN = [("oi", "greet"), ("olá", "greet"), ("tchau", "bye"), ("até", "bye")]
TEST = [("oie", "greet"), ("tchauzinho", "bye")]


def table(name: str, rows: list[tuple[str, str]]) -> Table:
    numbered = tuple(Row(n, text, intent) for n, (text, intent) in enumerate(rows, start=2))
    empty = tuple(row.number for row in numbered if not row.text.strip())
    return Table(name, numbered, empty)


def material(
    *,
    train: list[tuple[str, str]] = TRAIN,
    test: list[tuple[str, str]] = TEST,
    validation: list[tuple[str, str]] | None = None,
    oos: str | None = None,
) -> Material:
    chosen = None if validation is None else table("val.csv", validation)
    return Material(table("train.csv", train), table("test.csv", test), chosen, oos)


def test_tables_that_fit_give_no_warning() -> None:
    assert check_material(material()).warnings == ()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (material(test=TRAIN), "test.csv: has the same rows as --train train.csv"),
        (material(validation=TEST), "test.csv: has the same rows as --validation val.csv"),
        (
            material(train=[("oi", "greet"), ("e aí", "greet")]),
            "expected at least two intents to tell apart, found 1 (greet)",
        ),
        (
            material(train=[("oi", "greet"), ("euro", "oos")], oos="oos"),
            "expected at least two intents to tell apart, found 1 (greet)",
        ),
        (
            material(test=[*TEST, ("euro", "oos"), ("bolo", "oos")]),
            "test.csv: row 4: intent 'oos' is not in train.csv (2 such rows: oos); name the one",
        ),
        (
            material(test=[*TEST, ("euro", "oos")], oos="ooos"),
            "--oos-label: no row has the intent 'ooos'",
        ),
        (material(test=[("euro", "oos")], oos="oos"), "test.csv: no row has an intent of"),
        (
            material(validation=[("euro", "oos")], oos="oos"),
            "val.csv: no row has an intent of train.csv; expected some of bye, greet",
        ),
        (material(train=[(" ", "greet"), ("", "bye")]), "column text is empty in every row"),
    ],
)
def test_tables_that_do_not_fit_are_refused(given: Material, said: str) -> None:
    with pytest.raises(TableError) as caught:
        check_material(given)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (material(train=[*TRAIN, ("sim", "yes")]), "yes with a single example"),
        (material(train=[*TRAIN, ("OI ", "greet")]), "1 messages are there more than once"),
        (
            material(train=[*TRAIN, ("oi", "bye")]),
            "rows 2, 6: the same message with different intents",
        ),
        (material(train=[*TRAIN, ("", "bye")]), "row 6 without text: not learnt from"),
        (material(test=[*TEST, ("", "bye")]), "row 4 without text: read as '?'"),
        (
            material(test=[*TEST, ("Oi", "greet")]),
            "1 of 3 messages are also in train.csv: the numbers flatter",
        ),
        (
            material(test=[*TEST, ("euro", "oos"), ("sim", "yes")], oos="oos"),
            "row 5: intents that are not in train.csv (yes); they count as in scope",
        ),
        (material(oos="oos"), "test.csv: no row has the intent 'oos'"),
        (
            material(test=[*TEST, ("euro", "oos")], validation=[("opa", "greet")], oos="oos"),
            "val.csv: no row has the intent 'oos'",
        ),
    ],
)
def test_what_flatters_or_hurts_the_numbers_is_a_warning(given: Material, said: str) -> None:
    assert any(said in warning for warning in check_material(given).warnings)


def test_rows_without_text_are_not_learnt_from_and_are_measured() -> None:
    checked = check_material(material(train=[*TRAIN, ("", "bye")], test=[*TEST, (" ", "bye")]))
    assert len(checked.train.rows) == len(TRAIN)
    assert len(checked.test.rows) == len(TEST) + 1


def test_untrained_intents_may_be_counted_as_wrong() -> None:
    given = material(test=[*TEST, ("euro", "oos")])
    warnings = check_material(given, allow_untrained=True).warnings
    assert any("(oos); they count as in scope" in warning for warning in warnings)
