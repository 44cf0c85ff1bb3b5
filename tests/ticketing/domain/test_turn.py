from __future__ import annotations

import pytest

from ticketing.domain.turn import PAYLOAD, Parse, TurnFacts, Understanding


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
            outcome="clarify", counts_as_failure=True, offered=("refund", "cancel"), intent="refund"
        )

        assert after == Understanding(1, 1, ("refund", "cancel"), None)
        assert Understanding.from_json(after.to_json()) == after

    def test_an_understood_turn_starts_anew(self) -> None:
        after = Understanding(2, 1, ("refund",), "cancel").after(
            outcome="stay", counts_as_failure=False, offered=(), intent="refund"
        )

        assert after == Understanding(last_intent="refund")


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
