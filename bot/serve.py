"""The Rasa process: `python -m bot.serve --port 5005 --model models/ponte.tar.gz`.

Starts what `rasa run` starts without `--enable-api` and without CORS, minus what this assistant
has no use for: the training, test and plotting code that `rasa.server` imports, and TensorFlow when
the model has no component that needs it. Before that it checks the configuration, that the address
is private, and that the model is our own training's, so that a wrong start ends within a second
and says why.

Exit codes: 0 stopped by a signal, 1 cannot start (model, database, port), 2 wrong configuration.
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from bot import light_start, private_address
from bot.logs import SafeFormatter, configure_logs
from bot.model_file import (
    KEY_VARIABLE,
    ModelFileError,
    components,
    signing_key,
    verified_copy,
)

if TYPE_CHECKING:
    # Importing Rasa takes seconds; everything that can fail early comes first.
    from rasa.core.agent import Agent
    from rasa.core.channels.channel import InputChannel
    from sanic import Sanic

log = logging.getLogger("bot.serve")

_REQUIRED_VARIABLES = {
    "PONTE_BOT_SECRET": "the secret the gateway sends in X-Ponte-Secret",
    "PONTE_ACTIONS_URL": "URL of the action server, like http://127.0.0.1:5055/webhook",
    "PONTE_RASA_DATABASE_URL": "full URL of the database for Rasa's trackers",
}

# Set before numpy or TensorFlow are imported. One turn multiplies one small row with one matrix:
# threads cost more than they give, and the two cores are shared with the other processes.
_LIBRARY_SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "-1",
    "RASA_TELEMETRY_ENABLED": "false",
    "SANIC_ACCESS_LOG": "False",
    # Rasa says on standard error that SQLAlchemy 2 exists.
    "SQLALCHEMY_SILENCE_UBER_WARNING": "1",
}

# SIGTERM has to end the process within 5 s, on a busy machine too, where the end of the interpreter
# itself takes a second or more.
_TURNS_FINISH_SECONDS = 2.0
_CONNECTIONS_CLOSE_SECONDS = 0.5
# One turn is a few kilobytes.
_MAX_REQUEST_BYTES = 256 * 1024
_KEEP_ALIVE_SECONDS = 120
_BACKLOG = 100


class StartError(Exception):
    """The process cannot start; the text says why.

    Attributes:
        exit_code: 1 when something outside is missing, 2 when the configuration is wrong.
    """

    def __init__(self, message: str, *, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Serve until a signal; returns the exit code."""
    began = time.perf_counter()
    options = _options(arguments)
    formatter = configure_logs(json_lines=options.log_format == "json")
    try:
        check_environment()
        check_address(options.host)
        listener = bind(options.host, options.port)
        with tempfile.TemporaryDirectory(prefix="ponte-model-") as folder:
            options.model = _verified(options.model, Path(folder))
            os.environ.update(_LIBRARY_SETTINGS)  # noqa: TID251 - read by libraries, not by us
            if not (_needs_tensorflow(options.model) or options.with_tensorflow):
                light_start.stand_in_for_tensorflow()
            _serve(options, listener, formatter, began=began)
    except StartError as error:
        log.error("bot.not_started: %s", error)  # noqa: TRY400 - the text is for a person
        return error.exit_code
    return 0


def _options(arguments: Optional[Sequence[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bot.serve",
        description="Serve the trained assistant to the gateway.",
        epilog="example: python -m bot.serve --port 5005 --model models/ponte.tar.gz",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (loopback)")
    parser.add_argument("--port", type=int, default=5005, help="port to listen on (5005)")
    parser.add_argument("--model", type=Path, default=Path("models/ponte.tar.gz"))
    parser.add_argument("--credentials", type=Path, default=Path("credentials.yml"))
    parser.add_argument("--endpoints", type=Path, default=Path("endpoints.yml"))
    parser.add_argument("--log-format", choices=("json", "plain"), default="plain")
    parser.add_argument(
        "--with-tensorflow",
        action="store_true",
        help="import TensorFlow even if no component of the model names it",
    )
    return parser.parse_args(arguments)


def check_environment() -> None:
    """Name every missing variable at once.

    Raises:
        StartError: with all of them.
    """
    missing = [
        f"{name} ({meaning})"
        for name, meaning in _REQUIRED_VARIABLES.items()
        if not os.environ.get(name, "").strip()  # noqa: TID251 - bot has no ponte.settings
    ]
    if missing:
        message = "these environment variables are not set: " + "; ".join(missing)
        raise StartError(message, exit_code=2)


def check_address(host: str) -> None:
    """Refuse an address that the internet could reach.

    Raises:
        StartError: naming the address and the setting that allows it.
    """
    if private_address.is_allowed(os.environ.get(private_address.ALLOW_VARIABLE)):  # noqa: TID251
        return
    problem = private_address.problem(host)
    if problem is not None:
        raise StartError(problem, exit_code=2)


def bind(host: str, port: int) -> socket.socket:
    """Take the port now; connections are refused until the model is loaded and Sanic listens.

    Raises:
        StartError: the port is taken or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        message = f"cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}"
        raise StartError(message, exit_code=1) from None
    return listener


def _verified(model: Path, folder: Path) -> Path:
    """A private copy of the model that was checked; only that is loaded."""
    try:
        key = signing_key(given=os.environ.get(KEY_VARIABLE))  # noqa: TID251 - as above
        return verified_copy(model, folder, key=key)
    except ModelFileError as error:
        raise StartError(str(error), exit_code=1) from None


def _needs_tensorflow(model: Path) -> bool:
    try:
        return light_start.needs_tensorflow(components(model))
    except ModelFileError as error:
        raise StartError(str(error), exit_code=1) from None


def _serve(
    options: argparse.Namespace,
    listener: socket.socket,
    formatter: SafeFormatter,
    *,
    began: float,
) -> None:
    from sanic import Sanic  # noqa: PLC0415 - after the library settings

    from bot.channels.turn_channel import TurnChannel  # noqa: F401, PLC0415 - imports Rasa

    app = Sanic("ponte_bot", configure_logging=False)
    _configure(app)
    _register_channels(app, options.credentials)
    failure: list[StartError] = []

    @app.listener("before_server_start")
    async def load(app: Sanic, loop: Any) -> None:
        try:
            app.ctx.agent = await _load_agent(options.model, options.endpoints, loop)
        except StartError as error:
            failure.append(error)
            raise

    @app.listener("after_server_start")
    async def announce(_app: Sanic, _loop: Any) -> None:
        host, port = listener.getsockname()[:2]
        seconds = round(time.perf_counter() - began, 1)
        logging.getLogger("sanic.error").setLevel(logging.INFO)
        log.info("bot.ready", extra={"host": host, "port": port, "seconds": seconds})
        formatter.serving = True

    @app.listener("before_server_stop")
    async def finish_turns(app: Sanic, _loop: Any) -> None:
        runner = getattr(app.ctx, "turn_runner", None)
        if runner is not None:
            left = await runner.finish(within_seconds=_TURNS_FINISH_SECONDS)
            log.info("bot.stopping", extra={"count": left})

    # A failed start is told once, by main; Sanic would print its trace as well.
    logging.getLogger("sanic.error").setLevel(logging.CRITICAL)
    try:
        app.run(sock=listener, backlog=_BACKLOG, workers=1, access_log=False, motd=False)
    finally:
        listener.close()
    if failure:
        raise failure[0]


def _configure(app: Sanic) -> None:
    app.config.ACCESS_LOG = False
    app.config.KEEP_ALIVE_TIMEOUT = _KEEP_ALIVE_SECONDS
    app.config.REQUEST_MAX_SIZE = _MAX_REQUEST_BYTES
    app.config.GRACEFUL_SHUTDOWN_TIMEOUT = _CONNECTIONS_CLOSE_SECONDS
    app.config.FALLBACK_ERROR_FORMAT = "json"


def _register_channels(app: Sanic, credentials: Path) -> None:
    """Read credentials.yml as `rasa run` does, and accept our channel only.

    Raises:
        StartError: another channel is listed (Rasa's REST channel asks for no secret), ours is
            missing, or it is configured wrongly.
    """
    import rasa.shared.utils.io  # noqa: PLC0415
    from rasa.core.channels.channel import register  # noqa: PLC0415
    from rasa.shared.exceptions import RasaException  # noqa: PLC0415
    from sanic.response import text  # noqa: PLC0415

    from bot.channels.turn_channel import TurnChannel  # noqa: PLC0415

    path = "bot.channels.turn_channel.TurnChannel"
    try:
        configured = rasa.shared.utils.io.read_config_file(str(credentials))
        if set(configured) != {path}:
            others = ", ".join(sorted(set(configured) - {path})) or "nothing"
            message = f"{credentials}: expected {path} and no other channel; found {others}"
            raise StartError(message, exit_code=2)
        channel: InputChannel = TurnChannel.from_credentials(configured[path])
    except RasaException as error:
        raise StartError(str(error), exit_code=2) from None
    register([channel], app, route="/webhooks/")

    @app.get("/")
    async def root(_request: Any) -> Any:
        return text("ponte bot")


async def _load_agent(model: Path, endpoints: Path, loop: Any) -> Agent:
    """The agent with its model, tracker store and action endpoint.

    Raises:
        StartError: Rasa would have gone on without a model, or with trackers in memory.
    """
    from rasa.core.agent import load_agent  # noqa: PLC0415
    from rasa.core.utils import AvailableEndpoints  # noqa: PLC0415
    from rasa.shared.exceptions import RasaException  # noqa: PLC0415

    from bot.tracker_store import TurnTrackerStore  # noqa: PLC0415

    try:
        configured = AvailableEndpoints.read_endpoints(str(endpoints))
        agent = await load_agent(model_path=str(model), endpoints=configured, loop=loop)
    except (RasaException, OSError) as error:
        raise StartError(str(error), exit_code=1) from None
    if not agent.is_ready():
        message = f"{model} could not be loaded; the lines above say why"
        raise StartError(message, exit_code=1)
    if not isinstance(agent.tracker_store._tracker_store, TurnTrackerStore):  # noqa: SLF001
        message = (
            f"{endpoints}: tracker_store.type must be bot.tracker_store.TurnTrackerStore; "
            f"another store may run a turn twice"
        )
        raise StartError(message, exit_code=2)
    if agent.action_endpoint is None:
        message = f"{endpoints}: action_endpoint is missing"
        raise StartError(message, exit_code=2)
    return agent


if __name__ == "__main__":
    sys.exit(main())
