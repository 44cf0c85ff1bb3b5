"""Put a changed `handoff.yml` in force while the process runs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import structlog

from handoff.policy_file import PolicyError
from handoff.policy_holder import PolicyHolder
from kit.clock import Clock
from ponte.processes.wiring import (
    ROOT,
    LoadedPolicy,
    Stamp,
    put_in_force,
    read_policy,
    stamp_of,
)
from ticketing.db.engine import Database

log = structlog.get_logger()

_PROBLEMS_LOGGED = 5  # the command that checks the file shows them all


@dataclass(slots=True)
class PolicyWatch:
    """Looks at the file; see `check`.

    Attributes:
        path: The policy file.
        policies: Where a new policy is put.
        db: Is told of a policy before it decides anything.
        clock: For `now`.
    """

    path: Path
    policies: PolicyHolder
    db: Database
    clock: Clock
    _waiting: LoadedPolicy | None = None
    _settled: Stamp | None = None
    _last_seen: Stamp | None = None
    _refused: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def after(
        cls,
        loaded: LoadedPolicy,
        policies: PolicyHolder,
        *,
        db: Database,
        clock: Clock,
        path: Path = ROOT / "handoff.yml",
    ) -> PolicyWatch:
        """A watch over the file that was just read; the database learns of it at the first look."""
        return cls(path, policies, db, clock, loaded, loaded.stamp, loaded.stamp)

    async def run(self, *, every: timedelta) -> None:
        """Look again and again; what fails is tried at the next look."""
        while True:
            try:
                await self.check()
            except Exception:
                log.exception("policy.check_failed")
            await asyncio.sleep(every.total_seconds())

    async def check(self) -> bool:
        """Look once; True when another policy has been put in force.

        A file that changed is read at the look after the one that saw it change: by then an editor
        has written all of it, and half of a file may be a policy too. A wrong file is refused with
        its mistakes in the log, once for each text, and the old policy goes on. The database learns
        of a version before it decides.
        """
        await self._read_when_settled()
        return await self._adopt()

    async def _read_when_settled(self) -> None:
        stamp = await asyncio.to_thread(stamp_of, self.path)
        is_still = stamp == self._last_seen
        self._last_seen = stamp
        if not is_still or stamp == self._settled:
            return
        try:
            loaded = await asyncio.to_thread(read_policy, self.path)
        except PolicyError as error:
            self._refuse(error)
            self._settled = stamp
            return
        self._settled = loaded.stamp
        self._refused = frozenset()
        self._waiting = loaded

    def _refuse(self, error: PolicyError) -> None:
        mistakes = frozenset(error.lines)
        if mistakes != self._refused:
            log.error(
                "policy.refused",
                path=str(self.path),
                count=len(error.problems),
                problems=list(error.lines[:_PROBLEMS_LOGGED]),
                version=self.policies.current().version,
            )
        self._refused = mistakes

    async def _adopt(self) -> bool:
        loaded = self._waiting
        if loaded is None:
            return False
        await put_in_force(self.db, loaded, now=self.clock.now())
        self._waiting = None
        if loaded.policy.version == self.policies.current().version:
            return False
        self.policies.replace(loaded.policy)
        log.info("policy.loaded", path=str(self.path), version=loaded.policy.version)
        return True
