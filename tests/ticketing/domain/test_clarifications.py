"""The same clarification is never asked twice: random conversations against the real rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from handoff import clarify
from handoff.decide import decide
from handoff.snapshot import ConversationSnapshot
from tests.ticketing.services.talk import POLICY
from ticketing.domain.turn import Understanding, question_of

INTENTS = tuple(POLICY.intents)
OFFERABLE = [name for name in INTENTS if name not in POLICY.clarify.not_offerable]


@dataclass(frozen=True)
class Said:
    """One customer message, as the bot understands it."""

    ranking: tuple[tuple[str, float], ...]
    answer: str | None  # to the open question


@dataclass(frozen=True)
class Asked:
    """One clarifying question."""

    text: str
    options: tuple[str, ...]


messages = st.builds(
    Said,
    ranking=st.lists(
        st.tuples(st.sampled_from(INTENTS), st.floats(0, 0.99)),
        max_size=6,
        unique_by=lambda p: p[0],
    ).map(tuple),
    answer=st.sampled_from([None, None, "none_of_these", "chosen"]),
)


def play(conversation: list[Said]) -> list[tuple[Said, Asked | None, Understanding]]:
    """Every turn with the question it led to; a person who takes over returns at once."""
    known, question = Understanding(), None
    turns: list[tuple[Said, Asked | None, Understanding]] = []
    for number, said in enumerate(conversation):
        answer = said.answer if question is not None and question.options else None
        ranking, top = said.ranking, said.ranking[0][0] if said.ranking else None
        if answer == "chosen" and question is not None:
            ranking, top = ((question.options[0], 1.0),), question.options[0]
        if answer == "none_of_these":
            ranking, top = (("out_of_scope", 1.0),), "out_of_scope"
        known = known.answered(answer)
        decision = decide(
            ConversationSnapshot(
                turn_id=str(number),
                conversation_id="c",
                channel="whatsapp",
                now=datetime(2026, 3, 10, 13, tzinfo=UTC),
                message_kind="button" if answer else "text",
                top_intent=top,
                ranking=ranking,
                failures=known.failures,
                clarifications_asked=known.clarifications_asked,
                clarification_open=question is not None,
                clarification_answer=answer,
                already_offered=known.not_to_offer,
            ),
            POLICY,
        )
        asked = None
        if decision.outcome == "clarify":
            menu = clarify.menu(decision, POLICY, "pt", asked=known.clarifications_asked)
            asked = Asked(menu.question, decision.options)
        turns.append((Said(ranking, answer), asked, known))
        known = known.after(
            outcome=decision.outcome,
            counts_as_failure=decision.counts_as_failure,
            offered=decision.options,
            question=question_of(top, {}),
        )
        if decision.is_handoff:
            known = Understanding()
        question = asked
    return turns


@given(st.lists(messages, max_size=14))
def test_two_questions_in_a_row_differ_in_words_and_in_options(conversation: list[Said]) -> None:
    turns = play(conversation)

    for (_, before, _), (_, after, _) in pairwise(turns):
        if before is not None and after is not None:
            assert before.text != after.text
            assert set(before.options).isdisjoint(after.options)


@given(st.lists(messages, max_size=14))
def test_the_next_question_offers_nothing_of_the_last_one_unless_the_customer_chose_from_it(
    conversation: list[Said],
) -> None:
    last: Asked | None = None
    for said, asked, known in play(conversation):
        if said.answer == "chosen" or known == Understanding():
            last = None
        if asked is not None:
            assert last is None or set(last.options).isdisjoint(asked.options)
            last = asked


@given(st.lists(messages, max_size=14))
def test_what_the_customer_refused_is_not_offered_before_a_new_beginning(
    conversation: list[Said],
) -> None:
    for _, asked, known in play(conversation):
        if asked is not None:
            assert set(known.refused).isdisjoint(asked.options)


@given(st.lists(messages, max_size=14))
def test_there_are_never_more_questions_in_a_row_than_the_policy_allows(
    conversation: list[Said],
) -> None:
    in_a_row = 0
    for _, asked, _ in play(conversation):
        in_a_row = in_a_row + 1 if asked is not None else 0
        assert in_a_row <= POLICY.clarify.max_questions
