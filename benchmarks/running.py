"""Start what is measured: Ponte as `ponte up` runs it, and Rasa as `rasa run` runs it."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import IO

from ponte.embedded.child import tail
from ponte.processes.plan import BOT_PYTHON, MODEL, answers
from ponte.processes.state import StateFolder
from ponte.settings import ROOT

STATE = ROOT / ".ponte" / "bench"
_PREFIXES = ("PONTE_", "WHATSAPP_", "SMTP_", "NOTIFICATIONS_", "TWILIO_", "FCM_", "SLA_")
_READY_SECONDS = 240.0  # a training is included
_STOP_SECONDS = 30.0
_PLAIN_READY_SECONDS = 120.0  # plain Rasa imports TensorFlow

_CREDENTIALS = "rest:\n"
_ENDPOINTS = """action_endpoint:
  url: ${PONTE_ACTIONS_URL}
  headers:
    Authorization: Bearer ${PONTE_BOT_SECRET}
"""


class NotStartedError(Exception):
    """A side did not come up; the text says which and shows the end of its log."""


@dataclass(slots=True)
class Ponte:
    """A running `ponte up` with a state folder of its own.

    Attributes:
        url: Where webhooks go.
        addresses: What the runtime file says (database, action server).
        pids: Its processes by name.
    """

    secrets: Mapping[str, str] = field(repr=False)
    process: subprocess.Popen[str]
    url: str
    addresses: Mapping[str, str] = field(repr=False)
    pids: Mapping[str, int]

    def stop(self) -> None:
        """End it and wait."""
        _stop(self.process)


@dataclass(slots=True)
class PlainRasa:
    """A running `rasa run` with the stock REST channel."""

    process: subprocess.Popen[bytes]
    url: str

    def stop(self) -> None:
        """End it and wait."""
        _stop(self.process)


def start_ponte(*, graph_url: str) -> Ponte:
    """`ponte up` without the simulator; its messages go to `graph_url`.

    Raises:
        NotStartedError: another benchmark is running, or it did not become ready.
    """
    state = StateFolder(STATE)
    state.prepare()
    if not state.try_lock():
        message = f"another benchmark is running on {STATE}"
        raise NotStartedError(message)
    state.unlock()
    shutil.rmtree(STATE, ignore_errors=True)
    state.prepare()
    made = {
        "PONTE_BOT_SECRET": secrets.token_urlsafe(32),
        "WHATSAPP_APP_SECRET": secrets.token_urlsafe(32),
        "WHATSAPP_VERIFY_TOKEN": secrets.token_urlsafe(32),
        "WHATSAPP_ACCESS_TOKEN": secrets.token_urlsafe(32),
        "WHATSAPP_PHONE_NUMBER_ID": str(10**14 + secrets.randbelow(10**14)),
    }
    environment = {
        **_clean_environment(),
        **made,
        "PONTE_ENV_FILE": "",
        "PONTE_STATE_DIR": str(STATE),
        "PONTE_PORT": "0",
        "PONTE_SIMULATOR": "off",
        "PONTE_LOG_FORMAT": "json",
        "WHATSAPP_API_BASE_URL": graph_url,
    }
    log_path = STATE / "log" / "up.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ponte", "up"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    url = _wait_for_ready_line(process)
    runtime = state.read_runtime()
    if url is None or runtime is None:
        _stop(process)
        message = f"`ponte up` did not become ready: see {log_path}{tail(log_path, lines=12)}"
        raise NotStartedError(message)
    pids = {name: identity.pid for name, identity in runtime.children.items()}
    return Ponte(made, process, url, runtime.environment, pids)


def start_plain_rasa(ponte: Ponte) -> PlainRasa:
    """`rasa run` with the same model and the same action server; everything else is stock.

    Raises:
        NotStartedError: it did not become ready.
    """
    folder = STATE / "plain"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "credentials.yml").write_text(_CREDENTIALS, encoding="utf-8")
    (folder / "endpoints.yml").write_text(_ENDPOINTS, encoding="utf-8")
    port = _free_port()
    log_path = STATE / "log" / "plain.log"
    environment = {
        **_clean_environment(),
        "PONTE_ACTIONS_URL": ponte.addresses["PONTE_ACTIONS_URL"],
        "PONTE_BOT_SECRET": ponte.secrets["PONTE_BOT_SECRET"],
        "RASA_TELEMETRY_ENABLED": "false",
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    command = [str(BOT_PYTHON), "-m", "rasa", "run", "--model", str(MODEL)]
    command += ["--credentials", str(folder / "credentials.yml")]
    command += ["--endpoints", str(folder / "endpoints.yml")]
    command += ["--interface", "127.0.0.1", "--port", str(port)]
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    url = f"http://127.0.0.1:{port}"
    ready = answers(f"{url}/webhooks/rest/")
    pause = threading.Event()
    deadline = time.monotonic() + _PLAIN_READY_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            _stop(process)
            message = f"`rasa run` did not become ready: see {log_path}{tail(log_path, lines=12)}"
            raise NotStartedError(message)
        pause.wait(0.2)
    return PlainRasa(process, url)


def _clean_environment() -> dict[str, str]:
    """Ours without settings: what a shell has exported must not change what is measured."""
    return {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - handed on
        if not name.startswith(_PREFIXES)
    }


def _wait_for_ready_line(process: subprocess.Popen[str]) -> str | None:
    """The address `ponte up` prints; None when it ended or took too long."""
    if process.stdout is None:
        return None
    timer = threading.Timer(_READY_SECONDS, process.terminate)
    timer.start()
    try:
        for line in process.stdout:
            if line.startswith("ready "):
                _drain(process.stdout)
                return line.removeprefix("ready ").strip()
    finally:
        timer.cancel()
    return None


def _drain(output: IO[str]) -> None:
    """Read on in the background: a full pipe would stop the writer."""
    threading.Thread(target=output.read, daemon=True).start()


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _stop(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
