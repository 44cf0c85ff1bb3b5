"""Idempotency keys, conditional requests, bulk: what happens when it runs twice or dies."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import FakeClock
from kit.ids import new_id
from tests.ticketing.api.test_api import Client
from tests.ticketing.desk import Desk, make_desk
from ticketing.api.once import holds_secret
from ticketing.api.routes import ROUTES
from ticketing.db.engine import Database
from ticketing.db.idempotency_tables import IdempotencyKey
from ticketing.db.tables import Message, Ticket, TicketEvent
from ticketing.domain.enums import Role
from ticketing.services import idempotency
from ticketing.services.idempotency import (
    KEPT,
    LEASE,
    AnswerLostError,
    Claim,
    ClaimLostError,
    InProgressError,
    Request,
    Stored,
)

KEY = {"Idempotency-Key": "k-1"}


@pytest.fixture
async def desk(db: Database, clock: FakeClock) -> Desk:
    return await make_desk(db, clock)


@pytest.fixture
def api(desk: Desk) -> Client:
    return Client(desk)


@pytest.fixture
async def token(desk: Desk, api: Client) -> str:
    await desk.agent("sofia", role=Role.SUPERVISOR)
    return await api.log_in("sofia")


async def send(
    api: Client, token: str, path: str, body: dict[str, Any], headers: dict[str, str] = KEY
) -> Any:
    return await api.ask("POST", path, token=token, json=body, headers=headers)


async def events(desk: Desk, ticket_id: uuid.UUID, kind: str) -> int:
    return len(await desk.all(TicketEvent, ticket_id=ticket_id, kind=kind))


# -- idempotency keys over HTTP --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "body", "kind"),
    [
        ("take", {}, "taken"),
        ("reply", {"text": "Oi"}, "replied"),
        ("notes", {"text": "nota"}, "noted"),
        ("priority", {"priority": "high"}, "priority_changed"),
        ("escalate", {"queue": "n2_technical", "reason": "x"}, "escalated"),
        ("assign", {"severity": "S1"}, "reassigned"),
        ("resolve", {"closing_text": "Feito"}, "resolved"),
    ],
)
async def test_the_same_key_gives_the_same_answer_and_nothing_is_done_twice(
    desk: Desk,
    api: Client,
    token: str,
    *,
    verb: str,
    body: dict[str, Any],
    kind: str,
) -> None:
    ticket_id = await desk.ticket()
    path = f"/tickets/{ticket_id}/{verb}"
    first = await send(api, token, path, body)
    again = await send(api, token, path, body)
    assert (first.status, again.status) == (200, 200), first.json
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json == {**first.json, "repeated": True}
    assert await events(desk, ticket_id, kind) == 1


async def test_the_key_of_another_request_is_refused_and_does_nothing(
    desk: Desk, api: Client, token: str
) -> None:
    first, second = await desk.ticket(), await desk.ticket()
    await send(api, token, f"/tickets/{first}/notes", {"text": "a"})
    for path, body in (
        (f"/tickets/{first}/notes", {"text": "b"}),
        (f"/tickets/{second}/notes", {"text": "a"}),
        (f"/tickets/{first}/reply", {"text": "a"}),
        (f"/tickets/{first}/notes", {"text": "a", "expected_version": 1}),
    ):
        refused = await send(api, token, path, body)
        assert (refused.status, refused.json["code"]) == (422, "idempotency_key_reused")
        assert refused.json["field"] == "Idempotency-Key"
    assert await events(desk, second, "noted") == 0


async def test_the_key_of_another_person_is_another_key(
    desk: Desk, api: Client, token: str
) -> None:
    await desk.agent("ana")
    ticket_id = await desk.ticket()
    for who in (token, await api.log_in("ana")):
        assert (await send(api, who, f"/tickets/{ticket_id}/notes", {"text": "a"})).status == 200
    assert await events(desk, ticket_id, "noted") == 2


async def test_a_refused_request_may_be_sent_again_with_its_key(
    desk: Desk, api: Client, token: str
) -> None:
    ticket_id = await desk.ticket()
    path = f"/tickets/{ticket_id}/close"
    assert (await send(api, token, path, {})).json["code"] == "invalid_transition"
    await send(api, token, f"/tickets/{ticket_id}/resolve", {}, headers={})
    assert (await send(api, token, path, {})).status == 200


async def test_ten_at_once_do_it_once(desk: Desk, api: Client, token: str) -> None:
    ticket_id = await desk.ticket()
    path = f"/tickets/{ticket_id}/priority"
    found = await asyncio.gather(
        *(send(api, token, path, {"priority": "urgent"}) for _ in range(10))
    )
    codes = {response.json.get("code") for response in found}
    assert codes <= {None, "request_in_progress"}
    assert any(response.status == 200 for response in found)
    assert await events(desk, ticket_id, "priority_changed") == 1
    waiting = [response for response in found if response.status == 409]
    assert all(int(response.headers["retry-after"]) >= 1 for response in waiting)


async def test_nothing_with_a_secret_is_ever_stored(desk: Desk, api: Client) -> None:
    await desk.agent("root", role=Role.ADMIN)
    admin = await api.log_in("root")
    until = (desk.clock.now() + timedelta(days=30)).isoformat()
    body = {"name": "robot", "scopes": ["tickets:read"], "expires_at": until}
    made = [await send(api, admin, "/tokens", body) for _ in range(2)]
    assert [item.status for item in made] == [201, 201], made[0].json
    assert made[0].json != made[1].json
    assert await desk.all(IdempotencyKey) == []


def test_a_route_whose_answer_has_a_secret_is_marked() -> None:
    unmarked = [
        route.name
        for route in ROUTES
        if route.needs is not None
        and not route.secret
        and not route.file_answer
        and holds_secret(TypeAdapter(route.answer))
    ]
    assert unmarked == ["me"]  # its csrf_token is the reader's own, and reading stores nothing


async def test_a_key_that_cannot_be_one_is_refused(desk: Desk, api: Client, token: str) -> None:
    ticket_id = await desk.ticket()
    for key in ("", "x" * 201, "a\tb"):
        response = await send(
            api, token, f"/tickets/{ticket_id}/notes", {"text": "a"}, {"Idempotency-Key": key}
        )
        assert (response.status, response.json["field"]) == (422, "Idempotency-Key")


# -- what dies -------------------------------------------------------------------------------------


class DiedError(Exception):
    """The process ends here."""


REQUEST = Request("agent:a", "k", "note", "hash", None)


async def take_claim(desk: Desk, **kwargs: Any) -> Claim | Stored:
    return await idempotency.claim(desk.db, REQUEST, now=desk.clock.now(), status=200, **kwargs)


async def test_death_before_the_act_lets_the_next_one_do_it_after_the_lease(desk: Desk) -> None:
    assert isinstance(await take_claim(desk), Claim)
    with pytest.raises(InProgressError):
        await take_claim(desk)
    desk.clock.advance(LEASE)
    assert isinstance(await take_claim(desk), Claim)


async def test_death_after_the_act_is_never_done_again(desk: Desk) -> None:
    held = await take_claim(desk)
    assert isinstance(held, Claim)
    async with desk.db.transaction() as session:
        await session.execute(update(Ticket).values(version=1))  # locks and writes nothing
        await held.mark(session)
    assert (await desk.all(IdempotencyKey))[0].acted_at is None
    ticket_id = await desk.ticket()
    async with desk.db.transaction() as session:
        await session.execute(update(Ticket).where(Ticket.id == ticket_id).values(version=2))
        await held.mark(session)
    desk.clock.advance(LEASE)
    with pytest.raises(AnswerLostError):
        await take_claim(desk)
    assert isinstance(await take_claim(desk, repeatable=True), Claim)


async def test_death_between_act_and_record_answers_from_the_acts_own_transaction(
    desk: Desk, api: Client, token: str
) -> None:
    ticket_id = await desk.ticket()
    path = f"/tickets/{ticket_id}/priority"
    first = await send(api, token, path, {"priority": "high"})
    # `finish` had nothing to do: the row was whole when the act committed.
    (row,) = await desk.all(IdempotencyKey)
    assert (row.status, row.subject_id) == (200, ticket_id)
    assert row.body is not None
    again = await send(api, token, path, {"priority": "high"})
    assert again.json["ticket"] == first.json["ticket"]


async def test_an_act_that_is_undone_leaves_no_mark(desk: Desk) -> None:
    ticket_id = await desk.ticket()
    held = await take_claim(desk)
    assert isinstance(held, Claim)

    async def act_and_die() -> None:
        async with desk.db.transaction() as session:
            await session.execute(update(Ticket).where(Ticket.id == ticket_id).values(version=2))
            await held.seal(session, "{}")
            raise DiedError

    with pytest.raises(DiedError):
        await act_and_die()
    (row,) = await desk.all(IdempotencyKey)
    assert (row.acted_at, row.body) == (None, None)


async def test_who_lost_the_claim_cannot_commit_any_more(desk: Desk) -> None:
    ticket_id = await desk.ticket()
    slow = await take_claim(desk)
    desk.clock.advance(LEASE)
    quick = await take_claim(desk)
    assert isinstance(slow, Claim)
    assert isinstance(quick, Claim)

    async def act(held: Claim, session: AsyncSession) -> None:
        await session.execute(
            update(Ticket).where(Ticket.id == ticket_id).values(version=Ticket.version + 1)
        )
        await held.mark(session)

    with pytest.raises(ClaimLostError):
        async with desk.db.transaction() as session:
            await act(slow, session)
    async with desk.db.transaction() as session:
        await act(quick, session)
    assert (await desk.row(ticket_id)).version == 2


async def test_keys_are_kept_a_day_and_then_purged(desk: Desk) -> None:
    held = await take_claim(desk)
    assert isinstance(held, Claim)
    await idempotency.finish(desk.db, held, "{}")
    assert await take_claim(desk) == Stored(200, "{}")
    desk.clock.advance(KEPT - timedelta(seconds=1))
    assert await idempotency.purge(desk.db, now=desk.clock.now()) == 0
    desk.clock.advance(timedelta(seconds=1))
    assert isinstance(await take_claim(desk), Claim)  # an old key is a new one
    desk.clock.advance(KEPT)
    assert await idempotency.purge(desk.db, now=desk.clock.now()) == 1


async def test_answers_about_an_object_can_be_forgotten(
    desk: Desk, api: Client, token: str
) -> None:
    ticket_id = await desk.ticket()
    await send(api, token, f"/tickets/{ticket_id}/notes", {"text": "a"})
    async with desk.db.transaction() as session:
        assert await idempotency.forget(session, [new_id()]) == 0
        assert await idempotency.forget(session, [ticket_id]) == 1
    assert await desk.all(IdempotencyKey) == []


# -- conditional requests --------------------------------------------------------------------------


async def test_an_unchanged_ticket_is_not_sent_again(desk: Desk, api: Client, token: str) -> None:
    ticket_id = await desk.ticket()
    path = f"/tickets/{ticket_id}"
    first = await api.ask("GET", path, token=token)
    tag = first.headers["etag"]
    same = await api.ask("GET", path, token=token, headers={"If-None-Match": f'"x", {tag}'})
    assert (same.status, same.body, same.headers["etag"]) == (304, b"", tag)
    async with desk.db.transaction() as session:  # a new message is no new version
        await session.execute(update(Message).values(text="outro"))
    new = await api.ask("GET", path, token=token, headers={"If-None-Match": tag})
    assert new.status == 200
    assert new.headers["etag"] != tag


async def test_a_command_for_an_old_version_fails_its_precondition(
    desk: Desk, api: Client, token: str
) -> None:
    ticket_id = await desk.ticket()
    path = f"/tickets/{ticket_id}"
    tag = (await api.ask("GET", path, token=token)).headers["etag"]
    done = await send(api, token, f"{path}/priority", {"priority": "high"}, {"If-Match": tag})
    assert (done.status, done.headers["etag"]) == (200, '"2"')
    late = await send(api, token, f"{path}/priority", {"priority": "low"}, {"If-Match": tag})
    assert (late.status, late.json["code"]) == (412, "precondition_failed")
    assert (late.json["expected_version"], late.json["present_version"]) == (1, 2)
    for condition in (done.headers["etag"], "*"):
        body = {"priority": "low" if condition != "*" else "normal"}
        found = await send(api, token, f"{path}/priority", body, {"If-Match": condition})
        assert found.status == 200, found.json
    for condition in ('W/"4"', '"abc"'):
        found = await send(api, token, f"{path}/take", {}, {"If-Match": condition})
        assert found.status == 412
    both = {"expected_version": 3}
    found = await send(api, token, f"{path}/take", both, {"If-Match": '"4"'})
    assert (found.status, found.json["field"]) == (422, "expected_version")
    found = await send(api, token, f"{path}/take", both, {})
    assert (found.status, found.json["code"]) == (409, "version_conflict")


# -- bulk ------------------------------------------------------------------------------------------


async def test_bulk_gives_each_ticket_its_own_result(desk: Desk, api: Client, token: str) -> None:
    free, changed, unknown = await desk.ticket(), await desk.ticket(), new_id()
    same = await desk.ticket(priority="high")
    body = {
        "action": "priority",
        "ids": [str(item) for item in (free, changed, unknown, same)],
        "args": {"priority": "high", "reason": "Instabilidade"},
        "expected_versions": {str(changed): 9},
    }
    done = await send(api, token, "/tickets/bulk", body, {})
    assert done.status == 200, done.json
    assert (done.json["done"], done.json["failed"]) == (1, 3)
    results = [
        (item["status"], (item["problem"] or {}).get("code"), item["ticket"] is not None)
        for item in done.json["items"]
    ]
    assert results == [
        (200, None, True),
        (409, "version_conflict", False),
        (404, "ticket_not_found", False),
        (409, "invalid_transition", False),
    ]
    assert (await desk.row(free)).priority == "high"
    assert (await desk.row(changed)).priority == "normal"


async def test_bulk_with_a_key_is_done_once(desk: Desk, api: Client, token: str) -> None:
    ids = [str(await desk.ticket()) for _ in range(3)]
    body = {"action": "notes", "ids": ids, "args": {"text": "aviso"}}
    first = await send(api, token, "/tickets/bulk", body)
    again = await send(api, token, "/tickets/bulk", body)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json == first.json
    assert len(await desk.all(TicketEvent, kind="noted")) == 3


async def test_bulk_that_died_half_way_goes_on_where_it_stopped(
    desk: Desk, api: Client, token: str
) -> None:
    ids = [await desk.ticket() for _ in range(3)]
    body = {"action": "priority", "ids": [str(item) for item in ids], "args": {"priority": "low"}}
    await send(api, token, "/tickets/bulk", body)
    async with desk.db.transaction() as session:
        # As if the process had died after the first ticket: the others were never done, and the
        # whole was never answered.
        rows = (await session.scalars(select(IdempotencyKey))).all()
        for row in rows:
            if row.subject_id in ids[1:]:
                await session.delete(row)
            elif row.subject_id is None:
                row.status = row.body = row.acted_at = None
        await session.execute(
            update(Ticket).where(Ticket.id.in_(ids[1:])).values(priority="normal")
        )
    busy = await send(api, token, "/tickets/bulk", body)
    assert (busy.status, busy.json["code"]) == (409, "request_in_progress")
    desk.clock.advance(LEASE)
    done = await send(api, token, "/tickets/bulk", body)
    assert (done.json["done"], done.json["failed"]) == (3, 0)
    assert [item["replayed"] for item in done.json["items"]] == [True, False, False]
    assert await events(desk, ids[0], "priority_changed") == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"action": "explode"}, "action"),
        ({"action": "reply"}, "action"),
        ({"ids": []}, "ids"),
        ({"ids": ["x"]}, "ids.0"),
        ({"ids": [str(new_id()) for _ in range(101)]}, "ids"),
        ({"args": {"priority": "HIGH"}}, "args.priority"),
        ({"args": {"colour": "red", "priority": "low"}}, "args.colour"),
        ({"args": {"priority": "low", "expected_version": 1}}, "args.expected_version"),
        ({"args": []}, "args"),
        ({"expected_versions": {"x": 1}}, "expected_versions.x.[key]"),
    ],
)
async def test_a_wrong_bulk_changes_nothing_and_names_the_place(
    desk: Desk, api: Client, token: str, change: dict[str, Any], field: str
) -> None:
    ticket_id = await desk.ticket()
    body = {"action": "priority", "ids": [str(ticket_id)], "args": {"priority": "high"}, **change}
    found = await send(api, token, "/tickets/bulk", body, {})
    assert (found.status, found.json["field"]) == (422, field), found.json
    assert (await desk.row(ticket_id)).version == 1


async def test_bulk_asks_for_the_permission_of_its_command(desk: Desk, api: Client) -> None:
    await desk.agent("ana")
    ticket_id = await desk.ticket()
    body = {"action": "close", "ids": [str(ticket_id)]}
    found = await send(api, await api.log_in("ana"), "/tickets/bulk", body, {})
    assert (found.status, found.json["code"]) == (403, "role_not_allowed")


# -- limits ----------------------------------------------------------------------------------------


async def test_every_answer_says_what_may_still_be_asked(
    desk: Desk, api: Client, token: str
) -> None:
    first = await api.ask("GET", "/me", token=token)
    second = await api.ask("GET", "/me", token=token)
    assert first.headers["ratelimit-limit"] == "120"
    left = [int(item.headers["ratelimit-remaining"]) for item in (first, second)]
    assert left == [119, 118]
    assert first.headers["ratelimit-policy"] == "120;w=12"
    assert int(second.headers["ratelimit-reset"]) >= 1
    for _ in range(118):
        await api.ask("GET", "/me", token=token)
    over = await api.ask("GET", "/me", token=token)
    assert (over.status, over.json["code"]) == (429, "rate_limited")
    assert (over.headers["retry-after"], over.headers["ratelimit-remaining"]) == ("1", "0")
    stranger = await api.ask("GET", "/me")  # counts by address, not by that person
    assert (stranger.status, stranger.headers["ratelimit-limit"]) == (401, "60")
