"""Turns services' values into HTML pages, in one language, for one person."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from kit.ids import new_token
from ticketing.console import texts
from ticketing.console.display import Display, tick, visible
from ticketing.console.explanation import explain
from ticketing.console.sla import SlaPanel, tone
from ticketing.domain.attachment import ALLOWED
from ticketing.domain.enums import Control, Level, Priority, Severity, SlaState, TicketStatus
from ticketing.domain.review import Verdict
from ticketing.domain.ticket import (
    OPEN_STATUSES,
    Actor,
    NotAllowedError,
    TicketState,
    Transition,
    check_permission,
)
from ticketing.http.deps import MEGABYTE, Deps
from ticketing.services.agents import AgentView
from ticketing.services.attachments import AttachmentView
from ticketing.services.reviews import ReviewView
from ticketing.services.sessions import LoggedIn
from ticketing.services.ticket_list import DeskCounts, TicketPage
from ticketing.services.views import EventView, QueueView, TicketDetail, TicketSummary

_HERE = Path(__file__).parent
STATIC_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file of `static/`, with the hash that is part of its address."""

    body: bytes
    content_type: str
    version: str


def static_files() -> dict[str, StaticFile]:
    """Every file of `static/` by name; read once, when the blueprint is made."""
    files: dict[str, StaticFile] = {}
    for path in sorted((_HERE / "static").iterdir()):
        kind = STATIC_TYPES.get(path.suffix.removeprefix("."))
        if kind is not None:
            body = path.read_bytes()
            version = hashlib.sha256(body).hexdigest()[:12]
            files[path.name] = StaticFile(body, f"{kind}; charset=utf-8", version)
    return files


@dataclass(frozen=True, slots=True)
class Visit:
    """Who looks at a page, in which language, with which messages above it."""

    language: str
    who: LoggedIn | None
    csrf: str
    notice: str | None = None
    problem: str | None = None


class Pages:
    """Renders the console."""

    def __init__(self, deps: Deps, files: Mapping[str, StaticFile]) -> None:
        self._deps = deps
        self._files = files
        self._environment = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            # Every value that is printed passes here, so no template can forget it.
            finalize=_harmless,
        )

    def login(self, visit: Visit, *, email: str, next_url: str) -> str:
        """The login page."""
        return self._render("login.html", visit, email=email, next=next_url)

    def error(self, visit: Visit) -> str:
        """A page that only holds a problem."""
        return self._render("error.html", visit)

    def tickets(self, visit: Visit, *, rows_only: bool = False, **facts: Any) -> str:
        """The list, or only what its live part holds."""
        template = "ticket_rows.html" if rows_only else "tickets.html"
        return self._render(template, visit, **self._list_facts(visit, **facts))

    def ticket(
        self,
        visit: Visit,
        detail: TicketDetail,
        *,
        queues: tuple[QueueView, ...],
        agents: tuple[AgentView, ...],
        typed: Mapping[str, str],
        review: ReviewView | None,
        panel: object,
        promises: SlaPanel | None = None,
        files: tuple[AttachmentView, ...] = (),
    ) -> str:
        """The page of a ticket; `panel` is what `console.runbook` loads for it."""
        actor = self._actor(visit)
        may = permissions(detail.ticket, actor, queues)
        return self._render(
            "ticket.html",
            visit,
            detail=detail,
            may=may,
            over=detail.ticket.status not in OPEN_STATUSES,
            review=review,
            panel=panel,
            files=files,
            file_megabytes=self._deps.attachment_max_bytes // MEGABYTE,
            file_endings=",".join(f".{item}" for kind in ALLOWED for item in kind.extensions),
            sla_panel=promises,
            sla_tone=tone,
            verdicts=[item.value for item in Verdict],
            intent_options=list(self._deps.policy.current().intents),
            typed={"reply": "", "note": "", **typed},
            new_key=new_token,
            other_queues=[queue for queue in queues if queue.key != detail.ticket.queue],
            agents=[
                agent for agent in agents if agent.active and agent.id != detail.ticket.agent_id
            ],
            priority_options=self._options(visit, "priority", Priority),
            severity_options=self._options(visit, "severity", Severity),
        )

    def page(self, template: str, visit: Visit, **facts: Any) -> str:
        """A page of a template of its own."""
        return self._render(template, visit, **facts)

    def conversation(self, visit: Visit, detail: TicketDetail) -> str:
        """The bubbles alone, for the live part of the ticket's page."""
        return self._render("conversation.html", visit, detail=detail)

    def say(self, visit: Visit, key: str, **values: object) -> str:
        """Words of the catalogue in the visitor's language."""
        return texts.speak(visit.language)(key, **values)

    def _actor(self, visit: Visit) -> Actor:
        if visit.who is None:
            message = "this page is for people who are logged in"
            raise LookupError(message)
        return visit.who.actor

    def _list_facts(
        self,
        visit: Visit,
        *,
        tab: str,
        page: TicketPage,
        counts: DeskCounts,
        queues: tuple[QueueView, ...],
        chosen: Mapping[str, str],
    ) -> dict[str, Any]:
        kept = {name: value for name, value in chosen.items() if value and name != "cursor"}
        tabs = (("waiting", counts.waiting), ("mine", counts.mine), ("open", counts.open))
        names = [(name, self.say(visit, f"list.{name}"), count) for name, count in tabs]
        query = {"tab": tab, **kept}
        at = {"cursor": chosen["cursor"]} if chosen["cursor"] else {}
        return {
            "tab": tab,
            "tabs": [*names, ("all", self.say(visit, "list.all"), None)],
            "page": page,
            "counts": counts,
            "chosen": chosen,
            "filtered": bool(kept),
            "paged": bool(chosen["cursor"]),
            "live_url": "/console/rows?" + urlencode({**query, **at}),
            "first_url": "/console?" + urlencode(query),
            "next_url": "/console?" + urlencode({**query, "cursor": page.next_cursor or ""}),
            "priority_options": self._options(visit, "priority", Priority),
            "severity_options": self._options(visit, "severity", Severity),
            "status_options": self._options(visit, "status", TicketStatus),
            "sla_options": self._options(visit, "sla.state", SlaState),
            "level_options": [(level.value, level.value) for level in Level],
            "queue_options": [
                (queue.key, self._queue_name(visit, queue.key, queue.name)) for queue in queues
            ],
        }

    def _options(self, visit: Visit, group: str, enum: Any) -> list[tuple[str, str]]:
        return [(item.value, self.say(visit, f"{group}.{item.value}")) for item in enum]

    def _queue_name(self, visit: Visit, key: str, stored: str) -> str:
        queue = self._deps.policy.current().queues.get(key)
        return stored if queue is None else queue.names.get(visit.language, stored)

    def _render(self, template: str, visit: Visit, **facts: Any) -> str:
        say = texts.speak(visit.language)
        display = Display(
            say=say,
            language=visit.language,
            zone=self._deps.time_zone,
            now=self._deps.clock.now(),
        )
        words = Words(visit.language, self._deps)
        detail = facts.get("detail")
        return self._environment.get_template(template).render(
            t=say,
            display=display,
            tick=tick,
            static=self._static,
            who=visit.who,
            language=visit.language,
            languages=texts.LANGUAGES,
            language_names=texts.NAMES,
            html_code=texts.HTML_CODES[visit.language],
            csrf_field=Markup('<input type="hidden" name="csrf" value="{}">').format(visit.csrf),
            notice=visit.notice,
            problem=visit.problem,
            queue_name=lambda key, stored: self._queue_name(visit, key, stored),
            percent=lambda value: f"{float(value):.0%}",
            kind_words=words.kind,
            reason_words=words.reason,
            reason_or_text=words.reason_or_text,
            intent_words=words.intent,
            language_words=words.language_name,
            event_words=words.event,
            event_changes=words.changes,
            explained=explain(detail.decision) if detail is not None else None,
            **facts,
        )

    def _static(self, name: str) -> str:
        return f"/console/static/{self._files[name].version}/{name}"


@dataclass(frozen=True, slots=True)
class Words:
    """Codes of the domain in words."""

    language: str
    deps: Deps

    def _of(self, group: str, code: str, otherwise: str) -> str:
        key = f"{group}.{code}"
        if texts.has(self.language, key):
            return texts.speak(self.language)(key)
        return otherwise

    def kind(self, kind: str) -> str:
        """Kind of a message that is no text."""
        other = texts.speak(self.language)("kind.other")
        return self._of("kind", kind, f"{other} ({kind})")

    def reason(self, code: str) -> str:
        """Why a conversation was handed over; an unknown code is shown as it is."""
        return self._of("reason", code, code)

    def reason_or_text(self, reason: str) -> str:
        """A reason code in words, or an agent's own words."""
        return self._of("reason", reason, reason)

    def intent(self, intent: str) -> str:
        """What customers read on the button of this intent."""
        return self.deps.policy.current().intent_title(intent, language=self.language)

    def language_name(self, code: str) -> str:
        """Name of a language."""
        return self._of("language", code, code)

    def event(self, event: EventView) -> str:
        """What happened, with the name of who did it."""
        say = texts.speak(self.language)
        actor = event.actor_name or say("event.system")
        key = f"event.{event.kind}"
        if not texts.has(self.language, key):
            return say("event.other", kind=event.kind)
        return say(key, actor=actor)

    def changes(self, event: EventView) -> list[str]:
        """From where to where, one line each."""
        lines = []
        for name in ("level", "queue", "priority", "severity", "status"):
            before, after = event.data.get(f"from_{name}"), event.data.get(f"to_{name}")
            if before and after and before != after:
                shown = (self._value(name, str(before)), self._value(name, str(after)))
                lines.append(" → ".join(shown))
        lines += [f"+ {tag}" for tag in event.data.get("added", ())]
        lines += [f"- {tag}" for tag in event.data.get("removed", ())]
        if event.data.get("rule") and event.kind == "escalated":
            lines.append(texts.speak(self.language)("event.by_rule", rule=event.data["rule"]))
        if event.data.get("to_agent_name") and event.kind != "taken":
            lines.append(f"→ {event.data['to_agent_name']}")
        return lines

    def _value(self, name: str, value: str) -> str:
        if name == "queue":
            queue = self.deps.policy.current().queues.get(value)
            return value if queue is None else queue.names.get(self.language, value)
        return self._of(name, value, value)


def permissions(
    ticket: TicketSummary, actor: Actor, queues: tuple[QueueView, ...]
) -> dict[str, bool]:
    """Which actions the page offers: those that the domain would admit now."""
    queue_id = next(queue.id for queue in queues if queue.key == ticket.queue)
    state = TicketState(
        status=TicketStatus(ticket.status),
        priority=Priority(ticket.priority),
        severity=Severity(ticket.severity),
        level=Level(ticket.level),
        queue_id=queue_id,
        queue_key=ticket.queue,
        agent_id=ticket.agent_id,
        control=Control(ticket.control),
    )
    is_open = state.status in OPEN_STATUSES
    is_resolved = state.status is TicketStatus.RESOLVED
    in_this_status = {
        Transition.TAKE: is_open
        and (ticket.agent_id is None or ticket.agent_id == actor.agent_id)
        and not (ticket.agent_id == actor.agent_id and state.control is Control.HUMAN),
        Transition.NOTE: True,
        Transition.ATTACH: True,
        Transition.TAG: state.status is not TicketStatus.CLOSED,
        Transition.CLOSE: is_resolved,
        Transition.REOPEN: is_resolved,
    }
    may: dict[str, bool] = {}
    for transition in Transition:
        try:
            check_permission(state, actor, transition)
            allowed = True
        except NotAllowedError:
            allowed = False
        may[transition.value] = allowed and in_this_status.get(transition, is_open)
    return may


def _harmless(value: Any) -> Any:
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return visible(value)
