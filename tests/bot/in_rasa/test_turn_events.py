"""Where a turn lies among the events, and its replies. Runs in env `bot`."""

from __future__ import annotations

import unittest

from rasa.shared.core.events import (
    ActionExecuted,
    BotUttered,
    Event,
    SessionStarted,
    UserUtteranceReverted,
    UserUttered,
)

from bot.turn_events import find_turn, replies

LISTEN = ActionExecuted("action_listen")


def user(message_id: str) -> UserUttered:
    return UserUttered("oi", message_id=message_id)


FIRST: list[Event] = [ActionExecuted("action_session_start"), SessionStarted(), LISTEN]


class FindTurn(unittest.TestCase):
    def test_a_turn_ends_before_the_next_message(self) -> None:
        events = [*FIRST, user("m1"), BotUttered("a"), LISTEN, user("m2"), BotUttered("b"), LISTEN]
        assert find_turn(events, message_id="m1") == (3, 6)
        assert find_turn(events, message_id="m2") == (6, 9)
        assert find_turn(events, message_id="m3") is None
        assert find_turn([], message_id="m1") is None

    def test_a_turn_ends_before_the_next_session(self) -> None:
        greeting = BotUttered("welcome back")
        events = [*FIRST, user("m1"), LISTEN, FIRST[0], FIRST[1], greeting, LISTEN, user("m2")]
        assert find_turn(events, message_id="m1") == (3, 5)

    def test_a_repeated_user_event_belongs_to_its_turn(self) -> None:
        reverted = UserUtteranceReverted()
        events = [user("m1"), BotUttered("a"), reverted, user("m1"), BotUttered("b"), user("m2")]
        assert find_turn(events, message_id="m1") == (0, 5)


class Replies(unittest.TestCase):
    def test_empty_parts_are_left_out_and_an_image_is_no_attachment(self) -> None:
        image = {"image": "i.png", "attachment": "i.png", "buttons": [], "custom": None}
        assert replies(
            [LISTEN, BotUttered("a", image, {"utter_action": "utter_a", "model_id": "x"})]
        ) == [{"text": "a", "image": "i.png", "utter_action": "utter_a"}]


if __name__ == "__main__":
    unittest.main()
