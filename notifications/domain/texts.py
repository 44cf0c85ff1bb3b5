"""Subject, body and link of a notice, from its event and stored context.

A notice leaves the system, so it holds no name, number or words of the customer: the ticket's
number, the reason in words, level, queue, priority and a link for people who may see the rest.
Texts that a program or person wrote (`user-notice`) are text and nothing else: one line where a
header is made of them, escaped where HTML is, and no link of theirs leads away from the console.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from channels.graphemes import truncate
from notifications.domain.notice_facts import facts, one_line, path_of, rows
from notifications.domain.notice_page import Line, Page, as_html, as_text
from notifications.domain.words import CATALOGUES, PT, Catalogue

WHATSAPP_LANGUAGE = {"pt": "pt_BR", "en": "en", "es": "es"}
"""Template language codes of the WhatsApp Cloud API."""

LONGEST_PUSH_TITLE = 65
"""Characters that a locked phone shows of a title: Android cuts near 65, iOS later."""
LONGEST_PUSH_BODY = 240
"""Characters that an opened notification shows; some 150 are seen on a locked phone."""
LONGEST_SMS = 300
"""Characters before the link: three parts of 153 hold them, the link and what SMS adds."""
LONGEST_LINK_LABEL = 20
"""Characters on a button of WhatsApp."""
DIGEST_LINES = 5
"""Notices of a digest that are named; the rest are counted."""

PREFERENCES_PAGE = "/console/notifications"
_PREFIX = "[Ponte] "


@dataclass(frozen=True, slots=True)
class NoticeText:
    """One notice in words. A channel's text is made when it is asked for: no sender needs all."""

    _event: str
    _page: Page
    _names: Mapping[str, str]
    _words: Catalogue
    _language: str

    @property
    def subject(self) -> str:
        """Subject line; never with a line break."""
        return self._page.subject

    @property
    def text(self) -> str:
        """Plain text of an e-mail."""
        return as_text(self._page, self._words)

    @property
    def html(self) -> str:
        """HTML of an e-mail."""
        return as_html(self._page, self._words, language=self._language)

    @property
    def whatsapp(self) -> str:
        """For WhatsApp, without the link: the same facts in a few lines."""
        page = self._page
        alone = [page.alone] if page.alone else []
        listed = [f"- {line.title}" for line in page.lines] + ([page.more] if page.more else [])
        lines = [f"{label}: {value}" for label, value in page.rows]
        do = [f"{self._words['label.do']}: {page.do}"] if page.do else []
        # A person's words are no fact of ours: they stand as they are, below their title.
        lead = [page.lead] if self._event == "user-notice" else []
        return "\n".join([f"*{page.subject}*", *lead, *alone, *listed, *lines, *do])

    @property
    def title(self) -> str:
        """For push, at most `LONGEST_PUSH_TITLE` characters."""
        return truncate(self._headline, LONGEST_PUSH_TITLE)

    @property
    def body(self) -> str:
        """For push, at most `LONGEST_PUSH_BODY` characters."""
        return truncate(_push_body(self._page, self._reason), LONGEST_PUSH_BODY)

    @property
    def sms(self) -> str:
        """For SMS, without the link: one line that begins with who writes."""
        return truncate(_sms(self._headline, self._page, self._reason), LONGEST_SMS)

    @property
    def link(self) -> str:
        """Where a person goes on."""
        return self._page.link

    @property
    def link_label(self) -> str:
        """At most `LONGEST_LINK_LABEL` characters."""
        label = self._page.link_label
        return label if len(label) <= LONGEST_LINK_LABEL else "Ponte"

    @property
    def acknowledge(self) -> str:
        """What the button says by which somebody tells that they got it."""
        return self._words["button.acknowledge"]

    @property
    def parameters(self) -> tuple[str, ...]:
        """Body parameters of the WhatsApp template: subject line, reason, link."""
        return (self._page.subject, one_line(self._reason) or "-", self._page.link)

    @property
    def short(self) -> str:
        """For WhatsApp: the facts and the link."""
        return f"{self.whatsapp}\n{self.link}"

    @property
    def _headline(self) -> str:
        return self._page.subject.removeprefix(_PREFIX)

    @property
    def _reason(self) -> str:
        """The one fact beside the subject: a ticket's promise or reason, else what to do."""
        names = self._names
        return self._page.more or names["metric"] or names["reason"] or self._page.do


def render(
    event: str,
    context: Mapping[str, Any],
    *,
    language: str,
    frontend_url: str,
    unsubscribe_url: str | None = None,
) -> NoticeText:
    """The words of a notice.

    Args:
        event: one of `PolicyEvent`; one that is not known yet is told in general words.
        context: `as_context()` of the facts, with `source` and `nobody_on_duty`. Further keys:
            `alert` (topic of an operation's event); `failed_channel`, `failed_code` and
            `failed_event` of a notice that failed; `title`, `body` (a text, or one for each
            language) and `link` (a path) of a user's notice; `digest` with `count` (notices told
            together, this one included) and `items` (their contexts).
        language: pt, en or es; anything else reads Portuguese.
        frontend_url: where the console is, without a path.
        unsubscribe_url: link of the e-mail that turns this kind off; None: there is none.
    """
    if language not in CATALOGUES:
        language = "pt"
    words = CATALOGUES.get(language, PT)
    names = facts(words, context, language=language)
    base = frontend_url.rstrip("/")
    page = _page(event, context, names, words, language, base, unsubscribe_url)
    return NoticeText(event, page, names, words, language)


def _page(  # noqa: PLR0917 - what a page is made of
    event: str,
    context: Mapping[str, Any],
    names: Mapping[str, str],
    words: Catalogue,
    language: str,
    base: str,
    unsubscribe_url: str | None,
) -> Page:
    told = _digest(context)
    kind, subject = _subject(event, context, words, names)
    if told is not None:
        names = {**names, "total": str(told.count), "what": words.get(f"event.{event}", event)}
        kind, subject = "digest", words["subject.digest"].format_map(names)
    path = path_of(event, context)
    together = told is not None
    return Page(
        subject=one_line(subject),
        lead=words[f"lead.{kind}"].format_map(names),
        alone=words["nobody_on_duty"] if context.get("nobody_on_duty") else None,
        rows=() if together else rows(words, names, subject=subject),
        do="" if together else _do(event, kind, words),
        lines=_lines(event, told, words, language, base) if told is not None else (),
        more=_more(words, told),
        link=base + path,
        link_label=_link_label(words, path),
        preferences=base + PREFERENCES_PAGE,
        unsubscribe=unsubscribe_url,
    )


def _subject(
    event: str, context: Mapping[str, Any], words: Catalogue, names: Mapping[str, str]
) -> tuple[str, str]:
    """The kind of a notice, which is the weightiest its catalogue knows, and its subject."""
    options = [f"{event}.{context.get('alert')}", f"{event}.{context.get('threshold')}"]
    if not names["number"]:
        options.append(f"{event}.alone")
    options.append(event)
    kind = next((option for option in options if f"subject.{option}" in words), "other")
    if kind == "other":
        names = {**names, "what": event}
    subject = words[f"subject.{kind}"].format_map(names)
    # A context of an older version may lack what the line ends with.
    return kind, one_line(subject).rstrip(" :#,")


def _do(event: str, kind: str, words: Catalogue) -> str:
    return words.get(f"do.{kind}") or words.get(f"do.{event}", "")


def _link_label(words: Catalogue, path: str) -> str:
    if path.startswith("/console/tickets/"):
        return words["open.short"]
    return words["open.dlq" if path.startswith("/console/dead-letters") else "open.ops"]


def _push_body(page: Page, reason: str) -> str:
    parts = [page.alone or "", page.lead, "" if reason in page.lead else reason]
    return one_line(" ".join(part.rstrip(".") + "." for part in parts if part))


def _sms(headline: str, page: Page, reason: str) -> str:
    detail = reason if reason and reason not in headline else ""
    if not detail and not page.rows:
        detail = page.lead
    parts = [f"Ponte: {headline}", page.alone or "", detail]
    return one_line(" ".join(part.rstrip(".") + "." for part in parts if part))


@dataclass(frozen=True, slots=True)
class _Digest:
    count: int
    items: Sequence[Mapping[str, Any]]


def _digest(context: Mapping[str, Any]) -> _Digest | None:
    """What is told together; None for a single notice, or for a digest that is none."""
    value = context.get("digest")
    if not isinstance(value, Mapping):
        return None
    items = value.get("items")
    count = value.get("count")
    known = [item for item in items or () if isinstance(item, Mapping)]
    if not known or not isinstance(count, int) or count <= 1:
        return None
    return _Digest(count, known[:DIGEST_LINES])


def _lines(
    event: str, told: _Digest, words: Catalogue, language: str, base: str
) -> tuple[Line, ...]:
    found = []
    for item in told.items:
        names = facts(words, item, language=language)
        _, subject = _subject(event, item, words, names)
        title = truncate(one_line(subject).removeprefix(_PREFIX), 120)
        found.append(Line(title, base + path_of(event, item)))
    return tuple(found)


def _more(words: Catalogue, told: _Digest | None) -> str:
    rest = 0 if told is None else told.count - len(told.items)
    if rest <= 0:
        return ""
    return words["digest.more.one" if rest == 1 else "digest.more"].format(rest=rest)
