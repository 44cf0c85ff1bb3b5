"""What `ponte up` starts: addresses, the environment of the children, their commands.

Decided from the settings, free ports and the addresses of the engines; nothing is started here.
"""

from __future__ import annotations

import hashlib
import http.client
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from ponte.processes.state import StateFolder
from ponte.processes.supervision import ChildProgram
from ponte.settings import ROOT, Settings, local_url

BOT_PYTHON = ROOT / ".venv-bot" / "bin" / "python"
MODEL = ROOT / "models" / "ponte.tar.gz"
_PROBE_SECONDS = 2.0
# Stages of stopping: first what takes work in, last what the others need.
_FRONT, _WORKERS, _SERVICES = 1, 2, 3
REDIS_STAGE, POSTGRES_STAGE = 4, 5


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where each part of a running set answers.

    Attributes:
        host: Address the web process listens on.
        web: Its port.
        bot: Port of the Rasa server; like the following on loopback only.
        actions: Port of the action server.
        simulator: Port of the simulator; None when it is off.
        mailbox: Port of the local mail server; None when a real one is configured.
        database_url: Ponte's database.
        rasa_database_url: Rasa's.
        redis_url: Redis.
    """

    host: str
    web: int
    bot: int
    actions: int
    simulator: int | None
    mailbox: int | None
    database_url: str = field(repr=False)
    rasa_database_url: str = field(repr=False)
    redis_url: str = field(repr=False)

    @property
    def web_url(self) -> str:
        """How this machine reaches the web process."""
        return local_url(self.host, self.web)


def child_environment(
    settings: Settings,
    raw: Mapping[str, str],
    generated: Mapping[str, str],
    addresses: Addresses,
) -> dict[str, str]:
    """The environment of every child: what was given, the generated secrets, the addresses."""
    environment = {
        **raw,
        **generated,
        **address_variables(settings, addresses),
        "PONTE_ENV_FILE": "",  # it was read, and what it said is in here
        "PYTHONUNBUFFERED": "1",
        "SANIC_ACCESS_LOG": "False",
    }
    for name, value in {
        "PONTE_PUBLIC_URL": addresses.web_url,
        "FRONTEND_URL": settings.ponte_public_url if raw.get("PONTE_PUBLIC_URL") else "",
    }.items():
        if not raw.get(name, "").strip():
            environment[name] = value or addresses.web_url
    return environment


def address_variables(settings: Settings, addresses: Addresses) -> dict[str, str]:
    """The variables that name the addresses; also written to the runtime file."""
    variables = {
        "PONTE_HOST": addresses.host,
        "PONTE_PORT": str(addresses.web),
        "PONTE_DATABASE_URL": addresses.database_url,
        "PONTE_RASA_DATABASE_URL": addresses.rasa_database_url,
        "PONTE_REDIS_URL": addresses.redis_url,
        "PONTE_BOT_URL": f"http://127.0.0.1:{addresses.bot}",
        "PONTE_ACTIONS_URL": f"http://127.0.0.1:{addresses.actions}/webhook",
        "PONTE_STATE_DIR": str(settings.state_dir),
        "PONTE_INSTANCE": instance_name(settings.state_dir),
        "PONTE_SIMULATOR": "on" if addresses.simulator is not None else "off",
    }
    if addresses.simulator is not None:
        base = f"http://127.0.0.1:{addresses.simulator}"
        variables["PONTE_SIMULATOR_URL"] = base
        variables["WHATSAPP_API_BASE_URL"] = f"{base}/simulator/graph"
    if addresses.mailbox is not None:
        variables["SMTP_HOST"] = "127.0.0.1"
        variables["SMTP_PORT"] = str(addresses.mailbox)
        variables["SMTP_TLS"] = "none"
        variables["SMTP_FROM"] = settings.smtp_from or "Ponte <ponte@ponte.example>"
    return variables


def instance_name(state_dir: Path) -> str:
    """One `ponte up` runs in a state folder at a time, so its name is a promise (`leases`)."""
    return hashlib.sha256(str(state_dir).encode()).hexdigest()[:12]


def programs(
    settings: Settings, state: StateFolder, environment: Mapping[str, str], addresses: Addresses
) -> list[ChildProgram]:
    """The programs that need no trained model, in the order of starting."""

    def program(
        name: str, *command: str, stage: int, ready: Callable[[], bool] | None = None
    ) -> ChildProgram:
        return ChildProgram(
            name=name,
            command=[sys.executable, *command],
            env=environment,
            log_path=state.logs / f"{name}.log",
            cwd=ROOT,
            ready=ready,
            stop_stage=stage,
        )

    found = []
    if addresses.simulator is not None:
        command = ["-m", "simulator", "--port", str(addresses.simulator)]
        command += ["--db", str(state.path / "simulator.db")]
        command += ["--callback-url", f"{addresses.web_url}/webhooks/whatsapp"]
        command += ["--clock-offset-seconds", str(settings.ponte_clock_offset_seconds)]
        if settings.ponte_log_format == "json":
            command.append("--json-logs")
        url = f"http://127.0.0.1:{addresses.simulator}/simulator/healthz"
        found.append(program("simulator", *command, stage=_SERVICES, ready=answers(url)))
    if addresses.mailbox is not None:
        command = ["-m", "ponte.processes.mailbox", "--port", str(addresses.mailbox)]
        command += ["--folder", str(state.mailbox)]
        found.append(program("mailbox", *command, stage=_SERVICES))
    actions_url = f"http://127.0.0.1:{addresses.actions}/health"
    found += [
        program("actions", "-m", "ponte", "actions", stage=_SERVICES, ready=answers(actions_url)),
        program(
            "web", "-m", "ponte", "web", stage=_FRONT, ready=answers(addresses.web_url + "/readyz")
        ),
        program("worker", "-m", "ponte", "worker", stage=_WORKERS),
        program("scheduler", "-m", "ponte", "scheduler", stage=_WORKERS),
    ]
    return found


def bot_command(port: int, *, log_format: str, host: str = "127.0.0.1") -> list[str]:
    """The command of the Rasa server, in its own environment."""
    return [
        *(str(BOT_PYTHON), "-m", "bot.serve", "--host", host, "--port", str(port)),
        *("--model", str(MODEL), "--log-format", "json" if log_format == "json" else "plain"),
    ]


def bot_program(
    settings: Settings, state: StateFolder, environment: Mapping[str, str], addresses: Addresses
) -> ChildProgram:
    """The Rasa server; its model has to be there."""
    return ChildProgram(
        name="bot",
        command=bot_command(addresses.bot, log_format=settings.ponte_log_format),
        env=environment,
        log_path=state.logs / "bot.log",
        cwd=ROOT,
        ready=answers(f"http://127.0.0.1:{addresses.bot}/webhooks/ponte/"),
        stop_stage=_SERVICES,
    )


def training_command() -> list[str]:
    """Trains when something the model is made of has changed; says what it does."""
    return [str(BOT_PYTHON), str(ROOT / "scripts" / "train_model.py")]


def bot_environment_problem() -> str | None:
    """What to do when Rasa's own environment is not there; None when it is."""
    if BOT_PYTHON.exists():
        return None
    return f"{BOT_PYTHON} is not there: run `make setup`, which makes both environments"


@dataclass(frozen=True, slots=True)
class Plan:
    """What `ponte up` runs; tests run the same supervisor with smaller programs.

    Attributes:
        problem: Why it cannot be run at all; None when it can.
        training: Command that makes the model, while the programs start.
        programs: The programs that need no model.
        bot: The program that needs it.
    """

    problem: Callable[[], str | None] = bot_environment_problem
    training: Callable[[], list[str]] = training_command
    programs: Callable[
        [Settings, StateFolder, Mapping[str, str], Addresses], list[ChildProgram]
    ] = programs
    bot: Callable[[Settings, StateFolder, Mapping[str, str], Addresses], ChildProgram] = bot_program


def answers(url: str) -> Callable[[], bool]:
    """A question whether GET on the URL gives 200 (http.client: no pool, no proxy settings)."""
    parts = urlsplit(url)

    def ask() -> bool:
        connection = http.client.HTTPConnection(
            parts.hostname or "", parts.port, timeout=_PROBE_SECONDS
        )
        try:
            connection.request("GET", parts.path or "/")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return ask
