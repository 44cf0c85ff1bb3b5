from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select, update

from channels.message import MessageKind
from kit.clock import FakeClock
from notifications.domain.events import ticket_facts
from tests.ticketing.services.talk import World, inbound_text, make_world, status
from ticketing.db.engine import Database
from ticketing.db.tables import (
    Contact,
    Conversation,
    Decision,
    Handoff,
    Message,
    OutboxEvent,
    Ticket,
    Turn,
    WebhookItem,
)
from ticketing.domain.delivery import Failure
from ticketing.services import control, inbound, turns
from ticketing.services.control import lock_conversation
from ticketing.services.ports import BotReply, BotUnavailableError
from ticketing.services.reception import ReceptionBeat
from ticketing.services.stored_statuses import MOST_TRIES, STATUS_PAUSE
from ticketing.services.turn_engine import PunctualBot
from ticketing.services.turns import ClaimedTurn

TRANSIENT = Failure("transient", "131000", "Something went wrong")
PERMANENT = Failure("permanent", "131026", "Undeliverable")
UNKNOWN = Failure("unknown", "ReadTimeout", "it may have been sent")


@pytest_asyncio.fixture(loop_scope="session")
async def world(db: Database, clock: FakeClock) -> AsyncIterator[World]:
    made = make_world(db, clock)
    made.bot.understands = {
        "oi": ("greet", 0.9),
        "cade meu pedido": ("order_status", 0.9),
        "quero falar com uma pessoa": ("talk_to_person", 0.95),
        "clonaram meu cartao": ("report_fraud", 0.9),
    }
    yield made
    await made.turns.close()


class TestAnswering:
    async def test_the_replies_of_one_turn_leave_as_one_message(self, world: World) -> None:
        await world.say("cade meu pedido")

        assert world.sender.texts == ["answer to order_status\n\nand more"]

    async def test_the_customer_sees_that_the_message_was_read(self, world: World) -> None:
        await world.say("oi", wamid="wamid.first")

        assert world.sender.read == ["wamid.first"]

    async def test_the_bot_knows_the_conversation_only_by_its_id(self, world: World) -> None:
        await world.say("oi")

        conversation = await world.conversation()
        (_, _, facts) = world.bot.asked[0]
        assert facts.conversation_id == str(conversation.id)
        assert "98765" not in str(facts)

    async def test_every_turn_leaves_a_decision_record(self, world: World) -> None:
        turn_id = await world.say("oi")

        (decision,) = await world.rows(Decision)
        assert (decision.turn_id, decision.outcome) == (turn_id, "stay")
        assert decision.versions["policy"]

    async def test_messages_of_one_batch_are_answered_in_the_order_they_were_written(
        self, world: World, clock: FakeClock
    ) -> None:
        now = clock.now()
        late = inbound_text("cade meu pedido", at=now)
        early = inbound_text("oi", at=now - timedelta(seconds=2))

        await world.receive(late, early)

        assert [asked[0] for asked in world.bot.asked] == ["oi", "cade meu pedido"]

    async def test_a_second_identical_webhook_changes_nothing(
        self, world: World, clock: FakeClock
    ) -> None:
        item = inbound_text("oi", at=clock.now())

        await world.receive(item, item)
        await world.receive(item)
        await asyncio.gather(*(world.inbound.accept([item], "c") for _ in range(20)))
        await world.settle()

        assert len(await world.rows(WebhookItem)) == 1
        assert len(world.sender.sent) == 1

    async def test_ten_first_messages_at_once_make_one_contact_and_one_conversation(
        self, world: World, clock: FakeClock
    ) -> None:
        items = [
            inbound_text("oi", at=clock.now() + timedelta(milliseconds=number))
            for number in range(10)
        ]

        await asyncio.gather(*(world.inbound.accept([item], "c") for item in items))
        await world.settle()

        assert len(await world.rows(Contact)) == 1
        assert len(await world.rows(Conversation)) == 1
        assert len(world.sender.sent) == 10

    async def test_a_number_with_and_without_the_ninth_digit_is_one_contact(
        self, world: World
    ) -> None:
        await world.say("oi", phone="+551187654321")
        await world.say("oi", phone="+5511987654321")

        assert len(await world.rows(Contact)) == 1
        assert world.sender.sent[0].address == "+551187654321"

    async def test_a_bsuid_joins_the_phone_it_came_with_and_then_stands_alone(
        self, world: World
    ) -> None:
        await world.say("oi")
        await world.say("oi", user_id="BR.123")
        await world.say("oi", phone=None, user_id="BR.123")

        assert len(await world.rows(Contact)) == 1
        assert world.sender.sent[-1].address == "BR.123"

    async def test_an_item_that_cannot_be_processed_is_kept_with_its_error(
        self, world: World, clock: FakeClock
    ) -> None:
        no_index_takes_this = "".join(f"{number:x}" for number in range(3000))
        item = inbound_text("oi", at=clock.now(), user_id=f"BR.{no_index_takes_this}")

        stored = await world.inbound.accept([item], "c")
        await world.settle()

        (row,) = await world.rows(WebhookItem)
        assert stored.count == 1
        assert (row.done_at, row.attempts, row.raw) == (None, 1, {"text": "oi"})
        assert row.error

    async def test_an_endless_message_id_is_stored_once_like_any_other(
        self, world: World, clock: FakeClock
    ) -> None:
        item = inbound_text("oi", at=clock.now(), wamid="wamid." + "x" * 20_000)

        await world.receive(item)
        await world.receive(item)

        assert len(await world.rows(WebhookItem)) == 1
        assert len(world.sender.sent) == 1

    async def test_a_text_of_nul_and_half_an_emoji_is_stored_and_answered(
        self, world: World
    ) -> None:
        await world.say("ol\x00a \ud83d")

        assert len(world.sender.sent) == 1


class TestClarifying:
    async def test_an_unclear_message_gets_buttons_and_none_of_these(self, world: World) -> None:
        await world.say("hmm")

        (sent,) = world.sender.sent
        assert len(sent.message.buttons) == 3
        assert sent.message.buttons[-1].id == "/out_of_scope"
        assert all(len(button.title) <= 20 for button in sent.message.buttons)

    @pytest.mark.parametrize("answer", ["1", "sim", "a primeira"])
    async def test_a_typed_answer_chooses(self, world: World, answer: str) -> None:
        await world.say("hmm")
        first = world.sender.sent[0].message.buttons[0]

        await world.say(answer)

        assert world.bot.asked[-1][1] == first.id
        assert world.bot.asked[-1][2].clarification_answer == "chosen"

    async def test_a_pressed_button_chooses(self, world: World) -> None:
        await world.say("hmm")
        first = world.sender.sent[0].message.buttons[0]

        await world.say(first.title, kind=MessageKind.BUTTON_REPLY, reply_id=first.id)

        assert world.bot.asked[-1][1] == first.id
        assert (await world.conversation()).understanding["failures"] == 0

    async def test_two_questions_that_fail_hand_over(self, world: World) -> None:
        await world.say("hmm")
        await world.say("sei la")
        assert (await world.conversation()).control == "bot"

        await world.say("aff")

        (ticket,) = await world.rows(Ticket)
        assert ticket.escalation_reason == "repeated_failure"
        assert (await world.conversation()).control == "queued"

    async def test_a_question_is_never_offered_twice(self, world: World) -> None:
        await world.say("hmm")
        await world.say("nenhuma dessas")

        first, second = (
            {button.id for button in sent.message.buttons[:-1]} for sent in world.sender.sent
        )
        assert first.isdisjoint(second)


class TestOffers:
    async def test_the_number_of_a_button_under_an_answer_can_be_typed(self, world: World) -> None:
        world.bot.buttons = [
            {"title": "Consultar pedido", "payload": "/order_status"},
            {"title": "Segunda via", "payload": "/invoice_copy"},
        ]
        await world.say("oi")

        await world.say("2")
        await world.say("consultar pedido")

        assert [payload for _, payload, _ in world.bot.asked] == [
            None,
            "/invoice_copy",
            "/order_status",
        ]

    async def test_yes_and_other_words_are_left_to_the_dialogue(self, world: World) -> None:
        world.bot.buttons = [{"title": "Falar com pessoa", "payload": "/talk_to_person"}]
        await world.say("oi")

        world.bot.understands["sim"] = ("affirm", 0.9)
        await world.say("sim")

        assert [payload for _, payload, _ in world.bot.asked] == [None, None]


class TestHandingOver:
    async def test_ticket_handoff_event_and_outbox_are_written_once(self, world: World) -> None:
        turn_id = await world.say("quero falar com uma pessoa")

        (ticket,) = await world.rows(Ticket)
        (handoff,) = await world.rows(Handoff)
        (event,) = await world.rows(OutboxEvent)
        assert handoff.turn_id == turn_id
        assert handoff.reason == ticket.escalation_reason == "customer_request"
        assert event.payload["ticket_number"] == ticket.number
        assert ticket.sla_target_minutes > 0
        assert ticket.sla_expires_at > ticket.opened_at

    async def test_the_customer_is_told_the_ticket_number(self, world: World) -> None:
        await world.say("quero falar com uma pessoa")

        (ticket,) = await world.rows(Ticket)
        assert str(ticket.number) in world.sender.texts[-1]

    async def test_fraud_goes_to_level_three_with_its_reason(self, world: World) -> None:
        await world.say("clonaram meu cartao")

        (ticket,) = await world.rows(Ticket)
        assert (ticket.level, ticket.escalation_reason) == ("N3", "critical_intent")

    async def test_messages_in_the_queue_reach_the_ticket_and_not_the_bot(
        self, world: World
    ) -> None:
        await world.say("quero falar com uma pessoa")
        asked = len(world.bot.asked)

        message_id = await world.say("oi?")

        assert len(world.bot.asked) == asked
        (ticket,) = await world.rows(Ticket)
        message = await world.row(select(Message).where(Message.id == message_id))
        assert message.ticket_id == ticket.id

    async def test_after_the_return_the_bot_answers_again(self, world: World) -> None:
        await world.say("quero falar com uma pessoa")
        conversation_id = (await world.conversation()).id
        async with world.db.transaction() as session:
            locked = await lock_conversation(session, conversation_id)
            control.take(locked)
            control.return_to_bot(locked)
            await session.execute(update(Handoff).values(state="ended", ended_at=world.clock.now()))

        await world.say("cade meu pedido")

        assert world.sender.texts[-1].startswith("answer to order_status")

    async def test_a_voice_message_gets_an_honest_answer_and_the_second_a_person(
        self, world: World
    ) -> None:
        await world.say(None, kind=MessageKind.VOICE)
        assert len(world.sender.sent) == 1
        assert (await world.conversation()).control == "bot"

        await world.say(None, kind=MessageKind.VOICE)

        (ticket,) = await world.rows(Ticket)
        assert ticket.escalation_reason == "unreadable_message"
        assert len([row for row in await world.rows(Message) if row.ticket_id == ticket.id]) >= 3

    async def test_a_reaction_is_kept_and_not_answered(self, world: World) -> None:
        await world.say("oi")
        await world.say(None, kind=MessageKind.REACTION)

        assert len(world.sender.sent) == 1
        assert len(await world.rows(Turn)) == 1


class TestTakingOver:
    async def test_an_answer_computed_before_a_person_took_over_never_leaves(
        self, world: World
    ) -> None:
        world.turns.settings.owner = "web:other"
        await world.inbound.accept([inbound_text("oi", at=world.clock.now())], "c")
        await world.inbound.drain()
        claimed = await self._claim(world)
        conclusion = await world.turns.runner.with_bot(claimed)
        async with world.db.transaction() as session:
            control.take(await lock_conversation(session, claimed.conversation_id))

        sent = await turns.finish(
            world.db, claimed, conclusion, owner="web:slow", now=world.clock.now()
        )

        assert sent == []
        assert not [row for row in await world.rows(Message) if row.direction == "outbound"]

    async def test_a_waiting_bot_message_is_dropped_when_a_person_takes_over(
        self, world: World
    ) -> None:
        world.sender.failures = [TRANSIENT]
        await world.say("oi")
        async with world.db.transaction() as session:
            conversation_id = (await session.scalars(select(Conversation.id))).one()
            control.take(await lock_conversation(session, conversation_id))

        await world.later(60)

        assert world.sender.sent == []
        states = {row.delivery for row in await world.rows(Message)}
        assert states == {None, "dropped"}

    async def _claim(self, world: World) -> ClaimedTurn:
        await world.turns.drain()
        async with world.db.transaction() as session:
            await session.execute(update(Turn).values(state="pending", finished_at=None))
            await session.execute(update(Conversation).values(lease_owner=None, lease_until=None))
            for row in await session.scalars(
                select(Message).where(Message.direction == "outbound")
            ):
                await session.delete(row)
            conversation_id = (await session.scalars(select(Conversation.id))).one()
        claimed = await turns.claim_next(
            world.db, conversation_id, owner="web:slow", now=world.clock.now()
        )
        assert isinstance(claimed, ClaimedTurn)
        return claimed


class TestCrashes:
    async def test_a_turn_whose_process_died_is_run_again_after_its_lease(
        self, world: World
    ) -> None:
        dead = make_world(world.db, world.clock, owner="web:dead")
        await dead.inbound.accept([inbound_text("oi", at=world.clock.now())], "c")
        await dead.inbound.drain()
        await dead.turns.close()
        conversation_id = (await world.conversation()).id
        claimed = await turns.claim_next(
            world.db, conversation_id, owner="web:dead", now=world.clock.now()
        )
        assert isinstance(claimed, ClaimedTurn)

        await world.later(1)
        assert world.sender.sent == []
        await world.later(turns.TURN_LEASE.total_seconds())

        assert len(world.sender.sent) == 1

    async def test_a_successor_takes_back_at_once_what_its_dead_predecessor_held(
        self, db: Database, clock: FakeClock
    ) -> None:
        dead = make_world(db, clock, owner="web@up:first")
        await dead.inbound.accept([inbound_text("oi", at=clock.now())], "c")
        await dead.inbound.drain()
        await dead.turns.close()
        conversation_id = (await dead.conversation()).id
        assert isinstance(
            await turns.claim_next(db, conversation_id, owner="web@up:first", now=clock.now()),
            ClaimedTurn,
        )
        successor = make_world(db, clock, owner="web@up:second")

        await successor.delivery.take_back()
        await successor.later(0)

        assert len(successor.sender.sent) == 1

    @pytest.mark.parametrize("owner", ["web@up:second", "web@other:second", "web@:second"])
    async def test_what_was_being_sent_is_unknown_to_the_successor_and_nobody_else(
        self, db: Database, clock: FakeClock, owner: str
    ) -> None:
        dead = make_world(db, clock, owner="web@up:first")
        await dead.say("oi")
        async with db.transaction() as session:
            await session.execute(
                update(Message)
                .where(Message.direction == "outbound")
                .values(delivery="sending", lease_owner="web@up:first")
            )

        await make_world(db, clock, owner=owner).delivery.take_back()

        (out,) = [row for row in await dead.rows(Message) if row.direction == "outbound"]
        assert out.delivery == ("unknown" if owner == "web@up:second" else "sending")

    async def test_a_clock_that_is_set_back_keeps_no_customer_waiting(
        self, db: Database, clock: FakeClock
    ) -> None:
        dead = make_world(db, clock, owner="web@one:first")
        dead.sender.failures = [UNKNOWN, TRANSIENT]
        clock.advance(timedelta(hours=1))
        await dead.say("oi", phone="+5511900000001")  # it may have been sent
        await dead.say("oi", phone="+5511900000002")  # it is to be tried again
        await dead.inbound.accept([inbound_text("oi", at=clock.now())], "c")
        await dead.inbound.drain()
        await dead.turns.close()
        newest = max(row.id for row in await dead.rows(Conversation))
        await turns.claim_next(db, newest, owner="web@one:first", now=clock.now())

        clock.advance(timedelta(hours=-1))
        successor = make_world(db, clock, owner="web@two:first")
        await successor.later(1)

        assert len(successor.sender.sent) == 3

    async def test_a_stored_item_that_nobody_processed_is_found_by_the_sweep(
        self, world: World
    ) -> None:
        item = inbound_text("oi", at=world.clock.now())
        await inbound.store(world.db, [item], now=world.clock.now(), correlation_id="c")

        await world.later(10)

        assert len(world.sender.sent) == 1

    async def test_the_slow_owner_of_a_lost_lease_writes_nothing(self, world: World) -> None:
        await world.inbound.accept([inbound_text("oi", at=world.clock.now())], "c")
        await world.inbound.drain()
        await world.settle()
        (turn,) = await world.rows(Turn)
        conversation_id = (await world.conversation()).id
        async with world.db.transaction() as session:
            await session.execute(update(Turn).values(state="pending", finished_at=None))
        claimed = await turns.claim_next(
            world.db, conversation_id, owner="web:slow", now=world.clock.now()
        )
        assert isinstance(claimed, ClaimedTurn)
        conclusion = await world.turns.runner.with_bot(claimed)
        async with world.db.transaction() as session:
            await session.execute(update(Conversation).values(lease_owner="web:quick"))

        lost = await turns.finish(
            world.db, claimed, conclusion, owner="web:slow", now=world.clock.now()
        )

        assert lost is None
        assert turn.id == claimed.turn_id

    async def test_the_bot_away_for_long_hands_over_and_says_so(self, world: World) -> None:
        world.bot.down = True
        await world.say("cade meu pedido")
        for _ in range(8):
            await world.later(1)

        (ticket,) = await world.rows(Ticket)
        assert ticket.escalation_reason == "bot_unavailable"
        assert len(world.sender.sent) == 1

    @pytest.mark.parametrize("how", ["dies_after_deciding", "says_nothing"])
    async def test_a_bot_that_decided_to_answer_and_did_not_hands_over(
        self, world: World, how: str
    ) -> None:
        setattr(world.bot, how, True)
        await world.say("cade meu pedido")
        for _ in range(8):
            await world.later(1)

        (ticket,) = await world.rows(Ticket)
        assert ticket.escalation_reason == "bot_unavailable"
        assert len(world.sender.sent) == 1

    async def test_a_bot_that_does_not_answer_in_time_is_unavailable(self, world: World) -> None:
        class Asleep:
            async def turn(self, *_: object, **__: object) -> BotReply:
                await asyncio.Event().wait()
                raise AssertionError

        facts: Any = None  # the bot does not look at them
        punctual = PunctualBot(Asleep(), timedelta(milliseconds=10))

        with pytest.raises(BotUnavailableError) as caught:
            await punctual.turn(facts, text="oi", payload=None)

        assert caught.value.reachable

    async def test_the_bot_away_for_a_moment_is_asked_again(self, world: World) -> None:
        world.bot.down = True
        await world.say("cade meu pedido")
        world.bot.down = False
        await world.later(1)

        assert await world.rows(Ticket) == []
        assert len(world.sender.sent) == 1

    async def test_without_the_action_server_the_rules_are_applied_all_the_same(
        self, world: World
    ) -> None:
        world.bot.skip_actions = True

        await world.say("clonaram meu cartao")

        (ticket,) = await world.rows(Ticket)
        assert ticket.level == "N3"


async def undelivered(world: World) -> list[dict[str, Any]]:
    events = await world.rows(OutboxEvent)
    return [event.payload for event in events if event.topic == "message.undelivered"]


class TestDelivery:
    async def test_a_transient_failure_is_sent_again(self, world: World) -> None:
        world.sender.failures = [TRANSIENT]
        await world.say("oi")
        assert world.sender.sent == []

        await world.later(2)

        assert len(world.sender.sent) == 1

    async def test_a_permanent_failure_is_not_sent_again_and_keeps_its_code(
        self, world: World
    ) -> None:
        world.sender.failures = [PERMANENT]
        await world.say("oi")
        await world.later(600)

        assert world.sender.sent == []
        (out,) = [row for row in await world.rows(Message) if row.direction == "outbound"]
        assert (out.delivery, out.delivery_error["code"]) == ("failed", "131026")

    async def test_an_answer_that_never_arrives_is_told_to_whoever_has_the_ticket(
        self, world: World
    ) -> None:
        world.sender.failures = [PERMANENT, PERMANENT]

        await world.say("oi")
        assert await undelivered(world) == []
        await world.say("clonaram meu cartao")

        (ticket,) = await world.rows(Ticket)
        (payload,) = await undelivered(world)
        assert payload["ticket_number"] == ticket.number
        assert ticket_facts(payload).ticket_id == ticket.id  # as the relay reads it

    async def test_a_refusal_that_comes_later_is_told_once(self, world: World) -> None:
        await world.say("clonaram meu cartao")
        (out,) = [row for row in await world.rows(Message) if row.direction == "outbound"]

        for word in ("sent", "failed", "failed"):
            await world.receive(status(str(out.provider_id), word))

        assert len(await undelivered(world)) == 1

    async def test_a_message_that_may_have_been_sent_waits_for_its_status(
        self, world: World
    ) -> None:
        world.sender.failures = [UNKNOWN]
        await world.say("oi")
        (sent,) = world.sender.sent

        await world.receive(status("wamid.real", "sent", callback_data=str(sent.message_id)))
        await world.later(3600)

        assert len(world.sender.sent) == 1
        row = await world.row(select(Message).where(Message.id == sent.message_id))
        assert (row.delivery, row.provider_id) == ("sent", "wamid.real")

    @pytest.mark.parametrize(("tries", "sends"), [(0, 1), (MOST_TRIES, 2)])
    async def test_a_status_that_is_stored_is_waited_for_unless_nobody_can_apply_it(
        self, world: World, tries: int, sends: int
    ) -> None:
        world.sender.failures = [UNKNOWN]
        await world.say("oi")
        (sent,) = world.sender.sent
        told = status("wamid.real", "sent", callback_data=str(sent.message_id))
        later = world.clock.now() + timedelta(seconds=30)
        await inbound.store(world.db, [told], now=later, correlation_id="c")
        async with world.db.transaction() as session:
            await session.execute(update(WebhookItem).values(attempts=tries))

        world.clock.advance(timedelta(seconds=31))
        await world.delivery.sweep()
        await world.delivery.drain()

        assert len(world.sender.sent) == sends
        row = await world.row(select(Message).where(Message.id == sent.message_id))
        assert row.delivery == ("unknown" if sends == 1 else "sent")
        if sends == 1:
            assert row.next_attempt_at == world.clock.now() + STATUS_PAUSE
            await world.later(5)
            row = await world.row(select(Message).where(Message.id == sent.message_id))
            assert (row.delivery, row.attempts) == ("sent", 1)

    async def test_the_wait_for_a_status_counts_only_while_one_could_come(
        self, world: World
    ) -> None:
        beat = ReceptionBeat(world.db, world.clock)
        await beat.run()
        world.sender.failures = [UNKNOWN]
        await world.say("oi")

        await world.later(60)  # no web process for a minute
        assert len(world.sender.sent) == 1
        await beat.run()
        for _ in range(15):
            await world.later(1.9)
            await beat.run()
        assert len(world.sender.sent) == 1
        await world.later(1.9)
        assert len(world.sender.sent) == 2

    async def test_without_a_status_it_is_sent_once_more(self, world: World) -> None:
        world.sender.failures = [UNKNOWN]
        await world.say("oi")

        await world.later(31)

        assert len(world.sender.sent) == 2

    @pytest.mark.parametrize(
        ("words", "state"),
        [
            (["read", "delivered", "sent"], "read"),
            (["sent", "delivered"], "delivered"),
            (["failed", "sent"], "failed"),
            (["failed", "delivered"], "delivered"),
            (["played"], "read"),
            (["something_new"], "sent"),
        ],
    )
    async def test_statuses_never_go_back(self, world: World, words: list[str], state: str) -> None:
        await world.say("oi")
        (out,) = [row for row in await world.rows(Message) if row.direction == "outbound"]

        for word in words:
            await world.receive(status(str(out.provider_id), word))

        row = await world.row(select(Message).where(Message.id == out.id))
        assert row.delivery == state
