"""The facts of a notice as people read them: names for the catalogues' texts, rows, and links."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from channels.graphemes import truncate
from notifications.domain.jobs import CHANNEL_OF_JOB
from notifications.domain.recipients import DEFAULT_ZONE
from notifications.domain.words import Catalogue

LONGEST_TITLE = 120
"""Characters of a title that a program or person wrote; mail programs show some 70."""
LONGEST_BODY = 2000
"""Characters of such a body: a notice, no letter. What is longer belongs behind the link."""

OPERATIONS_PAGE = "/console/dead-letters"
CONSOLE = "/console"

_ABOUT_NOTICES = {"breaker-alert", "backlog-alert", "dlq-alert", "notification-failed"}
_PATH = re.compile(r"/(?!/)[A-Za-z0-9/_.?=&%#-]*")
_CHANNEL_OF_JOB_NAME = {job.value: channel.value for job, channel in CHANNEL_OF_JOB.items()}
_DIRECTIONS = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}
"""Characters that turn the direction of what follows: with them a text can read as another."""


def facts(words: Catalogue, context: Mapping[str, Any], *, language: str) -> dict[str, str]:
    """Every name that a text of the catalogues may hold, as words; what is not known is empty."""
    title, body = (_written(context, key, language) for key in ("title", "body"))
    return {
        **_ticket(words, context),
        **_promise(words, context),
        **_operation(words, context),
        **_failure(words, context),
        "title": truncate(one_line(title or words["default.title"]), LONGEST_TITLE),
        "body": truncate(body or words["default.body"], LONGEST_BODY),
    }


def rows(words: Catalogue, names: Mapping[str, str], *, subject: str) -> list[tuple[str, str]]:
    """Label and value of what is known, in the order people need it; no line breaks."""
    level = names["level"]
    if names["from_level"] and names["from_level"] != level:
        level = words["level.changed"].format_map(names)
    # What the subject line says already is not said again.
    about = "" if names["subject"] in subject else names["subject"]
    wanted = [
        ("label.ticket", f"#{names['number']}" if names["number"] else ""),
        ("label.promise", names["metric"]),
        ("label.also", names["also"]),
        ("label.due", names["due"]),
        ("label.used", names["used"]),
        ("label.silenced", names["silenced"]),
        ("label.score", names["given_score"]),
        ("label.subject", about),
        ("label.since", names["since"]),
        ("label.count", names["counted"]),
        ("label.threshold", names["limit"]),
        ("label.waited", names["known_wait"]),
        ("label.code", names["code"]),
        ("label.reason", names["reason"]),
        ("label.level", level),
        ("label.queue", names["queue"]),
        ("label.priority", names["priority"]),
        ("label.severity", names["severity"]),
        ("label.failed_channel", names["failed_channel"]),
        ("label.failed_code", names["failed_code"]),
    ]
    return [(words[label], one_line(value)) for label, value in wanted if value]


def path_of(event: str, context: Mapping[str, Any]) -> str:
    """The page of the console where a person goes on: the ticket, else what the event is about.

    A link that a program gives is a path of ours or nothing: a notice shall lead nobody elsewhere.
    """
    given = context.get("link")
    if isinstance(given, str) and is_path(given):
        return given
    if ticket_id := _text(context, "ticket_id"):
        return f"{CONSOLE}/tickets/{quote(ticket_id, safe='')}"
    return OPERATIONS_PAGE if event in _ABOUT_NOTICES else CONSOLE


def is_path(link: str) -> bool:
    """Whether a link that a program gives stays with us."""
    return _PATH.fullmatch(link) is not None


def one_line(value: str) -> str:
    """No line break can reach a mail header or a template parameter."""
    return " ".join(value.split())


def plain(value: str) -> str:
    """Text as it was written, without controls and without what turns the reading direction."""
    if value.isprintable():  # nearly always; what is unwanted is not printable
        return value.strip()
    lines = value.replace("\r\n", "\n").replace("\r", "\n").expandtabs(1)
    return "".join(
        character for character in lines if character == "\n" or not _unwanted(character)
    ).strip()


def _unwanted(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cs"} or ord(character) in _DIRECTIONS


def _ticket(words: Catalogue, context: Mapping[str, Any]) -> dict[str, str]:
    reason, priority = _text(context, "reason"), _text(context, "priority")
    score = _text(context, "score")
    return {
        "number": _text(context, "ticket_number"),
        "queue": _text(context, "queue_name"),
        "level": _text(context, "level"),
        "from_level": _text(context, "from_level"),
        "severity": _text(context, "severity"),
        # A code that is newer than this catalogue is still words: "angry_customer".
        "reason": words.get(f"reason.{reason}", reason.replace("_", " ")),
        "priority": words.get(f"priority.{priority}", priority),
        "score": score or "?",
        "given_score": score,
    }


def _operation(words: Catalogue, context: Mapping[str, Any]) -> dict[str, str]:
    """What an alert about the system says; empty texts in other notices."""
    subject = _text(context, "subject")
    channel = _CHANNEL_OF_JOB_NAME.get(subject)
    count, wait = _text(context, "count"), _waited(context)
    return {
        "subject": subject if channel is None else words[f"channel.{channel}"],
        "count": count or words["many"],
        "counted": count,
        # `threshold` of an SLA alert is a word, and is told by its texts.
        "limit": _text(context, "threshold") if _is_number(context, "threshold") else "",
        "waited": wait or words["long_wait"],
        "known_wait": wait,
        "code": _text(context, "code"),
        "since": _moment(words, context.get("since"), context.get("time_zone") or DEFAULT_ZONE),
    }


def _failure(words: Catalogue, context: Mapping[str, Any]) -> dict[str, str]:
    channel, event = _text(context, "failed_channel"), _text(context, "failed_event")
    return {
        "failed_channel": words.get(f"channel.{channel}", channel),
        "failed_code": _text(context, "failed_code"),
        "what": words.get(f"event.{event}", event) or words["default.title"].lower(),
    }


def _promise(words: Catalogue, context: Mapping[str, Any]) -> dict[str, str]:
    """What an SLA alert says; empty texts in other notices."""
    used, target = context.get("consumed_seconds"), context.get("target_seconds")
    amount, share = "", ""
    if isinstance(used, int) and isinstance(target, int) and target > 0:
        amount = words["sla.used"].format(used=_amount(used), target=_amount(target))
        share = f"{100 * used // target} %"
    others = context.get("also")
    also = [
        words.get(f"metric.{name}", str(name))
        for name in (others if isinstance(others, list | tuple) else ())
    ]
    metric = _text(context, "metric")
    return {
        "metric": words.get(f"metric.{metric}", metric.replace("_", " ")),
        "also": plain(", ".join(also)),
        "due": _moment(words, context.get("due_at"), context.get("time_zone")),
        "used": amount,
        "share": share,
        "silenced": "" if context.get("silenced") == 0 else _text(context, "silenced"),
    }


def _text(context: Mapping[str, Any], key: str) -> str:
    """A value as text; nothing for what is not there, and for what is no plain value."""
    value = context.get(key)
    if value is None or isinstance(value, Mapping | list | tuple):
        return ""
    return one_line(plain(str(value)))


def _written(context: Mapping[str, Any], key: str, language: str) -> str:
    """Words of a program or person: one text, or one for each language."""
    value = context.get(key)
    if isinstance(value, Mapping):
        found = [value.get(name) for name in (language, "pt", "en", "es")]
        value = next((text for text in found if text), None)
    return plain(value) if isinstance(value, str) else ""


def _is_number(context: Mapping[str, Any], key: str) -> bool:
    value = context.get(key)
    return isinstance(value, int) and not isinstance(value, bool)


def _waited(context: Mapping[str, Any]) -> str:
    if _is_number(context, "seconds"):
        return _amount(int(context["seconds"]))
    return _amount(int(context["minutes"]) * 60) if _is_number(context, "minutes") else ""


def _amount(seconds: int) -> str:
    if 0 < seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds} s"
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def _moment(words: Catalogue, text: Any, time_zone: Any) -> str:
    """A time as people read it, with the zone it is in; nothing for what is no time."""
    if not text:
        return ""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return ""
    try:
        zone = ZoneInfo(str(time_zone)) if time_zone else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        zone = UTC
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        local = moment.astimezone(zone)
    except OverflowError:
        return ""  # before the year 1 or after 9999 there
    return f"{local.strftime(words['sla.date'])} ({local.tzname() if zone is UTC else zone})"
