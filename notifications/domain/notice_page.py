"""A notice as the HTML of an e-mail: a table, styles in the tags, nothing loaded from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from notifications.domain.words import Catalogue


@dataclass(frozen=True, slots=True)
class Line:
    """One of the notices that are told together."""

    title: str
    link: str


@dataclass(frozen=True, slots=True)
class Page:
    """What the page shows, in words.

    Attributes:
        subject: The title.
        lead: What happened; may have line breaks.
        alone: Why the admin gets it in place of agents, or None.
        rows: Label and value.
        do: What to do next, or nothing.
        lines: Notices that are told together.
        more: "and 12 more", or nothing.
        link: Where a person goes on.
        link_label: What the button says.
        preferences: Link to what one wants to be told.
        unsubscribe: Link that turns this kind of e-mail off, or None.
    """

    subject: str
    lead: str
    alone: str | None
    rows: Sequence[tuple[str, str]]
    do: str
    lines: Sequence[Line]
    more: str
    link: str
    link_label: str
    preferences: str
    unsubscribe: str | None


def as_text(page: Page, words: Catalogue) -> str:
    """The plain text of the e-mail."""
    parts = [page.lead]
    if page.alone is not None:
        parts.append(page.alone)
    if page.lines:
        listed = [f"- {line.title}\n  {line.link}" for line in page.lines]
        parts.append("\n".join([*listed, *([page.more] if page.more else [])]))
    if page.rows:
        parts.append("\n".join(f"{label}: {value}" for label, value in page.rows))
    if page.do:
        parts.append(f"{words['label.do']}: {page.do}")
    parts.append(f"{page.link_label}: {page.link}")
    foot = [words["footer"], f"{words['preferences']}: {page.preferences}"]
    if page.unsubscribe is not None:
        foot.append(f"{words['unsubscribe']}: {page.unsubscribe}")
    parts.append("\n".join(foot))
    return "\n\n".join(parts) + "\n"


def as_html(page: Page, words: Catalogue, *, language: str) -> str:
    """The HTML of the e-mail; every text is escaped."""
    code = "pt-BR" if language == "pt" else language
    return (
        f'<!doctype html><html lang="{code}"><head><meta charset="utf-8">'
        f"<title>{escape(page.subject)}</title></head>"
        '<body style="margin:0;padding:24px;font-family:Arial,Helvetica,sans-serif;'
        'font-size:15px;line-height:1.45;color:#1c2a33">'
        f'<p style="font-size:17px;white-space:pre-line">{escape(page.lead)}</p>'
        f"{_alone(page)}{_lines(page)}{_rows(page)}{_do(page, words)}"
        f'<p style="margin:20px 0"><a href="{escape(page.link)}" style="display:inline-block;'
        "padding:10px 18px;background:#0b6e4f;color:#ffffff;text-decoration:none;"
        f'border-radius:6px">{escape(page.link_label)}</a></p>'
        f"{_foot(page, words)}</body></html>"
    )


def _alone(page: Page) -> str:
    if page.alone is None:
        return ""
    return (
        '<p style="padding:10px 12px;background:#fff4d6;border-left:4px solid #e0a100">'
        f"{escape(page.alone)}</p>"
    )


def _lines(page: Page) -> str:
    if not page.lines:
        return ""
    items = "".join(
        f'<li style="margin:6px 0"><a href="{escape(line.link)}" style="color:#0b6e4f">'
        f"{escape(line.title)}</a></li>"
        for line in page.lines
    )
    more = f"<p>{escape(page.more)}</p>" if page.more else ""
    return f'<ul style="padding-left:20px">{items}</ul>{more}'


def _rows(page: Page) -> str:
    if not page.rows:
        return ""
    cells = "".join(
        '<tr><td style="padding:4px 16px 4px 0;color:#5b6770">'
        f'{escape(label)}</td><td style="padding:4px 0"><strong>{escape(value)}</strong></td></tr>'
        for label, value in page.rows
    )
    return f'<table role="presentation" style="border-collapse:collapse">{cells}</table>'


def _do(page: Page, words: Catalogue) -> str:
    if not page.do:
        return ""
    return f"<p><strong>{escape(words['label.do'])}:</strong> {escape(page.do)}</p>"


def _foot(page: Page, words: Catalogue) -> str:
    links = [(words["preferences"], page.preferences)]
    if page.unsubscribe is not None:
        links.append((words["unsubscribe"], page.unsubscribe))
    joined = " · ".join(
        f'<a href="{escape(link)}" style="color:#5b6770">{escape(label)}</a>'
        for label, link in links
    )
    return f'<p style="color:#5b6770;font-size:12px">{escape(words["footer"])}<br>{joined}</p>'
