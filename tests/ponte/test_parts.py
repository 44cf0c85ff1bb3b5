"""Smaller parts of `ponte up`: secrets, state files, ports, addresses, log follower, mailbox."""

from __future__ import annotations

import json
import smtplib
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ponte.embedded.child import ProcessIdentity, own_identity
from ponte.generated_secrets import fill_in_secrets
from ponte.processes import plan
from ponte.processes.log_follower import LogFollower
from ponte.processes.ports import PortError, free_ports, wished_or_next
from ponte.processes.state import Runtime, StateFolder
from ponte.settings import Process, Settings, SettingsError
from tests.ponte.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
ADDRESSES = plan.Addresses(
    host="0.0.0.0",  # noqa: S104 - the case
    web=8080,
    bot=5005,
    actions=5055,
    simulator=8100,
    mailbox=2525,
    database_url="postgresql://ponte@/ponte?host=/s",
    rasa_database_url="postgresql://ponte@/rasa?host=/s",
    redis_url="unix:///s/redis.sock?db=0",
)


def test_secrets_are_made_once_and_stay(tmp_path: Path) -> None:
    first = fill_in_secrets({}, tmp_path, simulator_on=True)
    second = fill_in_secrets({}, tmp_path, simulator_on=True)

    assert first == second
    assert len(set(first.values())) == len(first)
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600


def test_a_secret_that_is_set_is_not_made(tmp_path: Path) -> None:
    given = dict.fromkeys(
        ("PONTE_BOT_SECRET", "PONTE_AUDIT_KEY", "PONTE_PRIVACY_KEY", "PONTE_METRICS_TOKEN"), "given"
    )
    made = fill_in_secrets(given, tmp_path, simulator_on=False)

    assert made == {}
    assert not (tmp_path / "secrets.json").exists()


def test_a_broken_secrets_file_is_named_and_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{")

    with pytest.raises(SettingsError, match="delete it to make new secrets"):
        fill_in_secrets({}, tmp_path, simulator_on=True)
    assert (tmp_path / "secrets.json").read_text() == "{"


def test_only_one_can_lock_a_state_folder(tmp_path: Path) -> None:
    first, second = StateFolder(tmp_path), StateFolder(tmp_path)
    first.prepare()

    assert first.try_lock()
    assert not second.try_lock()
    first.unlock()
    assert second.try_lock()
    second.unlock()


def test_the_runtime_file_comes_back_as_it_was(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.prepare()
    runtime = Runtime(
        supervisor=own_identity(),
        url="http://127.0.0.1:1",
        ready=True,
        environment={"PONTE_PORT": "1"},
        children={"web": ProcessIdentity(1, "2")},
    )

    state.write_runtime(runtime)

    assert state.read_runtime() == runtime
    assert runtime.alive


@pytest.mark.parametrize("text", ["", "{", "[]", '{"supervisor": 1}'])
def test_an_unreadable_runtime_file_is_none(tmp_path: Path, text: str) -> None:
    state = StateFolder(tmp_path)
    state.prepare()
    (state.run / "runtime.json").write_text(text)

    assert state.read_runtime() is None


def test_free_ports_are_different() -> None:
    assert len(set(free_ports(20))) == 20


def test_the_next_port_is_used_when_the_wished_one_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert wished_or_next(port, host="127.0.0.1") > port
    assert wished_or_next(port, host="127.0.0.1") == port


def test_an_address_that_is_not_ours_is_told() -> None:
    with pytest.raises(PortError, match="PONTE_PORT: none of the ports"):
        wished_or_next(8080, host="192.0.2.1")


def test_the_children_get_everything_they_need(tmp_path: Path) -> None:
    raw = {"PONTE_STATE_DIR": str(tmp_path), "PATH": "/bin"}
    settings = Settings.from_environment(environment=raw)
    generated = fill_in_secrets(raw, tmp_path, simulator_on=True)

    environment = plan.child_environment(settings, raw, generated, ADDRESSES)

    for process in Process:
        child = Settings.from_environment(process, environment=environment)
        assert child.simulator_on
        assert child.ponte_public_url == "http://127.0.0.1:8080"
        assert child.frontend_url == "http://127.0.0.1:8080"
        assert child.smtp_tls == "none"
    assert environment["PATH"] == "/bin"
    assert environment["PONTE_ENV_FILE"] == ""


def test_what_is_set_is_handed_down_as_it_is(tmp_path: Path) -> None:
    raw = {
        "PONTE_STATE_DIR": str(tmp_path),
        "PONTE_PUBLIC_URL": "https://ponte.example",
        "SMTP_FROM": "Ana <ana@ponte.example>",
    }
    settings = Settings.from_environment(environment=raw)

    environment = plan.child_environment(settings, raw, {}, ADDRESSES)

    assert environment["PONTE_PUBLIC_URL"] == "https://ponte.example"
    assert environment["FRONTEND_URL"] == "https://ponte.example"
    assert environment["SMTP_FROM"] == "Ana <ana@ponte.example>"


def test_no_secret_is_on_a_command_line(tmp_path: Path) -> None:
    raw = {"PONTE_STATE_DIR": str(tmp_path)}
    settings = Settings.from_environment(environment=raw)
    generated = fill_in_secrets(raw, tmp_path, simulator_on=True)
    environment = plan.child_environment(settings, raw, generated, ADDRESSES)
    state = StateFolder(tmp_path)

    children = [
        *plan.programs(settings, state, environment, ADDRESSES),
        plan.bot_program(settings, state, environment, ADDRESSES),
    ]

    assert [child.name for child in children] == [
        *("simulator", "mailbox", "actions", "web", "worker", "scheduler", "bot")
    ]
    secrets = json.loads((tmp_path / "secrets.json").read_text()).values()
    for child in children:
        assert not any(secret in part for part in child.command for secret in secrets)


def test_warnings_in_logs_are_shown_and_the_rest_is_not(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.write_text("[error    ] of yesterday\n")
    shown: list[tuple[str, str]] = []
    follower = LogFollower(lambda name, line: shown.append((name, line)), everything=False)
    follower.follow("web", log)

    with log.open("a") as file:
        file.write("[info     ] quiet\n[warning  ] loud\n")
        file.write('{"level": "error", "event": "json"}\n[err')
        file.flush()
        wait_until(lambda: len(shown) == 2, "two lines")
        file.write("or    ] in two pieces\n")
    follower.close()

    assert shown == [
        ("web", "[warning  ] loud"),
        ("web", '{"level": "error", "event": "json"}'),
        ("web", "[error    ] in two pieces"),
    ]


def test_the_mailbox_keeps_mails_as_files_and_no_address_in_its_log(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "ponte.processes.mailbox"),
            *("--port", str(port), "--folder", str(tmp_path / "mails")),
        ],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    ) as mailbox:
        wait_until(lambda: _connects(port), "the mailbox")
        with smtplib.SMTP("127.0.0.1", port) as server:
            server.sendmail("a@b.example", ["ana@b.example"], "Subject: Olá\n\nbody".encode())
        mailbox.terminate()
        _, log = mailbox.communicate(timeout=10)

    (mail,) = (tmp_path / "mails").glob("*.eml")
    assert b"X-Envelope-To: ana@b.example" in mail.read_bytes()
    assert mailbox.returncode == 0
    assert "mailbox.stored" in log
    assert "b.example" not in log


def _connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
