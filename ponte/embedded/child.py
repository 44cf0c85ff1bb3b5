"""Direct children that never outlive us, and a lock that tells whether one still lives.

Linux ends a child when its parent dies (`prctl(PR_SET_PDEATHSIG)`, prctl(2)); elsewhere the next
start finds the orphan by the lock it still holds and ends it.

The lock: an flock(2) belongs to the open file, and the child inherits that open file. So the lock
is free exactly when the child and all of its own children are gone, whatever killed them, and no
process id has to be trusted for it.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_POLL_SECONDS = 0.02
_LOG_BYTES = 5_000_000  # a log that is larger is put aside at the next start


class EngineError(Exception):
    """An embedded server could not be started; the text says why and where its log is."""


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process id together with its start time, because ids are used again."""

    pid: int
    started: str


def start_time(pid: int) -> str | None:
    """When this process started, in the kernel's own words; None when there is no such process.

    A zombie counts as gone: it runs nothing and holds nothing any more.
    """
    if sys.platform != "linux":
        done = subprocess.run(  # noqa: S603 - fixed program, a number as argument
            ["/bin/ps", "-o", "lstart=", "-p", str(pid)],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip() or None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the name in parentheses and may hold anything; see proc_pid_stat(5).
    fields = stat.rpartition(")")[2].split()
    state, started = fields[0], fields[19]
    return None if state in {"Z", "X"} else started


def identity_of(pid: int) -> ProcessIdentity | None:
    """The identity of a running process; None when there is none."""
    started = start_time(pid)
    return None if started is None else ProcessIdentity(pid, started)


def is_running(identity: ProcessIdentity | None) -> bool:
    """Whether exactly this process, not one that got its id later, is running."""
    return identity is not None and start_time(identity.pid) == identity.started


def own_identity() -> ProcessIdentity:
    """Who we are, for others to check."""
    return ProcessIdentity(os.getpid(), start_time(os.getpid()) or "")


def end_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    """A `preexec_fn`: the kernel sends `death_signal` when the starting *thread* ends.

    So children have to be started from a thread that lives as long as the program: the main one.
    """
    parent = os.getpid()

    def prepare() -> None:  # runs between fork and exec: nothing that allocates locks
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # the parent died before prctl took effect
            os._exit(1)

    return prepare


def start_child(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    output: IO[bytes] | int,
    death_signal: signal.Signals = signal.SIGTERM,
    cwd: Path | None = None,
    account: tuple[int, int] | None = None,
    keep_open: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a direct child with its own process group, so that Ctrl-C reaches only the parent.

    Args:
        command: Program and arguments.
        env: The whole environment of the child.
        output: Where standard output and standard error go.
        death_signal: What the kernel sends when we die.
        cwd: Its working directory.
        account: User and group id to run as (only root can give that).
        keep_open: File descriptors the child inherits (its lock).
    """
    uid, gid = account if account is not None else (None, None)
    return subprocess.Popen(  # noqa: S603 - our own programs
        list(command),
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        user=uid,
        group=gid,
        extra_groups=[] if account is not None else None,
        pass_fds=tuple(keep_open),
        process_group=0,
        # Safe here: the function is made before the fork and calls nothing but prctl and getppid.
        preexec_fn=end_with_parent(death_signal),  # noqa: PLW1509
    )


def stop_child(
    process: subprocess.Popen[bytes], how: signal.Signals, *, patience_seconds: float = 10
) -> int:
    """Ask it to end, wait, then kill it; its exit code."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(patience_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


@dataclass(frozen=True, slots=True)
class RunningServer:
    """What a running embedded server says about itself, for others that want to attach."""

    owner: ProcessIdentity
    server: ProcessIdentity
    socket_dir: str


class ServerLock:
    """At most one server on one data directory; see the module's text for how it works."""

    def __init__(self, path: Path, *, facts_path: Path) -> None:
        self._path = path
        self._facts_path = facts_path
        self.descriptor: int | None = None

    def try_take(self) -> bool:
        """Take the lock if no server (and no other starter) has it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self.descriptor = descriptor
        return True

    def leave_to_child(self) -> None:
        """Close our side. The lock stays taken as long as a child has the file open."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def publish(self, facts: RunningServer) -> None:
        """Say who runs the server, so that a second start can attach."""
        self._facts_path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(
            {
                "owner_pid": facts.owner.pid,
                "owner_started": facts.owner.started,
                "pid": facts.server.pid,
                "started": facts.server.started,
                "socket_dir": facts.socket_dir,
            }
        )
        part = self._facts_path.with_suffix(f".{os.getpid()}.part")
        part.write_text(text, encoding="utf-8")
        part.replace(self._facts_path)

    def published(self) -> RunningServer | None:
        """What the running server's owner said; None when nothing readable is there."""
        try:
            facts = json.loads(self._facts_path.read_text(encoding="utf-8"))
            return RunningServer(
                owner=ProcessIdentity(facts["owner_pid"], facts["owner_started"]),
                server=ProcessIdentity(facts["pid"], facts["started"]),
                socket_dir=facts["socket_dir"],
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def retract(self) -> None:
        """Forget what was published."""
        self._facts_path.unlink(missing_ok=True)

    def take_or_attach(
        self, *, stop_signal: signal.Signals, timeout_seconds: float, attach: bool = True
    ) -> bool:
        """True with the lock taken; False when a server with a living owner is there to attach to.

        An orphan (its owner is dead) is asked to end and waited for: two servers on one data
        directory would destroy it.

        Raises:
            EngineError: when neither happened in time.
        """
        deadline = time.monotonic() + timeout_seconds
        asked: ProcessIdentity | None = None
        while not self.try_take():
            facts = self.published()
            if facts is not None and is_running(facts.server):
                if is_running(facts.owner):
                    if attach:
                        return False
                elif asked != facts.server:
                    _send(facts.server, stop_signal)
                    asked = facts.server
            if time.monotonic() > deadline:
                message = (
                    f"another server holds {self._path} and did not end within "
                    f"{timeout_seconds:.0f} s"
                )
                raise EngineError(message)
            time.sleep(_POLL_SECONDS)
        return True


def _send(identity: ProcessIdentity, how: signal.Signals) -> None:
    try:
        os.kill(identity.pid, how)
    except (ProcessLookupError, PermissionError):
        return  # it ended meanwhile, or it is not ours: the wait for the lock decides


def open_log(path: Path) -> IO[bytes]:
    """A log file to append to; the one before is kept as `.old` when it grew too large."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(path.with_name(path.name + ".old"))
    return path.open("ab")


def tail(path: Path, *, lines: int = 5) -> str:
    """The log's last lines, for the text of an error."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "".join(f"\n  {line}" for line in text.splitlines()[-lines:])
