"""The router: gives waiting tickets to people who are online, and takes back what they leave.

Every step looks for candidates without a lock and then does each ticket in a transaction of its own
that looks again under the locks. So several routers may run, a step may run twice, and a process
may die anywhere: nothing happens twice and nothing stays half done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from handoff.policy import HandoffPolicy
from kit.clock import Clock
from ticketing.db.engine import Database
from ticketing.domain.routing.settings import RoutingSettings
from ticketing.services import presence
from ticketing.services.routing_giving import Giving
from ticketing.services.routing_run import RoutingReport
from ticketing.services.routing_taking import Taking

__all__ = ["RoutingEngine", "RoutingReport"]

log = structlog.get_logger()


@dataclass(slots=True)
class RoutingEngine:
    """Runs the router.

    Attributes:
        db: Ponte's database.
        clock: The time.
        policy: The policy in force, asked at every run.
        settings: What holds for all queues.
    """

    db: Database
    clock: Clock
    policy: Callable[[], HandoffPolicy]
    settings: RoutingSettings = field(default_factory=RoutingSettings)

    async def run(self) -> RoutingReport:
        """Everything that is due now, once."""
        report, now, policy = RoutingReport(), self.clock.now(), self.policy()
        async with self.db.transaction() as session:
            if not await presence.anybody_takes_part(session):
                return report  # people take tickets themselves
            await presence.expire(session, now=now)
        taking = Taking(self.db, policy, self.settings, now, report)
        giving = Giving(self.db, policy, self.settings, now, report)
        await taking.offers_that_ran_out()
        await taking.people_who_left()
        await taking.silent_people()
        await giving.overflow()
        await giving.give_out()
        await giving.tell_customers()
        if report.changed or report.failed:
            log.info(
                "routing.done", count=report.changed, hits=report.offered, problems=report.failed
            )
        return report
