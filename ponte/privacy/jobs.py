"""What the scheduler does about audit and privacy: seal, note how far, run jobs, keep periods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from kit.clock import Clock
from ponte.privacy.checkpoint_file import append_checkpoint
from ticketing.db.engine import Database
from ticketing.db.privacy_tables import PrivacyJob
from ticketing.domain.audit_chain import Keys
from ticketing.domain.privacy import JobKind
from ticketing.services import audit_sealing, contact_erasure, contact_export, privacy_jobs
from ticketing.services.person_stores import PersonStore

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Sealing:
    """Seals the audit log, and notes outside the database how far it went."""

    db: Database
    clock: Clock
    keys: tuple[str, ...]
    file: Path

    async def seal(self) -> None:
        """Seal what waits; without a key say so instead."""
        if not self.keys:
            log.error("audit.no_key", setting="PONTE_AUDIT_KEY")
            return
        await audit_sealing.seal_waiting(self.db, Keys.of(self.keys), now=self.clock.now())

    async def note(self) -> None:
        """Append a checkpoint to the file, when the log has grown since the last one there."""
        if not self.keys:
            return
        point = await audit_sealing.head_checkpoint(
            self.db, Keys.of(self.keys), now=self.clock.now()
        )
        if point is not None:
            append_checkpoint(self.file, point)


@dataclass(frozen=True, slots=True)
class JobRunner:
    """Runs exports and erasures that are due, one after the other."""

    db: Database
    stores: Sequence[PersonStore]
    clock: Clock

    async def run(self) -> int:
        """Run what is due; how many jobs."""
        due = await privacy_jobs.due_jobs(self.db, now=self.clock.now())
        for job_id in due:
            async with self.db.transaction() as session:
                kind = (await session.get_one(PrivacyJob, job_id)).kind
            work = contact_export.run if kind == JobKind.EXPORT.value else contact_erasure.run
            state = await work(self.db, self.stores, job_id, clock=self.clock)
            if state is not None:
                log.info("privacy.job_worked", kind=kind, state=state.value)
        return len(due)


__all__ = ["JobRunner", "Sealing"]
