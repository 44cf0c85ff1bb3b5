"""Keep a set of programs running: start, watch, start again, stop in order.

One thread, no polling while all is quiet: SIGCHLD and the stop signals wake it through a pipe.
Children are started from the main thread, because the kernel ties their end to it
(`ponte.embedded.child.end_with_parent`).
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Protocol, Self

from ponte.embedded.child import (
    EngineError,
    ProcessIdentity,
    identity_of,
    open_log,
    start_child,
    tail,
)

BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0, 7.0, 10.0)
_STEADY_SECONDS = 30.0  # after so long without a death the backoff begins anew
_DEATHS_BEFORE_READY = 5  # a program that never comes up is a fault to tell, not to hide
_REAP_SECONDS = 10.0
_PROBE_SECONDS = 0.05


class Part(Protocol):
    """Something that runs and may die: a child program or an embedded engine."""

    @property
    def name(self) -> str:
        """Its name in messages."""
        ...

    @property
    def stop_stage(self) -> int:
        """Parts of a lower stage are stopped, and gone, before those of a higher one."""
        ...

    @property
    def log_path(self) -> Path:
        """Where its output is."""
        ...

    @property
    def pid(self) -> int | None:
        """Its process id, when it runs."""
        ...

    def start(self) -> None:
        """Start it; it may not answer yet."""
        ...

    def exit_code(self) -> int | None:
        """None as long as it runs."""
        ...

    def is_ready(self) -> bool:
        """Whether it answers."""
        ...

    def ask_to_stop(self) -> None:
        """Send it the signal for an orderly end."""
        ...

    def kill(self) -> None:
        """End it, and what it started, at once."""
        ...


@dataclass(slots=True)
class ChildProgram:
    """A program of ours as a part.

    Attributes:
        name: Its name in messages; its log is `NAME.log`.
        command: Program and arguments.
        env: Its whole environment.
        log_path: Where its output is appended.
        cwd: Its working directory.
        ready: Asks whether it answers; None: it is ready as soon as it runs.
        stop_stage: See `Part`.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    log_path: Path
    cwd: Path
    ready: Callable[[], bool] | None = None
    stop_stage: int = 1
    process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Its process id, when it was started."""
        return None if self.process is None else self.process.pid

    def start(self) -> None:
        """Start it, with its output at the end of its log."""
        with open_log(self.log_path) as log:
            self.process = start_child(
                self.command,
                env=self.env,
                output=log.fileno(),
                # At once, so that nothing of it lives on without us: every process of ours may be
                # killed at any point, and its graceful end could take longer than our next start.
                death_signal=signal.SIGKILL,
                cwd=self.cwd,
            )

    def exit_code(self) -> int | None:
        """None as long as it runs."""
        return None if self.process is None else self.process.poll()

    def is_ready(self) -> bool:
        """Whether it answers."""
        return self.exit_code() is None and (self.ready is None or self.ready())

    def ask_to_stop(self) -> None:
        """SIGTERM to the program alone; what it started is its own to end."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End its process group: also what a dead program left behind."""
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return  # nobody left in the group


class Engine(Protocol):
    """An embedded server (`ponte.embedded`)."""

    process: subprocess.Popen[bytes] | None
    log_path: Path

    def start(self) -> None:
        """Run it and wait until it answers."""
        ...

    def stop(self) -> None:
        """Orderly end, waited for."""
        ...


@dataclass(slots=True)
class EnginePart:
    """An embedded server as a part: its start waits until it answers."""

    name: str
    engine: Engine
    stop_stage: int
    _ended_with: int | None = None

    @property
    def log_path(self) -> Path:
        """Where its output is."""
        return self.engine.log_path

    @property
    def pid(self) -> int | None:
        """Its process id, when it runs."""
        return None if self.engine.process is None else self.engine.process.pid

    def start(self) -> None:
        """Run it; a failed start counts as a death and is tried again."""
        self._ended_with = None
        try:
            self.engine.start()
        except EngineError:
            self._ended_with = 1

    def exit_code(self) -> int | None:
        """None as long as it runs."""
        if self._ended_with is not None or self.engine.process is None:
            return self._ended_with
        return self.engine.process.poll()

    def is_ready(self) -> bool:
        """Always, once started: the start has waited for it."""
        return self.exit_code() is None

    def ask_to_stop(self) -> None:
        """Orderly end; engines wait by themselves and kill when it takes too long."""
        self.engine.stop()

    def kill(self) -> None:
        """End it at once."""
        if self.engine.process is not None and self.engine.process.poll() is None:
            self.engine.process.kill()


class StartFailedError(Exception):
    """A part never became ready; the text names it, why, and where its log is."""


class StopRequestedError(Exception):
    """SIGTERM or SIGINT came while everything was still starting."""


@dataclass(slots=True)
class _Watched:
    part: Part
    started_at: float = 0.0
    deaths: int = 0
    restart_at: float | None = None
    was_ready: bool = False


class Supervisor:
    """Runs parts until SIGTERM or SIGINT. Use as a context manager: leaving it stops everything.

    Args:
        say: Receives one line for each thing a person should know.
        patience_seconds: How long a part may take to end before it is killed.
        changed: Called after every start and restart, with the running processes by name.
    """

    def __init__(
        self,
        *,
        say: Callable[[str], None],
        changed: Callable[[Mapping[str, ProcessIdentity]], None] = lambda _: None,
        patience_seconds: float = 10.0,
    ) -> None:
        self._patience = patience_seconds
        self._say = say
        self._changed = changed
        self._watched: list[_Watched] = []
        self._stop_signals = 0
        self._wake_read, self._wake_write = -1, -1
        self._old_handlers: dict[int, Any] = {}

    # -- signals --------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP):
            self._old_handlers[number] = signal.signal(number, self._note_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._stop_all()
        finally:
            for number, handler in self._old_handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(-1)
            os.close(self._wake_read)
            os.close(self._wake_write)

    def _note_signal(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            self._stop_signals += 1

    @property
    def stop_requested(self) -> bool:
        """Whether SIGTERM, SIGINT or SIGHUP (the terminal was closed) came."""
        return self._stop_signals > 0

    # -- running ----------------------------------------------------------------------------------

    def start(self, part: Part) -> None:
        """Start a part and watch it from now on.

        Raises:
            StartFailedError: its program cannot be run.
        """
        watched = _Watched(part)
        self._watched.append(watched)
        try:
            self._start(watched)
        except OSError as error:
            message = f"{part.name} cannot be started: {error}"
            raise StartFailedError(message) from error

    def wait_until_ready(self, *, timeout_seconds: float) -> None:
        """Wait until every part answers, restarting what dies meanwhile.

        Raises:
            StartFailedError: a part died too often or did not answer in time.
            StopRequestedError: a stop signal came first.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            self._check_stop()
            self._tend()
            waiting = [one for one in self._watched if not self._ready_once(one)]
            if not waiting:
                return
            for one in waiting:
                if one.deaths >= _DEATHS_BEFORE_READY:
                    raise StartFailedError(_failure(one.part, f"ended {one.deaths} times"))
            if time.monotonic() > deadline:
                names = ", ".join(one.part.name for one in waiting)
                why = f"did not answer within {timeout_seconds:.0f} s (waiting for: {names})"
                raise StartFailedError(_failure(waiting[0].part, why))
            self._sleep(_PROBE_SECONDS)

    def run_to_the_end(self, process: subprocess.Popen[bytes]) -> int:
        """Watch the parts while a helper program (training) works; its exit code.

        Raises:
            StopRequestedError: a stop signal came first; the program was ended.
        """
        while process.poll() is None:
            if self.stop_requested:
                process.kill()
                process.wait()
            self._check_stop()
            self._tend()
            self._sleep(self._until_next_restart() or 5.0)
        return process.wait()

    def watch(self) -> None:
        """Keep everything running until a stop signal."""
        while not self.stop_requested:
            self._tend()
            self._sleep(self._until_next_restart())

    def _ready_once(self, watched: _Watched) -> bool:
        if not watched.was_ready and watched.restart_at is None and watched.part.is_ready():
            watched.was_ready = True
            watched.deaths = 0
        return watched.was_ready

    def _check_stop(self) -> None:
        if self.stop_requested:
            raise StopRequestedError

    def _tend(self) -> None:
        """Notice deaths, and restart what is due."""
        now = time.monotonic()
        for one in self._watched:
            if one.restart_at is not None:
                if now >= one.restart_at:
                    self._restart(one)
                continue
            code = one.part.exit_code()
            if code is not None:
                self._plan_restart(one, code, now)

    def _plan_restart(self, one: _Watched, code: int, now: float) -> None:
        one.part.kill()  # what it left behind would hold its port
        if now - one.started_at > _STEADY_SECONDS:
            one.deaths = 0
        pause = BACKOFF_SECONDS[min(one.deaths, len(BACKOFF_SECONDS) - 1)]
        one.deaths += 1
        one.restart_at = now + pause
        self._say(f"{one.part.name} ended ({_how(code)}): starting it again in {pause:g} s")

    def _restart(self, one: _Watched) -> None:
        one.restart_at = None
        try:
            self._start(one)
        except OSError as error:  # no memory, no process left: later there may be
            self._say(f"{one.part.name} cannot be started: {error}")
            self._plan_restart(one, 1, time.monotonic())

    def _start(self, one: _Watched) -> None:
        one.started_at = time.monotonic()
        one.part.start()
        self._changed(self.running())

    def running(self) -> dict[str, ProcessIdentity]:
        """The processes that run now, by name."""
        found = {}
        for one in self._watched:
            pid = one.part.pid
            identity = None if pid is None else identity_of(pid)
            if identity is not None:
                found[one.part.name] = identity
        return found

    def _until_next_restart(self) -> float | None:
        due = [one.restart_at for one in self._watched if one.restart_at is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _sleep(self, seconds: float | None) -> None:
        """Until a signal comes or the time is over."""
        readable, _, _ = select.select([self._wake_read], [], [], seconds)
        if readable:
            try:
                os.read(self._wake_read, 4096)
            except BlockingIOError:
                return

    # -- stopping ---------------------------------------------------------------------------------

    def _stop_all(self) -> None:
        """Stage by stage; a second signal, or ten seconds, and what is left is killed."""
        signals_before = self._stop_signals
        for stage in sorted({one.part.stop_stage for one in self._watched}):
            parts = [one.part for one in self._watched if one.part.stop_stage == stage]
            for part in parts:
                part.ask_to_stop()
            deadline = time.monotonic() + self._patience
            while any(part.exit_code() is None and part.pid is not None for part in parts):
                left = deadline - time.monotonic()
                if left <= 0 or self._stop_signals > signals_before:
                    break
                self._sleep(left)
            for part in parts:
                if part.pid is not None and part.exit_code() is None:
                    self._say(f"{part.name} did not end within {self._patience:g} s: killed")
                part.kill()
                _reap(part)


def _reap(part: Part) -> None:
    deadline = time.monotonic() + _REAP_SECONDS
    while part.pid is not None and part.exit_code() is None and time.monotonic() < deadline:
        time.sleep(0.01)


def _failure(part: Part, why: str) -> str:
    return f"{part.name} {why}: see {part.log_path}{tail(part.log_path, lines=12)}"


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
