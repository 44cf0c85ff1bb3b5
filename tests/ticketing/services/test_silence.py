from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
import pytest_asyncio
from sqlalchemy import select, text, update

from channels.message import MessageKind
from handoff.decision import Decision as DecisionValue
from handoff.explain import explain
from handoff.policy import HandoffPolicy
from handoff.policy_file import parse_policy
from handoff.silence import payload_of
from handoff.snapshot import ConversationSnapshot
from kit.clock import FakeClock
from ponte.holiday_dates import holiday_dates
from tests.ticketing.services.talk import POLICY, TIMES, World, inbound_text, make_world
from ticketing.db.engine import Database
from ticketing.db.tables import Contact, Conversation, Decision, Handoff, Message, Ticket
from ticketing.domain.delivery import Failure
from ticketing.domain.enums import DeliveryState
from ticketing.services import control
from ticketing.services.control import lock_conversation
from ticketing.services.silence import SilenceSweep

UNCLEAR = "aquele negocio la"
MINUTE = 60
REMINDER = "Ainda está por aí?"


@pytest_asyncio.fixture(loop_scope="session")
async def world(db: Database, clock: FakeClock) -> AsyncIterator[World]:
    made = make_world(db, clock)
    made.bot.understands = {
        "oi": ("greet", 0.9),
        "cade meu pedido": ("order_status", 0.9),
        "quero cancelar a compra": ("cancel", 0.9),
        "12345": ("order_status", 0.3),
    }
    yield made
    await made.turns.close()


async def silent_decisions(world: World) -> list[Decision]:
    rows = [row for row in await world.rows(Decision) if row.snapshot["trigger"] == "silence"]
    return sorted(rows, key=lambda row: row.created_at)


async def ask(world: World) -> None:
    """The bot asks a clarifying question."""
    await world.say(UNCLEAR)
    assert "Sobre o que você quer falar?" in world.sender.texts[-1]


async def ask_in_form(world: World) -> None:
    world.bot.form = "order_status_form"
    await world.say("cade meu pedido")


def policy_with(rule: str) -> HandoffPolicy:
    """The real policy with one more rule before the others."""
    from pathlib import Path  # noqa: PLC0415

    source = (Path(__file__).resolve().parents[3] / "handoff.yml").read_text(encoding="utf-8")
    return parse_policy(
        source.replace("\nrules:\n", f"\nrules:\n{rule}\n"), holiday_dates=holiday_dates
    )


class TestReminder:
    async def test_after_five_minutes_the_customer_is_offered_to_go_on_once(
        self, world: World
    ) -> None:
        await ask(world)

        await world.later(5 * MINUTE - 1)
        assert len(world.sender.sent) == 1
        await world.later(1)
        await world.later(1)
        await world.later(60)

        assert len(world.sender.sent) == 2
        offered = world.sender.sent[-1].message
        assert offered.text.startswith(REMINDER)
        assert "5 min" in offered.text
        assert [b.title for b in offered.buttons] == [
            "1 Continuar",
            "2 Falar com pessoa",
            "3 Cancelar",
        ]

    async def test_what_was_answered_is_not_asked_about(self, world: World) -> None:
        world.bot.buttons = [{"title": "Segunda via", "payload": "/invoice_copy"}]
        world.bot.utter_action = "utter_payment_problem"
        await world.say("oi")

        await world.later(60 * MINUTE)

        assert len(world.sender.sent) == 1
        assert (await world.conversation()).silence_due_at is None

    async def test_an_answer_that_needs_a_yes_is_asked_about(self, world: World) -> None:
        world.bot.buttons = [{"title": "Falar com pessoa", "payload": "/talk_to_person"}]
        world.bot.utter_action = "utter_cancel"
        await world.say("quero cancelar a compra")

        await world.later(5 * MINUTE)

        assert world.sender.texts[-1].startswith(REMINDER)

    async def test_a_form_that_asks_is_asked_about(self, world: World) -> None:
        await ask_in_form(world)

        await world.later(5 * MINUTE)

        assert world.sender.texts[-1].startswith(REMINDER)
        (decision,) = await silent_decisions(world)
        assert decision.snapshot["active_form"] == "order_status_form"
        assert decision.snapshot["top_intent"] == "order_status"

    async def test_two_processes_remind_once(self, world: World, db: Database) -> None:
        await ask(world)
        world.clock.advance(timedelta(minutes=5))
        others = [
            SilenceSweep(
                db=db, clock=world.clock, policy=lambda: POLICY, times=TIMES, wake=lambda _: None
            )
            for _ in range(6)
        ]

        await asyncio.gather(world.silence.sweep(), *(other.sweep() for other in others))
        await world.later(0)

        assert len([t for t in world.sender.texts if t.startswith(REMINDER)]) == 1
        assert len(await silent_decisions(world)) == 1

    async def test_a_process_that_dies_before_the_commit_leaves_nothing_and_the_next_reminds(
        self, world: World, db: Database
    ) -> None:
        await ask(world)
        world.clock.advance(timedelta(minutes=5))
        assert POLICY.silence is not None
        no_words = replace(POLICY.silence, reminder={"pt": "{what}"})  # fails after the decision
        dying = SilenceSweep(
            db=db,
            clock=world.clock,
            policy=lambda: replace(POLICY, silence=no_words),
            times=TIMES,
            wake=lambda _: None,
        )
        await dying.sweep()
        assert await silent_decisions(world) == []
        await world.later(1)

        assert len([t for t in world.sender.texts if t.startswith(REMINDER)]) == 1

    async def test_a_process_that_dies_after_the_commit_has_reminded(
        self, world: World, db: Database
    ) -> None:
        await ask(world)
        world.clock.advance(timedelta(minutes=5))
        dying = SilenceSweep(
            db=db, clock=world.clock, policy=lambda: POLICY, times=TIMES, wake=lambda _: None
        )
        await dying.sweep()

        await world.later(1)  # the delivery sweep of another process finds the row

        assert len([t for t in world.sender.texts if t.startswith(REMINDER)]) == 1

    async def test_who_wrote_meanwhile_is_not_reminded(self, world: World) -> None:
        await ask(world)
        world.clock.advance(timedelta(minutes=5))
        world.bot.down = True
        item = inbound_text("oi", at=world.clock.now())
        await world.inbound.accept([item], "c0ffee")
        await world.inbound.drain()

        await world.silence.sweep()
        await world.settle()

        assert not any(text.startswith(REMINDER) for text in world.sender.texts)

    async def test_a_reaction_is_no_silence(self, world: World) -> None:
        await ask(world)
        world.clock.advance(timedelta(minutes=4))
        await world.say("👍", kind=MessageKind.REACTION)

        await world.later(2 * MINUTE)
        assert len(world.sender.sent) == 1
        await world.later(3 * MINUTE)

        assert world.sender.texts[-1].startswith(REMINDER)

    async def test_a_person_who_took_over_is_not_disturbed(
        self, world: World, db: Database
    ) -> None:
        await ask(world)
        async with db.transaction() as session:
            control.take(await lock_conversation(session, (await world.conversation()).id))

        await world.later(5 * MINUTE)

        assert len(world.sender.sent) == 1
        assert (await world.conversation()).silence_due_at is None

    async def test_a_reminder_that_could_not_leave_in_time_is_not_sent_late(
        self, world: World
    ) -> None:
        await ask(world)
        world.sender.failures = [Failure("transient", "131000", "Something went wrong")]
        await world.later(5 * MINUTE)
        world.clock.advance(timedelta(seconds=1))
        await world.say("oi")

        await world.later(10 * MINUTE)

        assert not any(text.startswith(REMINDER) for text in world.sender.texts)
        assert world.sender.texts[-1].startswith("answer to greet")

    async def test_a_question_that_has_not_left_yet_is_not_reminded_of(
        self, world: World, db: Database
    ) -> None:
        await ask(world)
        async with db.transaction() as session:
            await session.execute(
                update(Message)
                .where(Message.direction == "outbound")
                .values(delivery=DeliveryState.UNKNOWN.value, next_attempt_at=None)
            )

        world.clock.advance(timedelta(minutes=5))
        await world.silence.sweep()

        assert await silent_decisions(world) == []
        due = (await world.conversation()).silence_due_at
        assert due == world.clock.now() + timedelta(minutes=1)

    async def test_a_question_that_never_arrived_is_forgotten(
        self, world: World, db: Database
    ) -> None:
        await ask(world)
        async with db.transaction() as session:
            await session.execute(
                update(Message)
                .where(Message.direction == "outbound")
                .values(delivery=DeliveryState.FAILED.value)
            )

        await world.later(5 * MINUTE)

        conversation = await world.conversation()
        assert (conversation.waiting, conversation.clarification) == (None, None)
        assert len(world.sender.sent) == 1

    async def test_nothing_is_said_outside_the_window(self, world: World, db: Database) -> None:
        await ask(world)
        async with db.transaction() as session:
            await session.execute(
                update(Conversation).values(
                    last_customer_message_at=world.clock.now() - timedelta(hours=23, minutes=52)
                )
            )

        await world.later(5 * MINUTE)

        assert len(world.sender.sent) == 1

    async def test_the_sweep_reads_only_what_is_due(self, world: World, db: Database) -> None:
        await ask(world)
        async with db.transaction() as session:
            await session.execute(text("SET LOCAL enable_seqscan = off"))
            plan = await session.scalars(
                text("EXPLAIN SELECT id FROM conversations WHERE silence_due_at <= now()")
            )

        assert "ix_conversations_silence" in " ".join(plan)


class TestClosing:
    async def test_after_ten_minutes_the_question_ends_without_a_word(self, world: World) -> None:
        await ask(world)
        await world.later(5 * MINUTE)

        await world.later(5 * MINUTE)

        conversation = await world.conversation()
        assert len(world.sender.sent) == 2
        assert conversation.clarification is None
        assert conversation.silence_due_at is None
        assert conversation.understanding == {}
        assert [row.decision["rule"] for row in await silent_decisions(world)] == [
            "default_silence",
            "default_silence",
        ]

    async def test_after_it_a_number_is_a_message_of_its_own(self, world: World) -> None:
        await ask(world)
        await world.later(5 * MINUTE)
        await world.later(5 * MINUTE)

        await world.say("2")

        assert world.bot.asked[-1][:2] == ("2", None)

    async def test_a_form_is_left_in_rasa_too(self, world: World) -> None:
        await ask_in_form(world)
        await world.later(5 * MINUTE)
        await world.later(5 * MINUTE)

        world.bot.form = None
        await world.say("oi")
        await world.say("oi")

        assert [facts.leave_form for _, _, facts in world.bot.asked] == [False, True, False]

    async def test_a_process_that_was_away_for_hours_does_not_remind_any_more(
        self, world: World
    ) -> None:
        await ask(world)

        await world.later(3 * 60 * MINUTE)

        assert len(world.sender.sent) == 1
        assert (await world.conversation()).clarification is None

    async def test_a_late_reminder_leaves_as_much_time_to_answer(self, world: World) -> None:
        await ask(world)
        await world.later(9 * MINUTE)
        assert world.sender.texts[-1].startswith(REMINDER)

        await world.later(3 * MINUTE)
        assert (await world.conversation()).clarification is not None
        await world.later(2 * MINUTE)

        assert (await world.conversation()).clarification is None

    async def test_the_record_explains_itself(self, world: World) -> None:
        await ask(world)
        await world.later(5 * MINUTE)

        (row,) = await silent_decisions(world)

        assert row.snapshot["silence_minutes"] == pytest.approx(5.0)
        words = explain(
            DecisionValue.from_json(row.decision),
            ConversationSnapshot.from_json(row.snapshot),
            language="pt",
        )
        assert "default_silence" in words


class TestAnswers:
    @pytest.mark.parametrize("typed", ["1", "continuar", "sim", "1 Continuar"])
    async def test_continue_repeats_the_question_with_the_same_options(
        self, world: World, typed: str
    ) -> None:
        await ask(world)
        question = world.sender.sent[-1].message
        before = (await world.conversation()).understanding
        await world.later(5 * MINUTE)

        await world.say(typed)

        assert world.sender.sent[-1].message == question
        assert len(world.bot.asked) == 1
        assert (await world.conversation()).understanding == before
        await world.say("1")
        assert world.bot.asked[-1][1] == "/refund"  # the question's own first option

    async def test_a_repeated_question_is_not_reminded_of_again_and_ends(
        self, world: World
    ) -> None:
        await ask(world)
        await world.later(5 * MINUTE)
        await world.say("1")
        sent = len(world.sender.sent)

        await world.later(9 * MINUTE)
        assert (await world.conversation()).clarification is not None
        await world.later(1 * MINUTE)

        assert len(world.sender.sent) == sent
        assert (await world.conversation()).clarification is None

    @pytest.mark.parametrize("bot_is_down", [False, True])
    async def test_a_person_takes_over_on_request_even_without_the_bot(
        self, world: World, bot_is_down: bool
    ) -> None:
        await ask_in_form(world)
        await world.later(5 * MINUTE)
        world.bot.down = bot_is_down

        await world.say("2 Falar com pessoa", reply_id=payload_of("person"))

        (handoff,) = await world.rows(Handoff)
        assert handoff.reason == "customer_request"
        conversation = await world.conversation()
        assert (conversation.control, conversation.waiting) == ("queued", None)
        assert conversation.leave_form

    @pytest.mark.parametrize("typed", ["3", "cancelar", "deixa pra lá", "não"])
    async def test_cancel_drops_the_form_and_says_so(self, world: World, typed: str) -> None:
        await ask_in_form(world)
        await world.later(5 * MINUTE)
        world.bot.down = True

        await world.say(typed)

        assert world.sender.texts[-1].startswith("Tudo bem, deixei isso de lado")
        world.bot.down, world.bot.form = False, None
        await world.say("oi")
        assert world.bot.asked[-1][2].leave_form

    async def test_the_form_still_takes_its_answer(self, world: World) -> None:
        await ask_in_form(world)
        await world.later(5 * MINUTE)

        await world.say("12345")

        assert world.bot.asked[-1][:2] == ("12345", None)
        assert not world.bot.asked[-1][2].leave_form

    async def test_the_question_still_takes_its_title(self, world: World) -> None:
        await ask(world)
        await world.later(5 * MINUTE)

        await world.say("reembolso")

        assert world.bot.asked[-1][1] == "/refund"

    async def test_continue_after_the_end_opens_the_question_again(self, world: World) -> None:
        await ask_in_form(world)
        question = world.sender.sent[-1].message
        await world.later(5 * MINUTE)
        await world.later(5 * MINUTE)

        await world.say("1 Continuar", reply_id=payload_of("continue"))

        assert world.sender.sent[-1].message == question
        assert not (await world.conversation()).leave_form

    async def test_continue_when_nothing_is_left_says_so(self, world: World) -> None:
        await ask(world)
        await world.later(5 * MINUTE)
        await world.say("oi")

        await world.say("1 Continuar", reply_id=payload_of("continue"))

        assert world.sender.texts[-1].startswith("Não ficou nenhuma pergunta")

    async def test_every_answer_leaves_a_decision_record(self, world: World) -> None:
        await ask(world)
        await world.later(5 * MINUTE)

        turn_id = await world.say("1")

        record = await world.row(select(Decision).where(Decision.turn_id == turn_id))
        assert (record.outcome, record.snapshot["top_intent"]) == ("stay", "affirm")


class TestRules:
    VIP_RULE = """
  - id: vip_silent_in_trouble
    why: A VIP who stops answering in the middle of a cancellation is called.
    when: {trigger: silence, silence_minutes: {at_least: 10}, vip: true, top_intent: cancel}
    then: {outcome: handoff, reason: silence, queue: n1_support, message: to_person}
"""

    async def _vip_stops_answering(self, world: World, db: Database) -> None:
        world.turns.policies.replace(policy_with(self.VIP_RULE))
        world.bot.buttons = [{"title": "Falar com pessoa", "payload": "/talk_to_person"}]
        world.bot.utter_action = "utter_cancel"
        await world.say("quero cancelar a compra")
        async with db.transaction() as session:
            await session.execute(update(Contact).values(vip=True))
        await world.later(5 * MINUTE)
        await world.later(5 * MINUTE)

    async def test_a_designers_rule_hands_over(self, world: World, db: Database) -> None:
        await self._vip_stops_answering(world, db)

        (handoff,) = await world.rows(Handoff)
        (ticket,) = await world.rows(Ticket)
        conversation = await world.conversation()
        assert (handoff.reason, ticket.priority) == ("silence", "high")
        assert (conversation.control, conversation.silence_due_at) == ("queued", None)
        assert str(ticket.number) in world.sender.texts[-1]

    async def test_handed_over_once_whatever_sweeps(self, world: World, db: Database) -> None:
        await self._vip_stops_answering(world, db)
        async with db.transaction() as session:
            await session.execute(update(Conversation).values(silence_due_at=world.clock.now()))

        await asyncio.gather(*(world.silence.sweep() for _ in range(4)))
        await world.later(60)

        assert len(await world.rows(Handoff)) == 1

    async def test_a_rule_may_say_good_bye(self, world: World) -> None:
        rule = """
  - id: say_bye
    when: {trigger: silence, silence_minutes: {at_least: 10}}
    then: {outcome: stay, reason: silence, message: unreadable_first}
"""
        world.turns.policies.replace(policy_with(rule))
        await ask(world)
        await world.later(5 * MINUTE)
        await world.later(5 * MINUTE)

        assert world.sender.texts[-1].startswith("Ainda não consigo ouvir áudios")

    async def test_without_the_section_nobody_is_reminded_and_the_question_ends(
        self, world: World
    ) -> None:
        world.turns.policies.replace(replace(POLICY, silence=None))
        await ask(world)
        await world.later(5 * MINUTE)
        await world.later(5 * MINUTE)

        assert len(world.sender.sent) == 1
        assert (await world.conversation()).clarification is None


class TestReturnToBot:
    async def test_the_form_is_left_when_the_bot_comes_back(
        self, world: World, db: Database
    ) -> None:
        await ask_in_form(world)
        conversation_id: uuid.UUID = (await world.conversation()).id
        async with db.transaction() as session:
            control.take(await lock_conversation(session, conversation_id))
        await world.say("alguém aí?")
        async with db.transaction() as session:
            control.return_to_bot(await lock_conversation(session, conversation_id))

        world.bot.form = None
        await world.say("12345")

        assert world.bot.asked[-1][2].leave_form
        await world.later(20 * MINUTE)
        assert not any(words.startswith(REMINDER) for words in world.sender.texts)
