"""Leaving a form, with everything real: the trained model, the actions, the rules, the database.

From every slot of every form, in the three languages. Skipped where no model of the present data
is there (`make train`).
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import pytest_asyncio
from ruamel.yaml import YAML
from sqlalchemy import select

from kit.clock import FakeClock
from ponte.embedded.postgres import EmbeddedPostgres
from tests.ponte.waiting import wait_until
from tests.ticketing.services.talk import World, make_world
from ticketing.db.engine import Database
from ticketing.db.tables import Handoff
from ticketing.domain.turn import TurnFacts
from ticketing.gateways.language_detector import Detector
from ticketing.gateways.rasa_bot import RasaBot
from ticketing.services import control
from ticketing.services.control import lock_conversation
from ticketing.services.ports import BotReply

ROOT = Path(__file__).resolve().parents[2]
BOT_PYTHON = ROOT / ".venv-bot" / "bin" / "python"
SECRET = uuid.uuid4().hex
MINUTE = 60


# Another model may be named, to test training data that others are changing at the moment.
OTHER_MODEL = os.environ.get("PONTE_TEST_MODEL")  # noqa: TID251 - of the tests alone
MODEL = Path(OTHER_MODEL) if OTHER_MODEL else ROOT / "models" / "ponte.tar.gz"


def is_trained() -> bool:
    if not (BOT_PYTHON.exists() and MODEL.exists()):
        return False
    if OTHER_MODEL:
        return True
    check = [str(BOT_PYTHON), "scripts/train_model.py", "--check"]
    return subprocess.run(check, cwd=ROOT, capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not is_trained(), reason="no model of the present data")

# By language: begins the form, a greeting, and what is said while it asks.
SAID: dict[str, dict[str, Any]] = {
    "pt": {
        "begin": "cadê meu pedido?",
        "greeting": "bom dia",
        "person": "quero falar com um atendente",
        "critical": "levei um choque com o aparelho",
        "cancel": ["cancelar", "deixa pra lá", "esquece", "não quero mais"],
        "side": "que horas vocês abrem?",
        "other": "quero meu dinheiro de volta",
        "what": "não entendi",
        "stopped": "de lado",
    },
    "en": {
        "begin": "where is my order?",
        "greeting": "good morning",
        "person": "I want to talk to a person",
        "critical": "I got an electric shock from it",
        "cancel": ["cancel", "forget it", "never mind", "stop"],
        "side": "what are your opening hours?",
        "other": "I want my money back",
        "what": "I don't understand",
        "stopped": "aside",
    },
    "es": {
        "begin": "¿dónde está mi pedido?",
        "greeting": "buenos días",
        "person": "quiero hablar con una persona",
        "critical": "recibí una descarga eléctrica del aparato",
        "cancel": ["cancelar", "olvídalo", "déjalo así", "no importa"],
        "side": "¿a qué hora abren?",
        "other": "quiero que me devuelvan el dinero",
        "what": "no entiendo",
        "stopped": "dej",
    },
}
LANGUAGES = tuple(SAID)
CANCELS = [(language, words) for language in LANGUAGES for words in SAID[language]["cancel"]]


def test_these_tests_know_every_slot_of_every_form() -> None:
    domain = YAML(typ="safe").load((ROOT / "domain.yml").read_text(encoding="utf-8"))
    slots = {name: form["required_slots"] for name, form in domain["forms"].items()}
    assert slots == {"order_status_form": ["order_number"]}


@dataclass
class Watched:
    """The real bot; remembers what it answered."""

    bot: RasaBot
    replies: list[BotReply] = field(default_factory=list)

    async def turn(self, facts: TurnFacts, *, text: str, payload: str | None) -> BotReply:
        reply = await self.bot.turn(facts, text=text, payload=payload)
        self.replies.append(reply)
        return reply


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def running(
    postgres_server: EmbeddedPostgres, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """`ponte actions` and the bot, each a process of its own: the bot's URL, Rasa's database."""
    name = f"rasa_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    actions, bot = free_port(), free_port()
    environment = {
        "PATH": os.environ["PATH"],  # noqa: TID251 - the child's environment starts from it
        "PONTE_ENV_FILE": "",
        "PONTE_BOT_SECRET": SECRET,
        "PONTE_ACTIONS_URL": f"http://127.0.0.1:{actions}/webhook",
        "PONTE_DATABASE_URL": postgres_url,
        "PONTE_REDIS_URL": "redis://127.0.0.1:1/0",  # the actions never use it
        "PONTE_RASA_DATABASE_URL": postgres_server.url(name),
    }
    serve = [str(BOT_PYTHON), "-m", "bot.serve", "--port", str(bot), "--model", str(MODEL)]
    commands = [[str(ROOT / ".venv/bin/ponte"), "actions"], serve]
    log = tmp_path_factory.mktemp("log") / "processes.log"
    processes: list[subprocess.Popen[bytes]] = []
    with log.open("wb") as output, contextlib.ExitStack() as stack:
        for command in commands:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=output, stderr=output
            )
            processes.append(process)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        for address in (f"http://127.0.0.1:{actions}/health", f"http://127.0.0.1:{bot}/"):
            _wait_for(address, processes, log)
        yield f"http://127.0.0.1:{bot}", postgres_server.url(name)


def _wait_for(address: str, processes: list[subprocess.Popen[bytes]], log: Path) -> None:
    def answers() -> bool:
        assert all(process.poll() is None for process in processes), log.read_text()[-4000:]
        with contextlib.suppress(httpx.TransportError):
            httpx.get(address)
            return True
        return False

    wait_until(answers, f"an answer of {address}", seconds=60)


@dataclass
class Talk:
    """A conversation with the real bot."""

    world: World
    bot: Watched
    rasa_database: str

    async def say(self, text: str, **kwargs: Any) -> str:
        """What the customer is answered."""
        before = len(self.world.sender.sent)
        await self.world.say(text, **kwargs)
        return "\n".join(self.world.sender.texts[before:])

    async def begin(self, language: str) -> str:
        answer = await self.say(SAID[language]["begin"])
        assert self.bot.replies[-1].active_form == "order_status_form", answer
        return answer

    async def slots_and_loop(self) -> tuple[dict[str, Any], str | None]:
        """As Rasa has stored them."""
        conversation = await self.world.conversation()
        slots: dict[str, Any] = {}
        loop: str | None = None
        with psycopg.connect(self.rasa_database) as connection:
            rows = connection.execute(
                "SELECT data FROM events WHERE sender_id = %s ORDER BY id", [str(conversation.id)]
            ).fetchall()
        for (data,) in rows:
            event = json.loads(data)
            if event["event"] == "slot":
                slots[event["name"]] = event["value"]
            if event["event"] == "active_loop":
                loop = event["name"]
        return slots, loop

    async def assert_left(self, language: str) -> None:
        """Nothing of the form is left: a greeting is greeted, and no slot is asked for."""
        greeted = await self.say(SAID[language]["greeting"])
        assert "😊" in greeted
        slots, loop = await self.slots_and_loop()
        assert loop is None
        assert slots.get("requested_slot") is None
        assert slots.get("order_number") is None


@pytest_asyncio.fixture(loop_scope="session")
async def talk(db: Database, clock: FakeClock, running: tuple[str, str]) -> AsyncIterator[Talk]:
    world = make_world(db, clock)
    url, rasa_database = running
    async with httpx.AsyncClient() as http:
        bot = Watched(RasaBot(http, base_url=url, secret=SECRET))
        world.turns.bot = bot
        world.turns.detector = Detector(data_dir=ROOT / "data" / "nlu")
        yield Talk(world, bot, rasa_database)
        await world.turns.close()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("wish", "reason"), [("person", "customer_request"), ("critical", "critical_intent")]
)
async def test_a_person_takes_over_from_within_the_form(
    talk: Talk, language: str, wish: str, reason: str
) -> None:
    await talk.begin(language)

    await talk.say(SAID[language][wish])

    handoff = await talk.world.row(select(Handoff))
    assert handoff.reason == reason
    await _back_to_the_bot(talk)
    await talk.assert_left(language)


@pytest.mark.parametrize(("language", "words"), CANCELS)
async def test_letting_it_be_leaves_the_form(talk: Talk, language: str, words: str) -> None:
    await talk.begin(language)

    answer = await talk.say(words)

    assert SAID[language]["stopped"] in answer
    await talk.assert_left(language)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_side_question_is_answered_and_the_form_asks_in_other_words(
    talk: Talk, language: str
) -> None:
    first = await talk.begin(language)

    answer = await talk.say(SAID[language]["side"])

    assert talk.bot.replies[-1].active_form == "order_status_form"
    assert "12345" in answer
    assert first not in answer
    assert "12345" in await talk.say("12345")
    await talk.assert_left(language)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_who_does_not_understand_the_form_gets_it_explained(
    talk: Talk, language: str
) -> None:
    first = await talk.begin(language)

    answer = await talk.say(SAID[language]["what"])

    assert "SMS" in answer or "text message" in answer
    assert talk.bot.replies[-1].active_form == "order_status_form"
    assert first not in answer


@pytest.mark.parametrize("language", LANGUAGES)
async def test_another_subject_leaves_the_form(talk: Talk, language: str) -> None:
    await talk.begin(language)

    answer = await talk.say(SAID[language]["other"])

    assert "Pix" in answer
    await talk.assert_left(language)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_silence_leaves_the_form(talk: Talk, language: str) -> None:
    await talk.begin(language)
    await talk.world.later(5 * MINUTE)
    assert len(talk.world.sender.sent[-1].message.buttons) == 3
    await talk.world.later(5 * MINUTE)

    await talk.assert_left(language)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_after_the_reminder_the_form_takes_its_number(talk: Talk, language: str) -> None:
    await talk.begin(language)
    await talk.world.later(5 * MINUTE)

    assert "12345" in await talk.say("12345")
    await talk.assert_left(language)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_an_agent_who_takes_over_leaves_no_form_behind(talk: Talk, language: str) -> None:
    await talk.begin(language)
    conversation = await talk.world.conversation()
    async with talk.world.db.transaction() as session:
        control.take(await lock_conversation(session, conversation.id))
    await _back_to_the_bot(talk)

    await talk.assert_left(language)


async def _back_to_the_bot(talk: Talk) -> None:
    conversation = await talk.world.conversation()
    async with talk.world.db.transaction() as session:
        locked = await lock_conversation(session, conversation.id)
        control.return_to_bot(locked)
