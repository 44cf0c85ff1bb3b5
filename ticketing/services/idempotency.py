"""A request with an `Idempotency-Key` is done once, whoever repeats it and whatever dies.

Three moments, each one transaction:

1. `claim`: the key's row is taken, with a lease. A second request at the same time is told that the
   first runs; one that comes after a process died takes the claim over when the lease is out.
2. The act: the transaction that does the work marks the row in the same commit (`Claim.mark`,
   called by `Database.transaction` before every commit), and where the service knows its answer
   inside the transaction it is stored there too (`Claim.seal`). A process whose claim was taken
   over meanwhile cannot commit.
3. `finish`: the answer is stored, when the act has not stored it.

So whatever dies: nothing committed means the row is unmarked and the next request does it;
committed means the row is marked and nothing is done twice. A refusal (4xx) did nothing: the claim
is given back and the same key may be used again. Keys are kept for 24 hours.

**Source:** IETF draft httpapi-idempotency-key-header-07.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from kit.ids import new_id
from ticketing.db.engine import Database
from ticketing.db.idempotency_tables import IdempotencyKey
from ticketing.services.due import has_come
from ticketing.services.repeats import KeyReusedError

log = structlog.get_logger()

KEPT = timedelta(hours=24)
LEASE = timedelta(seconds=60)
"""Longer than any request may take: a bulk of 100 tickets is done in a few seconds."""

_PURGED_AT_ONCE = 5_000


class InProgressError(Exception):
    """The same request is being done at this moment."""

    def __init__(self, retry_after: timedelta) -> None:
        self.retry_after = retry_after
        super().__init__("a request with this idempotency key is being done; ask again in a moment")


class AnswerLostError(Exception):
    """The request was done, and the process died before its answer was stored."""

    def __init__(self) -> None:
        super().__init__(
            "this request was done before, but its answer was lost; read the object to see the "
            "result, and use a new key for a new request"
        )


class ClaimLostError(Exception):
    """The lease ran out and another process does the request now; nothing may be committed."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a key stands for.

    Attributes:
        actor: Label of who asks.
        key: The client's.
        route: Name of the operation.
        request_hash: Of path, query and body.
        subject_id: The object of the path, if there is one.
    """

    actor: str
    key: str
    route: str
    request_hash: str
    subject_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """The answer of the first request."""

    status: int
    body: str


@dataclass(slots=True)
class Claim:
    """The right to do a request, held by one process."""

    id: uuid.UUID
    owner: uuid.UUID
    now: datetime
    status: int = 200
    sealed: bool = False

    async def mark(self, session: AsyncSession) -> None:
        """Say in this transaction that it does the request; reading marks nothing.

        Raises:
            ClaimLostError: when another process has taken the request over.
        """
        # Only a transaction that wrote or locked something has an id.
        writes = await session.scalar(select(func.pg_current_xact_id_if_assigned().is_not(None)))
        if writes:
            await self._write(session, {"acted_at": func.coalesce(_ACTED_AT, self.now)})

    async def seal(self, session: AsyncSession, body: str) -> None:
        """Store the answer in the transaction that does the request.

        Raises:
            ClaimLostError: when another process has taken the request over.
        """
        values = {"acted_at": self.now, "status": self.status, "body": body}
        await self._write(session, values)
        self.sealed = True

    async def _write(self, session: AsyncSession, values: dict[str, object]) -> None:
        found = await session.scalar(
            update(IdempotencyKey)
            .where(IdempotencyKey.id == self.id, IdempotencyKey.owner == self.owner)
            .values(values)
            .returning(IdempotencyKey.id)
            .execution_options(synchronize_session=False)
        )
        if found is None:
            message = "another process does this request now"
            raise ClaimLostError(message)


_ACTED_AT = IdempotencyKey.acted_at


async def claim(
    db: Database, request: Request, *, now: datetime, status: int, repeatable: bool = False
) -> Claim | Stored:
    """The right to do the request, or what was answered when it was done.

    Args:
        db: Where the keys are.
        request: Who asks what under which key.
        now: The present moment.
        status: HTTP status of success, stored with the answer.
        repeatable: Doing it a second time leads to the same end (each part knows whether it is
            done), so a request that was interrupted half-way is done again from its beginning.

    Raises:
        KeyReusedError: when the key stands for another request.
        InProgressError: when another process does the request now.
        AnswerLostError: when it was done but the answer is not known.
    """
    owner = new_id()
    async with db.transaction() as session:
        await session.execute(
            delete(IdempotencyKey).where(
                IdempotencyKey.actor == request.actor,
                IdempotencyKey.key == request.key,
                IdempotencyKey.created_at <= now - KEPT,
            )
        )
        made = await session.scalar(
            insert(IdempotencyKey)
            .values(
                id=owner,
                actor=request.actor,
                key=request.key,
                route=request.route,
                request_hash=request.request_hash,
                subject_id=request.subject_id,
                owner=owner,
                lease_until=now + LEASE,
                created_at=now,
            )
            .on_conflict_do_nothing(constraint="uq_idempotency_keys_key")
            .returning(IdempotencyKey.id)
        )
        if made is not None:
            return Claim(made, owner, now, status)
        return await _found(
            session, request, owner=owner, now=now, status=status, repeatable=repeatable
        )


async def _found(
    session: AsyncSession,
    request: Request,
    *,
    owner: uuid.UUID,
    now: datetime,
    status: int,
    repeatable: bool,
) -> Claim | Stored:
    row = await session.scalar(
        select(IdempotencyKey)
        .where(IdempotencyKey.actor == request.actor, IdempotencyKey.key == request.key)
        .with_for_update()
    )
    if row is None:  # given back between the two statements: the first request was refused
        raise InProgressError(timedelta(seconds=1))
    if (row.route, row.request_hash) != (request.route, request.request_hash):
        raise KeyReusedError
    if row.status is not None and row.body is not None:
        return Stored(row.status, row.body)
    if not has_come(row.lease_until, now=now):
        raise InProgressError(timedelta(seconds=1))
    if row.acted_at is not None and not repeatable:
        raise AnswerLostError
    log.info("idempotency.taken_over", route=request.route)
    row.owner = owner
    row.lease_until = now + LEASE
    return Claim(row.id, owner, now, status)


async def finish(db: Database, held: Claim, body: str) -> None:
    """Store the answer of a request whose act did not store it."""
    if held.sealed:
        return
    async with db.transaction() as session:
        await session.execute(
            update(IdempotencyKey)
            .where(IdempotencyKey.id == held.id, IdempotencyKey.owner == held.owner)
            .values(
                acted_at=func.coalesce(IdempotencyKey.acted_at, held.now),
                status=held.status,
                body=body,
            )
        )


async def give_back(db: Database, held: Claim) -> None:
    """The request was refused: forget the claim, unless something had been done by then."""
    async with db.transaction() as session:
        await session.execute(
            delete(IdempotencyKey).where(
                IdempotencyKey.id == held.id,
                IdempotencyKey.owner == held.owner,
                IdempotencyKey.acted_at.is_(None),
            )
        )
        # Half done: whoever comes next need not wait for the lease.
        await session.execute(
            update(IdempotencyKey)
            .where(
                IdempotencyKey.id == held.id,
                IdempotencyKey.owner == held.owner,
                IdempotencyKey.body.is_(None),
            )
            .values(lease_until=held.now)
        )


async def forget(session: AsyncSession, subject_ids: Collection[uuid.UUID]) -> int:
    """Delete the stored answers about these objects; how many there were."""
    if not subject_ids:
        return 0
    gone = await session.scalars(
        delete(IdempotencyKey)
        .where(IdempotencyKey.subject_id.in_(subject_ids))
        .returning(IdempotencyKey.id)
    )
    return len(gone.all())


async def purge(db: Database, *, now: datetime) -> int:
    """Delete keys that are older than `KEPT`, a batch at a time; how many there were."""
    total = 0
    while True:
        async with db.transaction() as session:
            old = (
                select(IdempotencyKey.id)
                .where(IdempotencyKey.created_at <= now - KEPT)
                .limit(_PURGED_AT_ONCE)
            )
            gone = await session.scalars(
                delete(IdempotencyKey)
                .where(IdempotencyKey.id.in_(old))
                .returning(IdempotencyKey.id)
                .execution_options(synchronize_session=False)
            )
            count = len(gone.all())
        total += count
        if count < _PURGED_AT_ONCE:
            return total
