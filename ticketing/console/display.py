"""How agents see values: customer text made harmless, times in their zone, the SLA in words."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from ticketing.domain.enums import SlaState
from ticketing.services.views import MessageView, TicketSummary

# Characters that reorder or hide text (Unicode TR 36, bidirectional and invisible spoofing). The
# zero-width joiner U+200D stays: emoji are made with it.
_HIDDEN = frozenset(
    "\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064"
    "\u2066\u2067\u2068\u2069\ufeff\ufff9\ufffa\ufffb"
)
_BREAKS = {"\u2028": "\n", "\u2029": "\n", "\r": "\n", "\x0b": "\n", "\x0c": "\n"}
NOTHING = "-"
_MINUTE = timedelta(minutes=1)
_SOON = 0.3  # of the target left: the warning comes at 70 % used (SLA_WARNING_THRESHOLD)

_DATE_FORMATS = {"pt": "%d/%m/%Y %H:%M", "en": "%Y-%m-%d %H:%M", "es": "%d/%m/%Y %H:%M"}

Say = Callable[..., str]
"""The catalogue in one language: `say("key", name=value)`."""


def visible(value: object) -> str:
    r"""Text as it may stand on a page: without control and bidirectional characters.

    >>> visible("a\u202eb\x07c")
    'abc'
    """
    text = str(value).replace("\r\n", "\n")
    shown = (_BREAKS.get(character, character) for character in text)
    return "".join(
        character
        for character in shown
        if character in "\n\t"
        or (character not in _HIDDEN and unicodedata.category(character) not in {"Cc", "Cs"})
    )


@dataclass(frozen=True, slots=True)
class SlaWords:
    """The SLA of a ticket in words, and how urgent that looks (ok, soon, late, done, none)."""

    text: str
    tone: str


@dataclass(frozen=True, slots=True)
class Display:
    """Formats for one agent: language, time zone and the present moment."""

    say: Say
    language: str
    zone: ZoneInfo
    now: datetime

    def moment(self, at: datetime | None) -> str:
        """Date and time; the time alone when it is today."""
        if at is None:
            return NOTHING
        local = at.astimezone(self.zone)
        if local.date() == self.now.astimezone(self.zone).date():
            return f"{local:%H:%M}"
        return local.strftime(_DATE_FORMATS[self.language])

    def clock(self, at: datetime) -> str:
        """The time of day."""
        return f"{at.astimezone(self.zone):%H:%M}"

    def day(self, at: datetime) -> str:
        """The date, for the divider between two days of a conversation."""
        return at.astimezone(self.zone).strftime(_DATE_FORMATS[self.language].split(" ")[0])

    def span(self, span: timedelta) -> str:
        """A duration by its one or two largest units: "3 min", "2 h 5 min", "4 d 3 h"."""
        minutes = max(0, int(span / _MINUTE))
        hours, minutes = divmod(minutes, 60)
        days, hours = divmod(hours, 24)
        if days:
            return f"{days} d {hours} h" if hours else f"{days} d"
        if hours:
            return f"{hours} h {minutes} min" if minutes else f"{hours} h"
        return f"{minutes} min"

    def amount(self, seconds: int) -> str:
        """So many seconds as a span."""
        return self.span(timedelta(seconds=seconds))

    def size(self, size: int) -> str:
        """Bytes as people read them."""
        kilobytes = max(1, round(size / 1024))
        return f"{kilobytes} KB" if kilobytes < 1024 else f"{kilobytes / 1024:.1f} MB"  # noqa: PLR2004

    def waited(self, at: datetime | None) -> str:
        """How long ago."""
        return NOTHING if at is None else self.span(self.now - at)

    def sla(self, ticket: TicketSummary) -> SlaWords:
        """How the ticket stands with what was promised: by its clocks, where it has some."""
        state = SlaState(ticket.sla_state)
        if state is SlaState.NONE:
            return self._first_answer(ticket)
        if state is SlaState.PAUSED:
            return SlaWords(self.say("sla.paused"), "none")
        is_late = state is SlaState.BREACHED
        due = ticket.sla_expires_at
        if state is SlaState.MET or due is None or ticket.resolved_at is not None:
            words = self.say("sla.broken" if is_late else "sla.kept_all")
            return SlaWords(words, "late" if is_late else "done")
        tone = {SlaState.BREACHED: "late", SlaState.WARNING: "soon"}.get(state, "ok")
        return self._due(due, tone)

    def _first_answer(self, ticket: TicketSummary) -> SlaWords:
        """A ticket whose clocks have not been made yet: its target for the first human answer."""
        due = ticket.sla_expires_at
        if ticket.first_response_at is not None:
            late = due is not None and ticket.first_response_at > due
            return SlaWords(
                self.say("sla.missed" if late else "sla.met"), "late" if late else "done"
            )
        if due is None or ticket.resolved_at is not None:
            return SlaWords(self.say("sla.none"), "none")
        is_soon = due - self.now < (due - ticket.opened_at) * _SOON
        return self._due(due, "soon" if is_soon else "ok")

    def _due(self, due: datetime, tone: str) -> SlaWords:
        left = due - self.now
        if left <= timedelta():
            return SlaWords(self.say("sla.overdue", span=self.span(-left)), "late")
        return SlaWords(self.say("sla.due", span=self.span(left)), tone)

    def window_open(self, ticket: TicketSummary) -> bool:
        """Whether the channel still takes free text to this customer."""
        ends = ticket.reply_window_ends_at
        return ends is not None and self.now < ends


_TICKS = {
    "pending": ("◷", "wait"),
    "sending": ("◷", "wait"),
    "unknown": ("?", "wait"),
    "sent": ("✓", "sent"),
    "delivered": ("✓✓", "sent"),
    "read": ("✓✓", "read"),
    "failed": ("!", "failed"),
    "dropped": ("⊘", "dropped"),
}


def tick(message: MessageView) -> tuple[str, str]:
    """Sign and tone of an outbound message's delivery."""
    return _TICKS.get(message.delivery or "", ("", ""))
