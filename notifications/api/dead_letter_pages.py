"""Pages of dead letters for operators: counts, list, one entry, dry run and confirmation, audit.

Every act shows its dry run first; the confirmation carries the number that was shown.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sanic import HTTPResponse, Request
from sanic.response import html, redirect

from notifications.api.dead_letter_routes import DeskOf
from notifications.api.preference_pages import Host
from notifications.dead_letter_desk import DeadLetterDesk
from notifications.domain.dead_letters import Reason
from notifications.domain.jobs import InvalidJobNameError, JobName, parse_job_name
from notifications.services.dead_letter_filter import DeadLetterFilter
from notifications.services.dead_letter_views import (
    DeadLetterCursorError,
    DeadLetterNotFoundError,
)
from notifications.services.reprocess_plan import (
    DEFAULT_LIMIT,
    DEFAULT_RATE,
    InvalidOptionError,
    MoreThanSeenError,
    Options,
)
from ticketing.console.pages import Visit
from ticketing.domain.enums import DeadLetterState, DlqAction
from ticketing.domain.permissions import Permission
from ticketing.http import browser
from ticketing.http.problems import Problem, ProblemError

AnyRequest = Request[Any, Any]

PAGE = "/console/dead-letters"
NEEDS = Permission.NOTIFICATIONS_MANAGE
PERIODS = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
_FILTERS = ("state", "job_name", "error_code", "reason", "since", "id")
_LONGEST = 200  # characters of one filter
_MOST_DIGITS = 9
_TABS = ("entries", "actions")


@dataclass(frozen=True, slots=True)
class DeadLetterPages:
    """The pages over the services that `desk_of` gives."""

    desk_of: DeskOf

    def all(self) -> tuple[tuple[str, str, str, Any], ...]:
        """Method, path, name and page."""
        return (
            ("GET", PAGE, "dead_letters", self.show),
            ("POST", f"{PAGE}/preview", "dead_letters_preview", self.preview),
            ("POST", f"{PAGE}/act", "dead_letters_act", self.act),
            ("GET", f"{PAGE}/<entry_id:str>", "dead_letter", self.entry),
        )

    async def show(self, console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
        """GET: counts and the list, or what operators did."""
        console.allowed(visit, NEEDS)
        desk = self._desk(console)
        tab = request.args.get("tab", "entries")
        tab = tab if tab in _TABS else "entries"
        if request.args.get("done") in {action.value for action in DlqAction}:
            words = console.pages.say(visit, f"dlq.done.{request.args.get('done')}")
            visit = replace(visit, notice=words)
        facts: dict[str, Any] = {"tab": tab, "tabs": _TABS, "counts": await desk.counts()}
        if tab == "actions":
            before = request.args.get("before") or ""
            views, following = await desk.list_actions(
                before=int(before) if _is_number(before) else None
            )
            return html(
                console.pages.page(
                    "dead_letters.html", visit, actions=views, following=following, **facts
                )
            )
        chosen = _chosen(request.args)
        wanted = _filter(chosen, console)
        try:
            page = await desk.list_entries(wanted, cursor=request.args.get("cursor"))
        except DeadLetterCursorError:  # an old address: the first page is the useful answer
            page = await desk.list_entries(wanted)
        return html(
            console.pages.page("dead_letters.html", visit, page=page, **facts, **_choices(chosen))
        )

    async def entry(self, console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
        """GET one: its error, what would be sent, what operators did."""
        console.allowed(visit, NEEDS)
        try:
            story = await self._desk(console).story(uuid.UUID(request.match_info["entry_id"]))
        except (DeadLetterNotFoundError, ValueError) as error:
            detail = "there is no such dead letter"
            raise ProblemError(Problem("dead_letter_not_found", detail)) from error
        page = console.pages.page(
            "dead_letter.html", visit, story=story, entry=story.entry, page_url=PAGE
        )
        return html(page)

    async def preview(self, console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
        """POST: the dry run, with the form that confirms it."""
        console.allowed(visit, NEEDS)
        fields = console.check_form(request, visit)
        return await self._preview_page(console, visit, fields)

    async def act(self, console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
        """POST: do it, when no more matches than was shown."""
        who = console.allowed(visit, NEEDS)
        fields = console.check_form(request, visit)
        action = _action(fields)
        options = _options(fields, expected=_number(fields, "expected", 0))
        try:
            done = await self._desk(console).run(
                action,
                _filter(_checked(_chosen(fields)), console),
                options,
                actor=who.actor.label,
                correlation_id=browser.correlation_id(request),
            )
        except MoreThanSeenError:
            words = console.pages.say(visit, "error.dead_letters_changed")
            return await self._preview_page(
                console, replace(visit, problem=words), fields, status=409
            )
        return redirect(f"{PAGE}?tab=actions&done={done.action}", status=303)

    async def _preview_page(
        self, console: Host, visit: Visit, fields: Mapping[str, str], *, status: int = 200
    ) -> HTTPResponse:
        action, options, chosen = _action(fields), _options(fields), _checked(_chosen(fields))
        found = await self._desk(console).preview(action, _filter(chosen, console), options)
        page = console.pages.page(
            "dead_letters_preview.html",
            visit,
            preview=found,
            action=action.value,
            options=options,
            chosen=chosen,
            page_url=PAGE,
        )
        return html(page, status=status)

    def _desk(self, console: Host) -> DeadLetterDesk:
        return self.desk_of(console.deps)


def _chosen(given: Mapping[str, Any]) -> dict[str, str]:
    """The filters as they were typed, without what cannot be stored."""
    chosen = {}
    for name in _FILTERS:
        value = str(given.get(name) or "")[:_LONGEST]
        chosen[name] = "".join(part for part in value if part.isprintable())
    return chosen


def _checked(chosen: dict[str, str]) -> dict[str, str]:
    """The filters of an act. One that does not exist is refused: as none, it would mean all."""
    try:
        if chosen["job_name"]:
            parse_job_name(chosen["job_name"])
    except InvalidJobNameError as error:
        raise ProblemError(Problem("invalid_value", str(error), field="job_name")) from error
    for name, allowed in (("reason", set(Reason)), ("since", set(PERIODS))):
        if chosen[name] and chosen[name] not in allowed:
            detail = f"{name}: expected one of {', '.join(sorted(allowed))}"
            raise ProblemError(Problem("invalid_value", detail, field=name))
    return chosen


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS


def _filter(chosen: Mapping[str, str], console: Host) -> DeadLetterFilter:
    """A filter of the address bar that does not exist filters nothing."""
    period = PERIODS.get(chosen["since"])
    state = chosen["state"] or DeadLetterState.DEAD.value
    return DeadLetterFilter(
        states=(DeadLetterState(state),) if state in set(DeadLetterState) else (),
        job_names=_one_of(chosen["job_name"], set(JobName)),
        error_codes=(chosen["error_code"],) if chosen["error_code"] else (),
        reasons=_one_of(chosen["reason"], set(Reason)),
        since=None if period is None else console.deps.clock.now() - period,
        ids=_ids(chosen["id"]),
    )


def _one_of(value: str, allowed: set[Any]) -> tuple[str, ...]:
    return (value,) if value in allowed else ()


def _ids(value: str) -> tuple[uuid.UUID, ...]:
    try:
        return (uuid.UUID(value),) if value else ()
    except ValueError as error:
        raise ProblemError(
            Problem("invalid_value", "id: expected an entry's id", field="id")
        ) from error


def _choices(chosen: dict[str, str]) -> dict[str, Any]:
    return {
        "chosen": chosen,
        "states": [state.value for state in DeadLetterState],
        "jobs": [job_name.value for job_name in JobName],
        "reasons": [reason.value for reason in Reason],
        "periods": list(PERIODS),
        "page_url": PAGE,
        "limit": DEFAULT_LIMIT,
        "rate": DEFAULT_RATE,
    }


def _action(fields: Mapping[str, str]) -> DlqAction:
    try:
        return DlqAction(fields.get("action", ""))
    except ValueError as error:
        allowed = tuple(action.value for action in DlqAction)
        detail = f"action: expected one of {', '.join(allowed)}"
        raise ProblemError(
            Problem("invalid_value", detail, field="action", allowed=allowed)
        ) from error


def _options(fields: Mapping[str, str], *, expected: int | None = None) -> Options:
    try:
        return Options(
            limit=_number(fields, "limit", DEFAULT_LIMIT),
            rate=float(fields.get("rate") or DEFAULT_RATE),
            even_expired=fields.get("even_expired") == "on",
            even_unknown=fields.get("even_unknown") == "on",
            expected=expected,
        )
    except InvalidOptionError as error:
        raise ProblemError(Problem("invalid_value", str(error), field=error.field)) from error
    except ValueError as error:
        detail = "rate: expected a number"
        raise ProblemError(Problem("invalid_value", detail, field="rate")) from error


def _number(fields: Mapping[str, str], name: str, default: int) -> int:
    value = fields.get(name) or str(default)
    if not (value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS):
        detail = f"{name}: expected a whole number"
        raise ProblemError(Problem("invalid_value", detail, field=name))
    return int(value)
