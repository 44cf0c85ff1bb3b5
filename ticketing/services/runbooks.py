"""Work by a runbook: tick, untick, note. The gate before resolving is `runbook_gate`.

Every mark is a row and a ticket event in one transaction, under the locks of the conversation and
the ticket, so two who tick at once tick once. The first mark pins the version of the runbook: what
was agreed to be done does not change under somebody's hands.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.dialects.postgresql import insert

from kit.clock import Clock
from kit.ids import new_id
from ticketing.db.engine import Database
from ticketing.db.runbook_tables import RunbookMark, RunbookVersion, TicketRunbook
from ticketing.domain.runbook import MarkKind, Runbook, RunbookBook, missing_steps, ticked
from ticketing.domain.ticket import (
    OPEN_STATUSES,
    Change,
    Transition,
    check_permission,
)
from ticketing.services import ticket_work
from ticketing.services.runbook_gate import present_runbook
from ticketing.services.runbook_views import document_of, marks_of
from ticketing.services.ticket_orders import Order, open_order
from ticketing.services.ticket_work import Work


class NoRunbookError(Exception):
    """No runbook with steps is for this ticket."""

    def __init__(self) -> None:
        super().__init__("no runbook with steps is for a ticket of this level, intent and queue")


class RunbookChangedError(Exception):
    """The ticket has another runbook, or another version of it, than the caller looked at."""

    def __init__(self, *, runbook: str, version: str) -> None:
        self.runbook = runbook
        self.version = version
        super().__init__(
            f"the ticket is worked by runbook {runbook}, version {version}; "
            "read it again and repeat if it still makes sense"
        )


class TicketOverError(Exception):
    """The ticket is resolved: what was not ticked in time stays so."""

    def __init__(self, status: str) -> None:
        super().__init__(f"its status is {status}; expected an open ticket (notes are still taken)")


@dataclass(frozen=True, slots=True)
class Marking:
    """What somebody says of a step.

    Attributes:
        kind: Tick, untick or note.
        step: The step's key.
        note: Words for it; obligatory for a note.
        runbook: The runbook that was looked at; None: whichever the ticket has.
        version: And its version; None: whichever is in force for the ticket.
    """

    kind: MarkKind
    step: str
    note: str | None = None
    runbook: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Marked:
    """A mark that stands. `repeated`: it stood already and nothing was written."""

    runbook: str
    version: str
    step: str
    ticked: bool
    missing: tuple[str, ...]
    repeated: bool = False


class RunbookService:
    """Marks on the steps of tickets."""

    def __init__(self, db: Database, clock: Clock, current: Callable[[], RunbookBook]) -> None:
        self._db = db
        self._clock = clock
        self._current = current

    async def mark(self, order: Order, marking: Marking) -> Marked:
        """Tick, untick or note. Ticking what is ticked changes nothing, unless a note comes along.

        Raises:
            TicketNotFoundError: there is no such ticket.
            NotAllowedError: the ticket is of a queue this person does not serve.
            NoRunbookError: no runbook is for it.
            RunbookChangedError: it is not the one that was looked at.
            UnknownStepError: the runbook has no such step.
            TicketOverError: a tick on a resolved ticket.
        """
        opening = open_order(self._db, self._clock, order, wake=_nobody_to_wake, versioned=False)
        async with opening as opened:
            check_permission(opened.work.state, order.actor, Transition.NOTE)
            return await _mark(opened.work, marking, book=self._current())


def _nobody_to_wake(message_id: uuid.UUID) -> None:
    """Marks write nothing to customers."""
    del message_id


async def _mark(work: Work, marking: Marking, *, book: RunbookBook) -> Marked:
    runbook = await present_runbook(work, book)
    if runbook is None:
        raise NoRunbookError
    same = marking.runbook in {None, runbook.key} and marking.version in {None, runbook.version}
    if not same:
        raise RunbookChangedError(runbook=runbook.key, version=runbook.version)
    step = runbook.step(marking.step)
    is_open = work.ticket.status in [status.value for status in OPEN_STATUSES]
    if marking.kind is not MarkKind.NOTED and not is_open:
        raise TicketOverError(work.ticket.status)
    marks = await marks_of(work.session, work.ticket.id, runbook=runbook.key)
    stands = (step.key in ticked(marks)) is (marking.kind is MarkKind.TICKED)
    repeated = marking.kind is not MarkKind.NOTED and stands and marking.note is None
    if not repeated:
        await _pin(work, runbook)
        await _write(work, runbook, marking)
        marks = await marks_of(work.session, work.ticket.id, runbook=runbook.key)
    return Marked(
        runbook=runbook.key,
        version=runbook.version,
        step=step.key,
        ticked=step.key in ticked(marks),
        missing=tuple(missed.key for missed in missing_steps(runbook, marks)),
        repeated=repeated,
    )


async def _pin(work: Work, runbook: Runbook) -> None:
    # Two tickets may use a new version for the first time at once; the second finds it there.
    await work.session.execute(
        insert(RunbookVersion)
        .values(
            runbook=runbook.key,
            version=runbook.version,
            document=document_of(runbook),
            first_used_at=work.now,
        )
        .on_conflict_do_nothing()
    )
    await work.session.execute(
        insert(TicketRunbook)
        .values(
            ticket_id=work.ticket.id,
            runbook=runbook.key,
            version=runbook.version,
            pinned_at=work.now,
        )
        .on_conflict_do_nothing()
    )


async def _write(work: Work, runbook: Runbook, marking: Marking) -> None:
    row = RunbookMark(
        id=new_id(),
        ticket_id=work.ticket.id,
        runbook=runbook.key,
        step=marking.step,
        kind=marking.kind.value,
        note=marking.note,
        agent_id=work.actor.agent_id,
        at=work.now,
        correlation_id=work.correlation_id,
    )
    work.session.add(row)
    await work.session.flush()
    # The words stay in the row, where erasing finds them; the event holds no personal data.
    data = {
        "runbook": runbook.key,
        "runbook_version": runbook.version,
        "step": marking.step,
        "mark_id": str(row.id),
    }
    await ticket_work.apply(work, Change(kind=_EVENT_OF[marking.kind], data=data))


_EVENT_OF = {
    MarkKind.TICKED: "step_ticked",
    MarkKind.UNTICKED: "step_unticked",
    MarkKind.NOTED: "step_noted",
}
