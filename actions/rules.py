"""The actions that apply the handoff rules: on every turn, to ask back, and to hand over.

They hold no rule of their own: they read the tracker, ask `handoff`, and carry out the answer
through `ticketing`. Every one may run twice for a turn with the same result.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import structlog
from rasa_sdk import Action, Tracker
from rasa_sdk.events import EventType, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from handoff.decision import Decision
from handoff.policy import HandoffPolicy
from handoff.policy_holder import PolicyHolder
from handoff.snapshot import ConversationSnapshot
from kit.clock import Clock
from ticketing.db.engine import Database
from ticketing.domain.turn import Parse, TurnFacts, snapshot_of
from ticketing.services import decisions, rulings
from ticketing.services.rulings import Ruling

log = structlog.get_logger()

PERSON_INTENT = "talk_to_person"


@dataclass(frozen=True, slots=True)
class RuleTools:
    """What the rule actions work with."""

    db: Database
    policies: PolicyHolder
    clock: Clock


class NotFromPonteError(Exception):
    """The message did not come through Ponte: it carries no turn."""


def facts_of(tracker: Tracker) -> TurnFacts:
    """The facts that travelled with the customer's message.

    Raises:
        NotFromPonteError: when there are none (somebody talks to Rasa directly).
    """
    metadata = tracker.latest_message.get("metadata") or {}
    try:
        return TurnFacts.from_json(metadata)
    except ValueError as error:
        message = f"the latest message has no usable metadata: {error}"
        raise NotFromPonteError(message) from error


def snapshot_from(
    tracker: Tracker, facts: TurnFacts, policy: HandoffPolicy
) -> ConversationSnapshot:
    """All that a rule may know, out of Rasa's tracker."""
    return snapshot_of(
        facts,
        Parse.from_rasa(tracker.latest_message),
        policy,
        text=str(tracker.latest_message.get("text") or ""),
        active_form=(tracker.active_loop or {}).get("name"),
    )


class ActionValidateSlotMappings(Action):  # type: ignore[misc]  # the SDK has no types
    """Decide the turn. Rasa runs this once per customer message, before any policy."""

    def __init__(self, tools: RuleTools) -> None:
        self._tools = tools

    def name(self) -> str:
        """Rasa's own name for it."""
        return "action_validate_slot_mappings"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[EventType]:
        """Decide, keep the record, and tell the policy by slots."""
        facts = facts_of(tracker)
        tools = self._tools
        policy = tools.policies.current()
        ruling = await rulings.rule(
            tools.db,
            snapshot_from(tracker, facts, policy),
            policy,
            model_version=str(facts.model or "unknown"),
            now=tools.clock.now(),
            correlation_id=facts.correlation_id,
        )
        events: list[EventType] = []
        if ruling.decision.outcome != "stay":
            # A form takes any text for its answer ("quero falar com alguém" as an order number).
            # What is not answered by the bot fills no slot; entities travel with the decision.
            events = [SlotSet(name, None) for name in tracker.slots_to_validate()]
        return [
            *events,
            SlotSet("language", facts.language),
            SlotSet("handoff_outcome", ruling.decision.outcome),
            SlotSet("handoff_reason", ruling.decision.reason),
            SlotSet("failures", float(ruling.decision.counts_as_failure)),
            SlotSet("decision_id", str(ruling.decision_id)),
            SlotSet("last_turn_id", facts.message_id),
        ]


class ActionHandoff(Action):  # type: ignore[misc]  # the SDK has no types
    """Open the ticket and tell the customer what happens next, and when."""

    def __init__(self, tools: RuleTools) -> None:
        self._tools = tools

    def name(self) -> str:
        """Named in the domain."""
        return "action_handoff"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[EventType]:
        """Hand over as the turn's decision says."""
        facts = facts_of(tracker)
        tools = self._tools
        policy = tools.policies.current()
        ruling = await ruling_of(tools, facts)
        if ruling is not None and not ruling.decision.is_handoff:
            # A rule of the dialogue chose this action: the customer said yes to an offered person.
            ruling = await rulings.customer_asked(tools.db, ruling, policy, intent=PERSON_INTENT)
        if ruling is None or not ruling.decision.is_handoff:
            log.warning("action.no_handoff_decided", turn_id=facts.message_id)
            return []
        opened, words = await rulings.hand_over(
            tools.db,
            ruling,
            policy,
            now=tools.clock.now(),
            correlation_id=facts.correlation_id,
        )
        if opened.mine and words:
            dispatcher.utter_message(text=words)
        # The dialogue may have asked for the person after the rules had said "stay".
        return [
            SlotSet("handoff_outcome", "handoff"),
            SlotSet("handoff_reason", ruling.decision.reason),
        ]


class ActionClarify(Action):  # type: ignore[misc]  # the SDK has no types
    """Ask which of the likeliest things was meant."""

    def __init__(self, tools: RuleTools, *, name: str = "action_clarify") -> None:
        self._tools = tools
        self._name = name

    def name(self) -> str:
        """`action_clarify`, and `action_default_fallback` where no rule of the dialogue fits."""
        return self._name

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[EventType]:
        """Ask as the turn's decision says, or to say it in other words."""
        facts = facts_of(tracker)
        tools = self._tools
        policy = tools.policies.current()
        ruling = await ruling_of(tools, facts)
        if ruling is None or ruling.decision.outcome != "clarify":
            dispatcher.utter_message(
                text=policy.clarify.rephrase[policy.languages.written(facts.language)]
            )
            return []
        message, _ = rulings.question(ruling, policy)
        buttons = [{"title": button.title, "payload": button.id} for button in message.buttons]
        dispatcher.utter_message(text=message.text, buttons=buttons)
        return []


async def ruling_of(tools: RuleTools, facts: TurnFacts) -> Ruling | None:
    """The decision of the present turn, from its record."""
    async with tools.db.transaction() as session:
        record = await decisions.of_turn(session, uuid.UUID(facts.message_id))
    if record is None:
        return None
    return Ruling(
        record.id,
        Decision.from_json(record.decision),
        ConversationSnapshot.from_json(record.snapshot),
    )
