"""Apply the handoff rules to a turn and carry out what they say.

The action server does this on every turn the bot runs. The turn engine does it itself where the bot
cannot: a message it cannot read, or no answer from it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from channels.message import Button, OutboundMessage
from handoff import clarify
from handoff.decision import Decision
from handoff.messages import handoff_text
from handoff.policy import HandoffPolicy
from handoff.snapshot import ConversationSnapshot
from ticketing.db.engine import Database
from ticketing.services import decisions, handoffs
from ticketing.services.handoffs import Opened

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Ruling:
    """A decision with its id in the database."""

    decision_id: uuid.UUID
    decision: Decision
    snapshot: ConversationSnapshot


async def rule(
    db: Database,
    snapshot: ConversationSnapshot,
    policy: HandoffPolicy,
    *,
    model_version: str,
    now: datetime,
    correlation_id: str,
) -> Ruling:
    """Decide a turn and keep the record; a turn that was decided before keeps its decision."""
    async with db.transaction() as session:
        decision_id, decision = await decisions.decide_once(
            session,
            snapshot,
            policy,
            model_version=model_version,
            now=now,
            correlation_id=correlation_id,
        )
    log.info(
        "handoff.decided",
        turn_id=snapshot.turn_id,
        conversation_id=snapshot.conversation_id,
        outcome=decision.outcome,
        rule=decision.rule_version,
        reason=decision.reason,
        intent=snapshot.top_intent,
        confidence=round(snapshot.confidence, 3),
    )
    return Ruling(decision_id, decision, snapshot)


async def customer_asked(
    db: Database, ruling: Ruling, policy: HandoffPolicy, *, intent: str
) -> Ruling:
    """The ruling of a turn in which the dialogue understood that the customer wants a person.

    "Sim" after "quer que eu chame uma pessoa?" is such a turn: a yes to the rules, a request to
    the dialogue.
    """
    certain = ((intent, 1.0), *(pair for pair in ruling.snapshot.ranking if pair[0] != intent))
    snapshot = replace(ruling.snapshot, top_intent=intent, ranking=certain)
    return await revise(db, ruling, snapshot, policy)


async def revise(
    db: Database, ruling: Ruling, snapshot: ConversationSnapshot, policy: HandoffPolicy
) -> Ruling:
    """The ruling made again with what has become known since; its record keeps the new one."""
    async with db.transaction() as session:
        decision = await decisions.revise(session, snapshot, policy)
    return ruling if decision is None else Ruling(ruling.decision_id, decision, snapshot)


async def hand_over(
    db: Database, ruling: Ruling, policy: HandoffPolicy, *, now: datetime, correlation_id: str
) -> tuple[Opened, str]:
    """Open the ticket a ruling asks for; returns it and what the customer is told."""
    async with db.transaction() as session:
        opened = await handoffs.open_handoff(
            session,
            snapshot=ruling.snapshot,
            decision=ruling.decision,
            decision_id=ruling.decision_id,
            policy=policy,
            now=now,
            correlation_id=correlation_id,
        )
    return opened, told(ruling.decision, ruling.snapshot, policy, ticket=opened.ticket_number)


def told(
    decision: Decision,
    snapshot: ConversationSnapshot,
    policy: HandoffPolicy,
    *,
    ticket: int | None = None,
) -> str:
    """The words of a decision for the customer; empty when the bot's own answer says it all."""
    number = "" if ticket is None else str(ticket)
    return handoff_text(decision, policy, language=snapshot.language, ticket=number) or ""


def question(ruling: Ruling, policy: HandoffPolicy) -> tuple[OutboundMessage, dict[str, object]]:
    """The clarifying question of a ruling, and what must be kept to understand its answer."""
    language = policy.languages.written(ruling.snapshot.language)
    menu = clarify.menu(
        ruling.decision,
        policy,
        language,
        entities=ruling.snapshot.entities,
        asked=ruling.snapshot.clarifications_asked,
    )
    buttons = tuple(Button(clarify.payload_for(option), option.title) for option in menu.options)
    none = (Button(menu.none_payload, menu.none_title),) if menu.options else ()
    if menu.not_understood_title:
        none = (*none, Button(menu.not_understood_payload, menu.not_understood_title))
    kept: dict[str, object] = {
        "turn_id": ruling.snapshot.turn_id,
        "language": language,
        "none_payload": menu.none_payload,
        "none_title": menu.none_title,
        "options": [
            {"intent": option.intent, "title": option.title, "entities": dict(option.entities)}
            for option in menu.options
        ],
    }
    return OutboundMessage(menu.question, (*buttons, *none)), kept
