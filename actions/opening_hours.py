"""Tell the opening hours, from the same calendar that the handoff rules use."""

from __future__ import annotations

from datetime import datetime, time
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from rasa_sdk import Action, Tracker
from rasa_sdk.events import EventType
from rasa_sdk.executor import CollectingDispatcher

from actions.rules import facts_of
from actions.texts import text
from handoff.business_hours import (
    Calendar,
    CalendarNeverOpensError,
    is_open,
    next_closing,
    next_opening,
)
from handoff.messages import opening_text
from handoff.policy_holder import PolicyHolder

_DAYS = {
    "pt": ("seg", "ter", "qua", "qui", "sex", "sáb", "dom"),
    "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
    "es": ("lun", "mar", "mié", "jue", "vie", "sáb", "dom"),
}
_TO = {"pt": " a ", "en": "-", "es": " a "}


class ActionOpeningHours(Action):  # type: ignore[misc]  # the SDK has no types
    """Say whether people answer now, and the week."""

    def __init__(self, policies: PolicyHolder) -> None:
        self._policies = policies

    def name(self) -> str:
        """Named in the domain."""
        return "action_opening_hours"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[EventType]:
        """Tell the hours of the default queue as of the customer's message."""
        facts = facts_of(tracker)
        policy = self._policies.current()
        calendar = policy.calendar_of(policy.defaults.queue)
        now = datetime.fromisoformat(facts.sent_at)
        dispatcher.utter_message(text=hours_text(calendar, now=now, language=facts.language))
        return []


def hours_text(calendar: Calendar, *, now: datetime, language: str) -> str:
    """Open or closed now, then a line per group of weekdays with equal hours."""
    try:
        if is_open(calendar, now):
            closing = next_closing(calendar, now)
            zone = ZoneInfo(calendar.time_zone)
            ends = f"{closing.astimezone(zone):%H:%M}" if closing else "24:00"
            head = text("hours_open", language, closing=ends)
        else:
            opening = opening_text(
                next_opening(calendar, now),
                now=now,
                time_zone=calendar.time_zone,
                language=language,
            )
            head = text("hours_closed", language, opening=opening)
    except CalendarNeverOpensError:
        return text("hours_never", language)
    return "\n".join([head, *_week(calendar, language), text("hours_holidays", language)])


def _week(calendar: Calendar, language: str) -> list[str]:
    names = _DAYS.get(language, _DAYS["pt"])
    lines = []
    for hours, group in groupby(range(7), key=lambda day: calendar.weekly.get(day, ())):
        days = list(group)
        span = names[days[0]]
        if len(days) > 1:
            span += _TO.get(language, _TO["pt"]) + names[days[-1]]
        spans = " · ".join(f"{_short(start)}-{_short(end)}" for start, end in hours)
        lines.append(f"• {span}: {spans or text('hours_day_closed', language)}")
    return lines


def _short(moment: time) -> str:
    return f"{moment:%H:%M}"
