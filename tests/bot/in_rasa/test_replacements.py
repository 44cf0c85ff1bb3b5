"""What replaces private parts of Rasa, compared with the originals. Runs in env `bot`."""

from __future__ import annotations

import asyncio
import json
import unittest
from typing import Any

import jsonschema
from rasa.core.actions.action import ActionExecutionRejection, ActionSessionStart, RemoteAction
from rasa.shared.constants import DOCS_BASE_URL
from rasa.shared.core.events import Event, SlotSet
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.shared.utils.common import all_subclasses

from bot import action_failures, fast_action_results, fast_event_types, short_session_starts

MODULES = (fast_action_results, fast_event_types, action_failures, short_session_starts)

SLOT = {"event": "slot", "timestamp": None, "name": "a", "value": 1}

VALID: list[Any] = [
    {},
    {"events": [], "responses": []},
    {"events": [SLOT], "responses": [{"text": "oi"}]},
    {"events": [{"event": "session_started"}], "responses": [{}], "more": 1},
    {"events": [{"event": "user", "text": "oi", "parse_data": {"intent": {"name": "greet"}}}]},
    {"events": [{"event": "followup", "name": "action_x"}]},
]
INVALID: list[Any] = [
    [],
    "text",
    None,
    {"events": {}},
    {"events": [1]},
    {"events": [{}]},
    {"events": [{"event": "no_such_event"}]},
    {"events": [{"event": 5}]},
    {"events": [{"event": "slot", "value": 1}]},
    {"events": [SLOT, {"event": "slot", "name": 3, "value": 1}]},
    {"responses": {}},
    {"responses": ["oi"]},
    {"events": [], "responses": [None]},
]


def original(result: Any) -> None:
    """`RemoteAction._validate_action_result` of 3.6.21, word for word."""
    try:
        jsonschema.validate(result, RemoteAction.action_response_format_spec())
    except jsonschema.ValidationError as e:
        e.message += (
            f". Failed to validate Action server response from API, "
            f"make sure your response from the Action endpoint is valid. "
            f"For more information about the format visit "
            f"{DOCS_BASE_URL}/custom-actions"
        )
        raise e  # noqa: TRY201 - as Rasa has it


def verdict(check: Any, result: Any) -> tuple[str, ...]:
    try:
        check(result)
    except jsonschema.ValidationError as error:
        return (type(error).__name__, error.message, str(list(error.path)), str(error.validator))
    return ("valid",)


class FastActionResults(unittest.TestCase):
    def test_the_verdict_and_the_error_are_those_of_the_original(self) -> None:
        action = RemoteAction("action_x", None)
        for result in [*VALID, *INVALID]:
            with self.subTest(result=json.dumps(result)):
                found = verdict(action._validate_action_result, result)
                assert found == verdict(original, result)
        for result in VALID:
            assert verdict(original, result) == ("valid",)
        for result in INVALID:
            assert verdict(original, result) != ("valid",)

    def test_it_is_in_place_after_the_import(self) -> None:
        assert RemoteAction._validate_action_result is fast_action_results.validate_action_result


class OtherReleases(unittest.TestCase):
    def test_each_replacement_steps_back_and_says_so(self) -> None:
        for module in MODULES:
            with self.subTest(module=module.__name__), self.assertLogs("bot", "WARNING") as logs:
                assert not module.apply(installed="3.6.22")
            assert module.__name__ in logs.output[0]

    def test_a_second_application_changes_nothing(self) -> None:
        run = RemoteAction.run
        assert action_failures.apply()
        assert RemoteAction.run is run


class FastEventTypes(unittest.TestCase):
    def test_each_event_has_the_class_the_original_finds(self) -> None:
        original = Event.resolve_by_type.__wrapped__
        for name in {kind.type_name for kind in all_subclasses(Event)}:
            assert Event.resolve_by_type(name) is original(name)
            assert Event.resolve_by_type(name) is original(name)

    def test_an_unknown_name_is_an_error_each_time(self) -> None:
        for _ in range(2):
            with self.assertRaisesRegex(ValueError, "Unknown event name"):  # noqa: PT027 - no pytest
                Event.resolve_by_type("no_such_event")


class Endpoint:
    """An action server that fails as told."""

    url = "http://nowhere"

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def request(self, **_: Any) -> None:
        raise self._error


class ActionFailures(unittest.TestCase):
    def failed(self, error: Exception) -> list[str]:
        action = RemoteAction("action_x", Endpoint(error))
        action._action_call_format = lambda *_: {}

        async def watched() -> list[str]:
            with action_failures.watch() as names:
                with self.assertRaises(type(error)):  # noqa: PT027 - no pytest here
                    await action.run(None, None, None, None)
                return names

        return asyncio.run(watched())

    def test_a_failure_is_noted_and_still_raised(self) -> None:
        assert self.failed(OSError("down")) == ["action_x"]

    def test_a_rejection_is_no_failure(self) -> None:
        assert self.failed(ActionExecutionRejection("action_x")) == []

    def test_without_a_watcher_the_error_just_travels(self) -> None:
        action = RemoteAction("action_x", None)
        with self.assertRaises(Exception):  # noqa: B017, PT027 - whatever Rasa raises
            asyncio.run(action.run(None, None, None, None))


class ShortSessionStarts(unittest.TestCase):
    def test_each_slot_is_carried_once_with_its_last_value(self) -> None:
        events = [SlotSet("a", 1), SlotSet("b", 1), SlotSet("a", 2), SlotSet("b", None)]
        tracker = DialogueStateTracker.from_events("c1", events)
        carried = ActionSessionStart._slot_set_events_from_tracker(tracker)
        assert [(event.key, event.value) for event in carried] == [("a", 2), ("b", None)]


if __name__ == "__main__":
    unittest.main()
