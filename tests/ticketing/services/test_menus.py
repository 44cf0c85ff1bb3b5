from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from channels.message import MessageKind
from kit.clock import FakeClock
from tests.ticketing.services.talk import POLICY, World, make_world
from ticketing.db.engine import Database
from ticketing.db.tables import Decision

UNCLEAR = "aquele negocio la"


@pytest_asyncio.fixture(loop_scope="session")
async def world(db: Database, clock: FakeClock) -> AsyncIterator[World]:
    made = make_world(db, clock)
    made.bot.understands = {"oi": ("greet", 0.9), "outra coisa estranha": ("refund", 0.2)}
    yield made
    await made.turns.close()


async def buttons(world: World) -> list[str]:
    return [button.title for button in world.sender.sent[-1].message.buttons]


class TestNotUnderstood:
    @pytest.mark.parametrize("typed", ["não entendi", "nao entnedi", "I don't understand"])
    async def test_the_menu_is_explained_once_with_the_same_options(
        self, world: World, typed: str
    ) -> None:
        await world.say(UNCLEAR)
        offered = await buttons(world)
        before = (await world.conversation()).understanding

        await world.say(typed)

        assert "explico melhor" in world.sender.texts[-1]
        assert "1. Reembolso" in world.sender.texts[-1]
        assert await buttons(world) == offered
        assert len(world.bot.asked) == 1
        assert (await world.conversation()).understanding == before

    async def test_then_it_counts_as_none_of_these(self, world: World) -> None:
        await world.say(UNCLEAR)
        await world.say("não entendi")

        await world.say("não entendi nada")

        assert world.bot.asked[-1][1] == "/out_of_scope"
        assert world.bot.asked[-1][2].clarification_answer == "none_of_these"

    async def test_an_explained_menu_is_answered_like_any_other(self, world: World) -> None:
        await world.say(UNCLEAR)
        await world.say("não entendi")

        await world.say("a primeira")

        assert world.bot.asked[-1][1] == "/refund"

    async def test_every_turn_has_its_record(self, world: World) -> None:
        await world.say(UNCLEAR)
        turn_id = await world.say("não entendi")

        found = {row.turn_id: row for row in await world.rows(Decision)}
        assert found[turn_id].outcome == "stay"
        assert found[turn_id].snapshot["top_intent"] == "not_understood"

    async def test_a_list_has_a_row_for_it(self, world: World) -> None:
        wide = replace(POLICY, clarify=replace(POLICY.clarify, options=3))
        world.turns.policies.replace(wide)
        world.bot.skip_actions = True  # the scripted rules hold the real policy
        await world.say(UNCLEAR)
        assert (await buttons(world))[-2:] == ["Nenhuma dessas", "Não entendi"]

        await world.say("Não entendi", reply_id="/not_understood", kind=MessageKind.LIST_REPLY)

        assert "explico melhor" in world.sender.texts[-1]


class TestRefused:
    async def test_what_was_refused_is_not_offered_again_after_another_message(
        self, world: World
    ) -> None:
        await world.say(UNCLEAR)
        refused = (await buttons(world))[:-1]
        await world.say("nenhuma dessas")
        await world.say("oi")

        await world.say("outra coisa estranha")

        assert set(await buttons(world)).isdisjoint(refused)


class TestAVoiceMessage:
    async def test_leaves_the_question_open(self, world: World) -> None:
        world.bot.form = "order_status_form"
        world.bot.buttons = [{"title": "Falar com pessoa", "payload": "/talk_to_person"}]
        await world.say("oi")
        before = await world.conversation()

        await world.say(None, kind=MessageKind.AUDIO)

        after = await world.conversation()
        assert "Ainda não consigo ouvir" in world.sender.texts[-1]
        assert after.clarification == before.clarification
        assert (after.waiting, after.silence_due_at) == (before.waiting, before.silence_due_at)


class TestLettingItBe:
    @pytest.mark.parametrize("typed", ["deixa pra lá", "forget it", "olvídalo"])
    async def test_drops_the_question(self, world: World, typed: str) -> None:
        await world.say(UNCLEAR)

        await world.say(typed)

        assert world.sender.texts[-1].startswith("Tudo bem, deixei isso de lado")
        assert (await world.conversation()).clarification is None

    async def test_cancelar_may_be_an_option_of_the_menu(self, world: World) -> None:
        await world.say(UNCLEAR)
        assert "Cancelamento" in await buttons(world)

        await world.say("cancelar")

        assert world.bot.asked[-1][0] == "cancelar"
