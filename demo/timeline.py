"""The live timeline on the terminal: one line a thing that happened, with its second."""

from __future__ import annotations

import sys
import textwrap

from demo.observer import ConversationView, TurnView

_STYLES = {
    "title": "1",
    "customer": "36",
    "bot": "32",
    "agent": "35",
    "rule": "33",
    "ticket": "34",
    "notice": "34",
    "ok": "32",
    "bad": "31;1",
    "dim": "2",
}
_WIDTH = 96


class Timeline:
    """Prints; colours only on a terminal."""

    def __init__(self) -> None:
        self._colours = sys.stdout.isatty()

    def title(self, number: int, total: int, title: str, shows: str) -> None:
        """Head of a conversation."""
        print()
        print(self._style("title", f"[{number}/{total}] {title}"))
        print(self._style("dim", f"      {shows}"))

    def line(self, seconds: float, kind: str, text: str) -> None:
        """One thing that happened."""
        head = f"{seconds:7.2f} s  {kind:<9}"
        body = textwrap.wrap(" / ".join(text.split("\n")), _WIDTH - len(head)) or [""]
        print(f"{head} {self._style(kind, body[0])}")
        for rest in body[1:]:
            print(" " * (len(head) + 1) + self._style(kind, rest))
        sys.stdout.flush()

    def turn(self, seconds: float, view: TurnView) -> None:
        """What the rules made of a message, and the answer."""
        if view.decision is not None and view.snapshot is not None:
            ranking = view.snapshot["ranking"][:1]
            seen = ", ".join(f"{intent} {score:.2f}" for intent, score in ranking) or "no intent"
            if view.snapshot["message_kind"] != "text":
                seen = f"{view.snapshot['message_kind']}: {view.snapshot['top_intent'] or '-'}"
            said = (
                f"{seen}  ->  {view.decision['outcome']} by {view.decision['rule_version']}"
                f" ({view.decision['reason']})"
            )
            self.line(seconds, "rule", said)
        else:
            self.line(seconds, "rule", f"no decision: {view.outcome}")
        for reply in view.replies:
            titles = [button["title"] for button in reply.data.get("buttons", [])]
            shown = f"  [{' | '.join(titles)}]" if titles else ""
            self.line(seconds, "bot", f"{reply.text}{shown}")

    def ticket(self, seconds: float, view: ConversationView) -> None:
        """The ticket that was opened."""
        ticket = view.ticket
        if ticket is None:
            return
        self.line(
            seconds,
            "ticket",
            f"#{ticket.number} {ticket.status}: level {ticket.level}, queue {view.queue}, "
            f"priority {ticket.priority}, severity {ticket.severity}, "
            f"reason {ticket.escalation_reason}, SLA {ticket.sla_target_minutes} min",
        )

    def notices(self, seconds: float, view: ConversationView) -> None:
        """Who was told."""
        for notice in view.notifications:
            self.line(seconds, "notice", f"{notice.job_name} {notice.event}: {notice.state}")

    def checked(self, problems: list[str]) -> None:
        """The result of a step's expectations."""
        for problem in problems:
            print(self._style("bad", f"           DIFFERENCE {problem}"))

    def _style(self, kind: str, text: str) -> str:
        code = _STYLES.get(kind)
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours and code else text
