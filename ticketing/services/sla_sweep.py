"""The SLA monitor: finds clocks that passed their warning or due time, and tells it exactly once.

Each batch is one transaction: the alerts, the state of clocks and tickets, the events of the
history and the outbox events are all there, or none. So a process may die anywhere, and any number
of sweeps may run at once: the row lock lets one of them have a ticket, and the unique key of
`sla_alerts` (clock, threshold) is the last wall.

What cannot be stored or told is logged, left due, and tried again by the next sweep; that a promise
was broken is stored all the same. Notices are the relay's and the worker's business: nothing that
fails there comes back to the clocks.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import insert, text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from kit.ids import new_correlation_id, new_id
from ticketing.db.engine import Database
from ticketing.db.sla_tables import SlaClock
from ticketing.db.tables import TicketEvent
from ticketing.domain.enums import SlaThreshold
from ticketing.domain.sla_alerts import Alert, Message, Silence, Verdict, decide
from ticketing.services.outbox import NewEvent, add_events
from ticketing.services.sla_due import DueTicket, Place, WorkingTime, claim, due_clocks
from ticketing.services.sla_rules import rules_of

log = structlog.get_logger()

SOURCE: Final = "sla-monitor"
"""Names the monitor in what it tells (requirement C2: `context.source`)."""

TOPICS: Final = {SlaThreshold.WARNING: "sla.warning", SlaThreshold.BREACH: "sla.breached"}
_KINDS: Final = {SlaThreshold.WARNING: "sla_warning", SlaThreshold.BREACH: "sla_breached"}

Publish = Callable[..., Awaitable[object]]
"""`outbox.add_events`: writes events in the transaction it is given."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did.

    Attributes:
        warnings: Warnings stored.
        breaches: Breaches stored.
        told: Messages written for the relay.
        silenced: Alerts stored of which nobody is told by themselves.
        busy: Tickets passed by because somebody worked on them.
        failed: Tickets of which something could not be stored or told; tried again next time.
    """

    warnings: int = 0
    breaches: int = 0
    told: int = 0
    silenced: int = 0
    busy: int = 0
    failed: int = 0

    def __add__(self, other: Swept) -> Swept:
        return Swept(
            self.warnings + other.warnings,
            self.breaches + other.breaches,
            self.told + other.told,
            self.silenced + other.silenced,
            self.busy + other.busy,
            self.failed + other.failed,
        )


@dataclass(frozen=True, slots=True)
class _Judged:
    """A ticket, what was decided about it, and the events that tell it."""

    found: DueTicket
    verdict: Verdict
    events: tuple[NewEvent, ...]


def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class SlaSweep:
    """Sweeps; see `run`.

    Attributes:
        db: Its sessions know the SLA rules (`ticketing.services.sla_rules`).
        clock: For `now`.
        batch: Clocks in one transaction, SLA_MONITOR_BATCH.
        cooldown: SLA_ALERT_COOLDOWN_MS.
        publish: Where messages go.
        keep_going: Asked before each batch; False ends the sweep early, and nothing is lost.
    """

    db: Database
    clock: Clock
    batch: int
    cooldown: timedelta
    publish: Publish = add_events
    keep_going: Callable[[], bool] = field(default=_always)

    async def run(self, *, at: datetime | None = None) -> Swept:
        """Handle every clock that is due now, or was due at an earlier moment.

        Raises:
            OperationalError: when the database is away.
        """
        now, correlation_id = at or self.clock.now(), new_correlation_id()
        place: Place | None = None
        total = Swept()
        while self.keep_going():
            async with self.db.transaction() as session:
                tickets, place = await due_clocks(session, now=now, after=place, limit=self.batch)
                if place is None:
                    break
                batch = _Batch(self, session, now, correlation_id)
                done = await batch.handle(tickets)
            batch.tell_log()
            total += done
            await asyncio.sleep(0)  # the other jobs of this process get their turn
        if total != Swept():
            log.info(
                "sla.swept",
                count=total.warnings + total.breaches,
                problems=total.failed,
                correlation_id=correlation_id,
            )
        return total


@dataclass(slots=True)
class _Batch:
    """The tickets of one transaction."""

    sweep: SlaSweep
    session: AsyncSession
    now: datetime
    correlation_id: str
    stored: list[_Judged] = field(default_factory=list)

    async def handle(self, tickets: Sequence[uuid.UUID]) -> Swept:
        claimed = await claim(self.session, tickets, now=self.now)
        working = WorkingTime(rules_of(self.session))
        judged, failed = [], 0
        for found in claimed:
            try:
                judged.append(self._judge(found, working))
            except Exception as error:  # noqa: BLE001 - one bad row must not hold up the others
                failed += 1
                self._failed(found, error)
        failed += await self._store(judged)
        passed_by = len(tickets) - len(claimed)
        return replace(_count(self.stored), busy=passed_by, failed=failed)

    def _judge(self, found: DueTicket, working: WorkingTime) -> _Judged:
        verdict = decide(
            found.due,
            found.earlier,
            now=self.now,
            cooldown=self.sweep.cooldown,
            ticket_is_over=found.is_over,
        )
        events = tuple(
            NewEvent(TOPICS[message.lead.threshold], _payload(found, message, working, self.now))
            for message in verdict.messages
        )
        return _Judged(found, verdict, events)

    async def _store(self, judged: list[_Judged]) -> int:
        """Store all together; when that fails, one by one. How many failed."""
        try:
            async with self.session.begin_nested():
                await self._store_states(judged)
                await self._store_alerts(judged)
                await self._store_tickets(judged)
        except (OperationalError, InterfaceError):
            raise  # the database is away, or stopped this statement: no row is to blame
        except Exception as error:  # noqa: BLE001 - said below, for each that is to blame
            log.warning("sla.batch_failed", count=len(judged), error_type=type(error).__name__)
        else:
            self.stored += judged
            return 0
        failed = 0
        for one in judged:
            failed += not await self._store_one(one)
        return failed

    async def _store_one(self, one: _Judged) -> bool:
        """The state of the clocks stays, also when the alert cannot be stored or told."""
        try:
            async with self.session.begin_nested():
                await self._store_states([one])
            told = await self._store_alert_of(one)
            async with self.session.begin_nested():
                await self._store_tickets([one])
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:  # noqa: BLE001 - it stays due, the next sweep tries again
            self._failed(one.found, error)
            return False
        if told:
            self.stored.append(one)
        return told

    async def _store_alert_of(self, one: _Judged) -> bool:
        try:
            async with self.session.begin_nested():
                await self._store_alerts([one])
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:  # noqa: BLE001 - it stays due, the next sweep tries again
            self._failed(one.found, error)
            return False
        return True

    async def _store_states(self, judged: Iterable[_Judged]) -> None:
        judged = list(judged)
        breached = [
            (judgement.clock.clock_id, judgement.breached_at)
            for one in judged
            for judgement in one.verdict.judgements
            if judgement.breached_at is not None
        ]
        await self._execute(_BREACHED, breached)

    async def _store_tickets(self, judged: Iterable[_Judged]) -> None:
        """Last of all, and once in a transaction.

        Somebody may wait for this row already. With a second UPDATE of the row in the same
        transaction PostgreSQL was seen to report a deadlock with them, so nothing touches the row
        after this. A test with people and sweeps at once guards it.
        """
        changed = [
            (one.found.ticket.id, one.verdict.state_after(one.found.state).value)
            for one in judged
            if one.verdict.alerts
        ]
        await self._execute(_TICKETS, changed)

    async def _store_alerts(self, judged: Iterable[_Judged]) -> None:
        judged = list(judged)
        alerts = [
            _alert_row(one.found, alert, self.now) for one in judged for alert in one.verdict.alerts
        ]
        if alerts:
            columns = {name: [row[name] for row in alerts] for name in alerts[0]}
            new = await self.session.scalars(text(_ALERTS), columns)
            if len(new.all()) != len(alerts):
                # Not possible under the ticket's lock; if it is, somebody else has told it.
                message = "an alert was stored by somebody who did not hold the ticket's lock"
                raise RuntimeError(message)
            await self._store_history(judged)
        looks = [
            (judgement.clock.clock_id, judgement.next_check_at)
            for one in judged
            for judgement in one.verdict.judgements
        ]
        await self._execute(_NEXT_CHECK, looks)
        events = [event for one in judged for event in one.events]
        if events:
            await self.sweep.publish(
                self.session, events, now=self.now, correlation_id=self.correlation_id
            )

    async def _store_history(self, judged: Iterable[_Judged]) -> None:
        rows = [
            _event_row(one.found, alert, now=self.now, correlation_id=self.correlation_id)
            for one in judged
            for alert in one.verdict.alerts
            # A warning that comes with the breach is no happening of its own.
            if alert.silence is not Silence.BREACH_TOLD
        ]
        if rows:
            await self.session.execute(insert(TicketEvent), rows)

    async def _execute(self, statement: str, pairs: Sequence[tuple[Any, Any]]) -> None:
        """Run a statement over (id, value) pairs at once."""
        if pairs:
            ids, values = [list(column) for column in zip(*pairs, strict=True)]
            await self.session.execute(
                text(statement), {"ids": ids, "values": values, "now": self.now}
            )

    def _failed(self, found: DueTicket, error: Exception) -> None:
        log.error(
            "sla.alert_failed",
            ticket_id=str(found.ticket.id),
            ticket_number=found.ticket.number,
            error_type=type(error).__name__,
            correlation_id=self.correlation_id,
            exc_info=error,
        )

    def tell_log(self) -> None:
        """After the commit: a line for each alert."""
        for one in self.stored:
            for alert in one.verdict.alerts:
                log.info(
                    "sla.alert",
                    ticket_id=str(one.found.ticket.id),
                    ticket_number=one.found.ticket.number,
                    metric=alert.clock.metric.value,
                    threshold=alert.threshold.value,
                    accepted=alert.told,
                    reason=alert.silence,
                    queue=one.found.row.queue_key,
                    correlation_id=self.correlation_id,
                )


_ALERTS = """
INSERT INTO sla_alerts
  (id, clock_id, ticket_id, threshold, passed_at, detected_at, told, silence)
SELECT * FROM unnest(
  CAST(:id AS uuid[]), CAST(:clock_id AS uuid[]), CAST(:ticket_id AS uuid[]),
  CAST(:threshold AS text[]), CAST(:passed_at AS timestamptz[]),
  CAST(:detected_at AS timestamptz[]), CAST(:told AS boolean[]), CAST(:silence AS text[]))
ON CONFLICT (clock_id, threshold) DO NOTHING
RETURNING id
"""
_BREACHED = """
UPDATE sla_clocks AS c SET
  state = 'breached', breached_at = d.value, paused_at = NULL,
  -- At the due time the target is used up, by definition. The row is as of then at least, so that
  -- a machine's clock that is set back cannot undo the breach (`sla_follow`).
  consumed_seconds = CASE WHEN c.updated_at <= d.value
    THEN greatest(c.consumed_seconds, c.target_seconds) ELSE c.consumed_seconds END,
  updated_at = greatest(c.updated_at, d.value)
FROM unnest(CAST(:ids AS uuid[]), CAST(:values AS timestamptz[])) AS d(id, value)
WHERE c.id = d.id AND c.breached_at IS NULL
"""
_NEXT_CHECK = """
UPDATE sla_clocks AS c SET next_check_at = d.value
FROM unnest(CAST(:ids AS uuid[]), CAST(:values AS timestamptz[])) AS d(id, value)
WHERE c.id = d.id
"""
_TICKETS = """
UPDATE tickets AS t SET
  sla_state = d.value, updated_at = greatest(t.updated_at, CAST(:now AS timestamptz))
FROM unnest(CAST(:ids AS uuid[]), CAST(:values AS text[])) AS d(id, value)
WHERE t.id = d.id
"""


def _alert_row(found: DueTicket, alert: Alert, now: datetime) -> dict[str, Any]:
    return {
        "id": new_id(),
        "clock_id": alert.clock.clock_id,
        "ticket_id": found.ticket.id,
        "threshold": alert.threshold.value,
        "passed_at": alert.passed_at,
        "detected_at": now,
        "told": alert.told,
        "silence": None if alert.silence is None else alert.silence.value,
    }


def _event_row(
    found: DueTicket, alert: Alert, *, now: datetime, correlation_id: str
) -> dict[str, Any]:
    ticket, clock = found.ticket, found.clock(alert.clock.clock_id)
    return {
        "id": new_id(),
        "ticket_id": ticket.id,
        "kind": _KINDS[alert.threshold],
        "actor": "system",
        "reason": None,
        "data": {
            "metric": clock.metric,
            "cycle": clock.cycle,
            "due_at": _iso(clock.due_at),
            "passed_at": alert.passed_at.isoformat(),
            "policy": clock.policy,
            "told": alert.told,
            "status": ticket.status,
            "control": found.row.control,
            "control_epoch": found.row.control_epoch,
            "version": ticket.version,
        },
        # A history never goes back, whatever this machine's clock says.
        "at": max(now, ticket.updated_at),
        "correlation_id": correlation_id,
    }


def _payload(
    found: DueTicket, message: Message, working: WorkingTime, now: datetime
) -> dict[str, Any]:
    """What is told, payload version 1: ids, codes and times, nothing about the customer."""
    ticket, lead = found.ticket, message.lead
    clock = found.clock(lead.clock.clock_id)
    return {
        "source": SOURCE,
        "ticket_id": str(ticket.id),
        "ticket_number": ticket.number,
        "conversation_id": str(ticket.conversation_id),
        "queue_key": found.row.queue_key,
        "queue_name": found.row.queue_name,
        "level": ticket.level,
        "priority": ticket.priority,
        "severity": ticket.severity,
        "reason": found.row.handoff_reason,
        "rule": found.row.handoff_rule,
        "language": ticket.language,
        "opened_at": ticket.opened_at.isoformat(),
        "agent_id": None if ticket.agent_id is None else str(ticket.agent_id),
        "threshold": lead.threshold.value,
        "passed_at": lead.passed_at.isoformat(),
        "detected_at": now.isoformat(),
        "calendar": clock.calendar,
        "time_zone": working.time_zone(clock),
        **_about(clock, lead, working),
        "also": [
            _about(found.clock(alert.clock.clock_id), alert, working) for alert in message.also
        ],
        "silenced": message.silenced,
    }


def _about(clock: SlaClock, alert: Alert, working: WorkingTime) -> dict[str, Any]:
    late = alert.threshold is SlaThreshold.BREACH
    used = working.used(clock, until=alert.passed_at)
    return {
        "metric": clock.metric,
        "cycle": clock.cycle,
        "due_at": _iso(clock.due_at or (alert.passed_at if late else None)),
        "policy": clock.policy,
        # By definition the target is used up at the due time.
        "consumed_seconds": max(used, clock.target_seconds) if late else used,
        "target_seconds": clock.target_seconds,
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _count(stored: Iterable[_Judged]) -> Swept:
    total = Swept()
    for one in stored:
        alerts = one.verdict.alerts
        breaches = sum(alert.threshold is SlaThreshold.BREACH for alert in alerts)
        total += Swept(
            warnings=len(alerts) - breaches,
            breaches=breaches,
            told=len(one.events),
            silenced=sum(not alert.told for alert in alerts),
        )
    return total
