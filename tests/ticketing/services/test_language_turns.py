"""The language of a conversation through the whole turn: asked for, asked about, handed over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from channels.message import MessageKind
from kit.clock import FakeClock
from tests.ticketing.services.talk import World, make_world
from ticketing.db.engine import Database
from ticketing.db.tables import Ticket
from ticketing.domain.customer_texts import LANGUAGE_QUESTION
from ticketing.gateways.language_detector import Detector

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(data_dir=ROOT / "data/nlu")


@pytest_asyncio.fixture(loop_scope="session")
async def world(db: Database, clock: FakeClock, detector: Detector) -> AsyncIterator[World]:
    made = make_world(db, clock)
    made.turns.detector = detector
    made.bot.understands = {
        "cade meu pedido": ("order_status", 0.9),
        "quiero refund": ("refund", 0.9),
        "where is my order": ("order_status", 0.9),
        "cade meu pedido que comprei": ("order_status", 0.9),
        "I want to know where my order is": ("refund", 0.9),
        "não entendi, pode falar de novo": ("invoice_copy", 0.9),
    }
    yield made
    await made.turns.close()


def last(world: World) -> str:
    return world.sender.texts[-1]


@pytest.mark.parametrize(
    ("text", "language", "answer"),
    [
        ("em inglês por favor", "en", "Sure, let's continue in English"),
        ("can you speak English?", "en", "Sure, let's continue in English"),
        ("english pls", "en", "Sure, let's continue in English"),
        ("habla español?", "es", "seguimos en español"),
        ("español por favor", "es", "seguimos en español"),
        ("português", "pt", "seguimos em português"),
        ("pode falar em português?", "pt", "seguimos em português"),
    ],
)
async def test_a_request_for_a_language_is_granted_at_once_and_confirmed_in_it(
    world: World, text: str, language: str, answer: str
) -> None:
    await world.say("cade meu pedido")

    await world.say(text)

    assert answer in last(world)
    assert (await world.conversation()).language == language
    assert len(world.bot.asked) == 1


async def test_an_open_question_is_put_again_in_the_language_asked_for(world: World) -> None:
    await world.say("hmm")
    before = world.sender.sent[-1].message

    await world.say("in english please")

    after = world.sender.sent[-1].message
    assert after.text == "I want to be sure I understood you. What is it about?"
    assert [button.id for button in after.buttons] == [button.id for button in before.buttons]
    assert after.buttons[-1].title == "None of these"
    conversation = await world.conversation()
    assert conversation.understanding["clarifications_asked"] == 1

    await world.say("1")
    assert world.bot.asked[-1][1] == before.buttons[0].id
    assert world.bot.asked[-1][2].language == "en"


async def test_a_first_message_in_two_languages_is_asked_about_once(world: World) -> None:
    await world.say("quiero refund")
    assert last(world) == LANGUAGE_QUESTION
    assert [b.title for b in world.sender.sent[-1].message.buttons] == [
        "Português",
        "English",
        "Español",
    ]
    assert world.bot.asked == []

    button = world.sender.sent[-1].message.buttons[1]
    await world.say(button.title, kind=MessageKind.BUTTON_REPLY, reply_id=button.id)

    (text, payload, facts) = world.bot.asked[-1]
    assert (text, payload, facts.language) == ("quiero refund", None, "en")
    assert last(world).startswith("answer to refund")


@pytest.mark.parametrize(
    ("answer", "language"), [("2", "en"), ("english", "en"), ("Español", "es"), ("inglês", "en")]
)
async def test_the_question_can_be_answered_by_typing(
    world: World, answer: str, language: str
) -> None:
    await world.say("quiero refund")

    await world.say(answer)

    (text, _, facts) = world.bot.asked[-1]
    assert (text, facts.language) == ("quiero refund", language)


async def test_who_does_not_answer_the_question_is_not_asked_again(world: World) -> None:
    await world.say("quiero refund")
    await world.say("quiero refund")

    assert world.sender.texts.count(LANGUAGE_QUESTION) == 1
    assert len(world.bot.asked) == 1


async def test_a_danger_in_two_languages_is_not_asked_about(world: World) -> None:
    await world.say("help ayuda pegou fogo")

    assert LANGUAGE_QUESTION not in world.sender.texts
    (ticket,) = await world.rows(Ticket)
    assert ticket.priority == "urgent"


@pytest.mark.parametrize("text", ["oi", "ok", "hola", "hi", "boleto", "4521", "👍", "pedido"])
async def test_a_natural_first_word_is_answered_and_not_asked_about(
    world: World, text: str
) -> None:
    await world.say(text)

    assert LANGUAGE_QUESTION not in world.sender.texts


async def test_a_doubtful_foreign_message_is_asked_about_and_the_second_goes_to_a_person(
    world: World,
) -> None:
    await world.say("zu spät")
    assert last(world) == LANGUAGE_QUESTION

    await world.say("mennyibe kerül")

    (ticket,) = await world.rows(Ticket)
    assert ticket.escalation_reason == "language"


@pytest.mark.parametrize(
    "text", ["bonjour, je voudrais suivre ma commande", "こんにちは", "где мой заказ", "我要退款"]
)
async def test_another_language_goes_to_a_person_at_the_first_message(
    world: World, text: str
) -> None:
    await world.say(text)

    (ticket,) = await world.rows(Ticket)
    assert ticket.escalation_reason == "language"


@pytest.mark.parametrize("text", ["👍", "😀😀😀", "12345", "🇫🇷", "...", "\u0301\u0301"])
async def test_signs_and_numbers_never_go_to_a_person_for_their_language(
    world: World, text: str
) -> None:
    await world.say("cade meu pedido")
    await world.say(text)

    assert [ticket.escalation_reason for ticket in await world.rows(Ticket)] == []


async def test_who_changes_back_and_forth_is_asked_once(world: World) -> None:
    for text in (
        "cade meu pedido que comprei",
        "I want to know where my order is",
        "não entendi, pode falar de novo",
        "I want to know where my order is",
    ):
        await world.say(text)

    assert last(world) == LANGUAGE_QUESTION
