"""What the customer reads when a person takes over: the policy's text, filled in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from handoff.decision import Decision
from handoff.policy import HandoffPolicy

_WEEKDAYS: Mapping[str, tuple[str, ...]] = {
    "pt": (
        "segunda-feira",
        "terça-feira",
        "quarta-feira",
        "quinta-feira",
        "sexta-feira",
        "sábado",
        "domingo",
    ),
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "es": (
        "el lunes",
        "el martes",
        "el miércoles",
        "el jueves",
        "el viernes",
        "el sábado",
        "el domingo",
    ),
}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TODAY = {"pt": "hoje às {time}", "en": "today at {time}", "es": "hoy a las {time}"}
_TOMORROW = {"pt": "amanhã às {time}", "en": "tomorrow at {time}", "es": "mañana a las {time}"}
_ON_DAY = {
    "pt": "{weekday} ({date}) às {time}",
    "en": "on {weekday} ({date}) at {time}",
    "es": "{weekday} ({date}) a las {time}",
}
_MINUTES = {
    "pt": "cerca de {n} minutos",
    "en": "about {n} minutes",
    "es": "unos {n} minutos",
}
_HOUR = {"pt": "cerca de 1 hora", "en": "about 1 hour", "es": "cerca de 1 hora"}
_HOURS = {"pt": "cerca de {n} horas", "en": "about {n} hours", "es": "unas {n} horas"}
_NO_WAIT = {"pt": "alguns minutos", "en": "a few minutes", "es": "unos minutos"}
_MINUTES_TOLD = 90  # from there on hours are said: "about 2 hours", not "about 110 minutes"
_HOUR_MINUTES = 60
_NO_OPENING = {
    "pt": "assim que possível",
    "en": "as soon as possible",
    "es": "lo antes posible",
}


def handoff_text(
    decision: Decision,
    policy: HandoffPolicy,
    *,
    language: str,
    ticket: str,
) -> str | None:
    """The decision's message in the customer's language; None when it has none.

    Args:
        decision: Whose `message_key` is meant.
        policy: The policy in force. A decision stored under an older one may name a message or
            a queue that is gone: the defaults stand in, because the customer must hear something.
        language: The customer's language; for one that is not served, `languages.others`.
        ticket: The ticket number as customers see it.
    """
    key = _known_key(decision, policy)
    if key is None:
        return None
    written = policy.languages.written(language)
    queue = policy.queues[_known_queue(decision, policy)]
    return policy.text(key, language=written).format(
        ticket=ticket,
        queue=queue.names[written],
        opening=_opening(decision, policy, written),
        wait=wait_text(decision.expected_wait_minutes, language=written),
    )


def wait_text(minutes: int | None, *, language: str) -> str:
    """How long it takes, as people say it: "cerca de 15 minutos", "about 2 hours".

    Whole hours are rounded up: nobody minds an answer that comes early. Other languages than pt, en
    and es read English; None (a decision of an older release) is "a few minutes".
    """
    spoken = language if language in _MINUTES else "en"
    if minutes is None or minutes < 2:  # noqa: PLR2004 - "about 1 minute" is nobody's promise
        return _NO_WAIT[spoken]
    if minutes < _MINUTES_TOLD and minutes != _HOUR_MINUTES:
        return _MINUTES[spoken].format(n=minutes)
    hours = -(-minutes // _HOUR_MINUTES)
    return _HOUR[spoken] if hours == 1 else _HOURS[spoken].format(n=hours)


def opening_text(opening: datetime, *, now: datetime, time_zone: str, language: str) -> str:
    """A moment as people say it: "amanhã às 08:00", "segunda-feira (24/11) às 08:00".

    The date stands beside the weekday, because after a holiday "Monday" alone may be a week off.
    Other languages than pt, en and es read English.
    """
    zone = ZoneInfo(time_zone)
    local, today = opening.astimezone(zone), now.astimezone(zone).date()
    spoken = language if language in _WEEKDAYS else "en"
    days_ahead = (local.date() - today).days
    pattern = {0: _TODAY, 1: _TOMORROW}.get(days_ahead, _ON_DAY)[spoken]
    return pattern.format(
        time=f"{local:%H:%M}",
        weekday=_WEEKDAYS[spoken][local.weekday()],
        date=_date(local, spoken),
    )


def _date(local: datetime, language: str) -> str:
    """Day and month; in English with the month's name, because 11/12 is read in two ways."""
    if language == "en":
        return f"{local.day} {_MONTHS[local.month - 1]}"
    return f"{local:%d/%m}"


def _opening(decision: Decision, policy: HandoffPolicy, language: str) -> str:
    if decision.expected_opening is None:
        return _NO_OPENING.get(language, _NO_OPENING["en"])
    return opening_text(
        decision.expected_opening,
        now=decision.decided_at,
        time_zone=policy.calendar_of(_known_queue(decision, policy)).time_zone,
        language=language,
    )


def _known_key(decision: Decision, policy: HandoffPolicy) -> str | None:
    key = decision.message_key
    if key is None or key in policy.messages:
        return key
    if not decision.is_handoff:
        return None
    defaults = policy.defaults
    return defaults.message if decision.hours_open else defaults.message_when_closed


def _known_queue(decision: Decision, policy: HandoffPolicy) -> str:
    if decision.queue is None or decision.queue not in policy.queues:
        return policy.defaults.queue
    return decision.queue
