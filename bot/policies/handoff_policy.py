"""The policy that lets the handoff rules interrupt any intent, form or story.

`action_validate_slot_mappings` runs once per user turn, before any policy, applies the rules and
sets two slots: `handoff_outcome` (stay | clarify | handoff) and `last_turn_id` (the `message_id` of
the turn the outcome belongs to). This policy reads them; it holds no rule of its own.

Why `is_no_user_prediction` is set: inside a form RulePolicy predicts the form with that mark and
confidence 1.0, and `DefaultPolicyPredictionEnsemble` then drops every prediction without it. With
the mark, equal confidence and a higher `priority` than RulePolicy (6), this policy wins.
"""

from __future__ import annotations

from typing import Any, Optional

from rasa.core.constants import POLICY_PRIORITY
from rasa.core.policies.policy import (
    InvalidPolicyConfig,
    Policy,
    PolicyPrediction,
    SupportedData,
    confidence_scores_for,
)
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.shared.core.constants import ACTION_DEACTIVATE_LOOP_NAME, ACTION_LISTEN_NAME
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActionExecuted, ActionExecutionRejected, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker

ACTION_HANDOFF = "action_handoff"
ACTION_CLARIFY = "action_clarify"
OUTCOME_SLOT = "handoff_outcome"
TURN_SLOT = "last_turn_id"
_ACTION_OF_OUTCOME = {"handoff": ACTION_HANDOFF, "clarify": ACTION_CLARIFY}

# RulePolicy's default is 6 (rasa.core.constants.RULE_POLICY_PRIORITY).
_PRIORITY = 7


@DefaultV1Recipe.register(
    DefaultV1Recipe.ComponentType.POLICY_WITHOUT_END_TO_END_SUPPORT, is_trainable=True
)
class HandoffPolicy(Policy):
    """Predicts `action_handoff` or `action_clarify` when this turn's decision says so.

    In `config.yml`:

        policies:
          - name: bot.policies.handoff_policy.HandoffPolicy
            priority: 7
          - name: RulePolicy
    """

    @staticmethod
    def get_default_config() -> dict[str, Any]:
        """Priority above RulePolicy's."""
        return {POLICY_PRIORITY: _PRIORITY}

    @staticmethod
    def supported_data() -> SupportedData:
        """Any training data: none of it is read."""
        return SupportedData.ML_AND_RULE_DATA

    def train(self, training_trackers: list[Any], domain: Domain, **_kwargs: Any) -> Resource:
        """Nothing to learn; checks that the domain and the priority fit.

        Raises:
            InvalidPolicyConfig: an action or slot this policy needs is not in the domain, or the
                priority does not lie above RulePolicy's.
        """
        del training_trackers
        slots = {slot.name for slot in domain.slots}
        missing = [name for name in _ACTION_OF_OUTCOME.values() if name not in domain.user_actions]
        missing += [name for name in (OUTCOME_SLOT, TURN_SLOT) if name not in slots]
        if missing:
            message = (
                f"HandoffPolicy needs {', '.join(missing)} in the domain (actions: {ACTION_HANDOFF}"
                f", {ACTION_CLARIFY}; slots: {OUTCOME_SLOT}, {TURN_SLOT})."
            )
            raise InvalidPolicyConfig(message)
        if self.priority < _PRIORITY:
            message = (
                f"HandoffPolicy has priority {self.priority}; it must be at least {_PRIORITY}, "
                f"above RulePolicy, or an active form would win over a handoff."
            )
            raise InvalidPolicyConfig(message)
        return self._resource

    def predict_action_probabilities(
        self,
        tracker: DialogueStateTracker,
        domain: Domain,
        rule_only_data: Optional[dict[str, Any]] = None,
        **_kwargs: Any,
    ) -> PolicyPrediction:
        """The next action of a turn that leaves the normal path, or no opinion."""
        del rule_only_data
        action = next_action(tracker)
        if action is None:
            return self._prediction(self._default_predictions(domain))
        return self._prediction(
            confidence_scores_for(action, 1.0, domain), is_no_user_prediction=True
        )


def next_action(tracker: DialogueStateTracker) -> Optional[str]:
    """What this turn's decision asks for next; None when the policy has nothing to say.

    A handoff inside a form leaves the form first (`action_deactivate_loop`): the customer comes
    back from a person to a bot without a half-asked question. A clarifying question keeps it.
    """
    wanted = _ACTION_OF_OUTCOME.get(_slot(tracker, OUTCOME_SLOT) or "")
    if wanted is None or not _belongs_to_this_turn(tracker):
        return None
    done = _actions_of_this_turn(tracker)
    if done is None:
        return None
    if wanted in done:
        return ACTION_LISTEN_NAME
    if (
        wanted == ACTION_HANDOFF
        and tracker.active_loop_name is not None
        and ACTION_DEACTIVATE_LOOP_NAME not in done
    ):
        return ACTION_DEACTIVATE_LOOP_NAME
    return wanted


def _slot(tracker: DialogueStateTracker, name: str) -> Optional[str]:
    # get_slot logs a line for a slot the domain does not have.
    slot = tracker.slots.get(name)
    return slot.value if slot is not None else None


def _belongs_to_this_turn(tracker: DialogueStateTracker) -> bool:
    """Whether the outcome was decided for the message being answered, not for an earlier one."""
    message = tracker.latest_message
    decided_for = _slot(tracker, TURN_SLOT)
    if message is None or not decided_for:
        return False
    return decided_for == (message.metadata or {}).get("message_id", message.message_id)


def _actions_of_this_turn(tracker: DialogueStateTracker) -> Optional[set[str]]:
    """Names of the actions run since the last user message; None when our action was rejected.

    A rejected action has its confidence set to zero in the ensemble; predicting it again would
    end in `action_listen` by accident, so the other policies decide.
    """
    done: set[str] = set()
    for event in reversed(tracker.events):
        if isinstance(event, UserUttered):
            break
        if isinstance(event, ActionExecuted) and event.action_name:
            done.add(event.action_name)
        if isinstance(event, ActionExecutionRejected) and event.action_name in (
            ACTION_HANDOFF,
            ACTION_CLARIFY,
        ):
            return None
    return done
