from __future__ import annotations

import pytest

from tests.faults.ledger import Call, Row, Tally, tally
from tests.faults.measured import BEGIN, END, Measured, put_into, table, worst


def measured(found: Tally, *, dup: int = 0, seconds: float = 1.0) -> Measured:
    result = Measured("F0", "nothing", seconds=seconds)
    result.judge(found, dup=dup)
    return result


LOST = tally({"a", "b"}, [Row("a", "sent", "a")], [Call(1, "email", "a", "taken")])
TWICE = tally({"a"}, [Row("a", "sent", "a")], [Call(1, "email", "a", "taken")] * 2)
SOUND = tally({"a"}, [Row("a", "sent", "a")], [Call(1, "email", "a", "taken")])


def test_a_lost_notice_fails_the_scenario_and_says_so() -> None:
    result = measured(LOST)

    assert result.broken == ["lost 0: lost 1 (0 on their way; b)"]
    assert "FAIL: lost 0: lost 1" in result.line()


@pytest.mark.parametrize(("allowed", "passed"), [(0, False), (1, True)])
def test_doubled_ones_fail_beyond_what_is_allowed(allowed: int, passed: bool) -> None:
    assert measured(TWICE, dup=allowed).passed is passed


def test_the_worst_run_is_reported() -> None:
    runs = [measured(SOUND, seconds=9), measured(TWICE, dup=5), measured(LOST)]

    assert worst(runs).tally is LOST
    assert worst(runs[:2]).tally is TWICE


def test_the_table_goes_between_its_marks() -> None:
    document = put_into(f"before\n{BEGIN}\nold\n{END}\nafter\n", table([measured(SOUND)]))

    assert "old" not in document
    assert document.startswith("before\n")
    assert document.endswith("\nafter\n")
    assert "| F0 | nothing |" in document


def test_a_document_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="expected the marks"):
        put_into("text", "table")
