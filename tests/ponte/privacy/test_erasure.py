"""The proof: real flows leave traces of a person everywhere; after an erasure there are none."""

from __future__ import annotations

import base64
import json
import zipfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
import redis as redis_client
from sqlalchemy import select, text, update

from channels.message import InboundMessage, SenderIdentity, StatusUpdate
from kit.clock import FakeClock
from kit.ids import new_id
from ponte.embedded.postgres import EmbeddedPostgres
from ponte.privacy.stores import person_stores
from ponte.settings import Settings
from simulator.store import Store
from tests.ponte.privacy.traces import in_database, in_files, in_redis
from tests.ticketing.services.talk import POLICY, World, inbound_text, make_world
from ticketing.db import attachment_tables, quality_tables, review_tables, runbook_tables, tables
from ticketing.db.base import Base
from ticketing.db.engine import Database
from ticketing.db.idempotency_tables import IdempotencyKey
from ticketing.db.privacy_tables import PrivacyJob
from ticketing.domain.enums import Author, Level, Role
from ticketing.domain.privacy import JobState
from ticketing.domain.ticket import Actor
from ticketing.services import (
    agents,
    audit,
    contact_erasure,
    contact_export,
    contact_hold,
    handoffs,
    privacy_jobs,
)
from ticketing.services.contact_erasure import ErasureRefusedError
from ticketing.services.contact_lookup import find_contact
from ticketing.services.data_map import BY_NAME, TABLES
from ticketing.services.person_stores import PersonStore, StoreError
from ticketing.services.ticket_targets import Target
from ticketing.services.tickets import Order, TicketService

KEY = "a key for tests only"
WITH_NINE, WITHOUT_NINE = "5531987654321", "553187654321"
NAME, WORD, MAIL = "Zenaide Quixaba", "xilindrowort", "zenaide@quixaba.example"
PLACE, PICTURE = "ruazimbrowort", "picturewort"
OTHER_PHONE, OTHER_NAME, OTHER_WORD = "+5511912345678", "Benedito Outro", "alheiowort"
TRACES = (WITH_NINE, WITHOUT_NINE, NAME, WORD, MAIL, PLACE, PICTURE)
OTHERS = (OTHER_PHONE[1:], OTHER_NAME, OTHER_WORD)


@dataclass
class Town:
    """One person with traces everywhere, and another who must not lose any."""

    world: World
    desk: TicketService
    agent: Actor
    stores: Sequence[PersonStore]
    settings: Settings
    rasa_url: str
    db_url: str
    redis_url: str
    folder: Path

    @property
    def db(self) -> Database:
        return self.world.db

    @property
    def clock(self) -> FakeClock:
        return self.world.clock

    async def say(self, words: str, *, phone: str = WITHOUT_NINE, name: str = NAME) -> None:
        self.clock.advance(timedelta(seconds=30))
        await self.world.receive(message(words, at=self.clock.now(), phone=phone, name=name))

    async def order(self) -> Order:
        self.clock.advance(timedelta(seconds=30))
        newest = select(tables.Ticket).order_by(tables.Ticket.number.desc()).limit(1)
        ticket = await self.world.row(newest)
        return Order(self.agent, ticket.id, "c0ffee")

    async def contact(self, phone: str = WITH_NINE) -> Any:
        async with self.db.transaction() as session:
            return await find_contact(session, phone)

    async def begin(self, **more: Any) -> Any:
        return await contact_erasure.begin(
            self.db,
            await self.contact(),
            key=KEY,
            requested_by="cli",
            now=self.clock.now(),
            correlation_id="c0ffee",
            **more,
        )

    async def run(self, job_id: Any, stores: Sequence[PersonStore] | None = None) -> Any:
        return await contact_erasure.run(
            self.db, self.stores if stores is None else stores, job_id, clock=self.clock
        )

    async def erase(self) -> Any:
        job_id = await self.begin(force=True)
        assert await self.run(job_id) is JobState.SETTLING
        self.clock.advance(contact_erasure.SETTLE)
        assert await self.run(job_id) is JobState.DONE
        return job_id

    def traces(self, texts: Sequence[str] = TRACES) -> list[str]:
        return [
            *in_database(self.db_url, texts),
            *in_database(self.rasa_url, texts),
            *in_redis(self.redis_url, texts),
            *in_files(self.folder, texts),
        ]


def message(
    words: str, *, at: datetime, phone: str = WITHOUT_NINE, name: str = NAME, **more: Any
) -> InboundMessage:
    """As Meta sends it: the message id holds the number, in base64."""
    plain = inbound_text(words, at=at, phone=f"+{phone}", **more)
    coded = base64.b64encode(f"\x1d\x14{phone}\x15\x02{new_id()}".encode()).decode()
    return replace(
        plain,
        provider_id=f"wamid.{coded}",
        sender=SenderIdentity(phone=f"+{phone}", profile_name=name),
        raw={"from": phone, "text": {"body": words}, "contacts": [{"profile": {"name": name}}]},
    )


@pytest_asyncio.fixture(loop_scope="session")
async def town(  # noqa: PLR0917 - fixtures
    db: Database,
    clock: FakeClock,
    postgres_server: EmbeddedPostgres,
    postgres_url: str,
    redis_url: str,
    tmp_path: Path,
) -> AsyncIterator[Town]:
    world = make_world(db, clock)
    world.inbound.privacy_key = KEY
    world.bot.understands = {f"quero uma pessoa {WORD}": ("talk_to_person", 0.95)}
    async with db.transaction() as session:
        await handoffs.sync_queues(session, policy=POLICY)
        ana = await agents.create_agent(
            session, email="ana@example.com", name="Ana", password="nove gatos no telhado",
            role=Role.SUPERVISOR.value, queues=(), now=clock.now(),
        )  # fmt: skip
    rasa_url = rasa_database(postgres_server, postgres_url)
    settings = Settings.from_environment(
        environment={
            "PONTE_RASA_DATABASE_URL": rasa_url,
            "PONTE_REDIS_URL": redis_url,
            "PONTE_STATE_DIR": str(tmp_path),
        }
    )
    desk = TicketService(db, clock, lambda _: None)
    yield Town(
        world, desk, Actor(ana.id, Role.SUPERVISOR), person_stores(settings, db), settings,
        rasa_url, postgres_url, redis_url, tmp_path,
    )  # fmt: skip
    await world.turns.close()


def rasa_database(server: EmbeddedPostgres, url: str) -> str:
    """Rasa's two tables, empty, as `bot/tracker_store.py` makes them."""
    with psycopg.connect(url, autocommit=True) as line:
        there = line.execute("SELECT 1 FROM pg_database WHERE datname = 'rasa_test'").fetchone()
        if there is None:
            line.execute("CREATE DATABASE rasa_test")
    rasa_url = server.url("rasa_test")
    with psycopg.connect(rasa_url, autocommit=True) as line:
        line.execute("DROP TABLE IF EXISTS events, turns")
        line.execute(
            "CREATE TABLE events (id serial PRIMARY KEY, sender_id varchar(255) NOT NULL, "
            "type_name varchar(255) NOT NULL, timestamp float, intent_name varchar(255), "
            "action_name varchar(255), data text)"
        )
        line.execute(
            "CREATE TABLE turns (conversation_id varchar(255), message_id varchar(255), "
            "PRIMARY KEY (conversation_id, message_id))"
        )
    return rasa_url


async def live(town: Town) -> None:
    """Everything that happens around one person, from the first message to a resolved ticket."""
    await town.say(f"oi {OTHER_WORD}", phone=OTHER_PHONE[1:], name=OTHER_NAME)
    await town.say(f"meu pedido {WORD}")
    await town.say(f"quero uma pessoa {WORD}")
    await town.desk.take(await town.order())
    await town.desk.reply(await town.order(), text=f"Oi {NAME}, já vejo {WORD}")
    await town.desk.note(await town.order(), text=f"{NAME} mora na {PLACE}, {MAIL}")
    await town.desk.escalate(
        await town.order(),
        target=Target(level=Level.N2, queue="n2_technical"),
        reason=f"{NAME} insiste em {WORD}",
    )
    await town.desk.take(await town.order())
    await plant(town)
    await town.desk.resolve(await town.order(), closing_text=f"Pronto, {NAME}")
    await town.world.settle()
    await town.say(f"mais uma coisa {WORD}")


async def plant(town: Town) -> None:
    """What other flows leave: files, notices, marks, dead letters, Rasa's memory."""
    db, now = town.db, town.clock.now()
    contact_id = await town.contact()
    order = await town.order()
    async with db.transaction() as session:
        await session.execute(
            update(tables.Contact)
            .where(tables.Contact.id == contact_id)
            .values(email=MAIL, photo_url=f"https://img.example/{PICTURE}", segment=PLACE)
        )
        conversation = await session.scalar(
            select(tables.Conversation).where(tables.Conversation.contact_id == contact_id)
        )
        assert conversation is not None
        conversation.language_state = {"held": f"segurei {WORD}"}
        turns = list(
            await session.scalars(
                select(tables.Turn).where(tables.Turn.conversation_id == conversation.id)
            )
        )
        assert turns
        await session.execute(
            update(tables.Decision)
            .where(tables.Decision.conversation_id == conversation.id)
            .values(
                snapshot=text(f"""snapshot || '{{"entities": {{"x": ["{WORD}"]}}}}'"""),
                decision=text(f"""decision || '{{"evaluations": [{{"seen": "{WORD}"}}]}}'"""),
            )
        )
        await session.execute(
            update(tables.Handoff)
            .where(tables.Handoff.conversation_id == conversation.id)
            .values(evidence={"entities": {"street": PLACE}})
        )
        ticket = await session.get_one(tables.Ticket, order.ticket_id)
        ticket.subject = f"{NAME}: {WORD}"
        attachment = new_id()
        session.add(
            attachment_tables.Attachment(
                id=attachment, ticket_id=ticket.id, author=Author.AGENT.value,
                filename=f"{NAME}.txt", media_type="text/plain", state="stored", size=9,
                sha256="00", created_at=now, correlation_id="c0ffee",
            )
        )  # fmt: skip
        await session.flush()
        session.add_all(
            [
                attachment_tables.AttachmentContent(
                    attachment_id=attachment, content=f"carta de {WORD}".encode()
                ),
                tables.Notification(
                    idempotency_key=f"k{new_id()}", job_name="send-email", event="ticket-opened",
                    recipient="ana@example.com", context={"subject": f"{NAME} {WORD}"},
                    ticket_id=ticket.id, state="failed",
                    error={"code": "x", "message": f"to {MAIL} refused"}, created_at=now,
                    finished_at=now, correlation_id="c0ffee",
                ),
                tables.Notification(
                    idempotency_key=f"k{new_id()}", job_name="send-whatsapp",
                    event="ticket-opened", recipient=f"+{WITH_NINE}", context={"to": NAME},
                    created_at=now, correlation_id="c0ffee",
                ),
                tables.WebhookItem(
                    channel="whatsapp", dedup_key=f"notice{new_id()}", kind="notice",
                    raw={"odd": {"from": WITHOUT_NINE, "body": WORD}}, item={}, received_at=now,
                    correlation_id="c0ffee", attempts=20, error="ValueError",
                ),
                review_tables.TrainingCandidate(
                    language="pt", text=f"cade o {WORD}", key=f"cade o {WORD}", source="unsure",
                    group_key="g", turn_id=turns[0].id, conversation_id=conversation.id,
                    created_at=now,
                ),
                review_tables.HandoffReview(
                    conversation_id=conversation.id, turn_id=turns[0].id, ticket_id=ticket.id,
                    agent_id=town.agent.agent_id, verdict="wrong", note=f"{NAME} queria {WORD}",
                    at=now, correlation_id="c0ffee",
                ),
                IdempotencyKey(
                    actor="agent:x", key="k", route="reply", request_hash="0",
                    subject_id=ticket.id, owner=new_id(), lease_until=now, acted_at=now,
                    status=200, body=json.dumps({"text": WORD}), created_at=now,
                ),
                runbook_tables.RunbookVersion(
                    runbook="r", version="1", document={}, first_used_at=now
                ),
            ]
        )  # fmt: skip
        await session.flush()
        session.add(
            runbook_tables.TicketRunbook(
                ticket_id=ticket.id, runbook="r", version="1", pinned_at=now
            )
        )
        session.add(
            quality_tables.QualityPeriod(
                period="2026-W11", starts_at=now, ends_at=now, seed="s", plan="p", strata=[],
                scorecard={}, drawn_at=now,
            )
        )  # fmt: skip
        await session.flush()
        session.add(
            runbook_tables.RunbookMark(
                ticket_id=ticket.id, runbook="r", step="s", kind="noted", note=f"{NAME}: {WORD}",
                at=now, correlation_id="c0ffee",
            )
        )  # fmt: skip
        sample = new_id()
        bia = await agents.create_agent(
            session, email="bia@example.com", name="Bia", password="nove gatos no telhado",
            role=Role.SUPERVISOR.value, queues=(), now=now,
        )  # fmt: skip
        session.add(
            quality_tables.QualitySample(
                id=sample, period="2026-W11", ticket_id=ticket.id, agent_id=town.agent.agent_id,
                stratum="rest", probability=1, weight=1, second=False, state="disputed",
                reviewer_id=bia.id, done_at=now, dispute=f"{NAME} gritou {WORD}",
            )
        )  # fmt: skip
        await session.flush()
        session.add(
            quality_tables.QualityReview(
                sample_id=sample, part="first", reviewer_id=bia.id, answers={},
                comment=f"{WORD} foi dito", at=now, correlation_id="c0ffee",
            )
        )  # fmt: skip
        known = str(conversation.id)
    await contact_export.ask(
        db, contact_id, requested_by="cli", now=town.clock.now(), correlation_id="c0ffee"
    )
    for job_id in await privacy_jobs.due_jobs(db, now=town.clock.now()):
        assert await contact_export.run(db, town.stores, job_id, clock=town.clock) is JobState.DONE
    outside(town, known)


def outside(town: Town, conversation_id: str) -> None:
    """Rasa's database, Redis, and files."""
    with psycopg.connect(town.rasa_url, autocommit=True) as line:
        event = json.dumps({
            "event": "user", "text": f"cade {WORD}",
            "parse_data": {"intent": {"name": "order_status", "confidence": 0.9}, "entities": []},
        })  # fmt: skip
        insert = (
            "INSERT INTO events (sender_id, type_name, timestamp, data) "
            "VALUES (%s, 'user', 1773147600, %s)"
        )
        line.execute(insert, (conversation_id, event))
        line.execute(insert, ("another", json.dumps({"text": OTHER_WORD})))
        line.execute("INSERT INTO turns VALUES (%s, 'm1')", (conversation_id,))
    with redis_client.Redis.from_url(town.redis_url) as client:
        client.hset("ponte:jobs:notifications.XQ.msgs", "1", f"to +{WITH_NINE}")
        client.hset("ponte:jobs:notifications.XQ.msgs", "2", f"to {OTHER_PHONE}")
        client.set(f"ponte:limit:{WITHOUT_NINE}", "1")
        client.rpush("ponte:jobs:dead", f"mail {MAIL}", "other")
        client.sadd("ponte:set", f"+{WITH_NINE}")
        client.zadd("ponte:zset", {f"+{WITH_NINE}": 1})
    mailbox, logs = town.folder / "mailbox", town.folder / "log"
    mailbox.mkdir()
    logs.mkdir()
    body = base64.b64encode(f"{NAME} escreveu".encode()).decode()
    (mailbox / "1.eml").write_text(
        f"Subject: x\nContent-Transfer-Encoding: base64\nContent-Type: text/plain; charset=utf-8"
        f"\n\n{body}\n"
    )
    (mailbox / "2.eml").write_text(f"Subject: y\n\n{OTHER_NAME}\n")
    (logs / "web.log").write_text(f"one line\nsent to +{WITH_NINE} now\nto {OTHER_PHONE}\n")
    simulator = Store(town.folder / "simulator.db")
    for phone, name, word in (
        (WITHOUT_NINE, NAME, WORD),
        (OTHER_PHONE[1:], OTHER_NAME, OTHER_WORD),
    ):
        simulator._db.execute(
            "INSERT INTO customers (key, phone, wa_id, user_id, name) VALUES (?, ?, ?, ?, ?)",
            (phone, phone, phone, f"BR.{phone}", name),
        )
        simulator._db.execute(
            "INSERT INTO messages (id, customer, direction, type, view, status, timestamp, "
            "revision) VALUES (?, ?, 'in', 'text', ?, 'read', 1, 1)",
            (f"wamid.{phone}", phone, json.dumps({"text": word})),
        )
        simulator._db.execute(
            "INSERT INTO events (lane, kind, item, contact, due) VALUES (?, 'message', ?, ?, 1)",
            (phone, json.dumps({"body": word}), json.dumps({"name": name, "wa_id": phone})),
        )
    simulator.close()


async def test_after_an_erasure_no_store_holds_any_trace(town: Town) -> None:
    await live(town)
    before, others = town.traces(), town.traces(OTHERS)
    for place in ("messages.text", "webhook_items.raw", "ticket_search.words", "contacts.email",
                  "events.data", "attachment_contents.content", "privacy_exports.content",
                  "notifications.error", "runbook_marks.note", "decisions.snapshot"):  # fmt: skip
        if place != "privacy_exports.content":  # compressed: found by its row, not by its words
            assert any(hit.startswith(place) for hit in before), place
    assert any("1.eml" in hit for hit in before)
    assert any("simulator.db" in hit for hit in before)

    job_id = await town.erase()

    assert town.traces() == []
    assert sorted(set(town.traces(OTHERS))) == sorted(set(others))
    async with town.db.transaction() as session:
        job = await session.get_one(PrivacyJob, job_id)
        assert (job.state, job.person) == ("done", {})
        rows = await session.scalar(text("SELECT count(*) FROM privacy_exports"))
        assert rows == 0


async def test_numbers_times_and_levels_stay(town: Town) -> None:
    await live(town)
    wanted = text(
        "SELECT t.number, t.priority, t.level, t.opened_at, t.first_response_at, t.resolved_at, "
        "(SELECT count(*) FROM messages), (SELECT count(*) FROM ticket_events), "
        "(SELECT count(*) FROM decisions), (SELECT count(*) FROM handoffs) "
        "FROM tickets t ORDER BY 1"
    )
    async with town.db.transaction() as session:
        before = (await session.execute(wanted)).all()

    await town.erase()

    async with town.db.transaction() as session:
        assert (await session.execute(wanted)).all() == before


async def test_every_table_says_how_it_is_erased() -> None:
    """Fails for a new table: add a rule to `ticketing/services/data_map.py`."""
    missing = set(Base.metadata.tables) - set(BY_NAME)

    assert missing == set(), f"tables without a rule in data_map.py: {sorted(missing)}"


def test_rules_name_columns_that_exist() -> None:
    for rule in TABLES:
        table = Base.metadata.tables.get(rule.table)
        assert table is not None, f"data_map.py: there is no table {rule.table}"
        assert set(rule.empty) <= set(table.columns.keys()), rule.table


def test_a_column_that_may_hold_words_of_a_person_is_erased_or_known_not_to() -> None:
    """Every jsonb, bytea and free text of a table with person data is decided on by name."""
    undecided = []
    for rule in TABLES:
        table = Base.metadata.tables.get(rule.table)
        if table is None or not rule.erases or rule.delete:
            continue
        for column in table.columns:
            kind = str(column.type)
            if column.name in rule.empty or kind not in {"TEXT", "JSONB", "BYTEA"}:
                continue
            if f"{rule.table}.{column.name}" not in NO_WORDS and column.name not in CODES:
                undecided.append(f"{rule.table}.{column.name}")
    assert undecided == []


CODES = frozenset(
    """
    state status channel direction author kind correlation_id lease_owner outcome reason rule level
    queue priority understanding versions severity language verdict true_intent earlier
    from_level to_level ended_as actor job_name event idempotency_key lifecycle control part
    topic account_id period stratum answers
    """.split()  # noqa: SIM905 - reads better
)
"""Columns that hold codes, ids and enumerations in whatever table."""

NO_WORDS = frozenset(
    {
        "ticket_events.data",  # ids and enumerations: docs/ticket-events.md
        "ticket_satisfaction.recorded_by",  # agent:<uuid>
        "runbook_marks.runbook",
        "runbook_marks.step",
        "notifications.guarantee",
        # Our own words, codes and keyed hashes; of agents' addresses.
        "dead_letters.broker_message_id",
        "dead_letters.origin_queue",
        "dead_letters.error_kind",
        "dead_letters.error_code",
        "dead_letters.detail",
        "dead_letters.payload_hash",
        "dead_letters.recipient_hash",
        "tickets.sla_state",
        "tickets.routing_state",
        "tickets.overflowed_from",
    }
)


async def test_an_erasure_that_dies_anywhere_goes_on(town: Town) -> None:
    await live(town)
    job_id = await town.begin(force=True)
    names = [store.name for store in town.stores]
    for place in range(0, len(names), 6):
        dying = [
            Dying(store) if index == place else store for index, store in enumerate(town.stores)
        ]
        with pytest.raises(ProcessDiedError):
            await town.run(job_id, dying)
        assert await town.run(job_id) is None  # somebody may be working on it still
        town.clock.advance(privacy_jobs.LEASE + timedelta(seconds=1))

    assert await town.run(job_id) is JobState.SETTLING
    town.clock.advance(contact_erasure.SETTLE)
    assert await town.run(job_id) is JobState.DONE
    assert town.traces() == []


async def test_a_store_that_is_away_puts_the_erasure_off(town: Town) -> None:
    await live(town)
    job_id = await town.begin(force=True)

    away = [Away(town.stores[0]), *town.stores[1:]]
    assert await town.run(job_id, away) is JobState.RUNNING
    async with town.db.transaction() as session:
        view = await privacy_jobs.get_job(session, job_id)
    assert view.error == "rasa.events: StoreError"
    assert view.due_at > town.clock.now()

    town.clock.advance(privacy_jobs.FIRST_RETRY)
    assert await town.run(job_id) is JobState.SETTLING


async def test_what_was_in_flight_is_found_by_the_second_look(town: Town) -> None:
    await live(town)
    contact_id = await town.contact()
    job_id = await town.begin(force=True)
    assert await town.run(job_id) is JobState.SETTLING
    async with town.db.transaction() as session:
        conversation = await session.scalar(
            select(tables.Conversation).where(tables.Conversation.contact_id == contact_id)
        )
        assert conversation is not None
        session.add(
            tables.Message(
                id=new_id(), conversation_id=conversation.id, channel="whatsapp",
                direction="outbound", author="bot", kind="text", text=f"late {WORD}",
                delivery="pending", sent_at=town.clock.now(), created_at=town.clock.now(),
                correlation_id="c0ffee",
            )
        )  # fmt: skip

    assert await town.run(job_id) is None
    town.clock.advance(contact_erasure.SETTLE)
    assert await town.run(job_id) is JobState.DONE

    assert town.traces() == []


async def test_a_late_copy_is_forgotten_and_a_new_message_is_of_somebody_new(town: Town) -> None:
    await live(town)
    old = town.clock.now()
    contact_id = await town.contact()
    await town.erase()

    await town.world.receive(message(f"velho {WORD}", at=old))
    status = StatusUpdate(
        channel="whatsapp", provider_id="unknown", account_id="1000", status="delivered",
        timestamp=town.clock.now(), recipient=SenderIdentity(phone=f"+{WITHOUT_NINE}"),
        raw={"recipient_id": WITHOUT_NINE},
    )  # fmt: skip
    await town.world.receive(status)
    found = [hit for hit in town.traces() if "dedup_key" not in hit]
    assert found == []

    await town.say(f"voltei {WORD}")
    assert await town.contact() != contact_id
    assert any(hit.startswith("messages.text") for hit in town.traces([WORD]))


async def test_a_restored_backup_is_erased_again(town: Town) -> None:
    await town.say(f"oi {WORD}")
    contact_id = await town.contact()
    async with town.db.transaction() as session:
        kept = list(await session.scalars(select(tables.ContactIdentity)))
        for row in kept:
            session.expunge(row)
    await town.erase()
    async with town.db.transaction() as session:  # the backup is back
        for row in kept:
            session.add(
                tables.ContactIdentity(
                    contact_id=row.contact_id, channel=row.channel, kind=row.kind,
                    value=row.value, address=row.address, created_at=row.created_at,
                )
            )  # fmt: skip

    async with town.db.transaction() as session:
        found, more = await contact_erasure.come_back(session, key=KEY)
        nobody, _ = await contact_erasure.come_back(session, key="another key")

    assert (found, more, nobody) == ([contact_id], None, [])


async def test_an_erasure_is_refused_with_every_reason(town: Town) -> None:
    await town.say(f"quero uma pessoa {WORD}")
    async with town.db.transaction() as session:
        await contact_hold.set_hold(
            session, await town.contact(), reason="processo 1", actor="cli",
            now=town.clock.now(), correlation_id="c0ffee",
        )  # fmt: skip

    with pytest.raises(ErasureRefusedError) as refused:
        await town.begin()

    legal, ticket, active = refused.value.reasons
    assert "legal hold" in legal
    assert "#1001 (new)" in ticket
    assert "active" in active
    assert len(refused.value.tickets) == 1
    assert any(hit.startswith("messages.text") for hit in town.traces())


async def test_asking_twice_is_one_erasure_and_is_in_the_audit_log(town: Town) -> None:
    await town.say(f"oi {WORD}")
    contact_id = await town.contact()

    async def again() -> Any:
        return await contact_erasure.begin(
            town.db, contact_id, key=KEY, requested_by="agent:1", now=town.clock.now(),
            correlation_id="c0ffee", force=True,
        )  # fmt: skip

    first, second = await again(), await again()

    assert first == second
    async with town.db.transaction() as session:
        page = await audit.list_entries(session, audit.AuditFilter(action="contact.*"))
    assert [entry.action for entry in page.entries] == ["contact.erasure_started"]


async def test_a_dry_run_counts_and_changes_nothing(town: Town) -> None:
    await live(town)
    before = sorted(town.traces())
    contact_id = await town.contact()

    plan = await contact_erasure.plan(
        town.db, town.stores, contact_id, force=True, now=town.clock.now()
    )

    assert plan.refused == ()
    for store in ("messages", "webhook_items", "rasa.events", "redis", "mailbox", "log files",
                  "simulator", "attachments", "contacts"):  # fmt: skip
        assert plan.counts[store] > 0, store
    assert sorted(town.traces()) == before


async def test_an_export_holds_everything_of_the_person_and_nothing_of_others(town: Town) -> None:
    await live(town)
    content = await contact_export.build(
        town.stores, town.db, await town.contact(), now=town.clock.now()
    )
    again = await contact_export.build(
        town.stores, town.db, await town.contact(), now=town.clock.now()
    )

    assert content == again
    with zipfile.ZipFile(BytesIO(content)) as archive:
        files = {name: archive.read(name).decode() for name in archive.namelist()}
    whole = "\n".join(files.values())
    assert files["LEIA-ME.txt"].startswith("SEUS DADOS")
    for trace in (WITH_NINE, WITHOUT_NINE, NAME, WORD, MAIL, PLACE, PICTURE):
        assert trace in whole, trace
    for name in ("messages.json", "conversas.txt", "tickets.json", "decisions.json", "bot.json",
                 "attachments.json", "handoffs.json"):  # fmt: skip
        assert name in files
        assert name in files["LEIA-ME.txt"]
    assert any(name.startswith("attachments/") for name in files)
    for trace in (*OTHERS, "Ana", str(town.agent.agent_id), "ana@example.com"):
        assert trace not in whole, trace


class ProcessDiedError(BaseException):
    """Nothing catches it, as nothing catches the end of a process."""


@dataclass
class Dying:
    """A store whose process dies right after the store did its work."""

    store: PersonStore

    @property
    def name(self) -> str:
        return self.store.name

    async def erase(self, person: Any, *, cutoff: datetime) -> int:
        await self.store.erase(person, cutoff=cutoff)
        raise ProcessDiedError

    async def count(self, person: Any, *, cutoff: datetime) -> int:
        return await self.store.count(person, cutoff=cutoff)

    async def export(self, person: Any, *, cutoff: datetime) -> Any:
        return await self.store.export(person, cutoff=cutoff)


@dataclass
class Away(Dying):
    """A store that does not answer."""

    async def erase(self, person: Any, *, cutoff: datetime) -> int:
        del person, cutoff
        message = "away"
        raise StoreError(message)
