from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.domain.runbook import (
    Fit,
    Mark,
    MarkKind,
    ReplyText,
    Runbook,
    RunbookBook,
    Situation,
    Step,
    UnknownStepError,
    missing_steps,
    rivals,
    ticked,
)

WORDS = {"pt": "oi", "en": "hi", "es": "hola"}


def runbook(key: str, fit: Fit, *, steps: int = 1) -> Runbook:
    made = tuple(Step(f"s{number}", WORDS, obligatory=number == 0) for number in range(steps))
    return Runbook(key, "v1", WORDS, fit, demands_steps=True, steps=made, replies=())


ANY = runbook("any", Fit())
N2 = runbook("n2", Fit(levels=("N2",)))
BILLING_QUEUE = runbook("billing_queue", Fit(queues=("n2_billing",)))
REFUND = runbook("refund", Fit(intents=("refund",)))
REFUND_N2 = runbook("refund_n2", Fit(levels=("N2",), intents=("refund",)))
BOOK = RunbookBook((ANY, N2, BILLING_QUEUE, REFUND, REFUND_N2))


@pytest.mark.parametrize(
    ("level", "intent", "queue", "chosen"),
    [
        ("N1", None, "n1_support", "any"),
        ("N1", "complaint", "n1_support", "any"),
        ("N2", "complaint", "n2_technical", "n2"),
        ("N2", None, "n2_billing", "billing_queue"),
        ("N1", "refund", "n1_support", "refund"),
        ("N3", "refund", "n2_billing", "refund"),  # an intent says more than a queue
        ("N2", "refund", "n2_billing", "refund_n2"),
        ("N2", "refund", "n2_technical", "refund_n2"),
    ],
)
def test_the_runbook_that_fits_most_closely_is_chosen_in_any_order_of_the_book(
    level: str, intent: str | None, queue: str, chosen: str
) -> None:
    situation = Situation(level, intent, queue)
    for order in itertools.permutations(BOOK.runbooks):
        found = RunbookBook(order).for_ticket(situation)
        assert found is not None
        assert found.key == chosen


def test_a_runbook_without_steps_is_no_checklist_and_no_fit_is_none() -> None:
    only_texts = runbook("texts", Fit(intents=("refund",)), steps=0)
    assert RunbookBook((only_texts,)).for_ticket(Situation("N1", "refund", "q")) is None
    assert RunbookBook((N2,)).for_ticket(Situation("N1", "refund", "q")) is None


def test_texts_are_offered_the_closest_first() -> None:
    def reply(key: str, fit: Fit) -> ReplyText:
        return ReplyText(key, WORDS, fit, WORDS)

    replies = (reply("a.x", Fit()), reply("b.x", Fit(intents=("refund",))), reply("a.a", Fit()))
    book = RunbookBook((Runbook("a", "v", WORDS, Fit(), False, (), replies),))
    offered = book.replies_for(Situation("N1", "refund", "q"))
    assert [reply.key for reply in offered] == ["b.x", "a.a", "a.x"]
    assert [item.key for item in book.replies_for(Situation("N1", "x", "q"))] == ["a.a", "a.x"]


names = st.lists(st.sampled_from(["a", "b", "c"]), max_size=2, unique=True).map(tuple)
fits = st.builds(Fit, names, names, names)


@given(st.lists(fits, min_size=2, max_size=6))
def test_without_rivals_no_two_runbooks_ever_compete(some: list[Fit]) -> None:
    books = [runbook(f"r{number}", fit) for number, fit in enumerate(some)]
    competing = rivals(books)
    for level, intent, queue in itertools.product("abc", "abc", "abc"):
        situation = Situation(level, intent, queue)
        fitting = [item for item in books if item.fit.admits(situation)]
        best = max((item.fit.rank for item in fitting), default=None)
        first = [item for item in fitting if item.fit.rank == best]
        if len(first) > 1:
            keys = {frozenset((a.key, b.key)) for a, b in competing}
            assert frozenset((first[0].key, first[1].key)) in keys


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(MarkKind)), max_size=20))
def test_the_last_tick_or_untick_of_a_step_counts_and_notes_do_not(
    marks: list[tuple[str, MarkKind]],
) -> None:
    expected = set()
    for step, kind in marks:
        if kind is MarkKind.TICKED:
            expected.add(step)
        if kind is MarkKind.UNTICKED:
            expected.discard(step)
    assert ticked([Mark(step, kind) for step, kind in marks]) == expected


def test_only_obligatory_steps_are_missed_and_an_unknown_step_lists_the_known_ones() -> None:
    book = runbook("r", Fit(), steps=3)
    assert [step.key for step in missing_steps(book, [])] == ["s0"]
    assert missing_steps(book, [Mark("s0", MarkKind.TICKED)]) == ()
    with pytest.raises(UnknownStepError, match="expected one of s0, s1, s2") as caught:
        book.step("s9")
    assert caught.value.allowed == ["s0", "s1", "s2"]
