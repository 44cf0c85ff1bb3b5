from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from handoff.snapshot import ConversationSnapshot, SnapshotError

Turn = Callable[..., ConversationSnapshot]


def test_a_ranking_is_sorted_bounded_and_freed_of_what_is_no_number(turn: Turn) -> None:
    messy = turn(
        top_intent="b",
        ranking=(("a", 0.2), ("b", 1.0000001), ("c", float("nan")), ("a", 0.3), ("d", -0.1)),
    )

    assert messy.ranking == (("b", 1.0), ("a", 0.3), ("d", 0.0))
    assert messy.confidence == 1.0
    assert messy.margin == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("changes", "confidence", "margin"),
    [
        ({"top_intent": None, "ranking": ()}, 0.0, 0.0),
        ({"top_intent": "a", "ranking": ()}, 0.0, 0.0),
        ({"top_intent": "a", "ranking": (("a", 0.4),)}, 0.4, 0.4),
        ({"top_intent": "b", "ranking": (("a", 0.4), ("b", 0.1))}, 0.1, -0.3),
        ({"top_intent": "a", "ranking": (), "message_kind": "button"}, 1.0, 1.0),
        ({"top_intent": None, "ranking": (("a", 0.4),), "message_kind": "button"}, 0.0, -0.4),
        ({"top_intent": "a", "ranking": (), "clarification_answer": "chosen"}, 1.0, 1.0),
    ],
)
def test_confidence_and_margin(
    turn: Turn, changes: dict[str, Any], confidence: float, margin: float
) -> None:
    snapshot = turn(**changes)

    assert snapshot.confidence == pytest.approx(confidence)
    assert snapshot.margin == pytest.approx(margin)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"now": datetime(2026, 1, 1)}, "snapshot.now: .* expected an aware datetime"),  # noqa: DTZ001
        ({"message_kind": "video"}, "snapshot.message_kind: got 'video'; expected one of text"),
        ({"trigger": "x"}, "snapshot.trigger: got 'x'"),
        ({"clarification_answer": "maybe"}, "snapshot.clarification_answer: got 'maybe'"),
        ({"failures": -1}, "snapshot.failures: got -1; expected 0 or more"),
    ],
)
def test_what_cannot_be_is_refused_with_the_name_of_the_field(
    turn: Turn, changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(SnapshotError, match=problem):
        turn(**changes)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("now", "yesterday", "snapshot.now: got 'yesterday'; expected an ISO 8601 moment"),
        ("now", 3, "snapshot.now: got 3"),
        ("failures", "two", "snapshot.failures: got 'two'; expected a whole number"),
        ("failures", True, "snapshot.failures: got True; expected a whole number"),
        ("contact_vip", "yes", "snapshot.contact_vip: got 'yes'; expected true or false"),
        ("ranking", [["a"]], "snapshot.ranking: .* expected a list of"),
        ("ranking", "abc", "snapshot.ranking: got 'abc'; expected a list of"),
        ("entities", [], "snapshot.entities: .* expected an object of lists"),
        ("entities", {"a": "b"}, "snapshot.entities.a: got 'b'; expected a list of texts"),
        ("keywords", [1], "snapshot.keywords: got 1; expected a list of texts"),
        ("language", None, "snapshot.language: got None; expected a text"),
        ("language_confidence", "high", "snapshot.language_confidence: got 'high'"),
    ],
)
def test_a_document_with_a_wrong_value_names_the_key(
    turn: Turn, key: str, value: object, problem: str
) -> None:
    document = {**turn().to_json(), key: value}

    with pytest.raises(SnapshotError, match=problem):
        ConversationSnapshot.from_json(document)


def test_a_document_of_another_release_is_readable(turn: Turn) -> None:
    document = turn().to_json()
    document["from_the_future"] = 1
    del document["repeated_question"]
    document["now"] = "2026-11-24T13:00:00Z"

    assert ConversationSnapshot.from_json(document) == turn()


def test_a_document_without_a_required_key_names_it() -> None:
    with pytest.raises(SnapshotError, match="lacks turn_id, now"):
        ConversationSnapshot.from_json({"conversation_id": "c", "channel": "whatsapp"})


def test_no_text_of_the_customer_is_in_the_stored_form(turn: Turn) -> None:
    assert not {"text", "message", "normalized_text"} & set(turn().to_json())
