"""Do a call once: the claim of its key before, the mark in its transaction, the answer after.

The rules are in `ticketing.services.idempotency`; this module knows calls and answers.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.api.calls import Answer, Call, Route
from ticketing.db.engine import BEFORE_COMMIT
from ticketing.services import idempotency
from ticketing.services.idempotency import Claim, Request, Stored

Result = TypeVar("Result")

_SECRET = re.compile(r"(^|_)(token|secret|password)$")


@dataclass(frozen=True, slots=True)
class Replay:
    """The stored answer of an earlier request with the same key."""

    status: int
    body: bytes


class Once:
    """Runs a route's handler under the call's idempotency key.

    Args:
        route: The operation.
        answer: Of the route's answer type; an answer that holds a secret is never stored.
    """

    def __init__(self, route: Route, answer: TypeAdapter[Any]) -> None:
        self._route = route
        self._answer = answer
        self._secret = route.secret or (not route.file_answer and holds_secret(answer))

    async def run(self, call: Call) -> Answer | Replay:
        """Do it, or give the answer of when it was done.

        Raises:
            KeyReusedError: when the key stands for another request.
            InProgressError: when the same request is being done.
            AnswerLostError: when it was done and its answer cannot be given again.
        """
        if call.idempotency_key is None or not self._route.keyed:
            return await self._route.handler(call)
        deps = call.desk.deps
        now = deps.clock.now()
        held = await idempotency.claim(
            deps.db,
            self._request(call, call.idempotency_key),
            now=now,
            status=self._route.status,
            repeatable=self._route.repeatable,
        )
        if isinstance(held, Stored):
            return Replay(held.status, _as_repeated(held.body))
        return await self._do(call, held)

    async def _do(self, call: Call, held: Claim) -> Answer:
        db = call.desk.deps.db
        # Nothing is marked while a repeatable call works: its parts know themselves what is done.
        hook = None if self._route.repeatable else held.mark
        try:
            sealed = replace(call, seal=None if self._secret else self._seal(held))
            answer = await within(hook, self._route.handler, sealed)
        except Exception:
            # Refused, or failed before anything was committed: the key is free again. Whatever was
            # committed before the failure has left its mark and stays.
            with contextlib.suppress(SQLAlchemyError):
                await idempotency.give_back(db, held)
            raise
        if not held.sealed:
            if self._secret or answer.download is not None:
                await idempotency.give_back(db, held)
            else:
                await idempotency.finish(db, held, self._answer.dump_json(answer.value).decode())
        return answer

    def _seal(self, held: Claim) -> Callable[[AsyncSession, Any], Awaitable[None]]:
        async def seal(session: AsyncSession, value: Any) -> None:
            await held.seal(session, self._answer.dump_json(value).decode())

        return seal

    def _request(self, call: Call, key: str) -> Request:
        return Request(
            actor=call.actor.label,
            key=key,
            route=self._route.name,
            request_hash=_hash_of(call),
            subject_id=_subject(call),
        )


async def within(
    hook: Callable[[AsyncSession], Awaitable[None]] | None,
    handler: Callable[[Call], Awaitable[Result]],
    call: Call,
) -> Result:
    """The handler's answer; its transactions call `hook` before they commit."""
    before = BEFORE_COMMIT.set(hook)
    try:
        return await handler(call)
    finally:
        BEFORE_COMMIT.reset(before)


@cache
def holds_secret(answer: TypeAdapter[Any]) -> bool:
    """Whether an answer has a field that is shown once and must not be kept."""

    def names(node: Any) -> set[str]:
        if isinstance(node, dict):
            found = {name for name in node.get("properties", {}) if isinstance(name, str)}
            return found.union(*(names(value) for value in node.values()))
        if isinstance(node, list):
            return set().union(*(names(value) for value in node))
        return set()

    return any(_SECRET.search(name) for name in names(answer.json_schema(mode="serialization")))


def _hash_of(call: Call) -> str:
    """The request without its headers: path, query and body."""
    content = {
        "ids": {name: str(value) for name, value in sorted(call.ids.items())},
        "query": call.query.model_dump(mode="json"),
        "body": None if call.body is None else call.body.model_dump(mode="json"),
    }
    digest = hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS))
    if call.upload is not None:
        digest.update(call.upload.content)
    return digest.hexdigest()


def _subject(call: Call) -> uuid.UUID | None:
    return call.ids.get("ticket_id") or next(iter(call.ids.values()), None)


def _as_repeated(body: str) -> bytes:
    """Commands on tickets say it in the answer too."""
    document = orjson.loads(body)
    if isinstance(document, dict) and "repeated" in document:
        document["repeated"] = True
        return orjson.dumps(document)
    return body.encode()
