"""How the process starts, refuses to start, and stops."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.bot.conftest import PYTHON, ROOT, SECRET, BotProcess, StartBot
from tests.bot.fake_action_server import FakeActionServer

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(environment: dict[str, str], model: Path) -> Run:
    def run_serve(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        command = [str(PYTHON), "-m", "bot.serve", "--port", "0", "--model", str(model)]
        return subprocess.run(
            [*command, *arguments],
            cwd=ROOT,
            env=environment | changes,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run_serve


def test_all_missing_variables_are_named_at_once(run: Run) -> None:
    done = run(PONTE_BOT_SECRET="", PONTE_ACTIONS_URL=" ")
    assert done.returncode == 2
    assert "PONTE_BOT_SECRET" in done.stderr
    assert "PONTE_ACTIONS_URL" in done.stderr
    assert "PONTE_RASA_DATABASE_URL" not in done.stderr


def test_a_short_secret_is_refused_and_not_printed(run: Run) -> None:
    done = run(PONTE_BOT_SECRET="hush")
    assert done.returncode == 2
    assert "at least 16 characters" in done.stderr
    assert "hush" not in done.stderr


def test_a_model_with_another_hash_is_refused(run: Run, model: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(model, tmp_path))
    shutil.copy(model.with_name("ponte.json"), tmp_path)
    with copy.open("ab") as file:
        file.write(b"x")
    done = run("--model", str(copy))
    assert done.returncode == 1
    assert "is not the model that was trained" in done.stderr


def test_a_taken_port_is_named(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("--port", str(port))
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr


def test_another_channel_is_refused(run: Run, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials.yml"
    credentials.write_text(
        "rest:\nbot.channels.turn_channel.TurnChannel:\n  secret: ${PONTE_BOT_SECRET}\n"
    )
    done = run("--credentials", str(credentials))
    assert done.returncode == 2
    assert "no other channel; found rest" in done.stderr


def test_trackers_in_memory_are_refused(run: Run, tmp_path: Path) -> None:
    endpoints = tmp_path / "endpoints.yml"
    endpoints.write_text("action_endpoint:\n  url: ${PONTE_ACTIONS_URL}\n")
    done = run("--endpoints", str(endpoints))
    assert done.returncode == 2
    assert "tracker_store.type" in done.stderr


def test_a_wrong_database_url_is_refused_without_printing_it(run: Run) -> None:
    done = run(PONTE_RASA_DATABASE_URL="mysql://user:hush@host/db")
    assert done.returncode == 1
    assert "must be a full URL" in done.stderr
    assert "hush" not in done.stderr


def test_a_dead_database_ends_the_start_without_printing_the_password(run: Run) -> None:
    done = run(PONTE_RASA_DATABASE_URL="postgresql://user:hush@127.0.0.1:1/db")
    assert done.returncode == 1
    assert "cannot be used" in done.stderr
    assert "Connection refused" in done.stderr
    assert "hush" not in done.stderr


def test_help_has_an_example(run: Run) -> None:
    done = run("--help")
    assert done.returncode == 0
    assert "example: python -m bot.serve" in done.stdout


def test_sigterm_lets_the_turn_in_progress_finish_and_ends_within_five_seconds(
    start_bot: StartBot, bot: BotProcess, actions: FakeActionServer, conversation: str
) -> None:
    other = start_bot()
    actions.release.clear()
    actions.entered.clear()
    body = {"conversation_id": conversation, "message_id": "m1", "text": "oi, demora"}
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(other.post, **body)
        assert actions.entered.wait(10)
        began = time.monotonic()
        other.process.send_signal(signal.SIGTERM)
        actions.release.set()
        assert answer.result().status_code == 200
        assert other.process.wait(10) == 0
    assert time.monotonic() - began < 5
    assert bot.turn(**body)["replayed"] is True


def test_a_turn_that_hangs_does_not_hold_the_end(
    start_bot: StartBot, actions: FakeActionServer, conversation: str
) -> None:
    other = start_bot()
    actions.release.clear()
    actions.entered.clear()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(other.post, conversation_id=conversation, text="oi, demora")
        assert actions.entered.wait(10)
        began = time.monotonic()
        other.process.send_signal(signal.SIGTERM)
        assert other.process.wait(10) == 0
        assert time.monotonic() - began < 5
        actions.release.set()


def test_a_database_that_goes_away_fails_the_turn_instead_of_forgetting_the_customer(
    start_bot: StartBot, make_database: Callable[[], str], postgres: str, conversation: str
) -> None:
    import psycopg  # noqa: PLC0415 - used here only

    url = make_database()
    name = url.split("/")[3].split("?")[0]
    other = start_bot(PONTE_RASA_DATABASE_URL=url)
    body = {"conversation_id": conversation, "message_id": "m1", "text": "oi"}
    other.turn(**body)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
        response = other.post(conversation_id=conversation, message_id="m2", text="oi")
        assert response.status_code == 500
        assert response.json()["code"] == "turn_failed"
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert other.turn(conversation_id=conversation, message_id="m2")["replayed"] is False
    assert other.turn(**body)["replayed"] is True


def test_the_log_of_a_start_shows_no_secret(bot: BotProcess) -> None:
    log = bot.log.read_text()
    assert "bot.ready" in log
    assert SECRET not in log
    assert "Traceback" not in log


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "8.8.8.8"])  # noqa: S104 - they are refused
def test_an_address_that_the_internet_could_reach_is_refused(run: Run, host: str) -> None:
    done = run("--host", host)
    assert done.returncode == 2
    assert f"{host} is not a private address" in done.stderr
    assert "PONTE_ALLOW_PUBLIC_BIND" in done.stderr


def test_a_public_address_can_be_allowed_by_a_setting(run: Run, tmp_path: Path) -> None:
    # A missing model ends the start right after the address was accepted.
    missing = str(tmp_path / "ponte.tar.gz")
    done = run("--host", "0.0.0.0", "--model", missing, PONTE_ALLOW_PUBLIC_BIND="yes")  # noqa: S104
    assert done.returncode == 1
    assert "ponte.tar.gz is missing" in done.stderr


def test_a_model_signed_elsewhere_is_refused(run: Run) -> None:
    done = run(PONTE_MODEL_KEY="another-installation-" + "x" * 20)
    assert done.returncode == 1
    assert "not signed by the training of this installation" in done.stderr


def test_a_linked_model_is_refused(run: Run, model: Path, tmp_path: Path) -> None:
    link = tmp_path / "ponte.tar.gz"
    link.symlink_to(model)
    shutil.copy(model.with_name("ponte.json"), tmp_path)
    done = run("--model", str(link))
    assert done.returncode == 1
    assert "symbolic link" in done.stderr


def test_the_port_answers_on_this_machine_only(bot: BotProcess) -> None:
    port = bot.client.base_url.port
    assert port is not None
    others = {
        str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    }
    for address in others - {"127.0.0.1"}:
        if not address.startswith("127."):
            with socket.socket() as outside:
                outside.settimeout(2)
                assert outside.connect_ex((address, port)) != 0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/model"),
        ("DELETE", "/model"),
        ("POST", "/model/train"),
        ("POST", "/model/parse"),
        ("GET", "/conversations/x/tracker"),
        ("POST", "/conversations/x/tracker/events"),
        ("POST", "/conversations/x/trigger_intent"),
        ("GET", "/domain"),
        ("POST", "/webhooks/rest/webhook"),
    ],
)
@pytest.mark.parametrize("secret", [SECRET, "", "wrong"], ids=["right", "none", "wrong"])
def test_no_api_of_rasa_answers_even_to_who_knows_the_secret(
    bot: BotProcess, method: str, path: str, secret: str
) -> None:
    body = {"model_file": "/tmp/evil.tar.gz", "sender": "x", "message": "/restart"}  # noqa: S108
    answer = bot.client.request(method, path, json=body, headers={"X-Ponte-Secret": secret})
    assert answer.status_code in ({404, 405} if secret == SECRET else {401})
