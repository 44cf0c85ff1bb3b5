from __future__ import annotations

import pytest

from tests.faults.causes import RECORDED_WITHIN_SECONDS, Stop, Story
from tests.faults.ledger import Call, Note, Row, read_log, read_notes

WORKER = 11
ANSWERED = Note(10.0, "a", "answered", 1)


def takings(*times: float, channel: str = "email") -> list[Call]:
    return [
        Call(at, channel, "a", "taken", number, WORKER) for number, at in enumerate(times, start=1)
    ]


@pytest.mark.parametrize(
    ("notes", "stops", "why"),
    [
        ([], [], "answer kept back"),
        ([Note(60.0, "a", "answered", 1)], [], "answer kept back"),
        ([ANSWERED], [], ""),
        ([ANSWERED], [Stop(WORKER, 10.1)], "worker died"),
        ([ANSWERED], [Stop(WORKER, 9.0)], "worker died"),
        ([ANSWERED], [Stop(WORKER, 9.0, 12.0)], "worker stood still"),
        ([ANSWERED], [Stop(WORKER, 5.0, 9.0)], ""),
        ([ANSWERED], [Stop(WORKER, 10.0 + RECORDED_WITHIN_SECONDS + 1)], ""),
        ([ANSWERED], [Stop(WORKER + 1, 10.1)], ""),
        ([ANSWERED], [Stop(WORKER, 60.0)], ""),
        ([Note(20.0, "a", "told", 1)], [Stop(WORKER, 10.1)], ""),
        ([Note(49.0, "a", "told", 1)], [], "answer kept back"),
    ],
)
def test_a_doubling_has_a_cause_or_none(notes: list[Note], stops: list[Stop], why: str) -> None:
    (found,) = Story(notes, stops).doublings(takings(10.0, 50.0))

    assert (found.channel, found.key, found.why) == ("email", "a", why)


def test_what_was_refused_before_it_was_taken_is_not_doubled() -> None:
    calls = [Call(1.0, "email", "a", "error"), *takings(10.0)]

    assert Story([], []).doublings(calls) == []


KILLS = [Stop(pid, 1.0) for pid in (1, 2, 3)]


@pytest.mark.parametrize(
    ("row", "calls", "stops", "borne_out"),
    [
        (Row("a", "failed", "a", "permanent"), [Call(1.0, "sms", "a", "error")], [], True),
        (Row("a", "failed", "a", "permanent"), takings(1.0), [], False),
        (Row("a", "failed", "a", "poison", lost_workers=3), [], KILLS, True),
        (Row("a", "failed", "a", "poison", lost_workers=2), [], KILLS, False),
        (Row("a", "failed", "a", "poison", lost_workers=3), [], KILLS[:2], False),
        (Row("a", "failed", "a", "unknown_outcome", once=True), takings(1.0), [], True),
        (Row("a", "failed", "a", "unknown_outcome", once=True), [], [], True),
        (Row("a", "failed", "a", "unknown_outcome"), takings(1.0), [], False),
        (Row("a", "failed", "a", "attempts_exhausted"), takings(1.0), [], False),
        (Row("a", "failed", "a", "expired"), [], [], False),
        (Row("a", "sent", "a"), takings(1.0), [], True),
    ],
)
def test_a_dead_letter_is_borne_out_by_the_log_or_not(
    row: Row, calls: list[Call], stops: list[Stop], *, borne_out: bool
) -> None:
    found = Story([], stops).inexplicable([row], calls)

    assert found == (() if borne_out else (f"{row.dead} a",))


def test_notes_are_no_requests() -> None:
    text = '{"at": 1.0, "key": "a", "note": "answered", "times": 2}\n'

    assert read_log(text) == []
    assert read_notes(text) == [Note(1.0, "a", "answered", 2)]
