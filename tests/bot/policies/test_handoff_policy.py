"""The policy beside RulePolicy, in whole turns."""

from __future__ import annotations

import uuid

import pytest

from tests.bot.conftest import BotProcess
from tests.bot.fake_action_server import FakeActionServer

FORM = "meu pedido não chegou"


def texts(answer: dict[str, list[dict[str, str]]]) -> list[str]:
    return [reply["text"] for reply in answer["replies"]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("oi humano", ["Vou chamar uma pessoa."]),
        ("oi confuso", ["Qual destes?"]),
        ("oi", ["Olá!"]),
    ],
)
def test_the_outcome_decides_over_a_matching_rule(
    bot: BotProcess, conversation: str, text: str, said: list[str]
) -> None:
    assert texts(bot.turn(conversation_id=conversation, text=text)) == said


def test_a_handoff_leaves_the_form(bot: BotProcess, conversation: str) -> None:
    assert bot.turn(conversation_id=conversation, text=FORM)["active_loop"] == "order_form"
    answer = bot.turn(conversation_id=conversation, text="quero humano")
    assert texts(answer) == ["Vou chamar uma pessoa."]
    assert answer["active_loop"] is None
    assert texts(bot.turn(conversation_id=conversation, text="oi")) == ["Olá!"]


def test_a_clarifying_question_keeps_the_form(bot: BotProcess, conversation: str) -> None:
    bot.turn(conversation_id=conversation, text=FORM)
    for _ in range(2):
        answer = bot.turn(conversation_id=conversation, text="confuso")
        assert texts(answer) == ["Qual destes?"]
        assert answer["active_loop"] == "order_form"
    answer = bot.turn(conversation_id=conversation, text="1234")
    assert texts(answer) == ["O pedido 1234 está a caminho."]
    assert answer["active_loop"] is None


def test_an_outcome_of_an_earlier_turn_is_not_acted_on(
    bot: BotProcess, actions: FakeActionServer, conversation: str
) -> None:
    bot.turn(conversation_id=conversation, text="quero humano")
    later = uuid.uuid4().hex
    answer = bot.turn(conversation_id=conversation, message_id=later, text="oi repetido")
    assert answer["slots"]["handoff_outcome"] is None
    assert texts(answer) == ["Olá!"]
    assert actions.count("action_handoff", later) == 0


def test_a_rejected_handoff_leaves_the_turn_to_the_rules(
    bot: BotProcess, conversation: str
) -> None:
    answer = bot.turn(conversation_id=conversation, text="oi oi olá humano recusado")
    assert texts(answer) == ["Olá!"]


def test_the_bot_goes_on_after_a_handoff(bot: BotProcess, conversation: str) -> None:
    for text, said in [
        ("quero humano", "Vou chamar uma pessoa."),
        ("quero humano", "Vou chamar uma pessoa."),
        ("oi", "Olá!"),
        ("confuso", "Qual destes?"),
        ("bom dia", "Olá!"),
    ]:
        assert texts(bot.turn(conversation_id=conversation, text=text)) == [said]
