"""The state folder: who runs in it, and what the others need to know to find it.

secrets.json      made once (ponte.generated_secrets)
postgres/ redis/  data
log/NAME.log      one file a process
mailbox/*.eml     mails, when no mail server is configured
run/up.lock       held as long as `ponte up` lives
run/runtime.json  addresses and process ids of the running set
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ponte.embedded.child import ProcessIdentity, is_running


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a running `ponte up` tells: 0600, for addresses may hold passwords.

    Attributes:
        supervisor: The `ponte up` itself.
        url: Where the web process answers.
        ready: Whether everything answered once.
        environment: The addresses handed to the children, no secrets of their own.
        children: Running processes by name.
    """

    supervisor: ProcessIdentity
    url: str
    ready: bool = False
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    children: Mapping[str, ProcessIdentity] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """Whether that `ponte up` still runs."""
        return is_running(self.supervisor)


class StateFolder:
    """Paths in the state folder, its lock, and the runtime file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run = path / "run"
        self.logs = path / "log"
        self.mailbox = path / "mailbox"
        self._lock: int | None = None

    def prepare(self) -> None:
        """Make the folders; only their owner may list `run`."""
        for folder in (self.path, self.run, self.logs):
            folder.mkdir(parents=True, exist_ok=True)
        self.run.chmod(0o700)

    def try_lock(self) -> bool:
        """Become the one `ponte up` of this folder; the kernel frees the lock when we die."""
        descriptor = os.open(self.run / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        return True

    def unlock(self) -> None:
        """Let another `ponte up` run here."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def write_runtime(self, runtime: Runtime) -> None:
        """Replace the runtime file in one step."""
        document = {
            "supervisor": _identity_to_json(runtime.supervisor),
            "url": runtime.url,
            "ready": runtime.ready,
            "environment": dict(runtime.environment),
            "children": {
                name: _identity_to_json(identity) for name, identity in runtime.children.items()
            },
        }
        part = self.run / "runtime.part"
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
        part.replace(self.run / "runtime.json")

    def read_runtime(self) -> Runtime | None:
        """What the last or running `ponte up` wrote; None when nothing readable is there."""
        try:
            document = json.loads((self.run / "runtime.json").read_text(encoding="utf-8"))
            return Runtime(
                supervisor=_identity_from_json(document["supervisor"]),
                url=document["url"],
                ready=document["ready"],
                environment=document["environment"],
                children={
                    name: _identity_from_json(value) for name, value in document["children"].items()
                },
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def remove_runtime(self) -> None:
        """Nothing runs here any more."""
        (self.run / "runtime.json").unlink(missing_ok=True)


def _identity_to_json(identity: ProcessIdentity) -> dict[str, Any]:
    return {"pid": identity.pid, "started": identity.started}


def _identity_from_json(document: Mapping[str, Any]) -> ProcessIdentity:
    return ProcessIdentity(int(document["pid"]), str(document["started"]))
