"""Put changed runbooks and a changed `quality.yml` in force while the process runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from handoff.policy import HandoffPolicy
from ponte.processes.wiring import ROOT, stamp_of
from ticketing.domain.holder import Holder
from ticketing.domain.quality_file import QualityPlan, QualityPlanError, parse_plan
from ticketing.domain.runbook import RunbookBook
from ticketing.domain.runbook_file import KnownNames, RunbooksError
from ticketing.gateways.content_files import (
    UnreadableFileError,
    load_runbooks,
    read_text,
    runbook_paths,
)

log = structlog.get_logger()

RUNBOOKS = ROOT / "runbooks"
QUALITY = ROOT / "quality.yml"

_PROBLEMS_LOGGED = 5  # the command that checks the files shows them all
_WRONG = (RunbooksError, QualityPlanError, UnreadableFileError)

ContentT = TypeVar("ContentT")
Stamps = tuple[tuple[str, object], ...]


@dataclass(slots=True)
class ContentWatch(Generic[ContentT]):
    """Looks at files again and again; see `check`.

    Attributes:
        name: For the log.
        holder: Where a new content is put.
        load: Reads the files.
        files: Those that there are now; a file that is added or taken away is a change too.
    """

    name: str
    holder: Holder[ContentT]
    load: Callable[[], ContentT]
    files: Callable[[], Sequence[Path]]
    _seen: Stamps | None = None
    _settled: Stamps | None = None

    async def run(self, *, every: timedelta) -> None:
        """Look again and again; what fails is tried at the next look."""
        while True:
            try:
                await asyncio.to_thread(self.check)
            except Exception:
                log.exception("content.check_failed", kind=self.name)
            await asyncio.sleep(every.total_seconds())

    def check(self) -> bool:
        """Look once; True when another content was put in force.

        Files that changed are read at the look after the one that saw it: by then an editor has
        written all of it. Wrong files are refused, once, with their mistakes in the log, and what
        was in force goes on.
        """
        stamps = tuple((str(path), stamp_of(path)) for path in self.files())
        is_still = stamps == self._seen
        self._seen = stamps
        if not is_still or stamps == self._settled:
            return False
        self._settled = stamps
        try:
            content = self.load()
        except _WRONG as error:
            self._refuse(error)
            return False
        if content == self.holder.current():
            return False
        self.holder.replace(content)
        log.info("content.loaded", kind=self.name)
        return True

    def check_now(self) -> bool:
        """Look twice, so that a change is read now: for starts, and for jobs that seldom run."""
        first = self.check()
        return self.check() or first

    def _refuse(self, error: Exception) -> None:
        lines = str(error).splitlines()
        log.error(
            "content.refused",
            kind=self.name,
            count=len(lines),
            problems=lines[:_PROBLEMS_LOGGED],
        )


def runbook_watch(
    policy: Callable[[], HandoffPolicy], *, folder: Path = RUNBOOKS
) -> ContentWatch[RunbookBook]:
    """A watch over the runbooks, with those in force that are right at the start.

    A wrong runbook does not keep a process from starting: customers are answered without it.
    """

    def load() -> RunbookBook:
        current = policy()
        return load_runbooks(folder, known=KnownNames(current.intents, current.queues))

    watch = ContentWatch("runbooks", Holder(RunbookBook()), load, lambda: runbook_paths(folder))
    watch.check_now()
    return watch


def quality_watch(*, file: Path = QUALITY) -> ContentWatch[QualityPlan | None]:
    """A watch over the plan for reviews; no file is no plan."""

    def load() -> QualityPlan | None:
        return parse_plan(read_text(file), filename=file.name) if file.exists() else None

    holder: Holder[QualityPlan | None] = Holder(None)
    watch = ContentWatch("quality", holder, load, lambda: [file])
    watch.check_now()
    return watch
