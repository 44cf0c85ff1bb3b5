"""Errors as RFC 9457 problem details: one stable `code` each, and what was expected.

Programs switch on `code`; people read `title` and `detail`. A wrong value also names its `field`
and, where there is a list, the `allowed` values.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
from pydantic import ValidationError
from sanic import HTTPResponse
from sanic.response import raw

from ticketing.domain.attachment import AttachmentRefusedError
from ticketing.domain.enums import UnknownValueError
from ticketing.domain.login import WeakPasswordError
from ticketing.domain.people import BeyondOwnRightsError, OwnAccountError
from ticketing.domain.quality import QualityPersonError, QualityStateError
from ticketing.domain.quality_period import PeriodError
from ticketing.domain.quality_score import AnswerError
from ticketing.domain.review import ReviewRefusedError
from ticketing.domain.routing.shifts import InvalidShiftError
from ticketing.domain.runbook import UnknownReplyTextError, UnknownStepError
from ticketing.domain.ticket import (
    AlreadyTakenError,
    InvalidTransitionError,
    NotAllowedError,
)
from ticketing.domain.ticket_tags import InvalidTagError
from ticketing.services import idempotency
from ticketing.services.agents import (
    AgentExistsError,
    AgentNotFoundError,
    InvalidAgentError,
    LastAdminError,
)
from ticketing.services.api_tokens import TokenNotFoundError, TooManyTokensError
from ticketing.services.attachments import AttachmentNotFoundError
from ticketing.services.contact_erasure import ErasureRefusedError, ErasureUnavailableError
from ticketing.services.contact_export import ExportNotFoundError
from ticketing.services.contact_lookup import ContactNotFoundError
from ticketing.services.contact_records import ContactErasedError
from ticketing.services.control import ControlError, ConversationNotFoundError
from ticketing.services.passwords import ResetRefusedError
from ticketing.services.presence import InvalidLeaseError
from ticketing.services.privacy_jobs import PrivacyJobNotFoundError
from ticketing.services.quality_draw import NoQualityPlanError, PeriodNotOverError
from ticketing.services.quality_report import UnknownPeriodError
from ticketing.services.quality_views import SampleNotFoundError
from ticketing.services.repeats import KeyReusedError
from ticketing.services.reviews import TurnNotFoundError
from ticketing.services.routing_claim import NoRoomError, UnknownQueueError
from ticketing.services.runbook_gate import StepsMissingError
from ticketing.services.runbook_replies import ReplyNotReadyError
from ticketing.services.runbooks import NoRunbookError, RunbookChangedError, TicketOverError
from ticketing.services.satisfaction import SatisfactionFinalError, ScoreError
from ticketing.services.sessions import (
    LoginRefusedError,
    PasswordRefusedError,
    SessionNotFoundError,
)
from ticketing.services.teams import TeamExistsError, TeamInUseError, TeamNotFoundError
from ticketing.services.ticket_list import InvalidCursorError, UnknownFilterError
from ticketing.services.ticket_targets import UnknownTargetError
from ticketing.services.ticket_work import TicketNotFoundError, VersionConflictError
from ticketing.services.tickets import ActorGoneError
from ticketing.services.visibility import NotVisibleError

CONTENT_TYPE = "application/problem+json"

CODES: Mapping[str, tuple[int, str]] = {
    "invalid_json": (400, "The body is not JSON"),
    "invalid_request": (400, "The request cannot be read"),
    "unauthenticated": (401, "Log in first"),
    "login_refused": (401, "Login refused"),
    "reset_refused": (401, "The one-time code is not good"),
    "csrf_failed": (403, "The request does not prove that it comes from your own page"),
    "session_needed": (403, "This is not for API tokens"),
    "password_refused": (403, "The present password is wrong"),
    "beyond_own_rights": (403, "You cannot give what you do not have"),
    "role_not_allowed": (403, "Your role may not do this"),
    "not_allowed": (403, "You may not do this to this ticket"),
    "not_visible": (403, "This belongs to others"),
    "not_your_review": (403, "This review is not yours to give or to answer"),
    "not_found": (404, "There is no such address"),
    "ticket_not_found": (404, "There is no such ticket"),
    "conversation_not_found": (404, "There is no such conversation"),
    "attachment_not_found": (404, "There is no such attachment"),
    "agent_not_found": (404, "There is no such agent"),
    "turn_not_found": (404, "There is no such turn"),
    "team_not_found": (404, "There is no such team"),
    "token_not_found": (404, "There is no such token"),
    "session_not_found": (404, "There is no such session"),
    "runbook_not_found": (404, "No runbook is for this ticket"),
    "sample_not_found": (404, "There is no such sampled ticket"),
    "contact_not_found": (404, "There is no such contact"),
    "privacy_job_not_found": (404, "There is no such export or erasure"),
    "export_not_found": (404, "There is no such finished export"),
    "candidate_not_found": (404, "There is no such candidate"),
    "notification_not_found": (404, "There is no such notice"),
    "dead_letter_not_found": (404, "There is no such dead letter"),
    "device_not_found": (404, "There is no such device"),
    "address_not_found": (404, "There is no such address of a recipient"),
    "method_not_allowed": (405, "The address does not know this method"),
    "at_capacity": (409, "You work on as many tickets as you may"),
    "contact_erased": (409, "The contact was erased"),
    "erasure_refused": (409, "The contact cannot be erased now"),
    "already_taken": (409, "Somebody else has taken it"),
    "invalid_transition": (409, "The ticket's state does not admit this"),
    "version_conflict": (409, "The ticket has changed meanwhile"),
    "runbook_changed": (409, "The ticket is worked by another runbook, or another version"),
    "steps_missing": (409, "The runbook wants steps ticked first"),
    "satisfaction_final": (409, "The customer's mark can no longer be changed"),
    "review_state": (409, "The review's state does not admit this"),
    "period_not_over": (409, "The week is not over"),
    "request_in_progress": (409, "The same request is being done"),
    "answer_lost": (409, "The request was done, but its answer was lost"),
    "candidate_decided": (409, "The candidate was decided before"),
    "dead_letters_changed": (409, "More dead letters match than you have seen"),
    "not_refused": (409, "You have not said no there"),
    "address_opted_out": (409, "The person said no; only they can take it back"),
    "agent_exists": (409, "There is such an agent already"),
    "last_admin": (409, "The last admin stays"),
    "own_account": (409, "Somebody else must do this"),
    "team_exists": (409, "There is such a team already"),
    "team_in_use": (409, "The team is in use"),
    "too_many_tokens": (409, "There are too many tokens"),
    "precondition_failed": (412, "The ticket is not as If-Match wants it"),
    "too_large": (413, "The request is too large"),
    "unsupported_media_type": (415, "The body must be application/json"),
    "invalid_value": (422, "A value is not allowed"),
    "idempotency_key_reused": (422, "The idempotency key belongs to another request"),
    "rate_limited": (429, "Too many requests"),
    "erasure_unavailable": (503, "Nobody can be erased here"),
    "quality_plan_missing": (503, "No plan for reviews is in force"),
    "training_data_missing": (503, "The training data cannot be read or written here"),
    "internal_error": (500, "Something went wrong on our side"),
}
"""Every code with its HTTP status and title; the documentation lists them."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One error answer.

    Attributes:
        code: A key of `CODES`.
        detail: What happened here, and what was expected.
        field: Path of the wrong value, such as `priority`.
        allowed: What may stand there.
        errors: All wrong values when there are several, each with field, detail and allowed.
        extra: Further members, such as `present_version`.
    """

    code: str
    detail: str
    field: str | None = None
    allowed: tuple[str, ...] | None = None
    errors: tuple[Mapping[str, Any], ...] = ()
    extra: Mapping[str, Any] | None = None
    retry_after: int | None = None

    @property
    def status(self) -> int:
        """HTTP status of its code."""
        return CODES[self.code][0]

    def to_json(self, *, instance: str) -> dict[str, Any]:
        """The problem document; `instance` is the correlation id."""
        status, title = CODES[self.code]
        document: dict[str, Any] = {
            "type": f"/api/docs#{self.code}",
            "title": title,
            "status": status,
            "detail": self.detail,
            "instance": f"urn:ponte:correlation:{instance}",
            "code": self.code,
        }
        if self.field is not None:
            document["field"] = self.field
        if self.allowed is not None:
            document["allowed"] = list(self.allowed)
        if self.errors:
            document["errors"] = [dict(error) for error in self.errors]
        return document | dict(self.extra or {})


class ProblemError(Exception):
    """Stops a request with a problem."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.detail)


def respond(problem: Problem, *, instance: str) -> HTTPResponse:
    """The HTTP answer for a problem."""
    headers = {"X-Correlation-Id": instance}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    if problem.status == CODES["unauthenticated"][0]:
        headers["WWW-Authenticate"] = 'Bearer realm="ponte"'
    body = orjson.dumps(problem.to_json(instance=instance))
    return raw(body, status=problem.status, headers=headers, content_type=CONTENT_TYPE)


_BY_ERROR: tuple[tuple[type[Exception], str], ...] = (
    (TicketNotFoundError, "ticket_not_found"),
    (AttachmentNotFoundError, "attachment_not_found"),
    (ContactNotFoundError, "contact_not_found"),
    (ContactErasedError, "contact_erased"),
    (ErasureRefusedError, "erasure_refused"),
    (ErasureUnavailableError, "erasure_unavailable"),
    (PrivacyJobNotFoundError, "privacy_job_not_found"),
    (ExportNotFoundError, "export_not_found"),
    (AttachmentRefusedError, "invalid_value"),
    (InvalidTagError, "invalid_value"),
    (ConversationNotFoundError, "conversation_not_found"),
    (AgentNotFoundError, "agent_not_found"),
    (TurnNotFoundError, "turn_not_found"),
    (ReviewRefusedError, "invalid_value"),
    (NoRunbookError, "runbook_not_found"),
    (RunbookChangedError, "runbook_changed"),
    (StepsMissingError, "steps_missing"),
    (TicketOverError, "invalid_transition"),
    (UnknownStepError, "invalid_value"),
    (UnknownReplyTextError, "invalid_value"),
    (ReplyNotReadyError, "invalid_value"),
    (SampleNotFoundError, "sample_not_found"),
    (QualityStateError, "review_state"),
    (ScoreError, "invalid_value"),
    (SatisfactionFinalError, "satisfaction_final"),
    (QualityPersonError, "not_your_review"),
    (AnswerError, "invalid_value"),
    (PeriodError, "invalid_value"),
    (UnknownPeriodError, "invalid_value"),
    (PeriodNotOverError, "period_not_over"),
    (NoQualityPlanError, "quality_plan_missing"),
    (AgentExistsError, "agent_exists"),
    (LastAdminError, "last_admin"),
    (OwnAccountError, "own_account"),
    (BeyondOwnRightsError, "beyond_own_rights"),
    (TeamNotFoundError, "team_not_found"),
    (TeamExistsError, "team_exists"),
    (TeamInUseError, "team_in_use"),
    (TokenNotFoundError, "token_not_found"),
    (TooManyTokensError, "too_many_tokens"),
    (SessionNotFoundError, "session_not_found"),
    (PasswordRefusedError, "password_refused"),
    (ResetRefusedError, "reset_refused"),
    (AlreadyTakenError, "already_taken"),
    (InvalidTransitionError, "invalid_transition"),
    (ControlError, "invalid_transition"),
    (VersionConflictError, "version_conflict"),
    (NotAllowedError, "not_allowed"),
    (NotVisibleError, "not_visible"),
    (ActorGoneError, "unauthenticated"),
    (KeyReusedError, "idempotency_key_reused"),
    (idempotency.InProgressError, "request_in_progress"),
    (idempotency.ClaimLostError, "request_in_progress"),
    (idempotency.AnswerLostError, "answer_lost"),
    (LoginRefusedError, "login_refused"),
    (UnknownTargetError, "invalid_value"),
    (UnknownFilterError, "invalid_value"),
    (UnknownValueError, "invalid_value"),
    (InvalidAgentError, "invalid_value"),
    (InvalidCursorError, "invalid_value"),
    (WeakPasswordError, "invalid_value"),
    (InvalidShiftError, "invalid_value"),
    (InvalidLeaseError, "invalid_value"),
    (UnknownQueueError, "invalid_value"),
    (NoRoomError, "at_capacity"),
)

_FIELD_OF: Mapping[type[Exception], str] = {
    InvalidCursorError: "cursor",
    WeakPasswordError: "password",
    AgentExistsError: "email",
    TeamExistsError: "name",
    PasswordRefusedError: "present_password",
    ResetRefusedError: "code",
    KeyReusedError: "Idempotency-Key",
    idempotency.InProgressError: "Idempotency-Key",
    idempotency.ClaimLostError: "Idempotency-Key",
    idempotency.AnswerLostError: "Idempotency-Key",
}

_EXTRA: Mapping[type[Exception], Callable[[Any], dict[str, Any]]] = {
    ErasureRefusedError: lambda error: {
        "reasons": list(error.reasons),
        "tickets": [
            {"id": str(ticket.id), "number": ticket.number, "status": ticket.status}
            for ticket in error.tickets
        ],
    },
    StepsMissingError: lambda error: {"runbook": error.runbook, "missing": list(error.missing)},
    RunbookChangedError: lambda error: {"runbook": error.runbook, "version": error.version},
    VersionConflictError: lambda error: {
        "expected_version": error.expected,
        "present_version": error.present,
        "since": [
            {"kind": event.kind, "actor": event.actor, "at": event.at.isoformat()}
            for event in error.since
        ],
    },
    AlreadyTakenError: lambda error: {"agent_id": str(error.agent_id)},
    NoRoomError: lambda error: {"load": error.load, "capacity": error.capacity},
}


def problem_of(error: Exception) -> Problem | None:
    """The problem for an error of the services; None for one that nobody anticipated."""
    if isinstance(error, ProblemError):
        return error.problem
    for kind, code in _BY_ERROR:
        if isinstance(error, kind):
            allowed = getattr(error, "allowed", None)
            extra = _EXTRA.get(type(error))
            return Problem(
                code,
                str(error),
                field=getattr(error, "field", None) or _FIELD_OF.get(type(error)),
                allowed=tuple(allowed) if allowed else None,
                extra=None if extra is None else extra(error),
                retry_after=_retry_after(error),
            )
    return None


def _retry_after(error: Exception) -> int | None:
    wait = getattr(error, "retry_after", None)
    return max(1, math.ceil(wait.total_seconds())) if isinstance(wait, timedelta) else None


def problem_of_validation(error: ValidationError, *, known: tuple[str, ...]) -> Problem:
    """What is wrong with a body or a query, field by field.

    Args:
        error: pydantic's error; its input values are not repeated, they may be passwords.
        known: Names of the fields that exist, listed when an unknown one was given.
    """
    errors: list[dict[str, Any]] = []
    for item in error.errors(include_url=False, include_input=False):
        name = ".".join(str(part) for part in item["loc"]) or "body"
        found: dict[str, Any] = {"field": name, "detail": item["msg"]}
        if item["type"] in {"enum", "literal_error"}:
            # pydantic writes the members only as prose: 'low', 'normal' or 'high'
            found["allowed"] = re.findall(r"'([^']*)'", item.get("ctx", {}).get("expected", ""))
        if item["type"] == "extra_forbidden":
            found["detail"] = "is not a known field"
            found["allowed"] = list(known)
        errors.append(found)
    first = errors[0]
    detail = "; ".join(f"{item['field']}: {item['detail']}" for item in errors)
    allowed = first.get("allowed")
    return Problem(
        "invalid_value",
        detail,
        field=first["field"],
        allowed=None if allowed is None else tuple(allowed),
        errors=tuple(errors),
    )
