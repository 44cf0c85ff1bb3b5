"""Subject, body and link of a notice, from its event and stored context.

A notice leaves the system, so it holds no name, number or words of the customer: the ticket's
number, the reason in words, level, queue, priority and a link for people who may see the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from notifications.domain.words import CATALOGUES, PT, Catalogue

WHATSAPP_LANGUAGE = {"pt": "pt_BR", "en": "en", "es": "es"}
"""Template language codes of the WhatsApp Cloud API."""


@dataclass(frozen=True, slots=True)
class NoticeText:
    """One notice in words."""

    subject: str
    text: str
    """Plain text of an e-mail."""
    html: str
    short: str
    """For WhatsApp: the same facts in a few lines."""
    parameters: tuple[str, ...]
    """Body parameters of the WhatsApp template: subject line, reason, link."""


def render(
    event: str, context: Mapping[str, Any], *, language: str, frontend_url: str
) -> NoticeText:
    """The words of a notice.

    Args:
        event: one of `PolicyEvent`.
        context: `TicketFacts.as_context()`, with `nobody_on_duty` and, for a notice that failed,
            `failed_channel` and `failed_code`.
        language: pt, en or es; anything else reads Portuguese.
        frontend_url: where the console is, without the ticket's path.
    """
    words = CATALOGUES.get(language, PT)
    names = _names(words, context)
    kind = f"{event}.{context.get('threshold')}"
    if f"subject.{kind}" not in words:
        kind = event
    subject = _one_line(words[f"subject.{kind}"].format_map(names))
    lead = words[f"lead.{kind}"].format_map(names)
    alone = words["nobody_on_duty"] if context.get("nobody_on_duty") else None
    rows = _rows(words, names)
    link = f"{frontend_url.rstrip('/')}/console/tickets/{names['ticket_id']}"
    return NoticeText(
        subject=subject,
        text=_text(words, lead, alone, rows, link),
        html=_html(words, language, subject=subject, lead=lead, alone=alone, rows=rows, link=link),
        short=_short(subject, alone, rows, link),
        parameters=(subject, _one_line(names["metric"] or names["reason"]) or "-", link),
    )


def _names(words: Catalogue, context: Mapping[str, Any]) -> dict[str, str]:
    reason = str(context.get("reason") or "")
    priority = str(context.get("priority") or "")
    channel = str(context.get("failed_channel") or "")
    return {
        "number": str(context.get("ticket_number") or ""),
        "ticket_id": str(context.get("ticket_id") or ""),
        "queue": str(context.get("queue_name") or ""),
        "level": str(context.get("level") or ""),
        "from_level": str(context.get("from_level") or ""),
        "severity": str(context.get("severity") or ""),
        # A code that is newer than this catalogue is still words: "angry_customer".
        "reason": words.get(f"reason.{reason}", reason.replace("_", " ")),
        "priority": words.get(f"priority.{priority}", priority),
        "failed_channel": words.get(f"channel.{channel}", channel),
        "failed_code": str(context.get("failed_code") or ""),
        **_promise(words, context),
    }


def _promise(words: Catalogue, context: Mapping[str, Any]) -> dict[str, str]:
    """What an SLA alert says; empty texts in other notices."""
    used, target = context.get("consumed_seconds"), context.get("target_seconds")
    amount, share = "", ""
    if isinstance(used, int) and isinstance(target, int) and target > 0:
        amount = words["sla.used"].format(used=_amount(used), target=_amount(target))
        share = f"{100 * used // target} %"
    also = (words.get(f"metric.{name}", str(name)) for name in context.get("also") or ())
    metric = str(context.get("metric") or "")
    return {
        "metric": words.get(f"metric.{metric}", metric.replace("_", " ")),
        "also": ", ".join(also),
        "due": _moment(words, context.get("due_at"), context.get("time_zone")),
        "used": amount,
        "share": share,
        "silenced": str(context.get("silenced") or ""),
    }


def _amount(seconds: int) -> str:
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def _moment(words: Catalogue, text: Any, time_zone: Any) -> str:
    """A time as people read it, with the zone it is in."""
    if not text:
        return ""
    try:
        zone = ZoneInfo(str(time_zone)) if time_zone else UTC
    except (ZoneInfoNotFoundError, ValueError):
        zone = UTC
    moment = datetime.fromisoformat(str(text)).astimezone(zone)
    return f"{moment.strftime(words['sla.date'])} ({moment.tzname() if zone is UTC else zone})"


def _rows(words: Catalogue, names: Mapping[str, str]) -> list[tuple[str, str]]:
    level = names["level"]
    if names["from_level"] and names["from_level"] != level:
        level = words["level.changed"].format_map(names)
    wanted = [
        ("label.ticket", f"#{names['number']}"),
        ("label.promise", names["metric"]),
        ("label.also", names["also"]),
        ("label.due", names["due"]),
        ("label.used", names["used"]),
        ("label.silenced", names["silenced"]),
        ("label.reason", names["reason"]),
        ("label.level", level),
        ("label.queue", names["queue"]),
        ("label.priority", names["priority"]),
        ("label.severity", names["severity"]),
        ("label.failed_channel", names["failed_channel"]),
        ("label.failed_code", names["failed_code"]),
    ]
    return [(words[label], _one_line(value)) for label, value in wanted if value]


def _text(
    words: Catalogue, lead: str, alone: str | None, rows: list[tuple[str, str]], link: str
) -> str:
    head = [lead] if alone is None else [lead, "", alone]
    facts = [f"{label}: {value}" for label, value in rows]
    return "\n".join([*head, "", *facts, "", f"{words['open']}: {link}", "", words["footer"], ""])


def _short(subject: str, alone: str | None, rows: list[tuple[str, str]], link: str) -> str:
    facts = [f"{label}: {value}" for label, value in rows]
    return "\n".join([f"*{subject}*", *([alone] if alone else []), *facts, link])


def _html(
    words: Catalogue,
    language: str,
    *,
    subject: str,
    lead: str,
    alone: str | None,
    rows: list[tuple[str, str]],
    link: str,
) -> str:
    """A page that mail programs show alike: a table, styles in the tags, nothing loaded."""
    facts = "".join(
        '<tr><td style="padding:4px 16px 4px 0;color:#5b6770">'
        f'{escape(label)}</td><td style="padding:4px 0"><strong>{escape(value)}</strong></td></tr>'
        for label, value in rows
    )
    notice = (
        f'<p style="padding:10px 12px;background:#fff4d6;border-left:4px solid #e0a100">'
        f"{escape(alone)}</p>"
        if alone
        else ""
    )
    code = "pt-BR" if language not in CATALOGUES or language == "pt" else language
    return (
        f'<!doctype html><html lang="{code}"><head><meta charset="utf-8">'
        f"<title>{escape(subject)}</title></head>"
        '<body style="margin:0;padding:24px;font-family:Arial,Helvetica,sans-serif;'
        'font-size:15px;line-height:1.45;color:#1c2a33">'
        f'<p style="font-size:17px">{escape(lead)}</p>{notice}'
        f'<table role="presentation" style="border-collapse:collapse">{facts}</table>'
        f'<p style="margin:20px 0"><a href="{escape(link)}" style="display:inline-block;'
        "padding:10px 18px;background:#0b6e4f;color:#ffffff;text-decoration:none;"
        f'border-radius:6px">{escape(words["open"])}</a></p>'
        f'<p style="color:#5b6770;font-size:12px">{escape(words["footer"])}</p></body></html>'
    )


def _one_line(value: str) -> str:
    """No line break can reach a mail header or a template parameter."""
    return " ".join(value.split())
