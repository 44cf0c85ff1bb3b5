from __future__ import annotations

import pytest

from tests.ticketing.services.talk import POLICY
from ticketing.domain.turn import (
    PAYLOAD,
    Parse,
    TurnFacts,
    Understanding,
    question_of,
    snapshot_of,
)


class TestTurnFacts:
    def test_survive_their_json_with_unknown_keys(self) -> None:
        facts = TurnFacts("m", "c", "k", "whatsapp", "2026-03-10T13:00:00+00:00", failures=2)

        assert TurnFacts.from_json({**facts.to_json(), "new_in_a_later_release": 1}) == facts

    def test_name_what_is_missing(self) -> None:
        with pytest.raises(ValueError, match="sent_at"):
            TurnFacts.from_json(
                {"message_id": "m", "conversation_id": "c", "correlation_id": "k", "channel": "w"}
            )


class TestParse:
    def test_reads_what_rasa_says(self) -> None:
        parse = Parse.from_rasa(
            {
                "intent": {"name": "refund", "confidence": 0.7},
                "intent_ranking": [
                    {"name": "refund", "confidence": 0.7},
                    {"name": "cancel", "confidence": 0.2},
                ],
                "entities": [
                    {"entity": "order_number", "value": "12345"},
                    {"entity": "order_number", "value": "12345"},
                    {"entity": "order_number", "value": "777"},
                ],
            }
        )

        assert parse.intent == "refund"
        assert parse.ranking == (("refund", 0.7), ("cancel", 0.2))
        assert parse.entities == {"order_number": ("12345", "777")}

    @pytest.mark.parametrize("value", [{}, {"intent": None}, {"intent": {"name": None}}])
    def test_an_empty_parse_is_no_error(self, value: dict[str, object]) -> None:
        assert Parse.from_rasa(value) == Parse()


class TestUnderstanding:
    def test_a_question_counts_and_remembers_what_it_offered(self) -> None:
        after = Understanding().after(
            outcome="clarify",
            counts_as_failure=True,
            offered=("refund", "cancel"),
            question="refund",
        )

        offered = ("refund", "cancel")
        assert after == Understanding(1, 1, offered, last_offered=offered)
        assert Understanding.from_json(after.to_json()) == after

    def test_an_understood_turn_starts_anew(self) -> None:
        after = Understanding(2, 1, ("refund",), "cancel", 2).after(
            outcome="stay", counts_as_failure=False, offered=(), question="refund"
        )

        assert after == Understanding(last_question="refund", times_asked=1)

    def test_what_was_refused_is_not_offered_until_the_customer_brings_it_up(self) -> None:
        asked = Understanding().after(
            outcome="clarify", counts_as_failure=True, offered=("refund", "cancel"), question=None
        )
        refused = asked.answered("none_of_these")
        assert refused.not_to_offer == ("refund", "cancel")

        def understood(intent: str) -> Understanding:
            return refused.after(
                outcome="stay", counts_as_failure=False, offered=(), question=intent
            )

        assert understood("order_status").refused == ("refund", "cancel")
        assert understood("refund 12345").refused == ("cancel",)

    def test_what_was_chosen_may_be_offered_again(self) -> None:
        asked = Understanding(last_offered=("refund",))

        assert asked.answered("chosen").not_to_offer == ()
        assert asked.answered(None).not_to_offer == ("refund",)


class TestRepeatedQuestion:
    def asked(self, *entities: str) -> bool:
        """Whether a third question about an order counts as repeated after two about 12345."""
        understanding = Understanding()
        for _ in range(2):
            understanding = understanding.after(
                outcome="stay",
                counts_as_failure=False,
                offered=(),
                question=question_of("order_status", {"order_number": ("12345",)}),
            )
        facts = TurnFacts(
            "m",
            "c",
            "k",
            "whatsapp",
            "2026-03-10T13:00:00+00:00",
            last_question=understanding.last_question,
            times_asked=understanding.times_asked,
        )
        parse = Parse("order_status", (("order_status", 0.9),), {"order_number": entities})
        return snapshot_of(facts, parse, POLICY, text="x").repeated_question

    def test_the_third_time_is_a_repetition(self) -> None:
        assert self.asked("12345")

    def test_another_order_is_another_question(self) -> None:
        assert not self.asked("A-98213")


@pytest.mark.parametrize(
    ("text", "is_payload"),
    [
        ("/refund", True),
        ('/order_status{"order_number": "12345"}', True),
        ("/", False),
        ("/Refund", False),
        ("refund", False),
        ("/refund please", False),
    ],
)
def test_only_what_ponte_writes_into_buttons_is_a_payload(text: str, is_payload: bool) -> None:
    assert bool(PAYLOAD.fullmatch(text)) is is_payload
