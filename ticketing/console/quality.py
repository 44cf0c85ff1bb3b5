"""Pages of quality reviews: the sampled tickets, the form, one's own feedback, the averages."""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ValidationError
from sanic import HTTPResponse, Request
from sanic.response import html, redirect

from ticketing.console import texts
from ticketing.console.pages import Visit
from ticketing.console.people import Host
from ticketing.domain.permissions import Permission
from ticketing.domain.quality import SampleState
from ticketing.http import browser
from ticketing.http.problems import Problem, ProblemError, problem_of_validation
from ticketing.http.quality_schemas import DisputeBody, JudgementBody, SettleBody
from ticketing.services import quality_report, quality_views
from ticketing.services.quality import Judgement, QualityOrder, QualityService
from ticketing.services.quality_report import By, QualityReport
from ticketing.services.quality_views import SampleDetail, SampleFilter
from ticketing.services.sessions import LoggedIn
from ticketing.services.visibility import NotVisibleError

AnyRequest = Request[Any, Any]

_TABS: dict[str, SampleFilter] = {
    "to_do": SampleFilter(states=(SampleState.PENDING, SampleState.IN_REVIEW)),
    "second": SampleFilter(second_wanted=True),
    "disputed": SampleFilter(states=(SampleState.DISPUTED,)),
    "done": SampleFilter(states=(SampleState.DONE, SampleState.SETTLED)),
}
_ANSWER = "answer."
"""Begins the names of the form's fields that hold answers."""


async def overview(console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
    """GET /console/quality: what there is to review, and what was said of one's own work."""
    who = _somebody(console, visit)
    tab = request.args.get("tab", "")
    reviews = Permission.QUALITY_REVIEW in who.permissions
    tab = tab if tab in {*_TABS, "mine", "report"} else ("to_do" if reviews else "mine")
    if not reviews:
        tab = "mine"
    facts: dict[str, Any] = {"page": None, "feedback": (), "report": None}
    async with console.deps.db.transaction() as session:
        if tab in _TABS:
            facts["page"] = await quality_views.list_samples(
                session,
                actor=who.actor,
                wanted=_TABS[tab],
                cursor=_id_or_none(request.args.get("cursor")),
            )
        elif tab == "mine":
            facts["feedback"] = await quality_views.own_feedback(
                session, actor=who.actor, language=visit.language
            )
        else:
            facts["report"] = await _report(console, session, request)
    tabs = [*_TABS, "report", "mine"] if reviews else ["mine"]
    noticed = _noticed(console, request, visit)
    return html(console.pages.page("quality.html", noticed, tab=tab, tabs=tabs, **facts))


async def one(console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
    """GET /console/quality/<sample_id>: the form, or what was said."""
    return await _sample_page(console, request, _noticed(console, request, visit))


async def act(console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
    """POST /console/quality/<sample_id>/<action>."""
    who = _somebody(console, visit)
    action, sample_id = request.match_info["action"], _sample_id(request)
    order = QualityOrder(
        actor=who.actor,
        sample_id=sample_id,
        correlation_id=browser.correlation_id(request),
        language=visit.language,
    )
    typed: dict[str, str] = {}
    try:
        typed = console.check_form(request, visit)
        await _do(console, visit, order, action, typed)
    except Exception as error:  # noqa: BLE001 - shown above the form, with what was typed
        problem, words = console.words_for(request, visit, error)
        seen = replace(visit, problem=words)
        return await _sample_page(console, request, seen, status=problem.status, typed=typed)
    return redirect(f"/console/quality/{sample_id}?done=quality_{action}", status=303)


PAGES = (
    ("GET", "/console/quality", "quality", overview),
    ("GET", "/console/quality/<sample_id:str>", "quality_one", one),
    ("POST", "/console/quality/<sample_id:str>/<action:str>", "quality_act", act),
)


async def _do(
    console: Host, visit: Visit, order: QualityOrder, action: str, fields: dict[str, str]
) -> None:
    service = QualityService(console.deps.db, console.deps.clock)
    if action in {"acknowledge", "dispute"}:
        console.allowed(visit, Permission.QUALITY_READ)
        if action == "acknowledge":
            await service.acknowledge(order)
        else:
            await service.dispute(order, reply=_read(DisputeBody, fields, "reply").reply)
        return
    console.allowed(visit, Permission.QUALITY_REVIEW)
    if action == "start":
        await service.start(order)
    elif action == "submit":
        body = _read(JudgementBody, fields, "comment", "part", answers=_answers(fields))
        submit = service.submit if body.part == "first" else service.submit_second
        await submit(order, Judgement(body.answers, body.comment))
    elif action == "settle":
        answers = _answers(fields)
        body = _read(SettleBody, fields, "answer", answers=answers or None)
        await service.settle(order, answer=body.answer, answers=body.answers)
    else:
        raise ProblemError(Problem("not_found", "there is no such action"))


async def _sample_page(
    console: Host,
    request: AnyRequest,
    visit: Visit,
    *,
    status: int = 200,
    typed: dict[str, str] | None = None,
) -> HTTPResponse:
    who = _somebody(console, visit)
    detail = await _detail(console, request, visit, who)
    person = who.agent_id
    line = detail.sample
    given = {review.reviewer_id for review in detail.reviews}
    reviews = Permission.QUALITY_REVIEW in who.permissions and person != line.agent_id
    judged = line.state in {state.value for state in quality_views.JUDGED}
    second = reviews and line.second and not line.second_done and line.state != "disputed"
    return html(
        console.pages.page(
            "quality_sample.html",
            visit,
            sample=line,
            review=detail,
            typed=typed or {},
            own=person == line.agent_id,
            may_start=reviews and not judged and line.reviewer_id != person,
            may_submit=reviews and line.state == "in_review" and line.reviewer_id == person,
            may_submit_second=second and person not in given and line.reviewer_id != person,
            may_settle=reviews and line.state == "disputed",
            may_answer=person == line.agent_id and line.state == "done",
            sees_ticket=Permission.TICKETS_READ in who.permissions,
        ),
        status=status,
    )


async def _detail(console: Host, request: AnyRequest, visit: Visit, who: LoggedIn) -> SampleDetail:
    sample_id = _sample_id(request)
    async with console.deps.db.transaction() as session:
        if Permission.QUALITY_REVIEW in who.permissions:
            with contextlib.suppress(NotVisibleError):  # it may be about their own work
                return await quality_views.sample_detail(
                    session, sample_id, actor=who.actor, language=visit.language
                )
        return await quality_views.feedback(
            session, sample_id, actor=who.actor, language=visit.language
        )


async def _report(console: Host, session: Any, request: AnyRequest) -> QualityReport | None:
    plan = console.deps.quality.current()
    if plan is None:
        return None
    by = By.TEAM if request.args.get("by") == By.TEAM.value else By.AGENT
    return await quality_report.quality_report(session, plan=plan, by=by, periods=())


def _somebody(console: Host, visit: Visit) -> LoggedIn:
    """Reviewers and agents; each sees their part of the pages."""
    if visit.who is not None and Permission.QUALITY_REVIEW in visit.who.permissions:
        return visit.who
    return console.allowed(visit, Permission.QUALITY_READ)


def _answers(fields: dict[str, str]) -> dict[str, str]:
    return {
        name.removeprefix(_ANSWER): value
        for name, value in fields.items()
        if name.startswith(_ANSWER) and value
    }


def _read(model: type[BaseModel], fields: dict[str, str], *names: str, **more: Any) -> Any:
    given: dict[str, Any] = {name: fields[name] for name in names if fields.get(name, "").strip()}
    given |= {name: value for name, value in more.items() if value is not None}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise ProblemError(problem_of_validation(error, known=names)) from error


def _noticed(console: Host, request: AnyRequest, visit: Visit) -> Visit:
    key = f"done.{request.args.get('done')}"
    if texts.has(visit.language, key):
        return replace(visit, notice=console.pages.say(visit, key))
    return visit


def _sample_id(request: AnyRequest) -> uuid.UUID:
    found = _id_or_none(request.match_info["sample_id"])
    if found is None:
        raise ProblemError(Problem("sample_not_found", "expected a sampled ticket's id"))
    return found


def _id_or_none(value: str | None) -> uuid.UUID | None:
    try:
        return uuid.UUID(value or "")
    except ValueError:
        return None
