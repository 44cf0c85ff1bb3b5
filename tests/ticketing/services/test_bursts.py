"""A thousand messages of one customer, and one message of each of many customers."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
from sqlalchemy import select, update

from channels.message import MessageKind
from kit.clock import FakeClock
from tests.ticketing.services.talk import World, inbound_text, make_world
from ticketing.db.engine import Database
from ticketing.db.tables import Conversation, Decision, Message, Ticket, Turn
from ticketing.domain.burst import ANSWERS_AT_ONCE, MERGE_BEYOND, PACE
from ticketing.services import turns
from ticketing.services.turns import ClaimedTurn


@pytest_asyncio.fixture(loop_scope="session")
async def world(db: Database, clock: FakeClock) -> AsyncIterator[World]:
    made = make_world(db, clock)
    made.bot.understands = {"oi": ("greet", 0.9)}
    yield made
    await made.turns.close()


async def pile_up(world: World, texts: list[str]) -> None:
    """Messages that came while the bot's process was away: stored, and no turn run."""
    start = world.clock.now() - timedelta(seconds=1)
    world.inbound.wake_conversation = lambda _: None
    items = [
        inbound_text(text, at=start + timedelta(milliseconds=number))
        for number, text in enumerate(texts)
    ]
    await world.inbound.accept(items, "c0ffee")
    await world.inbound.drain()


async def fresh(world: World) -> World:
    """The next process."""
    made = make_world(world.db, world.clock, owner="web:next")
    made.bot.understands = world.bot.understands
    await made.turns.sweep()
    await made.settle()
    return made


async def in_order(world: World) -> list[Turn]:
    async with world.db.transaction() as session:
        return list(await session.scalars(select(Turn).order_by(Turn.sent_at)))


async def test_a_thousand_messages_in_one_batch_are_stored_in_order_and_answered_once(
    world: World, clock: FakeClock
) -> None:
    start = clock.now() - timedelta(seconds=2)
    items = [
        inbound_text(f"mensagem {number}", at=start + timedelta(milliseconds=number))
        for number in range(1000)
    ]

    await world.receive(*items)

    found = await in_order(world)
    assert len(found) == 1000
    assert Counter(turn.outcome for turn in found) == {"merged": 999, "clarified": 1}
    assert {turn.merged_into for turn in found[:-1]} == {found[-1].id}
    assert len(world.sender.sent) == 1
    (text, _, _) = world.bot.asked[0]
    assert text.splitlines()[-1] == "mensagem 999"
    assert len(text) <= 1000


async def test_as_many_as_a_person_may_type_get_an_answer_each(world: World) -> None:
    await pile_up(world, [f"mensagem {number}" for number in range(MERGE_BEYOND)])

    after = await fresh(world)

    assert [asked[0] for asked in after.bot.asked[:2]] == ["mensagem 0", "mensagem 1"]
    assert not [turn for turn in await in_order(after) if turn.outcome == "merged"]


async def test_one_more_is_answered_together(world: World) -> None:
    await pile_up(world, [f"mensagem {number}" for number in range(MERGE_BEYOND + 1)])

    after = await fresh(world)

    assert [asked[0].count("\n") for asked in after.bot.asked] == [MERGE_BEYOND]
    assert len(after.sender.sent) == 1


async def test_a_danger_in_the_middle_of_a_burst_is_seen_and_all_of_it_is_on_the_ticket(
    world: World,
) -> None:
    texts = [f"mensagem {number}" for number in range(300)]
    texts[7] = "pegou fogo na tomada"
    await pile_up(world, texts)

    after = await fresh(world)

    (ticket,) = await after.rows(Ticket)
    assert (ticket.level, ticket.priority) == ("N3", "urgent")
    shown = [row for row in await after.rows(Message) if row.ticket_id == ticket.id]
    assert len([row for row in shown if row.direction == "inbound"]) == 300


async def test_what_cannot_be_read_or_was_tried_is_not_merged(world: World) -> None:
    await pile_up(world, ["oi"] + [f"mensagem {number}" for number in range(20)])
    async with world.db.transaction() as session:
        first = (await session.scalars(select(Turn).order_by(Turn.sent_at))).first()
        assert first is not None
        await session.execute(update(Turn).where(Turn.id == first.id).values(attempts=1))
        voice = (await session.scalars(select(Message).where(Message.text == "mensagem 19"))).one()
        voice.kind = MessageKind.VOICE.value

    after = await fresh(world)

    assert after.bot.asked[0][0] == "oi"
    outcomes = [turn.outcome for turn in await in_order(after)]
    assert outcomes[0] == "answered"
    assert outcomes[1:19] == ["merged"] * 18
    assert outcomes[-1] not in {None, "merged"}


async def test_a_process_that_dies_after_merging_changes_nothing_for_the_next(
    world: World,
) -> None:
    await pile_up(world, [f"mensagem {number}" for number in range(30)])
    conversation = await world.conversation()
    claimed = await turns.claim_next(
        world.db, conversation.id, owner="web:dead", now=world.clock.now()
    )
    assert isinstance(claimed, ClaimedTurn)
    assert len(claimed.earlier) == 29
    async with world.db.transaction() as session:
        await session.execute(update(Conversation).values(lease_owner=None, lease_until=None))

    again = await turns.claim_next(
        world.db, conversation.id, owner="web:next", now=world.clock.now()
    )

    assert isinstance(again, ClaimedTurn)
    assert (again.turn_id, again.earlier) == (claimed.turn_id, claimed.earlier)


async def test_a_flood_after_the_answers_of_a_minute_waits_and_is_answered_together(
    world: World, clock: FakeClock
) -> None:
    for _ in range(ANSWERS_AT_ONCE):
        await world.say("oi")
    assert len(world.sender.sent) == ANSWERS_AT_ONCE

    items = [
        inbound_text(f"mais {number}", at=clock.now() + timedelta(milliseconds=number))
        for number in range(5)
    ]
    await world.inbound.accept(items, "c")
    await world.settle()
    assert len(world.sender.sent) == ANSWERS_AT_ONCE

    await world.later(PACE.total_seconds())

    assert len(world.sender.sent) == ANSWERS_AT_ONCE + 1
    assert world.bot.asked[-1][0] == "mais 0\nmais 1\nmais 2\nmais 3\nmais 4"
    assert {turn.state for turn in await in_order(world)} == {"done"}


async def test_a_flood_of_presses_counts_as_the_last_one(world: World, clock: FakeClock) -> None:
    await world.say("hmm")
    first, second = world.sender.sent[0].message.buttons[:2]
    presses = [
        inbound_text(
            button.title,
            at=clock.now() + timedelta(milliseconds=number),
            kind=MessageKind.BUTTON_REPLY,
            reply_id=button.id,
        )
        for number, button in enumerate([first, second] * 20)
    ]

    await world.receive(*presses)

    assert [payload for _, payload, _ in world.bot.asked[1:]] == [second.id]
    assert len(world.sender.sent) == 2


async def test_a_hundred_customers_at_once_are_each_answered_once(
    world: World, clock: FakeClock
) -> None:
    items = [
        inbound_text("oi", at=clock.now(), phone=f"+55119{number:08d}") for number in range(100)
    ]

    await world.receive(*items)

    assert len(await world.rows(Conversation)) == 100
    assert Counter(sent.address for sent in world.sender.sent).most_common(1)[0][1] == 1
    assert len(world.sender.sent) == len(await world.rows(Decision)) == 100


@pytest.mark.parametrize(
    "reply_id",
    [
        "/restart",
        "/session_start",
        '/talk_to_person{"order_number":"1"}',
        '/order_status{"order_number":"77821"}',
        "/report_fraud",
        "language:en",
        "x" * 5000,
        '"}]}',
    ],
)
async def test_a_forged_press_runs_nothing_and_its_title_is_typed_text(
    world: World, reply_id: str
) -> None:
    await world.say("oi")

    await world.say("/restart", kind=MessageKind.BUTTON_REPLY, reply_id=reply_id)

    assert [(text, payload) for text, payload, _ in world.bot.asked] == [
        ("oi", None),
        ("/restart", None),
    ]
    assert world.bot.asked[-1][2].message_kind == "text"


async def test_a_button_offered_long_ago_in_this_conversation_still_works(world: World) -> None:
    await world.say("hmm")
    offered = world.sender.sent[0].message.buttons[0]
    await world.say("oi")

    await world.say(offered.title, kind=MessageKind.BUTTON_REPLY, reply_id=offered.id)

    assert world.bot.asked[-1][1] == offered.id


async def test_a_button_offered_to_another_customer_runs_nothing(world: World) -> None:
    await world.say("hmm", phone="+5511911112222")
    offered = world.sender.sent[0].message.buttons[0]

    await world.say(
        offered.title,
        phone="+5511933334444",
        kind=MessageKind.BUTTON_REPLY,
        reply_id=offered.id,
    )

    assert world.bot.asked[-1][1] is None
