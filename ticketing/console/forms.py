"""What the forms of the ticket page do: read the fields, ask the service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from ticketing.domain.enums import Level, TicketStatus
from ticketing.domain.ticket import LEVELS
from ticketing.http import schemas
from ticketing.http.problems import ProblemError, problem_of_validation
from ticketing.services.reviews import Judgement
from ticketing.services.runbook_replies import PreparedReply
from ticketing.services.ticket_targets import Target
from ticketing.services.tickets import Order, TicketService
from ticketing.services.views import TicketSummary

_MAX_KEY = 200


@dataclass(frozen=True, slots=True)
class Form:
    """A submitted form: its fields, and the service and ticket it is for."""

    tickets: TicketService
    order: Order
    ticket: TicketSummary
    queue_levels: Mapping[str, str]
    fields: Mapping[str, str]
    judge: Callable[[Judgement], Awaitable[object]]
    """Stores what this person thinks of the ticket's handoff."""
    prepare: Callable[[str, str], Awaitable[PreparedReply]]
    """Checks words that began as a text of a runbook: its key, the words."""

    def read(self, model: type[BaseModel], *names: str) -> Any:
        """The named fields through a model of the API; empty fields count as not given.

        Raises:
            ProblemError: naming the wrong field.
        """
        given = {name: self.fields[name] for name in names if self.fields.get(name, "").strip()}
        try:
            return model.model_validate(given)
        except ValidationError as error:
            raise ProblemError(problem_of_validation(error, known=names)) from error

    @property
    def key(self) -> str | None:
        """The hidden key that makes a form that is sent twice count once."""
        return self.fields.get("key", "")[:_MAX_KEY] or None


async def _take(form: Form) -> None:
    await form.tickets.take(form.order)


async def _reply(form: Form) -> None:
    body = form.read(schemas.ReplyBody, "text", "status")
    template = form.fields.get("template")
    prepared = await form.prepare(template, body.text) if template else None
    await form.tickets.reply(
        form.order,
        text=body.text,
        status=TicketStatus(body.status),
        idempotency_key=form.key,
        prepared=prepared,
    )


async def _note(form: Form) -> None:
    body = form.read(schemas.NoteBody, "text")
    await form.tickets.note(form.order, text=body.text, idempotency_key=form.key)


async def _escalate(form: Form) -> None:
    """One form for up, aside and down: the chosen queue's level says which it is."""
    body = form.read(schemas.EscalateBody, "queue", "reason", "priority")
    target = Target(queue=body.queue)
    level = form.queue_levels.get(body.queue or "")
    down = level is not None and LEVELS.index(Level(level)) < LEVELS.index(Level(form.ticket.level))
    if down:
        await form.tickets.de_escalate(form.order, target=target, reason=body.reason)
    else:
        await form.tickets.escalate(
            form.order, target=target, reason=body.reason, priority=body.priority
        )


async def _priority(form: Form) -> None:
    body = form.read(schemas.PriorityBody, "priority", "reason")
    await form.tickets.change_priority(form.order, priority=body.priority, reason=body.reason)


async def _assign(form: Form) -> None:
    body = form.read(schemas.AssignBody, "agent_id", "severity", "reason")
    await form.tickets.assign(
        form.order,
        target=Target(agent_id=body.agent_id),
        severity=body.severity,
        reason=body.reason,
    )


async def _resolve(form: Form) -> None:
    body = form.read(schemas.ResolveBody, "closing_text", "reason", "override_reason")
    await form.tickets.resolve(
        form.order,
        closing_text=body.closing_text,
        reason=body.reason,
        override_reason=body.override_reason,
    )


async def _return_to_bot(form: Form) -> None:
    body = form.read(schemas.ReturnBody, "reason", "override_reason")
    await form.tickets.return_to_bot(
        form.order, reason=body.reason, override_reason=body.override_reason
    )


async def _close(form: Form) -> None:
    await form.tickets.close(form.order)


async def _reopen(form: Form) -> None:
    body = form.read(schemas.ReopenBody, "reason")
    await form.tickets.reopen(form.order, reason=body.reason)


async def _review(form: Form) -> None:
    body = form.read(schemas.ReviewBody, "verdict", "true_intent", "note")
    await form.judge(Judgement(body.verdict, body.true_intent, body.note))


ACTIONS: Mapping[str, Callable[[Form], Awaitable[None]]] = {
    "take": _take,
    "reply": _reply,
    "note": _note,
    "escalate": _escalate,
    "priority": _priority,
    "assign": _assign,
    "resolve": _resolve,
    "return-to-bot": _return_to_bot,
    "close": _close,
    "reopen": _reopen,
    "review": _review,
}
"""Action in the form's address to what it does."""
