"""The SLA rules of this checkout, put in force and kept up to date while the process runs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from handoff.policy_file import PolicyError, parse_policy, policy_text
from kit.clock import Clock
from ponte.holiday_dates import holiday_dates
from ponte.processes.wiring import ROOT, Stamp, stamp_of
from ticketing.db.engine import Database
from ticketing.domain.sla.rules import SlaRules, Timeline
from ticketing.domain.sla.rules_file import parse_rules
from ticketing.services import sla_periods
from ticketing.services.sla_rules import SlaRulesHolder, use_rules

log = structlog.get_logger()

_PROBLEMS_LOGGED = 5  # `ponte sla check` shows them all

Stamps = tuple[Stamp | None, Stamp | None]


@dataclass(frozen=True, slots=True)
class SlaFiles:
    """Where the rules stand: their own file, and the one with queues, calendars and promises."""

    sla: Path = ROOT / "sla.yml"
    handoff: Path = ROOT / "handoff.yml"

    def read(self, *, warning: float) -> SlaRules:
        """The rules.

        Raises:
            PolicyError: listing everything that is wrong in one of the files, by line.
        """
        policy = parse_policy(
            policy_text(self.handoff), filename=str(self.handoff), holiday_dates=holiday_dates
        )
        return parse_rules(
            policy_text(self.sla), policy=policy, warning=warning, filename=str(self.sla)
        )

    def stamps(self) -> Stamps:
        """What changes when one of the files does."""
        return stamp_of(self.sla), stamp_of(self.handoff)


@dataclass(slots=True)
class SlaWatch:
    """Looks at the files and at what other processes have put in force; see `check`.

    Attributes:
        db: Its sessions know the rules.
        clock: For `now`.
        holder: Where the rules in force stand.
        warning: Share of a target after which somebody is warned, where the file does not say.
        files: Where the rules are read.
    """

    db: Database
    clock: Clock
    holder: SlaRulesHolder
    warning: float
    files: SlaFiles = field(default_factory=SlaFiles)
    _waiting: SlaRules | None = None
    _settled: Stamps | None = None
    _last_seen: Stamps | None = None
    _known: datetime | None = None

    @classmethod
    def start(
        cls, db: Database, clock: Clock, *, warning: float, files: SlaFiles | None = None
    ) -> SlaWatch:
        """Read the files and let every session know them; the database learns of them at `check`.

        Raises:
            PolicyError: listing everything that is wrong in one of the files, by line.
        """
        found = files or SlaFiles()
        stamps = found.stamps()  # before the text: a change in between is seen at the next look
        rules = found.read(warning=warning)
        holder = SlaRulesHolder(Timeline.of(rules))
        use_rules(db, holder)
        return cls(db, clock, holder, warning, found, rules, stamps, stamps)

    async def run(self, *, every: timedelta) -> None:
        """Look again and again; what fails is tried at the next look."""
        while True:
            try:
                await self.check()
            except Exception:
                log.exception("sla.check_failed")
            await asyncio.sleep(every.total_seconds())

    async def check(self) -> bool:
        """Look once; True when other rules have come into force, from here or from elsewhere.

        As with the handoff policy, a changed file is read at the look after the one that saw the
        change, and a wrong file is refused with its mistakes in the log.
        """
        await self._read_when_settled()
        async with self.db.transaction() as session:
            if self._waiting is not None:
                await sla_periods.put_in_force(session, self._waiting, now=self.clock.now())
            since = await sla_periods.latest_since(session)
            if since is None or since == self._known:
                self._waiting = None
                return False
            timeline = await sla_periods.load_timeline(session)
        self._waiting = None
        self._known = since
        if timeline is None:
            return False
        self.holder.replace(timeline)
        log.info("sla.rules_loaded", version=timeline.latest.version)
        return True

    async def _read_when_settled(self) -> None:
        stamps = await asyncio.to_thread(self.files.stamps)
        is_still = stamps == self._last_seen
        self._last_seen = stamps
        if not is_still or stamps == self._settled:
            return
        self._settled = stamps
        try:
            self._waiting = await asyncio.to_thread(self._read)
        except PolicyError as error:
            log.error(  # noqa: TRY400 - the problems say it all
                "sla.rules_refused",
                path=error.filename,
                count=len(error.problems),
                problems=list(error.lines[:_PROBLEMS_LOGGED]),
                version=self.holder.current().latest.version,
            )

    def _read(self) -> SlaRules:
        return self.files.read(warning=self.warning)
