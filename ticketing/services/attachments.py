"""Files on tickets: put there by agents, listed, and given out again."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from kit.ids import new_id
from ticketing.db.attachment_tables import Attachment, AttachmentContent
from ticketing.db.engine import Database
from ticketing.db.tables import Agent, Ticket
from ticketing.domain import ticket_transitions
from ticketing.domain.attachment import AttachmentRefusedError, clean_name, type_of
from ticketing.domain.enums import AttachmentState, Author
from ticketing.domain.ticket import Actor
from ticketing.services import ticket_work
from ticketing.services.ticket_orders import Order, open_order
from ticketing.services.ticket_work import TicketNotFoundError
from ticketing.services.visibility import NotVisibleError, may_see

MAX_ON_TICKET = 100
"""Files of one ticket: with 10 MB each no more than 1 GB, and no more than a page can list."""


class AttachmentNotFoundError(Exception):
    """No attachment has this id, or its content is not here."""

    def __init__(self, attachment_id: uuid.UUID) -> None:
        self.attachment_id = attachment_id
        super().__init__(f"attachment {attachment_id} does not exist, or is not stored yet")


@dataclass(frozen=True, slots=True)
class AttachmentView:
    """A file on a ticket. `size` in bytes; `state` is pending, stored or refused."""

    id: uuid.UUID
    ticket_id: uuid.UUID
    message_id: uuid.UUID | None
    author: str
    agent_id: uuid.UUID | None
    agent_name: str | None
    filename: str
    media_type: str
    state: str
    size: int | None
    sha256: str | None
    problem: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An attachment with its bytes."""

    view: AttachmentView
    content: bytes


@dataclass(frozen=True, slots=True)
class AttachmentService:
    """Uploads and downloads.

    Attributes:
        db: Where everything is.
        clock: For `now`.
        max_bytes: Largest file.
    """

    db: Database
    clock: Clock
    max_bytes: int

    async def add(
        self, order: Order, *, filename: str, declared: str, content: bytes
    ) -> AttachmentView:
        """Put a file on the ticket. The same file under the same name again changes nothing.

        Args:
            order: Who, which ticket.
            filename: Its name, without or with folders.
            declared: Content-Type of the upload.
            content: The whole file.

        Raises:
            AttachmentRefusedError: when the file may not be put there.
        """
        if len(content) > self.max_bytes:
            problem = f"{len(content)} bytes; expected at most {self.max_bytes}"
            raise AttachmentRefusedError(problem, field="body")
        name = clean_name(filename)
        kind = type_of(content, filename=name, declared=declared)
        digest = hashlib.sha256(content).hexdigest()
        async with open_order(self.db, self.clock, order, wake=_nobody) as opened:
            work = opened.work
            present = await _same(work.session, order.ticket_id, digest=digest, filename=name)
            row = Attachment(
                id=new_id(),
                ticket_id=order.ticket_id,
                author=Author.AGENT.value,
                agent_id=order.actor.agent_id,
                filename=name,
                media_type=kind.media_type,
                state=AttachmentState.STORED.value,
                size=len(content),
                sha256=digest,
                created_at=work.now,
                correlation_id=order.correlation_id,
            )
            change = ticket_transitions.attach(
                work.state,
                order.actor,
                attachment_id=row.id,
                media_type=kind.media_type,
                size=len(content),
            )
            if present is None:
                await _check_room(work.session, order.ticket_id)
                work.session.add(row)
                await work.session.flush()
                work.session.add(AttachmentContent(attachment_id=row.id, content=content))
                await ticket_work.apply(work, change)
            shown = present or row
            agent = await work.session.get(Agent, shown.agent_id) if shown.agent_id else None
            return _view(shown, None if agent is None else agent.name)

    async def list_of(self, ticket_id: uuid.UUID, *, actor: Actor) -> tuple[AttachmentView, ...]:
        """The files of a ticket, the oldest first.

        Raises:
            TicketNotFoundError: when there is no such ticket.
            NotVisibleError: when it is not for this person.
        """
        async with self.db.transaction() as session:
            await _check_visible(session, ticket_id, actor=actor)
            return await attachments_of(session, ticket_id)

    async def get(self, attachment_id: uuid.UUID, *, actor: Actor) -> StoredFile:
        """A file with its bytes; who may see the ticket may have it.

        Raises:
            AttachmentNotFoundError: when there is none, or its content is not here.
            NotVisibleError: when its ticket is not for this person.
        """
        async with self.db.transaction() as session:
            row = await session.get(Attachment, attachment_id)
            if row is None:
                raise AttachmentNotFoundError(attachment_id)
            await _check_visible(session, row.ticket_id, actor=actor)
            content = await session.scalar(
                select(AttachmentContent.content).where(
                    AttachmentContent.attachment_id == attachment_id
                )
            )
            if content is None:
                raise AttachmentNotFoundError(attachment_id)
            return StoredFile(_view(row, None), content)


async def attachments_of(session: AsyncSession, ticket_id: uuid.UUID) -> tuple[AttachmentView, ...]:
    """The files of a ticket, the oldest first, for somebody who may see it."""
    rows = await session.execute(
        select(Attachment, Agent.name)
        .outerjoin(Agent, Agent.id == Attachment.agent_id)
        .where(Attachment.ticket_id == ticket_id)
        .order_by(Attachment.created_at, Attachment.id)
    )
    return tuple(_view(row, name) for row, name in rows)


async def _check_visible(session: AsyncSession, ticket_id: uuid.UUID, *, actor: Actor) -> None:
    ticket = await session.get(Ticket, ticket_id)
    if ticket is None:
        raise TicketNotFoundError(ticket_id)
    if not may_see(ticket, actor):
        raise NotVisibleError


async def _same(
    session: AsyncSession, ticket_id: uuid.UUID, *, digest: str, filename: str
) -> Attachment | None:
    # Under the ticket's lock, so looking first and writing afterwards cannot race.
    found: Attachment | None = await session.scalar(
        select(Attachment).where(
            Attachment.ticket_id == ticket_id,
            Attachment.sha256 == digest,
            Attachment.filename == filename,
            Attachment.author == Author.AGENT.value,
        )
    )
    return found


async def _check_room(session: AsyncSession, ticket_id: uuid.UUID) -> None:
    ids = await session.scalars(
        select(Attachment.id).where(Attachment.ticket_id == ticket_id).limit(MAX_ON_TICKET)
    )
    if len(ids.all()) >= MAX_ON_TICKET:
        problem = f"the ticket has {MAX_ON_TICKET} files already"
        raise AttachmentRefusedError(problem, field="body")


def _view(row: Attachment, agent_name: str | None) -> AttachmentView:
    return AttachmentView(
        id=row.id,
        ticket_id=row.ticket_id,
        message_id=row.message_id,
        author=row.author,
        agent_id=row.agent_id,
        agent_name=agent_name,
        filename=row.filename,
        media_type=row.media_type,
        state=row.state,
        size=row.size,
        sha256=row.sha256,
        problem=row.problem,
        created_at=row.created_at,
    )


_nobody: Callable[[uuid.UUID], None] = lambda _: None  # noqa: E731 - no message is written
