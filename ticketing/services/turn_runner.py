"""Think about one turn: language, clarifying answers, the bot, the rules, the customer's words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog

from channels.message import OutboundMessage, merge_replies
from handoff import silence
from handoff.decision import Decision
from handoff.policy import HandoffPolicy, match_keywords
from handoff.snapshot import ConversationSnapshot
from kit.clock import Clock
from ticketing.db.engine import Database
from ticketing.domain import burst, language
from ticketing.domain.turn import (
    MAX_TEXT_FOR_BOT,
    Parse,
    TurnFacts,
    question_of,
    snapshot_of,
)
from ticketing.domain.turn_input import TurnInput, is_question, read_input
from ticketing.domain.waiting import QUESTION
from ticketing.services import decisions, language_question, own_answers, rulings
from ticketing.services.availability import Availability
from ticketing.services.inbound import READABLE_KINDS
from ticketing.services.ports import Bot, BotReply, BotUnavailableError, LanguageDetector
from ticketing.services.rulings import Ruling
from ticketing.services.turns import ClaimedTurn, Conclusion

log = structlog.get_logger()

_LIST_BUTTON = {"pt": "Ver opções", "en": "See options", "es": "Ver opciones"}


@dataclass(frozen=True, slots=True)
class TurnRunner:
    """Everything about a turn that is neither the lease nor the delivery."""

    db: Database
    clock: Clock
    bot: Bot
    detector: LanguageDetector
    policy: HandoffPolicy
    availability: Availability | None = None

    async def with_bot(self, turn: ClaimedTurn) -> Conclusion:
        """The turn as the bot and the rules conclude it.

        Raises:
            BotUnavailableError: the bot gave no usable answer.
        """
        turn, asked = self._read(turn)
        aside = language_question.aside(turn, asked, self.policy)
        return aside if aside is not None else await self._by_bot(turn, asked)

    async def _by_bot(self, turn: ClaimedTurn, asked: TurnInput) -> Conclusion:
        facts = self._facts(turn, asked, await self._available())
        if turn.kind not in READABLE_KINDS:
            return await self._locally(turn, facts, Parse(), asked)
        if asked.own is not None:
            own = await self._own(turn, facts, asked.own)
            if own is not None:
                return own
            asked = replace(asked, payload=f"/{own_answers.intent_of(asked.own, self.policy)}")
        reply = await self.bot.turn(facts, text=asked.text, payload=asked.payload)
        # Rasa has left a form that was left here; what it says now holds.
        turn = replace(turn, leave_form=False)
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
        return await self._carry_out(turn, ruling, form=reply.active_form)

    async def without_bot(self, turn: ClaimedTurn) -> Conclusion:
        """The turn when the bot cannot be asked: a person takes over, with that reason."""
        turn, asked = self._read(turn)
        facts = self._facts(turn, asked, await self._available())
        return await self._locally(turn, facts, Parse(), asked, trigger="bot_unavailable")

    async def _own(self, turn: ClaimedTurn, facts: TurnFacts, own: str) -> Conclusion | None:
        """What Ponte answers itself; None when the bot has to (no rule hands over a request)."""
        intent = own_answers.intent_of(own, self.policy)
        snapshot = snapshot_of(
            facts,
            Parse(intent, ((intent, 1.0),)),
            self.policy,
            text="",
            active_form=turn.waiting.form if turn.waiting is not None else None,
        )
        ruling = await rulings.rule(
            self.db,
            snapshot,
            self.policy,
            model_version="none",
            now=self.clock.now(),
            correlation_id=turn.correlation_id,
        )
        if ruling.decision.outcome != "stay":
            return await self._carry_out(replace(turn, leave_form=True), ruling)
        if own == silence.PERSON:
            return None
        return own_answers.conclude(turn, own, self.policy, now=self.clock.now())

    def _answered(
        self, turn: ClaimedTurn, reply: BotReply, *, counts_as_failure: bool
    ) -> Conclusion:
        """The bot's own answer, with its buttons kept so that they can be typed."""
        messages = self._merged(reply.replies, turn)
        if not messages:
            # Silence is no answer: a person gives one when the bot has none to give.
            problem = "the bot said nothing"
            raise BotUnavailableError(problem, reachable=True)
        kept = offered(messages)
        settings = self.policy.silence
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
            clarification=kept,
            waiting=own_answers.waits_for(
                turn,
                reply,
                messages,
                kept=kept,
                asking_answers=settings.asking_answers if settings is not None else (),
                now=self.clock.now(),
            ),
        )

    async def _locally(
        self,
        turn: ClaimedTurn,
        facts: TurnFacts,
        parse: Parse,
        asked: TurnInput,
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
            conclusion = self._conclusion(
                turn,
                ruling.decision,
                "answered",
                messages,
                question=question_of(parse.intent, parse.entities),
            )
            if turn.kind in READABLE_KINDS:
                return conclusion
            # "I cannot listen to this": the question that was open before still is.
            return replace(conclusion, clarification=turn.clarification, waiting=turn.waiting)
        # A form that Rasa has open is left there when it runs again.
        leaves = turn.leave_form or ruling.decision.is_handoff
        return await self._carry_out(replace(turn, leave_form=leaves), ruling)

    async def _carry_out(
        self, turn: ClaimedTurn, ruling: Ruling, *, form: str | None = None
    ) -> Conclusion:
        if ruling.decision.outcome == "clarify":
            message, kept = rulings.question(ruling, self.policy)
            messages = merge_replies([message], list_button=_LIST_BUTTON[turn.language.language])
            conclusion = self._conclusion(
                turn,
                ruling.decision,
                "clarified",
                messages,
                question=None,
                clarification=kept,
            )
            waiting = own_answers.asking(
                turn,
                QUESTION,
                messages,
                kept=kept,
                now=self.clock.now(),
                form=form,
                intent=ruling.snapshot.top_intent,
            )
            return replace(conclusion, waiting=waiting)
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
            leave_form=turn.leave_form,
        )

    def _merged(self, replies: Any, turn: ClaimedTurn) -> tuple[OutboundMessage, ...]:
        return merge_replies(replies, list_button=_LIST_BUTTON[turn.language.language])

    def _read(self, turn: ClaimedTurn) -> tuple[ClaimedTurn, TurnInput]:
        """What the customer's message asks for, and the turn with what it tells about itself."""
        asked = self._input(turn)
        known = turn.understanding.answered(asked.clarification_answer)
        spoken = self._language(turn, asked)
        if spoken.requested and turn.held_text:
            # The question for the language is answered: now what was written before it.
            asked = TurnInput(self._reading(turn.held_text))
            spoken = replace(spoken, requested=False)
            turn = replace(turn, clarification=None)
        return replace(turn, language=spoken, understanding=known), asked

    def _reading(self, *texts: str) -> str:
        return burst.reading(
            texts,
            limit=MAX_TEXT_FOR_BOT,
            matters=lambda piece: bool(match_keywords(piece, self.policy)),
        )

    def _input(self, turn: ClaimedTurn) -> TurnInput:
        return read_input(
            self._reading(*turn.earlier, turn.text),
            reply_id=turn.reply_id,
            kept=turn.clarification,
            waiting=turn.waiting,
            policy=self.policy,
        )

    def _language(self, turn: ClaimedTurn, asked: TurnInput) -> language.LanguageState:
        named = language_question.chosen(turn, asked.text)
        if named is not None:
            return turn.language.chosen(named, only=True)
        if not asked.is_typed or turn.kind not in READABLE_KINDS:
            return language.update(turn.language, None)
        return language.update(turn.language, self.detector.guess(asked.text))

    async def _available(self) -> dict[str, int]:
        return await self.availability.by_queue() if self.availability is not None else {}

    def _facts(self, turn: ClaimedTurn, asked: TurnInput, available: dict[str, int]) -> TurnFacts:
        spoken = turn.language
        kind = "unreadable" if turn.kind not in READABLE_KINDS else "text"
        if not asked.is_typed:
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
            clarification_open=is_question(turn.clarification),
            clarification_answer=asked.clarification_answer,
            already_offered=list(known.not_to_offer),
            last_question=known.last_question,
            times_asked=known.times_asked,
            contact_vip=turn.contact_vip,
            contact_segment=turn.contact_segment,
            has_open_ticket=turn.ticket_id is not None,
            leave_form=turn.leave_form,
            agents_available=available,
        )


def offered(messages: Sequence[OutboundMessage]) -> dict[str, Any] | None:
    """The buttons under an ordinary answer, kept so that typing their number or title works."""
    buttons = messages[-1].buttons if messages else ()
    if not buttons:
        return None
    options = [{"payload": button.id, "title": button.title} for button in buttons]
    return {"kind": "offer", "options": options}
