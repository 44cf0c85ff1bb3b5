"""Whole conversations are played; playing them again gives the same decisions and state."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select, text, update

from channels.message import MessageKind
from handoff.policy import HandoffPolicy
from handoff.policy_file import parse_policy
from kit.clock import FakeClock
from ponte.holiday_dates import holiday_dates
from tests.ticketing.services.talk import POLICY, World, make_world
from ticketing.db import tables
from ticketing.db.engine import Database
from ticketing.domain.enums import Level, Priority, Role, TicketStatus
from ticketing.domain.replay import Replay, replay
from ticketing.domain.ticket import Actor
from ticketing.services import agents, decisions, handoffs
from ticketing.services.conversation_history import load_history
from ticketing.services.ticket_targets import Target
from ticketing.services.tickets import Order, TicketService

SOURCE = (Path(__file__).resolve().parents[3] / "handoff.yml").read_text(encoding="utf-8")


def read_policy(source: str) -> HandoffPolicy:
    return parse_policy(source, holiday_dates=holiday_dates)


@dataclass
class Story:
    """A conversation with a customer and the people who answer."""

    world: World
    desk: TicketService
    agent: Actor

    async def say(self, text: str | None, **kwargs: Any) -> None:
        await self.world.later(20)
        await self.world.say(text, **kwargs)

    async def order(self) -> Order:
        await self.world.later(20)
        ticket = await self.world.row(
            select(tables.Ticket).order_by(tables.Ticket.number.desc()).limit(1)
        )
        return Order(self.agent, ticket.id, "c0ffee")

    async def again(self) -> Replay:
        conversation = await self.world.conversation()
        async with self.world.db.transaction() as session:
            history = await load_history(session, conversation.id, read_policy=read_policy)
        return replay(history)

    async def corrupt(self, statement: Any) -> Replay:
        async with self.world.db.transaction() as session:
            # What the tables' owner could do: without the trigger a history can be rewritten too.
            await session.execute(text("ALTER TABLE ticket_events DISABLE TRIGGER append_only"))
            await session.execute(statement)
            await session.execute(text("ALTER TABLE ticket_events ENABLE TRIGGER append_only"))
        return await self.again()

    async def full(self) -> None:
        """Questions, a handoff, people, back to the bot, and another handoff."""
        desk = self.desk
        await self.say("oi")
        await self.say("hmm")
        await self.say("2")
        await self.say("cade meu pedido")
        await self.say("cade meu pedido")
        await self.say(None, kind=MessageKind.AUDIO)
        await self.say("clonaram meu cartao")
        await self.say("alo?")
        await desk.take(await self.order())
        await self.say("voce esta ai?")
        await desk.reply(
            await self.order(), text="Estou vendo.", status=TicketStatus.PENDING_CUSTOMER
        )
        await self.say("obrigado")
        await desk.note(await self.order(), text="Cliente calmo.")
        await desk.de_escalate(
            await self.order(), target=Target(queue="n1_support", level=Level.N1), reason="simples"
        )
        await self.say("e agora?")
        await desk.take(await self.order())
        await desk.return_to_bot(await self.order(), reason="resolvido")
        await self.say("oi")
        await self.say("hmm")
        await self.say("quero falar com uma pessoa")
        await desk.change_priority(await self.order(), priority=Priority.HIGH)
        await desk.resolve(await self.order())


@pytest_asyncio.fixture(loop_scope="session")
async def story(db: Database, clock: FakeClock) -> AsyncIterator[Story]:
    world = make_world(db, clock)
    world.bot.understands = {
        "oi": ("greet", 0.9),
        "cade meu pedido": ("order_status", 0.9),
        "quero falar com uma pessoa": ("talk_to_person", 0.95),
        "clonaram meu cartao": ("report_fraud", 0.9),
    }
    async with db.transaction() as session:
        await decisions.remember_policy(
            session, version=POLICY.version, source=SOURCE, now=clock.now()
        )
        await handoffs.sync_queues(session, policy=POLICY)
        ana = await agents.create_agent(
            session,
            email="ana@example.com",
            name="Ana",
            password="nove gatos no telhado",
            role=Role.SUPERVISOR.value,
            queues=(),
            now=clock.now(),
        )
    desk = TicketService(db, clock, lambda _: None)
    yield Story(world, desk, Actor(ana.id, Role.SUPERVISOR))
    await world.turns.close()


async def test_a_conversation_from_greeting_to_person_and_back_is_identical(story: Story) -> None:
    await story.full()

    again = await story.again()

    assert [str(one) for one in again.differences] == []
    assert again.notes == ()
    assert again.decisions >= 9
    assert again.turns >= 14
    assert again.events >= 8


async def test_a_question_that_ends_in_silence_is_identical(story: Story) -> None:
    await story.say("hmm")
    await story.world.later(5 * 60 + 1)
    assert [str(one) for one in (await story.again()).differences] == []

    await story.world.later(5 * 60 + 1)
    assert [str(one) for one in (await story.again()).differences] == []

    await story.say("oi")
    assert [str(one) for one in (await story.again()).differences] == []


@pytest.mark.parametrize(
    ("intent", "score"),
    [("affirm", 0.97), ("deny", 0.97), ("deny", 0.3), ("talk_to_person", 0.31)],
)
async def test_what_the_bot_reads_as_yes_no_or_a_person_is_identical(
    story: Story, intent: str, score: float
) -> None:
    # "continue", "cancel" and "a person" under a reminder have these intents too.
    story.world.bot.understands["ok"] = (intent, score)
    await story.say("oi")
    await story.say("ok")
    await story.say("hmm")

    assert [str(one) for one in (await story.again()).differences] == []


async def test_a_turn_that_ran_twice_after_a_crash_is_identical(story: Story) -> None:
    await story.say("hmm")
    story.world.bot.dies_after_deciding = True
    await story.world.later(20)
    item = story.world.say("cade meu pedido")
    await item
    story.world.bot.dies_after_deciding = False
    await story.world.later(1)
    story.world.bot.down = True
    await story.say("clonaram meu cartao")
    await story.world.later(6)

    again = await story.again()

    assert [str(one) for one in again.differences] == []
    assert again.decisions == 3


async def test_a_policy_version_that_was_not_kept_is_named(story: Story) -> None:
    await story.say("oi")

    again = await story.corrupt(update(tables.PolicyVersion).values(version="other"))

    assert [(one.field, one.stored) for one in again.differences] == [
        ("policy_version", POLICY.version)
    ]


CORRUPTIONS: list[tuple[str, Any]] = [
    ("control_epoch", update(tables.Conversation).values(control_epoch=99)),
    ("control", update(tables.Conversation).values(control="human")),
    ("language", update(tables.Conversation).values(language="es")),
    ("language_state", update(tables.Conversation).values(language_state={"candidate": "es"})),
    ("understanding", update(tables.Conversation).values(understanding={"failures": 7})),
    ("clarification", update(tables.Conversation).values(clarification={"kind": "offer"})),
    ("status", update(tables.Ticket).where(tables.Ticket.number == 1001).values(status="open",
        resolved_at=None)),
    ("outcome", update(tables.Decision).where(tables.Decision.outcome == "stay").values(
        outcome="clarify")),
    ("rule", update(tables.Decision).values(rule="another@version")),
    ("queue", update(tables.Decision).where(tables.Decision.queue.is_not(None)).values(
        queue="elsewhere")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "statement"), CORRUPTIONS, ids=[name for name, _ in CORRUPTIONS])
async def test_one_corrupted_value_is_named(story: Story, name: str, statement: Any) -> None:
    await story.full()

    again = await story.corrupt(statement)

    assert not again.is_identical
    assert again.differences[0].field == name, str(again.differences[0])


async def _change_json(story: Story, row: Any, column: str, path: list[str], value: Any) -> Replay:
    document = json.loads(json.dumps(getattr(row, column)))
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    table = type(row)
    return await story.corrupt(update(table).where(table.id == row.id).values({column: document}))


@pytest.mark.parametrize(
    ("column", "path", "value", "field"),
    [
        ("decision", ["reason"], "vip", "decision.reason"),
        ("decision", ["hours_open"], None, "decision.hours_open"),
        ("snapshot", ["already_offered"], ["refund"], "snapshot.already_offered"),
        ("snapshot", ["now"], "yesterday", "snapshot"),
    ],
)
async def test_a_corrupted_decision_is_named(
    story: Story, column: str, path: list[str], value: Any, field: str
) -> None:
    await story.say("oi")
    row = await story.world.row(select(tables.Decision))

    again = await _change_json(story, row, column, path, value)

    assert again.differences[0].field == field, [str(one) for one in again.differences]


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (["understanding", "failures"], 4, "after.understanding"),
        (["control_epoch"], 3, "after.control_epoch"),
        (["language"], "en", "after.language"),
        (["clarification", "options"], [], "after.clarification"),
    ],
)
async def test_what_a_turn_left_is_checked(
    story: Story, path: list[str], value: Any, field: str
) -> None:
    await story.say("hmm")
    row = await story.world.row(select(tables.Turn))

    again = await _change_json(story, row, "after", path, value)

    assert again.differences[0].field == field, [str(one) for one in again.differences]


async def test_a_corrupted_event_is_named(story: Story) -> None:
    await story.say("clonaram meu cartao")
    await story.desk.take(await story.order())
    row = await story.world.row(
        select(tables.TicketEvent).where(tables.TicketEvent.kind == "taken")
    )

    again = await _change_json(story, row, "data", ["control_epoch"], 5)

    assert again.differences[0].field == "control_epoch"
    assert "event taken" in again.differences[0].where


async def test_turns_of_an_older_release_are_noted_and_not_called_different(story: Story) -> None:
    await story.say("hmm")
    await story.say("oi")

    again = await story.corrupt(update(tables.Turn).values(after=None))

    assert len(again.notes) == 2
    assert again.is_identical


async def test_the_time_of_an_event_may_lie_before_a_turn_that_ended_first(story: Story) -> None:
    """An agent's click is timed before its wait for the lock."""
    await story.say("clonaram meu cartao")
    await story.desk.take(await story.order())
    early = (await story.world.row(select(tables.Turn))).finished_at - timedelta(seconds=1)

    again = await story.corrupt(
        update(tables.TicketEvent).where(tables.TicketEvent.kind == "taken").values(at=early)
    )

    assert [str(one) for one in again.differences] == []
