"""`ponte up`: everything in one terminal, from nothing to `ready http://...`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from kit import metric_slots
from ponte.embedded.child import (
    EngineError,
    ProcessIdentity,
    is_running,
    own_identity,
    start_child,
)
from ponte.embedded.postgres import EmbeddedPostgres
from ponte.embedded.redis import EmbeddedRedis
from ponte.generated_secrets import fill_in_secrets
from ponte.processes import plan
from ponte.processes.log_follower import LogFollower
from ponte.processes.ports import PortError, free_ports, wished_or_next
from ponte.processes.state import Runtime, StateFolder
from ponte.processes.supervision import (
    EnginePart,
    StartFailedError,
    StopRequestedError,
    Supervisor,
)
from ponte.settings import Settings, read_environment, unknown_names

_READY_SECONDS = 180.0  # Rasa on a loaded small machine takes a minute
_WAIT_FOR_OTHER_SECONDS = 240.0  # its training included
_ORPHAN_SECONDS = 10.0


class UpError(Exception):
    """`ponte up` cannot go on; the text says why and what to do."""


def run(settings: Settings, *, verbose: bool = False, what: plan.Plan | None = None) -> int:
    """Start everything, keep it running until SIGTERM or SIGINT, stop everything.

    Returns:
        0: stopped in order, or another `ponte up` runs on this state folder and is healthy.
        1: something could not be started; what and why was said.
    """
    state = StateFolder(settings.state_dir)
    state.prepare()
    try:
        if not _become_the_one(state):
            return 0
        try:
            return _Up(settings, state, what or plan.Plan(), verbose=verbose).run()
        finally:
            state.unlock()
    except StopRequestedError:
        return 0
    except (UpError, StartFailedError, EngineError, PortError) as error:
        say(f"error: {error}")
        return 1


def say(text: str) -> None:
    """One line for the person at the terminal (standard error: standard output is for `ready`)."""
    sys.stderr.write(f"[ponte] {text}\n")
    sys.stderr.flush()


def _announce(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _become_the_one(state: StateFolder) -> bool:
    """True with the folder's lock; False when the other `ponte up` turned out healthy.

    Raises:
        UpError: the other one neither becomes healthy nor ends.
    """
    deadline = time.monotonic() + _WAIT_FOR_OTHER_SECONDS
    told = False
    while not state.try_lock():
        runtime = state.read_runtime()
        if runtime is not None and _is_healthy(runtime):
            _announce(f"already running (pid {runtime.supervisor.pid})")
            _announce(f"ready {runtime.url}")
            return False
        if not told:
            say("another `ponte up` is starting here: waiting for it")
            told = True
        if time.monotonic() > deadline:
            pid = runtime.supervisor.pid if runtime is not None else "unknown"
            message = f"another `ponte up` (pid {pid}) runs on {state.path} and is not healthy"
            raise UpError(message)
        time.sleep(0.2)
    return True


def _is_healthy(runtime: Runtime) -> bool:
    return runtime.alive and runtime.ready and plan.answers(runtime.url + "/readyz")()


@dataclass(slots=True)
class _Up:
    settings: Settings
    state: StateFolder
    what: plan.Plan
    verbose: bool
    raw: dict[str, str] = field(default_factory=read_environment, repr=False)
    runtime: Runtime = field(init=False)

    def run(self) -> int:
        problem = self.what.problem()
        if problem is not None:
            raise UpError(problem)
        for name in unknown_names(self.raw):
            say(f"warning: {name} is no setting of this program (see .env.example)")
        self._end_orphans()
        metric_slots.clear(self.settings.metrics_dir)
        self.runtime = Runtime(supervisor=own_identity(), url="")
        self.state.write_runtime(self.runtime)
        follower = LogFollower(_show, everything=self.verbose)
        try:
            with Supervisor(say=say, changed=self._changed) as supervisor:
                self._start_all(supervisor, follower)
                _announce(f"ready {self.runtime.url}")
                supervisor.watch()
                say("stopping")
        finally:
            follower.close()
            self.state.remove_runtime()
        return 0

    def _start_all(self, supervisor: Supervisor, follower: LogFollower) -> None:
        training = start_child(
            self.what.training(),
            env={**self.raw, "PYTHONUNBUFFERED": "1"},
            output=sys.stderr.fileno(),
            death_signal=signal.SIGKILL,
        )
        try:
            addresses = self._engines(supervisor)
            environment = self._environment(addresses)
            self._publish(addresses)
            self._migrate(addresses)
            for program in self.what.programs(self.settings, self.state, environment, addresses):
                follower.follow(program.name, program.log_path)
                supervisor.start(program)
            if supervisor.run_to_the_end(training) != 0:
                message = "the assistant's model could not be trained: see the lines above"
                raise UpError(message)
        finally:
            _end(training)
        bot = self.what.bot(self.settings, self.state, environment, addresses)
        follower.follow(bot.name, bot.log_path)
        supervisor.start(bot)
        supervisor.wait_until_ready(timeout_seconds=_READY_SECONDS)
        self.runtime = replace(self.runtime, ready=True, children=supervisor.running())
        self.state.write_runtime(self.runtime)

    def _engines(self, supervisor: Supervisor) -> plan.Addresses:
        """Start the embedded engines that no URL replaces, and choose the ports."""
        settings = self.settings
        database_url = settings.ponte_database_url
        rasa_database_url = settings.ponte_rasa_database_url
        redis_url = settings.ponte_redis_url
        if not database_url or not rasa_database_url:
            postgres = EmbeddedPostgres(self.state.path / "postgres", self.state.run)
            postgres.log_path = self.state.logs / "postgres.log"
            postgres.start(attach=False)
            supervisor.start(EnginePart("postgres", postgres, plan.POSTGRES_STAGE))
            database_url = database_url or postgres.url("ponte")
            rasa_database_url = rasa_database_url or postgres.url("rasa")
        if not redis_url:
            redis = EmbeddedRedis(self.state.path / "redis", self.state.run)
            redis.log_path = self.state.logs / "redis.log"
            redis.start(attach=False)
            supervisor.start(EnginePart("redis", redis, plan.REDIS_STAGE))
            redis_url = redis.url()
        web = wished_or_next(settings.ponte_port, host=settings.ponte_host)
        if web != settings.ponte_port != 0:
            say(f"port {settings.ponte_port} is taken: using {web} instead")
        bot, actions, simulator, mailbox = free_ports(4)
        return plan.Addresses(
            host=settings.ponte_host,
            web=web,
            bot=bot,
            actions=actions,
            simulator=simulator if settings.simulator_on else None,
            mailbox=None if settings.smtp_host else mailbox,
            database_url=database_url,
            rasa_database_url=rasa_database_url,
            redis_url=redis_url,
        )

    def _environment(self, addresses: plan.Addresses) -> dict[str, str]:
        generated = fill_in_secrets(
            self.raw, self.state.path, simulator_on=self.settings.simulator_on
        )
        return plan.child_environment(self.settings, self.raw, generated, addresses)

    def _publish(self, addresses: plan.Addresses) -> None:
        self.runtime = replace(
            self.runtime,
            url=addresses.web_url,
            environment=plan.address_variables(self.settings, addresses),
        )
        self.state.write_runtime(self.runtime)

    def _migrate(self, addresses: plan.Addresses) -> None:
        from ponte.migrate import MigrationError, migrate  # noqa: PLC0415 - slow to import

        try:
            result = migrate(addresses.database_url)
        except MigrationError as error:
            raise UpError(str(error)) from error
        if result.before != result.after:
            say(f"database migrated to {result.after}")

    def _changed(self, children: Mapping[str, ProcessIdentity]) -> None:
        self.runtime = replace(self.runtime, children=children)
        self.state.write_runtime(self.runtime)

    def _end_orphans(self) -> None:
        """End what a killed `ponte up` left; engines end and are waited for by their own locks."""
        before = self.state.read_runtime()
        if before is None:
            return
        children = {
            name: identity
            for name, identity in before.children.items()
            if name not in {"postgres", "redis"}
        }
        for how in (signal.SIGTERM, signal.SIGKILL):
            for identity in children.values():
                _signal(identity, how)
            deadline = time.monotonic() + _ORPHAN_SECONDS
            while any(is_running(identity) for identity in children.values()):
                if time.monotonic() > deadline:
                    break
                time.sleep(0.05)


def _signal(identity: ProcessIdentity, how: signal.Signals) -> None:
    if is_running(identity):
        try:
            os.kill(identity.pid, how)
        except ProcessLookupError:
            return


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()


def _show(name: str, line: str) -> None:
    sys.stderr.write(f"{name:>9} | {line}\n")
    sys.stderr.flush()
