"""Texts of the runbooks, filled in for one ticket: what an agent is offered, and what may leave."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from channels.message import OutboundTemplate
from handoff.policy import HandoffPolicy
from ticketing.db.tables import Agent, Company, Contact, Conversation, Handoff, Queue, Ticket
from ticketing.domain.runbook import (
    LANGUAGES,
    ReplyText,
    RunbookBook,
    UnknownReplyTextError,
    in_language,
)
from ticketing.domain.runbook_render import (
    ENTITY,
    Gap,
    Rendered,
    closed_window_message,
    closed_window_words,
    first_name,
    has_braces,
    render,
    variables_in,
)
from ticketing.domain.ticket import OPEN_STATUSES, Actor
from ticketing.services.deliveries import WINDOW, WINDOW_MARGIN
from ticketing.services.runbook_views import situation_of, visible_ticket

_DUE_FORMATS = {"pt": "%d/%m às %H:%M", "en": "%Y-%m-%d at %H:%M", "es": "%d/%m a las %H:%M"}


class ReplyNotReadyError(ValueError):
    """The text cannot leave as it is: something in it is not filled in, or it is too long."""

    def __init__(self, problem: str, *, field: str = "text") -> None:
        self.field = field
        super().__init__(f"{field}: {problem}")


@dataclass(frozen=True, slots=True)
class GapView:
    """A variable that is not filled in; `found` are values to choose from."""

    variable: str
    reason: str
    found: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClosedWindowView:
    """What leaves in place of the text when WhatsApp takes no free text.

    `words` are the approved words, when the runbook tells them; edits of the text do not reach it.
    """

    template: str
    language: str
    parameters: tuple[str, ...]
    words: str | None
    gaps: tuple[GapView, ...]


@dataclass(frozen=True, slots=True)
class ReplyOffer:
    """A text for this ticket. `ready`: it may leave unchanged; else `gaps` or `length` say why.

    `length` and `limit` are code points, after filling in.
    """

    template: str
    name: str
    language: str
    text: str
    ready: bool
    gaps: tuple[GapView, ...]
    length: int
    limit: int
    closed_window: ClosedWindowView | None


@dataclass(frozen=True, slots=True)
class ReplyOffers:
    """The texts for a ticket, the closest first.

    `window_open` False: free text no longer reaches the customer; `closed_window` of the chosen
    text leaves, or the service's general template when it has none.
    """

    ticket_id: uuid.UUID
    window_open: bool
    templates: tuple[ReplyOffer, ...]


@dataclass(frozen=True, slots=True)
class PreparedReply:
    """A reply that began as a text of a runbook.

    Attributes:
        text: The words to send, perhaps edited.
        template: Key of the text it began as.
        version: Version of its runbook.
        language: In which it was filled in.
        edited: Whether the agent changed it.
        closed_window: What leaves when the window is closed; None: nothing of its own.
    """

    text: str
    template: str
    version: str
    language: str
    edited: bool
    closed_window: OutboundTemplate | None

    @property
    def event_data(self) -> dict[str, Any]:
        """What the ticket's event keeps of it; none of the words."""
        return {
            "template": self.template,
            "template_version": self.version,
            "template_language": self.language,
            "edited": self.edited,
        }


@dataclass(frozen=True, slots=True)
class Desk:
    """What filling in needs besides the ticket.

    Attributes:
        book: The runbooks in force.
        policy: For the names of queues.
        now: The present moment.
        zone: Of the times that customers read.
    """

    book: RunbookBook
    policy: HandoffPolicy
    now: datetime
    zone: ZoneInfo


async def reply_offers(
    session: AsyncSession,
    ticket_id: uuid.UUID,
    *,
    actor: Actor,
    desk: Desk,
    language: str | None = None,
) -> ReplyOffers:
    """Every text that is for this ticket, filled in.

    Args:
        session: Reads only.
        ticket_id: The ticket.
        actor: Who would send it; texts may name them.
        desk: What is in force.
        language: Of the texts; None: the customer's.

    Raises:
        TicketNotFoundError: there is no such ticket.
        NotVisibleError: it is not for this person.
    """
    ticket = await visible_ticket(session, ticket_id, actor=actor)
    chosen = language or _served(ticket.language)
    values = await _values(session, ticket, actor=actor, desk=desk, language=chosen)
    situation = await situation_of(session, ticket)
    return ReplyOffers(
        ticket_id=ticket_id,
        window_open=await _window_open(session, ticket, now=desk.now),
        templates=tuple(
            _offer(reply, values, language=chosen) for reply in desk.book.replies_for(situation)
        ),
    )


async def prepare_reply(
    session: AsyncSession,
    ticket_id: uuid.UUID,
    *,
    template: str,
    actor: Actor,
    desk: Desk,
    text: str | None = None,
    language: str | None = None,
) -> PreparedReply:
    """Make a text ready to leave.

    Args:
        session: Reads only.
        ticket_id: The ticket.
        template: Key of the text.
        actor: Who sends it.
        desk: What is in force.
        text: The words as the agent left them; None: as they are filled in.
        language: None: the customer's.

    Raises:
        UnknownReplyTextError: no such text is offered for this ticket.
        ReplyNotReadyError: a variable still stands in it, or it is empty or too long; or the
            window is closed and its WhatsApp template cannot be filled in.
    """
    offers = await reply_offers(session, ticket_id, actor=actor, desk=desk, language=language)
    offer = next((item for item in offers.templates if item.template == template), None)
    if offer is None:
        raise UnknownReplyTextError(template, [item.template for item in offers.templates])
    words = offer.text if text is None else text.strip()
    _check_words(words, offer)
    window = offer.closed_window
    if window is not None and window.gaps and not offers.window_open:
        names = ", ".join(gap.variable for gap in window.gaps)
        problem = (
            f"the 24 h window is closed and WhatsApp template {window.template} needs {names}; "
            "expected a ticket that has them, or another text"
        )
        raise ReplyNotReadyError(problem, field="template")
    usable = window is not None and not window.gaps
    return PreparedReply(
        text=words,
        template=template,
        version=_version(desk.book, template),
        language=offer.language,
        edited=words != offer.text,
        closed_window=OutboundTemplate(window.template, window.language, window.parameters)
        if window is not None and usable
        else None,
    )


def _check_words(words: str, offer: ReplyOffer) -> None:
    if has_braces(words):
        names = ", ".join(variables_in(words)) or "double braces"
        problem = f"{names} is not filled in; expected words in its place"
        raise ReplyNotReadyError(problem)
    if not words or len(words) > offer.limit:
        problem = f"has {len(words)} characters; expected 1 to {offer.limit}"
        raise ReplyNotReadyError(problem)


def _version(book: RunbookBook, template: str) -> str:
    key = template.partition(".")[0]
    return next(runbook.version for runbook in book.runbooks if runbook.key == key)


def _offer(reply: ReplyText, values: Mapping[str, list[str]], *, language: str) -> ReplyOffer:
    rendered: Rendered = render(in_language(reply.texts, language), values)
    return ReplyOffer(
        template=reply.key,
        name=in_language(reply.names, language),
        language=language,
        text=rendered.text,
        ready=rendered.ready,
        gaps=_gaps(rendered.gaps),
        length=rendered.length,
        limit=rendered.limit,
        closed_window=_closed_window(reply, values, language=language),
    )


def _closed_window(
    reply: ReplyText, values: Mapping[str, list[str]], *, language: str
) -> ClosedWindowView | None:
    window = reply.closed_window
    if window is None:
        return None
    message, gaps = closed_window_message(window, values, language=language)
    body = in_language(window.body, language) if window.body else None
    return ClosedWindowView(
        template=message.name,
        language=message.language,
        parameters=message.body_parameters,
        words=None if body is None else closed_window_words(body, message.body_parameters),
        gaps=_gaps(gaps),
    )


def _gaps(gaps: tuple[Gap, ...]) -> tuple[GapView, ...]:
    return tuple(GapView(gap.variable, gap.reason.value, gap.found) for gap in gaps)


def _served(language: str) -> str:
    return language if language in LANGUAGES else LANGUAGES[0]


async def _window_open(session: AsyncSession, ticket: Ticket, *, now: datetime) -> bool:
    last = await session.scalar(
        select(Conversation.last_customer_message_at).where(
            Conversation.id == ticket.conversation_id
        )
    )
    return last is not None and now < last + WINDOW - WINDOW_MARGIN


async def _values(
    session: AsyncSession, ticket: Ticket, *, actor: Actor, desk: Desk, language: str
) -> dict[str, list[str]]:
    """What the variables stand for; a list, because customers may have named several."""
    contact = await session.get_one(Contact, ticket.contact_id)
    queue = await session.get_one(Queue, ticket.queue_id)
    company = None
    if ticket.company_id is not None:
        company = await session.scalar(select(Company.name).where(Company.id == ticket.company_id))
    agent = None
    if actor.agent_id is not None:
        agent = await session.scalar(select(Agent.name).where(Agent.id == actor.agent_id))
    described = desk.policy.queues.get(queue.key)
    queue_name = queue.name if described is None else described.names.get(language, queue.name)
    found = {
        "contact.first_name": first_name(contact.name),
        "contact.name": contact.name,
        "contact.company": company,
        "ticket.number": str(ticket.number),
        "ticket.subject": ticket.subject,
        "agent.name": agent,
        "agent.first_name": first_name(agent),
        "queue.name": queue_name,
        "sla.due": _due(ticket, desk=desk, language=language),
    }
    values = {name: [] if value is None else [value] for name, value in found.items()}
    return values | await _entities(session, ticket.id)


def _due(ticket: Ticket, *, desk: Desk, language: str) -> str | None:
    """Until when the customer hears from us; a time that has passed is no promise to make."""
    due = ticket.sla_expires_at
    is_open = ticket.status in [status.value for status in OPEN_STATUSES]
    if due is None or due <= desk.now or not is_open:
        return None
    return due.astimezone(desk.zone).strftime(_DUE_FORMATS[language])


async def _entities(session: AsyncSession, ticket_id: uuid.UUID) -> dict[str, list[str]]:
    """What the customer named before the handoff; of several handoffs the newest that has it."""
    rows = await session.scalars(
        select(Handoff.evidence).where(Handoff.ticket_id == ticket_id).order_by(Handoff.id)
    )
    values: dict[str, list[str]] = {}
    for evidence in rows:
        named = evidence.get("entities")
        for name, found in (named if isinstance(named, dict) else {}).items():
            if isinstance(found, list) and found:
                values[f"{ENTITY}{name}"] = [str(value) for value in found]
    return values
