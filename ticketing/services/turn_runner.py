"""Think about one turn: language, clarifying answers, the bot, the rules, the customer's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog

from channels.message import OutboundMessage, merge_replies
from handoff import clarify
from handoff.decision import Decision
from handoff.policy import HandoffPolicy
from handoff.snapshot import ConversationSnapshot
from handoff.text import words
from kit.clock import Clock
from ticketing.db.engine import Database
from ticketing.domain import language
from ticketing.domain.turn import (
    MAX_TEXT_FOR_BOT,
    PAYLOAD,
    Parse,
    TurnFacts,
    question_of,
    snapshot_of,
)
from ticketing.services import decisions, rulings
from ticketing.services.inbound import READABLE_KINDS
from ticketing.services.ports import Bot, BotReply, BotUnavailableError, LanguageDetector
from ticketing.services.rulings import Ruling
from ticketing.services.turns import ClaimedTurn, Conclusion

log = structlog.get_logger()

_LIST_BUTTON = {"pt": "Ver opções", "en": "See options", "es": "Ver opciones"}


@dataclass(frozen=True, slots=True)
class _Input:
    """What the bot is asked: typed text, or a payload that Ponte itself made."""

    text: str
    payload: str | None = None
    clarification_answer: str | None = None


@dataclass(frozen=True, slots=True)
class TurnRunner:
    """Everything about a turn that is neither the lease nor the delivery."""

    db: Database
    clock: Clock
    bot: Bot
    detector: LanguageDetector
    policy: HandoffPolicy

    async def with_bot(self, turn: ClaimedTurn) -> Conclusion:
        """The turn as the bot and the rules conclude it.

        Raises:
            BotUnavailableError: the bot gave no usable answer.
        """
        asked = self._input(turn)
        spoken = self._language(turn, asked)
        turn = replace(turn, language=spoken)
        facts = self._facts(turn, asked)
        if turn.kind not in READABLE_KINDS:
            return await self._locally(turn, facts, Parse(), asked)
        reply = await self.bot.turn(facts, text=asked.text, payload=asked.payload)
        if reply.stays:
            return self._answered(turn, reply, counts_as_failure=reply.counts_as_failure)
        async with self.db.transaction() as session:
            record = await decisions.of_turn(session, turn.turn_id)
        if record is None:
            # The action server was away, so the bot answered without the rules. They decide here.
            log.warning("turn.decided_without_actions")
            return await self._locally(turn, facts, reply.parse, asked, reply=reply)
        decision = Decision.from_json(record.decision)
        if decision.outcome == "stay":
            return self._answered(turn, reply, counts_as_failure=decision.counts_as_failure)
        # What the actions said is said again from the record: the words are the same, and a reply
        # that Rasa lost (an action that failed half-way) is not lost for the customer.
        snapshot = ConversationSnapshot.from_json(record.snapshot)
        ruling = Ruling(record.id, decision, snapshot)
        return await self._carry_out(turn, ruling)

    async def without_bot(self, turn: ClaimedTurn) -> Conclusion:
        """The turn when the bot cannot be asked: a person takes over, with that reason."""
        asked = self._input(turn)
        turn = replace(turn, language=self._language(turn, asked))
        facts = self._facts(turn, asked)
        return await self._locally(turn, facts, Parse(), asked, trigger="bot_unavailable")

    def _answered(
        self, turn: ClaimedTurn, reply: BotReply, *, counts_as_failure: bool
    ) -> Conclusion:
        """The bot's own answer, with its buttons kept so that they can be typed."""
        messages = self._merged(reply.replies, turn)
        if not messages:
            # Silence is no answer: a person gives one when the bot has none to give.
            problem = "the bot said nothing"
            raise BotUnavailableError(problem, reachable=True)
        return Conclusion(
            outcome="answered",
            messages=messages,
            language=turn.language,
            understanding=turn.understanding.after(
                outcome="stay",
                counts_as_failure=counts_as_failure,
                offered=(),
                question=question_of(reply.parse.intent, reply.parse.entities),
            ),
            clarification=offered(messages),
        )

    async def _locally(
        self,
        turn: ClaimedTurn,
        facts: TurnFacts,
        parse: Parse,
        asked: _Input,
        *,
        reply: BotReply | None = None,
        trigger: str = "message",
    ) -> Conclusion:
        snapshot = snapshot_of(facts, parse, self.policy, text=asked.text, trigger=trigger)
        ruling = await rulings.rule(
            self.db,
            snapshot,
            self.policy,
            model_version=reply.model if reply else "none",
            now=self.clock.now(),
            correlation_id=turn.correlation_id,
        )
        if trigger == "bot_unavailable" and not ruling.decision.is_handoff:
            # The bot died after the rules had said that it answers: they are asked again.
            ruling = await rulings.revise(self.db, ruling, snapshot, self.policy)
        if ruling.decision.outcome == "stay":
            words = rulings.told(ruling.decision, ruling.snapshot, self.policy)
            replies = [{"text": words}] if words else list(reply.replies if reply else ())
            messages = self._merged(replies, turn)
            return self._conclusion(
                turn,
                ruling.decision,
                "answered",
                messages,
                question=question_of(parse.intent, parse.entities),
            )
        return await self._carry_out(turn, ruling)

    async def _carry_out(self, turn: ClaimedTurn, ruling: Ruling) -> Conclusion:
        if ruling.decision.outcome == "clarify":
            message, kept = rulings.question(ruling, self.policy)
            messages = merge_replies([message], list_button=_LIST_BUTTON[turn.language.language])
            return self._conclusion(
                turn,
                ruling.decision,
                "clarified",
                messages,
                question=None,
                clarification=kept,
            )
        opened, words = await rulings.hand_over(
            self.db,
            ruling,
            self.policy,
            now=self.clock.now(),
            correlation_id=turn.correlation_id,
        )
        messages = merge_replies([OutboundMessage(words)]) if opened.mine and words else ()
        return self._conclusion(turn, ruling.decision, "handed_off", messages, question=None)

    def _conclusion(
        self,
        turn: ClaimedTurn,
        decision: Decision,
        outcome: str,
        messages: tuple[OutboundMessage, ...],
        *,
        question: str | None,
        clarification: dict[str, Any] | None = None,
    ) -> Conclusion:
        return Conclusion(
            outcome=outcome,
            messages=messages,
            language=turn.language,
            understanding=turn.understanding.after(
                outcome=decision.outcome,
                counts_as_failure=decision.counts_as_failure,
                offered=decision.options,
                question=question,
            ),
            clarification=clarification,
        )

    def _merged(self, replies: Any, turn: ClaimedTurn) -> tuple[OutboundMessage, ...]:
        return merge_replies(replies, list_button=_LIST_BUTTON[turn.language.language])

    def _input(self, turn: ClaimedTurn) -> _Input:
        """What the customer's message asks of the bot."""
        text = turn.text.strip()[:MAX_TEXT_FOR_BOT]
        none_payload = (turn.clarification or {}).get("none_payload")
        question = turn.clarification if _is_question(turn) else None
        if turn.reply_id and PAYLOAD.fullmatch(turn.reply_id):
            answer = None
            if question is not None:
                answer = "none_of_these" if turn.reply_id == none_payload else "chosen"
            return _Input(text, turn.reply_id, answer)
        if question is None:
            return _Input(text, chosen_offer(turn.clarification, text))
        options = tuple(
            clarify.ClarifyOption(
                intent=option["intent"],
                title=option["title"],
                entities={name: tuple(values) for name, values in option["entities"].items()},
            )
            for option in question["options"]
        )
        titles = (question["none_title"],)
        match clarify.read_answer(text, options, none_titles=titles):
            case clarify.Chosen(option=option):
                return _Input(text, clarify.payload_for(option), "chosen")
            case clarify.NoneOfThese():
                return _Input(text, none_payload, "none_of_these")
            case _:
                return _Input(text)

    def _language(self, turn: ClaimedTurn, asked: _Input) -> language.LanguageState:
        if asked.payload is not None or turn.kind not in READABLE_KINDS:
            return language.update(turn.language, None)
        return language.update(turn.language, self.detector.guess(asked.text))

    def _facts(self, turn: ClaimedTurn, asked: _Input) -> TurnFacts:
        spoken = turn.language
        kind = "unreadable" if turn.kind not in READABLE_KINDS else "text"
        if asked.payload is not None:
            kind = "button"
        known = turn.understanding
        return TurnFacts(
            message_id=str(turn.turn_id),
            conversation_id=str(turn.conversation_id),
            correlation_id=turn.correlation_id,
            channel=turn.channel,
            sent_at=turn.sent_at.isoformat(),
            message_kind=kind,
            language=spoken.language,
            detected_language=spoken.foreign or spoken.language,
            language_confidence=spoken.foreign_confidence if spoken.foreign else 1.0,
            language_served=spoken.foreign is None,
            failures=known.failures,
            clarifications_asked=known.clarifications_asked,
            clarification_open=_is_question(turn),
            clarification_answer=asked.clarification_answer,
            already_offered=list(known.already_offered),
            last_question=known.last_question,
            times_asked=known.times_asked,
            contact_vip=turn.contact_vip,
            contact_segment=turn.contact_segment,
            has_open_ticket=turn.ticket_id is not None,
        )


def _is_question(turn: ClaimedTurn) -> bool:
    return turn.clarification is not None and turn.clarification.get("kind") != "offer"


def offered(messages: Sequence[OutboundMessage]) -> dict[str, Any] | None:
    """The buttons under an ordinary answer, kept so that typing their number or title works."""
    buttons = messages[-1].buttons if messages else ()
    if not buttons:
        return None
    options = [{"payload": button.id, "title": button.title} for button in buttons]
    return {"kind": "offer", "options": options}


def chosen_offer(kept: Mapping[str, Any] | None, text: str) -> str | None:
    """The payload of the button whose number or title was typed; None for anything else.

    Unlike the answers to a clarifying question, "sim" and "não" choose nothing here: the dialogue
    has rules of its own for them.
    """
    options = kept["options"] if kept is not None else ()
    typed = words(text)
    for number, option in enumerate(options, start=1):
        if typed in {(str(number),), words(option["title"])}:
            payload = str(option["payload"])
            return payload if PAYLOAD.fullmatch(payload) else None
    return None
