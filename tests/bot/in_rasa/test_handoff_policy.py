"""Which action the handoff policy asks for. Runs in env `bot`."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from typing import Any

from rasa.core.policies.ensemble import DefaultPolicyPredictionEnsemble
from rasa.core.policies.policy import InvalidPolicyConfig, PolicyPrediction
from rasa.engine.graph import ExecutionContext, GraphSchema
from rasa.engine.storage.local_model_storage import LocalModelStorage
from rasa.engine.storage.resource import Resource
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import (
    ActionExecuted,
    ActionExecutionRejected,
    ActiveLoop,
    Event,
    SlotSet,
    UserUttered,
)
from rasa.shared.core.trackers import DialogueStateTracker

from bot.policies.handoff_policy import HandoffPolicy, next_action

DOMAIN = Domain.from_yaml(
    """
version: "3.1"
intents: [greet]
slots:
  handoff_outcome: {type: any, influence_conversation: false, mappings: [{type: custom}]}
  last_turn_id: {type: any, influence_conversation: false, mappings: [{type: custom}]}
actions: [action_handoff, action_clarify]
forms:
  order_form: {required_slots: []}
"""
)


def after(outcome: Any, *events: Event, decided_for: Any = "m2") -> DialogueStateTracker:
    start: list[Event] = [
        ActionExecuted("action_listen"),
        UserUttered("antes", {"name": "greet"}, message_id="m1", metadata={"message_id": "m1"}),
        ActionExecuted("action_handoff"),
        ActionExecuted("action_listen"),
        UserUttered("agora", {"name": "greet"}, message_id="m2", metadata={"message_id": "m2"}),
        SlotSet("handoff_outcome", outcome),
        SlotSet("last_turn_id", decided_for),
    ]
    return DialogueStateTracker.from_events("c1", [*start, *events], slots=DOMAIN.slots)


def in_form(outcome: str, *events: Event) -> DialogueStateTracker:
    tracker = DialogueStateTracker.from_events("c1", [ActiveLoop("order_form")], DOMAIN.slots)
    for event in after(outcome, *events).events:
        tracker.update(event)
    return tracker


class NextAction(unittest.TestCase):
    def test_a_handoff_then_listens(self) -> None:
        assert next_action(after("handoff")) == "action_handoff"
        done = after("handoff", ActionExecuted("action_handoff"))
        assert next_action(done) == "action_listen"

    def test_a_clarifying_question_then_listens(self) -> None:
        assert next_action(after("clarify")) == "action_clarify"
        done = after("clarify", ActionExecuted("action_clarify"))
        assert next_action(done) == "action_listen"

    def test_it_abstains_without_an_outcome_of_this_turn(self) -> None:
        for outcome in ("stay", None, "", "unknown"):
            assert next_action(after(outcome)) is None
        for decided_for in ("m1", None, ""):
            assert next_action(after("handoff", decided_for=decided_for)) is None

    def test_it_abstains_before_the_first_message(self) -> None:
        assert next_action(DialogueStateTracker.from_events("c1", [])) is None
        only_slots = DialogueStateTracker.from_events(
            "c1", [SlotSet("handoff_outcome", "handoff")], DOMAIN.slots
        )
        assert next_action(only_slots) is None

    def test_a_handoff_inside_a_form_leaves_it_first(self) -> None:
        assert next_action(in_form("handoff")) == "action_deactivate_loop"
        left = in_form("handoff", ActionExecuted("action_deactivate_loop"), ActiveLoop(None))
        assert next_action(left) == "action_handoff"

    def test_a_loop_that_will_not_close_does_not_hold_the_handoff(self) -> None:
        stuck = in_form("handoff", ActionExecuted("action_deactivate_loop"))
        assert next_action(stuck) == "action_handoff"

    def test_a_clarifying_question_inside_a_form_keeps_it(self) -> None:
        assert next_action(in_form("clarify")) == "action_clarify"

    def test_a_rejected_action_is_not_asked_for_again(self) -> None:
        rejected = after("handoff", ActionExecutionRejected("action_handoff"))
        assert next_action(rejected) is None


class InTheEnsemble(unittest.TestCase):
    def policy(self, **config: Any) -> HandoffPolicy:
        folder = tempfile.mkdtemp()
        return HandoffPolicy.create(
            {**HandoffPolicy.get_default_config(), **config},
            LocalModelStorage(Path(folder)),
            Resource("handoff"),
            ExecutionContext(GraphSchema({})),
        )

    def test_it_wins_over_the_form_rule_policy_predicts(self) -> None:
        tracker = in_form("handoff")
        of_form = PolicyPrediction.for_action_name(DOMAIN, "order_form", "RulePolicy")
        of_form.is_no_user_prediction = True
        of_form.policy_priority = 6
        ours = self.policy().predict_action_probabilities(tracker, DOMAIN)
        for order in ([of_form, ours], [ours, of_form]):
            best = DefaultPolicyPredictionEnsemble().combine_predictions(order, tracker, DOMAIN)
            assert (
                DOMAIN.action_names_or_texts[best.max_confidence_index] == "action_deactivate_loop"
            )

    def test_its_silence_does_not_disturb_the_others(self) -> None:
        tracker = after("stay")
        other = PolicyPrediction.for_action_name(DOMAIN, "action_listen", "RulePolicy", 0.3)
        ours = self.policy().predict_action_probabilities(tracker, DOMAIN)
        best = DefaultPolicyPredictionEnsemble().combine_predictions([ours, other], tracker, DOMAIN)
        assert best.policy_name == "RulePolicy"

    def test_training_names_what_the_domain_lacks(self) -> None:
        with self.assertRaisesRegex(InvalidPolicyConfig, r"action_handoff.*last_turn_id"):  # noqa: PT027 - no pytest here
            self.policy().train([], Domain.empty())

    def test_training_refuses_a_priority_that_loses(self) -> None:
        with self.assertRaisesRegex(InvalidPolicyConfig, "at least 7"):  # noqa: PT027 - no pytest here
            self.policy(priority=6).train([], DOMAIN)

    def test_it_loads_without_a_stored_resource(self) -> None:
        loaded = HandoffPolicy.load(
            HandoffPolicy.get_default_config(),
            LocalModelStorage(Path(tempfile.mkdtemp())),
            Resource("handoff"),
            ExecutionContext(GraphSchema({})),
        )
        assert loaded.priority == 7


if __name__ == "__main__":
    unittest.main()
