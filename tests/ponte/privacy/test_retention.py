"""What is older than its period goes, and nothing else."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import func, select, update

from kit.clock import FakeClock
from kit.ids import new_id
from ponte.embedded.postgres import EmbeddedPostgres
from ponte.privacy.retention import FILE, Retention, load_retention
from ponte.settings import Settings
from tests.ponte.privacy.test_erasure import rasa_database
from tests.ticketing.desk import Desk, make_desk
from ticketing.db import tables
from ticketing.db.engine import Database
from ticketing.db.notification_tables import DeadLetter, RecipientAddress
from ticketing.db.privacy_tables import PrivacyJob
from ticketing.domain.audit_chain import Keys
from ticketing.domain.retention import Kind, RetentionError, parse_retention
from ticketing.services import audit, contact_hold, retention
from ticketing.services.audit_sealing import seal_waiting, verify

AUDIT_KEY = "k" * 32
LONG_AGO = timedelta(days=4000)


def sweeper(db: Database, **environment: str) -> Retention:
    settings = Settings.from_environment(
        environment={
            "PONTE_AUDIT_KEY": AUDIT_KEY,
            "PONTE_PRIVACY_KEY": "a key for tests only",
            **environment,
        }
    )
    return Retention(settings, db, load_retention())


async def old_desk(db: Database, clock: FakeClock) -> tuple[Desk, Any, Any]:
    """A ticket of long ago, resolved, and one of today."""
    desk = await make_desk(db, clock)
    clock.advance(-LONG_AGO)
    old = await desk.ticket(text="palavras antigas", name="Velha Amiga")
    async with db.transaction() as session:
        await session.execute(
            update(tables.Ticket).values(
                status="closed", resolved_at=clock.now(), closed_at=clock.now()
            )
        )
        await session.execute(
            update(tables.Handoff).values(state="ended", ended_at=clock.now(), ended_as="closed")
        )
        await session.execute(update(tables.Conversation).values(control="bot"))
        conversation = (await session.get_one(tables.Ticket, old)).conversation_id
        session.add_all([item(clock, done=True), item(clock, done=False)])
        session.add_all([notice(clock, state="sent"), notice(clock, state="pending")])
    clock.advance(LONG_AGO)
    new = await desk.ticket(text="palavras novas")
    async with db.transaction() as session:
        session.add_all([item(clock, done=True), notice(clock, state="sent")])
    return desk, conversation, new


def item(clock: FakeClock, *, done: bool) -> tables.WebhookItem:
    return tables.WebhookItem(
        channel="whatsapp", dedup_key=str(new_id()), kind="message", raw={"a": 1}, item={"a": 1},
        received_at=clock.now(), done_at=clock.now() if done else None, correlation_id="c0ffee",
    )  # fmt: skip


def notice(clock: FakeClock, *, state: str) -> tables.Notification:
    return tables.Notification(
        idempotency_key=str(new_id()), job_name="send-email", event="ticket-opened",
        recipient="ana@example.com", state=state, created_at=clock.now(),
        finished_at=None if state == "pending" else clock.now(), correlation_id="c0ffee",
    )  # fmt: skip


async def texts(db: Database) -> list[str | None]:
    async with db.transaction() as session:
        return list(
            await session.scalars(select(tables.Message.text).order_by(tables.Message.sent_at))
        )


async def count(db: Database, table: Any) -> int:
    async with db.transaction() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def test_what_is_too_old_goes_and_the_rest_stays(db: Database, clock: FakeClock) -> None:
    await old_desk(db, clock)
    kept = sweeper(db)

    planned = await kept.count(now=clock.now())
    assert await texts(db) == ["palavras antigas", "palavras novas"]
    done = await kept.run(now=clock.now())

    assert {name: planned[name] for name in planned if planned[name]} == {
        "raw_webhooks": 1,
        "message_contents": 2,  # the message and its search words
        "decision_values": 2,
        "notifications": 1,
        "contacts": 1,
    }
    assert {name: done[name] for name in planned} == planned
    assert await texts(db) == [None, "palavras novas"]
    assert await count(db, tables.WebhookItem) == 2  # one waits to be processed, one is young
    assert await count(db, tables.Notification) == 2
    assert await count(db, tables.Ticket) == 2


async def test_it_runs_once_a_day_and_a_second_time_finds_nothing(
    db: Database, clock: FakeClock
) -> None:
    await old_desk(db, clock)
    kept = sweeper(db)

    await kept.run(now=clock.now())
    again = await kept.run(now=clock.now())
    forced = await kept.run(now=clock.now(), always=True)
    clock.advance(retention.EVERY)
    tomorrow = await kept.run(now=clock.now())

    assert again == {}
    assert set(forced.values()) == {0}
    assert set(tomorrow) == set(forced)


async def test_a_contact_with_a_legal_hold_keeps_everything(db: Database, clock: FakeClock) -> None:
    await old_desk(db, clock)
    async with db.transaction() as session:
        contact_id = await session.scalar(
            select(tables.Contact.id).order_by(tables.Contact.created_at).limit(1)
        )
        assert contact_id is not None
        await contact_hold.set_hold(
            session, contact_id, reason="processo", actor="cli", now=clock.now(),
            correlation_id="c0ffee",
        )  # fmt: skip

    done = await sweeper(db).run(now=clock.now())

    assert (done["message_contents"], done["decision_values"], done["contacts"]) == (0, 0, 0)
    assert await texts(db) == ["palavras antigas", "palavras novas"]


async def test_silent_contacts_are_erased_by_a_job(db: Database, clock: FakeClock) -> None:
    await old_desk(db, clock)

    await sweeper(db).run(now=clock.now())

    async with db.transaction() as session:
        (job,) = (await session.scalars(select(PrivacyJob))).all()
        page = await audit.list_entries(session, audit.AuditFilter(action="contact.*"))
    assert (job.kind, job.requested_by, job.state) == ("erase", "system", "pending")
    assert [entry.action for entry in page.entries] == ["contact.erasure_started"]


async def test_a_batch_that_is_bigger_than_one_transaction_goes_whole(
    db: Database, clock: FakeClock
) -> None:
    now = clock.now()
    clock.advance(-LONG_AGO)
    async with db.transaction() as session:
        session.add_all([item(clock, done=True) for _ in range(retention.BATCH + 3)])

    before = now - timedelta(days=30)
    assert await retention.remove(db, Kind.RAW_WEBHOOKS, before=before) == retention.BATCH + 3


async def test_the_audit_log_is_cut_and_still_verifies(db: Database, clock: FakeClock) -> None:
    now = clock.now()
    async with db.transaction() as session:
        for days in (4000, 3999, 1, 0):
            await audit.record(
                session, actor="system", action="thing.done", subject=f"thing:{days}", data={},
                now=now - timedelta(days=days), correlation_id="c0ffee",
            )  # fmt: skip
    keys = Keys.of([AUDIT_KEY])
    await seal_waiting(db, keys, now=now)

    done = await sweeper(db).run(now=now)

    assert done["audit"] == 2
    result = await verify(db, keys, now=now)
    assert (result.fault, result.first, result.seals) == (None, 3, 2)


async def test_rasas_memory_of_a_silent_conversation_goes(
    db: Database, clock: FakeClock, postgres_server: EmbeddedPostgres, postgres_url: str
) -> None:
    url = rasa_database(postgres_server, postgres_url)
    with psycopg.connect(url, autocommit=True) as line:
        for sender, moment in (("old", 1.0), ("young", 1.0), ("young", clock.now().timestamp())):
            line.execute(
                "INSERT INTO events (sender_id, type_name, timestamp, data) "
                "VALUES (%s, 'user', %s, '{}')",
                (sender, moment),
            )
        line.execute("INSERT INTO turns VALUES ('old', 'm'), ('young', 'm')")

    kept = sweeper(db, PONTE_RASA_DATABASE_URL=url)
    assert (await kept.count(now=clock.now()))["bot_trackers"] == 1
    await kept.run(now=clock.now())

    with psycopg.connect(url) as line:
        events = line.execute("SELECT DISTINCT sender_id FROM events").fetchall()
        turns = line.execute("SELECT conversation_id FROM turns").fetchall()
    assert events == turns == [("young",)]


def test_the_file_of_the_project_names_every_kind() -> None:
    assert set(load_retention(FILE).kept) == set(Kind)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("  message: 3", "line 2: retention.message: expected one of raw_webhooks,"),
        ("  raw_webhooks: 7", "line 2: retention.raw_webhooks: expected days from 8 to 36500, got"),
        ("  sessions: true", "retention.sessions: expected days"),
        ("  sessions: '30'", "retention.sessions: expected days"),
        ("  sessions: 0", "retention.sessions: expected days from 1"),
        ("  : [", "cannot be read"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "retention.yml"
    path.write_text(f"retention:\n{line}\n")

    with pytest.raises(RetentionError, match="retention") as refused:
        load_retention(path)

    assert problem in str(refused.value)


@pytest.mark.parametrize("document", [None, [], {}, {"retention": 3}, {"retention": {}, "x": 1}])
def test_another_shape_is_refused(document: Any) -> None:
    with pytest.raises(RetentionError, match="one section"):
        parse_retention(document)


async def test_a_dead_letter_and_what_was_told_with_it_stay_until_somebody_decided(
    db: Database, clock: FakeClock
) -> None:
    """And a person's no is kept for ever, while other knowledge of an address grows old."""
    clock.advance(-LONG_AGO)
    dead, gone, leader = (notice(clock, state="failed") for _ in range(3))
    told_with = notice(clock, state="failed")
    now = clock.now()
    async with db.transaction() as session:
        session.add_all([dead, gone, leader])
        await session.flush()
        told_with.digest_id = leader.id
        session.add(told_with)
        for row, state in ((dead, "dead"), (gone, "discarded")):
            session.add(
                DeadLetter(
                    id=new_id(), notification_id=row.id, state=state, job_name="send-email",
                    origin_queue="notifications", reason="permanent", error_kind="permanent",
                    error_code="x", detail="", attempts=1, payload={}, payload_hash="x",
                    correlation_id="c", first_failed_at=now, failed_at=now,
                    closed_at=now if state == "discarded" else None,
                )
            )  # fmt: skip
        for address, known in (("+5511900000001", "opted_out"), ("+5511900000002", "disabled")):
            session.add(
                RecipientAddress(
                    id=new_id(), channel="sms", address=address, state=known, code="x", since=now
                )
            )  # fmt: skip
    clock.advance(LONG_AGO)

    for _ in range(2):  # a leader goes after the notices that were told with it
        await retention.remove(db, Kind.NOTIFICATIONS, before=clock.now() - timedelta(days=180))

    async with db.transaction() as session:
        assert list(await session.scalars(select(tables.Notification.id))) == [dead.id]
        assert list(await session.scalars(select(DeadLetter.state))) == ["dead"]
        assert list(await session.scalars(select(RecipientAddress.state))) == ["opted_out"]
