"""Pages of one's own notices: the preferences, and the link of an e-mail that turns a kind off."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import time
from typing import Any, Protocol
from zoneinfo import available_timezones

from sanic import HTTPResponse, Request
from sanic.response import html, redirect

from notifications.domain.events import PolicyEvent
from notifications.domain.jobs import Channel
from notifications.domain.phone import InvalidPhoneError
from notifications.domain.unsubscribe import PATH, read_token
from notifications.domain.words import CATALOGUES, PT
from notifications.services import preferences
from notifications.services.preferences import PreferenceError, Wishes
from notifications.services.unsubscribe import Subscription, subscription_of, unsubscribe
from ticketing.console.pages import Pages, Visit
from ticketing.domain.permissions import Permission
from ticketing.http import browser
from ticketing.http.deps import Deps
from ticketing.http.problems import Problem, ProblemError
from ticketing.services.sessions import LoggedIn

AnyRequest = Request[Any, Any]

PAGE = "/console/notifications"
_ZONES = sorted(
    zone
    for zone in available_timezones()
    if zone.partition("/")[0]
    in {"America", "Europe", "Africa", "Asia", "Australia", "Pacific", "Atlantic", "Indian"}
)
_REFUSED = 403


class Host(Protocol):
    """What the console shares with its pages."""

    deps: Deps
    pages: Pages

    def check_form(self, request: AnyRequest, visit: Visit) -> dict[str, str]:
        """The form's fields, when the form is one of our own pages'."""
        ...

    def words_for(self, request: AnyRequest, visit: Visit, error: Exception) -> tuple[Problem, str]:
        """The problem behind an error, and how the visitor reads it."""
        ...

    def allowed(self, visit: Visit, needs: Permission) -> LoggedIn:
        """Who is logged in, when they may."""
        ...


async def show(console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
    """GET /console/notifications: what one is told, where, and when not."""
    done = request.args.get("done")
    if done in {"save", "forget", "resume"}:
        visit = replace(visit, notice=console.pages.say(visit, f"notices.done.{done}"))
    return await _page(console, visit)


async def act(console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
    """POST /console/notifications/<action>: save, forget a device, take one's no back."""
    who = console.allowed(visit, Permission.ACCOUNT_OWN)
    action = request.match_info["action"]
    try:
        fields = console.check_form(request, visit)
        await _do(console, who, action, fields)
    except Exception as error:  # noqa: BLE001 - shown above the forms
        problem, words = console.words_for(request, visit, _told(error))
        typed = dict(fields) if action == "save" and problem.code == "invalid_value" else None
        seen = replace(visit, problem=words)
        return await _page(console, seen, typed=typed, status=problem.status)
    return redirect(f"{PAGE}?done={action}", status=303)


async def unsubscribe_page(console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
    """GET /n/unsubscribe: asks; mail scanners follow links, so a look must change nothing."""
    found = await _subscription(console, request)
    if found is None:
        return _unsubscribe_answer(console, visit, "notices.link_bad", status=_REFUSED)
    what = _event_words(visit.language, found.event)
    page = console.pages.page(
        "unsubscribe.html", visit, what=what, token=request.args.get("t"), answer=None
    )
    return html(page)


async def unsubscribe_now(console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
    """POST /n/unsubscribe: a person's button, or a mail program's one click (RFC 8058).

    The signed link is the right to do it: a mail program has neither cookie nor form token.
    """
    found = await _subscription(console, request)
    if found is None:
        return _unsubscribe_answer(console, visit, "notices.link_bad", status=_REFUSED)
    deps = console.deps
    async with deps.db.transaction() as session:
        await unsubscribe(
            session,
            found,
            now=deps.clock.now(),
            correlation_id=browser.correlation_id(request),
        )
    return _unsubscribe_answer(console, visit, "notices.unsubscribed")


PAGES = (
    ("GET", PAGE, "notices", show),
    ("POST", f"{PAGE}/<action:str>", "notices_act", act),
    ("GET", PATH, "unsubscribe", unsubscribe_page),
    ("POST", PATH, "unsubscribe_now", unsubscribe_now),
)


def _event_words(language: str, event: str) -> str:
    return CATALOGUES.get(language, PT).get(f"event.{event}", event)


async def _subscription(console: Host, request: AnyRequest) -> Subscription | None:
    notification_id = read_token(console.deps.privacy_key, request.args.get("t") or "")
    if notification_id is None:
        return None
    async with console.deps.db.transaction() as session:
        return await subscription_of(session, notification_id)


def _unsubscribe_answer(
    console: Host, visit: Visit, key: str, *, status: int = 200
) -> HTTPResponse:
    answer = console.pages.say(visit, key)
    page = console.pages.page("unsubscribe.html", visit, what="", token="", answer=answer)
    return html(page, status=status)


async def _do(console: Host, who: LoggedIn, action: str, fields: Mapping[str, str]) -> None:
    deps = console.deps
    now = deps.clock.now()
    async with deps.db.transaction() as session:
        match action:
            case "save":
                await preferences.save_preferences(session, who.agent_id, _wishes(fields), now=now)
            case "forget":
                device_id = _uuid(fields.get("device_id", ""))
                await preferences.remove_device(session, who.agent_id, device_id)
            case "resume":
                if fields.get("confirm") != "1":
                    problem = PreferenceError("confirm", "a tick")
                    raise problem
                channel = Channel(fields.get("channel", ""))
                await preferences.resume(session, who.agent_id, channel, now=now)
            case _:
                detail = "expected save, forget or resume"
                raise ProblemError(Problem("not_found", detail))


def _wishes(fields: Mapping[str, str]) -> Wishes:
    channels = {
        event.value: tuple(
            channel.value for channel in Channel if fields.get(_box(event.value, channel.value))
        )
        for event in PolicyEvent
    }
    return Wishes(
        phone=fields.get("phone", "").strip() or None,
        channels=channels,
        quiet_from=_clock(fields, "quiet_from"),
        quiet_to=_clock(fields, "quiet_to"),
        time_zone=fields.get("time_zone", ""),
        quiet_for_urgent=bool(fields.get("quiet_for_urgent")),
    )


def _box(event: str, channel: str) -> str:
    return f"on.{event}.{channel}"


def _clock(fields: Mapping[str, str], name: str) -> time | None:
    written = fields.get(name, "").strip()
    if not written:
        return None
    try:
        return time.fromisoformat(written).replace(second=0, microsecond=0, tzinfo=None)
    except ValueError as error:
        problem = PreferenceError(name, "a time such as 22:00")
        raise problem from error


def _uuid(value: str) -> uuid.UUID:
    try:
        return uuid.UUID(value)
    except ValueError as error:
        raise preferences.DeviceNotFoundError(value) from error


def _told(error: Exception) -> Exception:
    """This package's errors as problems that the console has words for."""
    match error:
        case PreferenceError() | InvalidPhoneError():
            return ProblemError(Problem("invalid_value", str(error), field=error.field))
        case preferences.DeviceNotFoundError():
            return ProblemError(Problem("device_not_found", ""))
        case preferences.NotRefusedError():
            return ProblemError(Problem("not_refused", ""))
        case ValueError():
            return ProblemError(Problem("invalid_value", "", field="channel"))
        case _:
            return error


async def _page(
    console: Host, visit: Visit, *, typed: Mapping[str, str] | None = None, status: int = 200
) -> HTTPResponse:
    who = console.allowed(visit, Permission.ACCOUNT_OWN)
    deps = console.deps
    async with deps.db.transaction() as session:
        mine = await preferences.preferences_of(session, who.agent_id, now=deps.clock.now())
    words = CATALOGUES.get(visit.language, PT)
    page = console.pages.page(
        "notices.html",
        visit,
        form=_form(mine) if typed is None else typed,
        mine=mine,
        box=_box,
        events=[(event.value, words[f"event.{event.value}"]) for event in PolicyEvent],
        channels=[(channel.value, words[f"channel.{channel.value}"]) for channel in Channel],
        zones=_ZONES,
    )
    return html(page, status=status)


def _form(mine: preferences.PreferencesView) -> dict[str, str]:
    """The present wishes as the form's fields."""
    ticked = {
        _box(event, channel): "1" for event, left_on in mine.channels.items() for channel in left_on
    }
    return {
        **ticked,
        "phone": mine.phone or "",
        "quiet_from": mine.quiet_from or "",
        "quiet_to": mine.quiet_to or "",
        "time_zone": mine.time_zone,
        "quiet_for_urgent": "1" if mine.quiet_for_urgent else "",
    }
