"""The gate before a ticket is resolved: the obligatory steps of its runbook."""

from __future__ import annotations

from ticketing.domain.runbook import Runbook, RunbookBook, Step, missing_steps
from ticketing.domain.ticket import Change
from ticketing.services import ticket_work
from ticketing.services.runbook_views import marks_of, pinned_runbooks, situation_of
from ticketing.services.ticket_work import Work


class StepsMissingError(Exception):
    """The runbook wants steps done before the ticket is resolved."""

    def __init__(self, runbook: Runbook, missing: tuple[Step, ...], *, may_override: bool) -> None:
        self.runbook = runbook.key
        self.missing = tuple(step.key for step in missing)
        way_out = "a reason in override_reason" if may_override else "a supervisor's override"
        super().__init__(
            f"runbook {runbook.key} wants these steps ticked first: {', '.join(self.missing)}; "
            f"expected them, or {way_out}"
        )


async def demand_steps(work: Work, book: RunbookBook, *, override: str | None) -> None:
    """Let a ticket be resolved only with its obligatory steps ticked, where its runbook says so.

    Ponte itself (no person behind it) is let through: it resolves nothing that people work on.

    Args:
        work: The locked ticket.
        book: The runbooks in force.
        override: A supervisor's reason to resolve all the same; it is written to the history.

    Raises:
        StepsMissingError: naming them.
    """
    if work.actor.agent_id is None:
        return
    runbook = await present_runbook(work, book)
    if runbook is None or not runbook.demands_steps:
        return
    marks = await marks_of(work.session, work.ticket.id, runbook=runbook.key)
    missing = missing_steps(runbook, marks)
    if not missing:
        return
    may_override = work.actor.supervises_queue(work.ticket.queue_id)
    if override is None or not may_override:
        raise StepsMissingError(runbook, missing, may_override=may_override)
    data = {
        "runbook": runbook.key,
        "runbook_version": runbook.version,
        "missing": [step.key for step in missing],
    }
    await ticket_work.apply(work, Change(kind="steps_overridden", data=data, reason=override))


async def present_runbook(work: Work, book: RunbookBook) -> Runbook | None:
    """The runbook of the ticket now, in the version it is worked by."""
    chosen = book.for_ticket(await situation_of(work.session, work.ticket))
    if chosen is None:
        return None
    pinned = await pinned_runbooks(work.session, work.ticket.id)
    return pinned.get(chosen.key, chosen)
