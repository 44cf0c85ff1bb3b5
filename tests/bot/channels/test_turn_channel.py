"""The channel over real HTTP, with a real model and a real PostgreSQL."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest

from tests.bot.conftest import BotProcess, StartBot
from tests.bot.fake_action_server import FakeActionServer


def events_of(database: str, conversation: str) -> list[str]:
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT type_name FROM events WHERE sender_id = %s ORDER BY id", [conversation]
        )
        return [row[0] for row in rows]


def let_the_session_expire(database: str, conversation: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(
            """
            UPDATE events SET timestamp = timestamp - 7200,
              data = jsonb_set(data::jsonb, '{timestamp}',
                to_jsonb((data::jsonb->>'timestamp')::float - 7200))::text
            WHERE sender_id = %s
            """,
            [conversation],
        )


def without_replay_mark(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "replayed"}


def test_a_turn_answers_with_replies_parse_slots_and_model(
    bot: BotProcess, conversation: str
) -> None:
    answer = bot.turn(conversation_id=conversation, message_id="m1", text="oi")
    assert answer["conversation_id"] == conversation
    assert answer["message_id"] == "m1"
    assert answer["replies"] == [
        {
            "text": "Olá!",
            "buttons": [{"title": "Rastrear pedido", "payload": "/track_order"}],
            "utter_action": "utter_greet",
        }
    ]
    assert answer["parse"]["intent"]["name"] == "greet"
    intent = answer["parse"]["intent"]
    assert answer["parse"]["intent_ranking"][0] == {
        "name": "greet",
        "confidence": intent["confidence"],
    }
    assert answer["parse"]["entities"] == []
    assert answer["slots"] == {
        "handoff_outcome": "stay",
        "handoff_reason": None,
        "decision_id": "decision-m1",
        "failures": {"clarify": 1},
        "order_number": None,
    }
    assert answer["active_loop"] is None
    assert answer["replayed"] is False
    assert answer["model"]["id"]


def test_pictures_custom_parts_attachments_and_channel_variations_are_kept(
    bot: BotProcess, conversation: str
) -> None:
    answer = bot.turn(conversation_id=conversation, text="tchau")
    assert answer["replies"] == [
        {
            "text": "Até logo.",
            "image": "https://example.org/ponte.png",
            "utter_action": "utter_picture",
        },
        {"text": "Um mapa", "custom": {"kind": "location", "latitude": -23.5}},
        {"attachment": {"type": "file", "payload": {"src": "https://example.org/a.pdf"}}},
    ]


def test_a_payload_runs_its_intent_with_its_entities(bot: BotProcess, conversation: str) -> None:
    bot.turn(conversation_id=conversation, text="Rastrear", payload="/track_order")
    answer = bot.turn(
        conversation_id=conversation, text="", payload='/inform{"order_number":"123"}'
    )
    assert answer["parse"]["intent"] == {"name": "inform", "confidence": 1.0, "in_scope": None}
    assert answer["slots"]["order_number"] == "123"
    assert answer["replies"][-1]["text"] == "O pedido 123 está a caminho."
    assert answer["active_loop"] is None


@pytest.mark.parametrize(
    "text", ["/restart", "  //session_start", "/greet", "\u00a0/back", "/ / restart"]
)
def test_typed_text_never_runs_as_an_intent(
    bot: BotProcess, database: str, conversation: str, text: str
) -> None:
    bot.turn(conversation_id=conversation, text="meu pedido não chegou")
    answer = bot.turn(conversation_id=conversation, text=text)
    assert answer["parse"]["intent"]["confidence"] < 1.0
    assert len(answer["parse"]["intent_ranking"]) == 4
    stored = events_of(database, conversation)
    assert "restart" not in stored
    assert "rewind" not in stored
    assert stored.count("session_started") == 1


@pytest.mark.parametrize("text", ["/", "", "  / / ", "\n"])
def test_a_text_of_which_nothing_is_left_is_still_a_turn(bot: BotProcess, text: str) -> None:
    assert bot.turn(text=text)["replayed"] is False


@pytest.mark.parametrize("text", ["\ud83d", "nul \x00 byte", "🙂" * 50, "x" * 10_000])
def test_odd_text_is_a_turn_like_any_other(bot: BotProcess, conversation: str, text: str) -> None:
    body = {"conversation_id": conversation, "message_id": "m1", "text": text}
    first = bot.turn(**body)
    assert bot.turn(**body) == first | {"replayed": True}


def test_the_actions_learn_which_model_reads_the_message(
    bot: BotProcess, actions: FakeActionServer, conversation: str
) -> None:
    turn_id = f"which-model-{conversation}"
    answer = bot.turn(conversation_id=conversation, message_id=turn_id, text="oi")
    assert answer["model"]["id"]
    assert actions.models[turn_id] == answer["model"]["id"]


def test_the_same_message_again_replays_the_answer_and_calls_no_action(
    bot: BotProcess, actions: FakeActionServer, database: str, conversation: str
) -> None:
    turn_id = uuid.uuid4().hex
    body = {"conversation_id": conversation, "message_id": turn_id, "text": "quero humano"}
    first = bot.turn(**body)
    stored = events_of(database, conversation)
    again = bot.turn(**body)
    assert again["replayed"] is True
    assert without_replay_mark(again) == without_replay_mark(first)
    assert events_of(database, conversation) == stored
    assert actions.count("action_handoff", turn_id) == 1
    assert actions.count("action_validate_slot_mappings", turn_id) == 1


def test_a_replay_shows_the_state_after_that_turn_not_the_present_one(
    bot: BotProcess, conversation: str
) -> None:
    body = {"conversation_id": conversation, "message_id": "m1", "text": "meu pedido não chegou"}
    first = bot.turn(**body)
    assert first["active_loop"] == "order_form"
    bot.turn(conversation_id=conversation, message_id="m2", text="quero humano")
    bot.turn(conversation_id=conversation, message_id="m3", text="tchau")
    again = bot.turn(**body)
    assert without_replay_mark(again) == without_replay_mark(first)


def test_one_message_id_in_two_conversations_is_two_turns(bot: BotProcess) -> None:
    assert bot.turn(message_id="shared")["replayed"] is False
    assert bot.turn(message_id="shared")["replayed"] is False


def test_the_same_message_at_the_same_time_runs_once(
    bot: BotProcess, actions: FakeActionServer, conversation: str
) -> None:
    turn_id = uuid.uuid4().hex
    with ThreadPoolExecutor(6) as pool:
        answers = list(
            pool.map(
                lambda _: bot.turn(
                    conversation_id=conversation, message_id=turn_id, text="quero humano"
                ),
                range(6),
            )
        )
    assert sorted(answer["replayed"] for answer in answers) == [False] + [True] * 5
    assert all(answer["replies"] == answers[0]["replies"] for answer in answers)
    assert actions.count("action_handoff", turn_id) == 1


def test_different_messages_at_the_same_time_are_all_stored(
    bot: BotProcess, database: str, conversation: str
) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: bot.turn(conversation_id=conversation, text=f"oi {n}"), range(6)))
    assert events_of(database, conversation).count("user") == 6


def test_two_processes_that_run_one_message_at_once_store_it_once(
    bot: BotProcess,
    start_bot: StartBot,
    actions: FakeActionServer,
    database: str,
    conversation: str,
) -> None:
    """Without a common lock store both run it; the unique key lets one of them store."""
    other = start_bot()
    actions.release.clear()
    actions.entered.clear()
    body = {"conversation_id": conversation, "message_id": "m1", "text": "oi, demora"}
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(bot.turn, **body)
        assert actions.entered.wait(10)
        actions.entered.clear()
        second = pool.submit(other.turn, **body)
        assert actions.entered.wait(10)
        actions.release.set()
        answers = [first.result(), second.result()]
    assert sorted(answer["replayed"] for answer in answers) == [False, True]
    assert answers[0]["replies"] == answers[1]["replies"]
    assert events_of(database, conversation).count("user") == 1


def test_a_turn_whose_caller_hung_up_is_finished_and_replayed(
    bot: BotProcess, actions: FakeActionServer, conversation: str
) -> None:
    actions.release.clear()
    actions.entered.clear()
    turn_id = uuid.uuid4().hex
    body = {"conversation_id": conversation, "message_id": turn_id, "text": "oi, demora"}
    with pytest.raises(httpx.ReadTimeout):
        bot.client.post("/webhooks/ponte/turn", json=body, timeout=0.3)
    assert actions.entered.wait(10)
    actions.release.set()
    answer = bot.turn(**body)
    assert answer["replayed"] is True
    assert actions.count("action_validate_slot_mappings", turn_id) == 1


def test_a_message_of_an_expired_session_is_still_recognised(
    bot: BotProcess, database: str, conversation: str
) -> None:
    body = {"conversation_id": conversation, "message_id": "m1", "text": "meu pedido não chegou"}
    first = bot.turn(**body)
    let_the_session_expire(database, conversation)
    later = bot.turn(conversation_id=conversation, message_id="m2", text="oi")
    assert later["active_loop"] is None
    assert events_of(database, conversation).count("session_started") == 2
    again = bot.turn(**body)
    assert again["replayed"] is True
    assert without_replay_mark(again) == without_replay_mark(first)


def test_a_new_session_carries_each_slot_once(
    bot: BotProcess, database: str, conversation: str
) -> None:
    for _ in range(4):
        bot.turn(conversation_id=conversation, text="oi")
    let_the_session_expire(database, conversation)
    before = len(events_of(database, conversation))
    bot.turn(conversation_id=conversation, text="oi")
    new = events_of(database, conversation)[before:]
    carried = new[: new.index("user")].count("slot")
    # session_started_metadata twice (Rasa sets it before the session starts), and four of ours.
    assert carried == 6


def test_a_turn_that_rasa_reverts_still_reports_its_own_decision(
    bot: BotProcess, database: str, conversation: str
) -> None:
    """No rule fits: action_default_fallback reverts the message and every slot it set."""
    bot.turn(conversation_id=conversation, message_id="m1", text="quero humano")
    body = {"conversation_id": conversation, "message_id": "m2", "payload": "/inform"}
    answer = bot.turn(**body)
    assert "rewind" in events_of(database, conversation)
    assert answer["slots"]["handoff_outcome"] == "stay"
    assert answer["slots"]["decision_id"] == "decision-m2"
    assert bot.turn(**body) == answer | {"replayed": True}


@pytest.mark.parametrize(("text", "failed"), [("caiu", "decision"), ("caiu depois", "handoff")])
def test_a_turn_whose_action_failed_is_not_stored_and_may_be_repeated(
    bot: BotProcess, database: str, conversation: str, text: str, failed: str
) -> None:
    body = {"conversation_id": conversation, "message_id": "m1", "text": text}
    for _ in range(2):
        response = bot.post(**body)
        assert response.status_code == 500, failed
        assert response.json() == {
            "error": "the turn failed and was not stored",
            "code": "action_failed",
        }
    assert events_of(database, conversation) == []
    assert bot.turn(conversation_id=conversation, message_id="m1", text="oi")["replayed"] is False


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"conversation_id": ""}, "conversation_id"),
        ({"conversation_id": 7}, "conversation_id"),
        ({"message_id": "a b"}, "message_id"),
        ({"text": None}, "text"),
        ({"text": "x" * 10_001}, "text"),
        ({"payload": "greet"}, "payload"),
        ({"payload": "/restart"}, "payload"),
        ({"payload": "/session_start"}, "payload"),
        ({"payload": "/back"}, "payload"),
        ({"payload": "/no_such_intent"}, "payload"),
        ({"payload": "/greet@0.2"}, "payload"),
        ({"payload": "/greet{broken}"}, "payload"),
        ({"payload": "/greet extra"}, "payload"),
        ({"metadata": []}, "metadata"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_wrong_field_is_named(bot: BotProcess, change: dict[str, Any], field: str) -> None:
    response = bot.post(**change)
    assert response.status_code == 422
    assert response.json()["field"] == field
    assert response.json()["expected"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(bot: BotProcess, body: bytes) -> None:
    response = bot.client.post("/webhooks/ponte/turn", content=body)
    assert response.status_code == 422
    assert response.json()["field"] == "body"


@pytest.mark.parametrize("secret", [None, "", "wrong", "ç"])
def test_a_turn_without_the_secret_is_refused(bot: BotProcess, secret: str | None) -> None:
    headers = {} if secret is None else {"X-Ponte-Secret": secret.encode()}
    with httpx.Client(base_url=bot.client.base_url) as stranger:
        response = stranger.post(
            "/webhooks/ponte/turn",
            json={"conversation_id": "c", "message_id": "m", "text": "oi"},
            headers=headers,
        )
    assert response.status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/webhooks/rest/webhook"),
        ("GET", "/conversations/x/tracker"),
        ("POST", "/model/parse"),
        ("GET", "/status"),
        ("GET", "/webhooks"),
        ("GET", "/webhooks/ponte"),
    ],
)
def test_every_other_route_asks_for_the_secret(bot: BotProcess, method: str, path: str) -> None:
    with httpx.Client(base_url=bot.client.base_url) as stranger:
        assert stranger.request(method, path).status_code == 401
        assert stranger.get("/").status_code == 200
    assert bot.client.request(method, path).status_code in {404, 405, 200}


def test_health_needs_no_secret_and_names_the_model(bot: BotProcess) -> None:
    with httpx.Client(base_url=bot.client.base_url) as stranger:
        response = stranger.get("/webhooks/ponte/")
    assert response.status_code == 200
    assert response.json()["status"] == "ok"
    assert response.headers.get("access-control-allow-origin") is None


def test_no_word_of_a_customer_is_in_the_log(bot: BotProcess, conversation: str) -> None:
    words = "jabuticaba caiu depois"
    bot.turn(conversation_id=conversation, text="jabuticaba")
    bot.post(conversation_id=conversation, text=words)
    bot.post(conversation_id=conversation, text="caiu")
    bot.post(text="oi", payload='/greet{"order_number":"jabuticaba"}')
    log = bot.log.read_text()
    assert "jabuticaba" not in log
    assert "turn.finished" in log
    assert "turn.failed" in log
    assert conversation in log


class TestLeavingAForm:
    @pytest.fixture
    def asking(self, bot: BotProcess, conversation: str) -> str:
        asked = bot.turn(conversation_id=conversation, text="rastrear pedido")
        assert asked["active_loop"] == "order_form"
        return conversation

    def test_the_gateway_ends_a_form_before_the_next_message_is_read(
        self, bot: BotProcess, asking: str
    ) -> None:
        answer = bot.turn(conversation_id=asking, text="bom dia", metadata={"leave_form": True})

        assert [reply["text"] for reply in answer["replies"]] == ["Olá!"]
        assert answer["active_loop"] is None
        assert answer["slots"]["order_number"] is None
        later = bot.turn(conversation_id=asking, text="oi")
        assert [reply["text"] for reply in later["replies"]] == ["Olá!"]

    def test_the_same_message_may_begin_the_form_again(self, bot: BotProcess, asking: str) -> None:
        answer = bot.turn(
            conversation_id=asking, text="rastrear pedido", metadata={"leave_form": True}
        )

        assert answer["active_loop"] == "order_form"
        assert [reply["text"] for reply in answer["replies"]] == ["Qual é o número do pedido?"]

    @pytest.mark.parametrize("metadata", [{}, {"leave_form": False}, {"leave_form": "true"}])
    def test_without_that_word_the_form_takes_its_answer(
        self, bot: BotProcess, asking: str, metadata: dict[str, Any]
    ) -> None:
        answer = bot.turn(conversation_id=asking, text="o número é 1234", metadata=metadata)

        assert answer["active_loop"] is None
        assert "a caminho" in answer["replies"][0]["text"]

    def test_where_no_form_asks_nothing_changes(self, bot: BotProcess, conversation: str) -> None:
        answer = bot.turn(conversation_id=conversation, text="oi", metadata={"leave_form": True})

        assert [reply["text"] for reply in answer["replies"]] == ["Olá!"]
