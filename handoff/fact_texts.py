"""What each key under `when` asks, in a line: shown by editors, and checked against the docs."""

from __future__ import annotations

from collections.abc import Mapping

CONDITION_TEXTS: Mapping[str, str] = {
    "trigger": "What asked for the decision: message, bot_unavailable or silence.",
    "channel": "Where it was written: whatsapp, webchat, ...",
    "message_kind": "text, button or unreadable (audio, picture).",
    "understanding": "How well the message was understood.",
    "top_intent": "The best intent.",
    "intent_group": "A group that the best intent belongs to.",
    "confidence": "Score of the best intent, 0 to 1.",
    "margin": "Its lead over the second.",
    "entropy": "How evenly the score is spread: 0 one intent has it all, 1 all alike.",
    "in_scope": "How probable it is that the bot knows what the message is about, 0 to 1.",
    "keywords": "A phrase of this list was found.",
    "entity": "Such a thing was found in the message.",
    "entity_value": 'It was found with this value: {order_number: ["123"]}.',
    "amount": "The greatest amount of money in the message.",
    "sentiment": "How it sounds: -1 angry, 0 neutral, 1 pleased.",
    "language": "The customer's language: pt, en, ...",
    "language_served": "The bot speaks it.",
    "language_confidence": "How sure the detection is, 0 to 1.",
    "text_length": "Characters written.",
    "failures": "Failed turns in a row before this one.",
    "clarifications_asked": "Clarifying questions in a row before this one.",
    "clarification_open": "The bot's last message was such a question.",
    "clarification_answer": "What this message answers to it.",
    "repeated_question": "The customer asks the same for the third time in a row.",
    "vip": "The contact is a VIP.",
    "segment": "The contact's segment.",
    "has_open_ticket": "The contact has a ticket that is not closed.",
    "form_active": "A form is asking.",
    "form": "Which form is asking.",
    "silence_minutes": "How long the customer has been silent (trigger: silence).",
    "hours": "Does the team of this rule's queue work now?",
    "agents_available": "People on duty with room for one more, in this rule's queue.",
    "wants_person": "Would the rules below end with a person?",
}
