from __future__ import annotations

import uuid
from typing import Any

import pytest
import pytest_asyncio
from rasa_sdk import Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.rules import (
    ActionClarify,
    ActionHandoff,
    ActionValidateSlotMappings,
    NotFromPonteError,
    RuleTools,
)
from handoff.policy_holder import PolicyHolder
from kit.clock import FakeClock
from tests.ticketing.services.talk import POLICY, World, make_world
from ticketing.db.engine import Database
from ticketing.db.tables import Conversation, Decision, Ticket


@pytest_asyncio.fixture(loop_scope="session")
async def world(db: Database, clock: FakeClock) -> World:
    made = make_world(db, clock)
    await made.say("oi")
    return made


def tracker(
    conversation: Conversation,
    intent: str,
    score: float,
    *,
    turn_id: str | None = None,
    text: str = "oi",
    form_took: str | None = None,
) -> Tracker:
    metadata = {
        "message_id": turn_id or str(uuid.uuid4()),
        "conversation_id": str(conversation.id),
        "correlation_id": "k",
        "channel": "whatsapp",
        "sent_at": "2026-03-10T13:00:00+00:00",
        "language": "pt",
    }
    ranking = [
        {"name": intent, "confidence": score},
        {"name": "cancel", "confidence": (1 - score) / 2},
        {"name": "refund", "confidence": (1 - score) / 3},
    ]
    message = {
        "intent": ranking[0],
        "intent_ranking": ranking,
        "entities": [],
        "text": text,
        "metadata": metadata,
    }
    events = [{"event": "slot", "name": "order_number", "value": form_took}] if form_took else []
    return Tracker(
        str(conversation.id),
        {},
        message,
        events,
        False,
        None,
        {},
        "action_listen",
    )


async def decide(world: World, seen: Tracker) -> dict[str, Any]:
    action = ActionValidateSlotMappings(RuleTools(world.db, PolicyHolder(POLICY), world.clock))
    events = await action.run(CollectingDispatcher(), seen, {})
    return {event["name"]: event["value"] for event in events}


async def test_every_turn_is_decided_and_the_policy_told_by_slots(world: World) -> None:
    seen = tracker(await world.conversation(), "order_status", 0.95)

    slots = await decide(world, seen)

    assert slots["handoff_outcome"] == "stay"
    assert slots["last_turn_id"] == seen.latest_message["metadata"]["message_id"]
    assert slots["decision_id"] in {str(row.id) for row in await world.rows(Decision)}


async def test_a_turn_that_runs_again_keeps_its_first_decision(world: World) -> None:
    conversation = await world.conversation()
    turn_id = str(uuid.uuid4())

    first = await decide(world, tracker(conversation, "talk_to_person", 0.99, turn_id=turn_id))
    second = await decide(world, tracker(conversation, "order_status", 0.99, turn_id=turn_id))

    assert second == first


async def test_what_a_form_took_from_an_escalated_message_is_forgotten(world: World) -> None:
    seen = tracker(
        await world.conversation(), "talk_to_person", 0.99, form_took="quero falar com alguém"
    )

    slots = await decide(world, seen)

    assert slots["handoff_outcome"] == "handoff"
    assert slots["order_number"] is None


async def test_the_handoff_action_opens_one_ticket_however_often_it_runs(world: World) -> None:
    seen = tracker(await world.conversation(), "talk_to_person", 0.99)
    await decide(world, seen)
    action = ActionHandoff(RuleTools(world.db, PolicyHolder(POLICY), world.clock))
    said = []
    for _ in range(2):
        dispatcher = CollectingDispatcher()
        await action.run(dispatcher, seen, {})
        said += [message["text"] for message in dispatcher.messages]

    (ticket,) = await world.rows(Ticket)
    assert said[0] == said[1]
    assert str(ticket.number) in said[0]


async def test_a_yes_to_an_offered_person_is_a_request_for_one(world: World) -> None:
    seen = tracker(await world.conversation(), "affirm", 0.95, text="sim")
    decided = await decide(world, seen)

    events = await ActionHandoff(RuleTools(world.db, PolicyHolder(POLICY), world.clock)).run(
        CollectingDispatcher(), seen, {}
    )

    (ticket,) = await world.rows(Ticket)
    record = next(
        row for row in await world.rows(Decision) if str(row.id) == decided["decision_id"]
    )
    assert decided["handoff_outcome"] == "stay"
    assert {"event": "slot", "timestamp": None, "name": "handoff_outcome", "value": "handoff"} in (
        events
    )
    assert ticket.escalation_reason == record.reason == "customer_request"
    assert record.snapshot["top_intent"] == "talk_to_person"


async def test_the_question_comes_with_its_buttons(world: World) -> None:
    seen = tracker(await world.conversation(), "order_status", 0.2, text="hmm")
    await decide(world, seen)
    dispatcher = CollectingDispatcher()

    await ActionClarify(RuleTools(world.db, PolicyHolder(POLICY), world.clock)).run(
        dispatcher, seen, {}
    )

    (message,) = dispatcher.messages
    assert 2 <= len(message["buttons"]) <= 3
    assert all(button["payload"].startswith("/") for button in message["buttons"])


async def test_somebody_who_talks_to_rasa_directly_gets_no_decision(world: World) -> None:
    seen = tracker(await world.conversation(), "greet", 0.9)
    seen.latest_message["metadata"] = {}

    with pytest.raises(NotFromPonteError):
        await decide(world, seen)
