from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from kit.clock import FakeClock
from tests.ticketing.desk import Desk, make_desk, order
from ticketing.db import tables
from ticketing.db.engine import Database
from ticketing.db.quality_tables import QualityPeriod, QualityReview, QualitySample
from ticketing.domain.enums import Role
from ticketing.domain.quality import CLAIM, QualityPersonError, QualityStateError
from ticketing.domain.quality_file import QualityPlan, parse_plan
from ticketing.domain.quality_score import AnswerError
from ticketing.domain.ticket import Actor
from ticketing.services.quality import Judgement, QualityOrder, QualityService
from ticketing.services.quality_draw import NoQualityPlanError, PeriodNotOverError, QualityDraw
from ticketing.services.quality_report import By, UnknownPeriodError, quality_report
from ticketing.services.quality_views import (
    SampleFilter,
    SampleNotFoundError,
    list_samples,
    own_feedback,
    review_state,
    sample_detail,
)
from ticketing.services.visibility import NotVisibleError

ROOT = Path(__file__).resolve().parents[3]
PLAN_TEXT = (ROOT / "quality.yml").read_text("utf-8")
GOOD = {
    "understood": "5", "solved": "5", "runbook": "yes", "tone": "5", "level": "yes",
    "data_protection": "yes",
}  # fmt: skip
POOR = GOOD | {"understood": "1", "solved": "1", "runbook": "no"}


def plan(*, second: str = "0.10") -> QualityPlan:
    return parse_plan(PLAN_TEXT.replace("share: 0.10  ", f"share: {second}  ", 1))


@pytest.fixture
async def desk(db: Database, clock: FakeClock) -> Desk:
    return await make_desk(db, clock)


@pytest.fixture
def quality(desk: Desk) -> QualityService:
    return QualityService(desk.db, desk.clock)


def drawing(desk: Desk, *, second: str = "0.10") -> QualityDraw:
    made = plan(second=second)
    return QualityDraw(desk.db, desk.clock, lambda: made)


async def resolved(desk: Desk, agent: Actor, **evidence: Any) -> uuid.UUID:
    """A ticket that this agent took and resolved now."""
    ticket_id = await desk.ticket()
    if evidence:
        async with desk.db.transaction() as session:
            await session.execute(
                update(tables.Handoff)
                .where(tables.Handoff.ticket_id == ticket_id)
                .values(evidence=evidence)
            )
    await desk.service.take(order(agent, ticket_id))
    await desk.service.reply(order(agent, ticket_id), text="Olá")
    await desk.service.resolve(order(agent, ticket_id))
    return ticket_id


def ask(actor: Actor, sample_id: uuid.UUID) -> QualityOrder:
    return QualityOrder(actor=actor, sample_id=sample_id, correlation_id="abc123")


async def one_sample(desk: Desk, agent: Actor, *, second: str = "0.0") -> uuid.UUID:
    await resolved(desk, agent)
    desk.clock.advance(timedelta(days=7))
    await drawing(desk, second=second).draw()
    (sample,) = await desk.all(QualitySample)
    return uuid.UUID(str(sample.id))


async def test_a_week_is_drawn_once_whoever_draws_and_keeps_seed_strata_and_weights(
    desk: Desk,
) -> None:
    ana = await desk.agent("ana")
    for number in range(14):
        await resolved(desk, ana, intent="x", confidence=0.3 if number < 8 else 0.9)
    open_ticket = await desk.ticket()
    await desk.service.take(order(ana, open_ticket))
    with pytest.raises(PeriodNotOverError):
        await drawing(desk).draw("2026-W11")
    desk.clock.advance(timedelta(days=7))
    draws = await asyncio.gather(*(drawing(desk).draw() for _ in range(4)))
    assert sum(not drawn.repeated for drawn in draws) == 1
    assert len({drawn.seed for drawn in draws}) == 1
    assert draws[0].period == "2026-W11"
    counts = {item.stratum: (item.population, item.sampled) for item in draws[0].strata}
    assert counts["low_confidence"] == (8, 5)
    assert counts["random"] == (6, 6)
    samples = await desk.all(QualitySample)
    assert len(samples) == draws[0].sampled == 11
    assert sum(sample.second for sample in samples) == draws[0].second == 2
    for sample in samples:
        size, taken = counts[sample.stratum]
        assert (sample.probability, sample.weight) == (taken / size, size / taken)
        assert sample.agent_id == ana.agent_id
        assert sample.ticket_id != open_ticket
    assert await drawing(desk).run() == 3  # the empty weeks before; this one is there
    assert await drawing(desk).run() == 0
    assert len(await desk.all(QualitySample)) == 11


async def test_the_same_seed_draws_the_same_tickets(desk: Desk) -> None:
    ana = await desk.agent("ana")
    for _ in range(30):
        await resolved(desk, ana)
    desk.clock.advance(timedelta(days=7))
    drawn = []
    for _ in range(2):
        await drawing(desk).draw("2026-W11", seed="known")
        drawn.append({sample.ticket_id for sample in await desk.all(QualitySample)})
        async with desk.db.transaction() as session:
            for table in (QualitySample, QualityPeriod):
                await session.execute(table.__table__.delete())
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 10


async def test_each_ticket_is_put_where_its_history_says(desk: Desk) -> None:
    ana = await desk.agent("ana")
    plain = await resolved(desk, ana, intent="x", confidence=0.9, hours_open=True)
    late_hours = await resolved(desk, ana, intent="x", confidence=0.9, hours_open=False)
    unsure = await resolved(desk, ana, intent="x", confidence=0.4, hours_open=False)
    reopened = await resolved(desk, ana, intent="x", confidence=0.4)
    await desk.service.reopen(order(ana, reopened), reason="voltou")
    await desk.service.resolve(order(ana, reopened))
    nobodys = await desk.ticket()
    async with desk.db.transaction() as session:
        await session.execute(
            update(tables.Ticket)
            .where(tables.Ticket.id == nobodys)
            .values(status="resolved", resolved_at=desk.clock.now())
        )
    missed = await desk.ticket()
    desk.clock.advance(timedelta(hours=5))  # the target was four
    await desk.service.take(order(ana, missed))
    await desk.service.resolve(order(ana, missed), closing_text="Desculpe a demora")
    desk.clock.advance(timedelta(days=7))
    await drawing(desk).draw()
    strata = {sample.ticket_id: sample.stratum for sample in await desk.all(QualitySample)}
    assert strata == {
        plain: "random",
        late_hours: "after_hours",
        unsure: "low_confidence",
        reopened: "reopened",
        missed: "sla_miss",
    }


async def test_without_a_plan_nothing_is_drawn(desk: Desk) -> None:
    idle = QualityDraw(desk.db, desk.clock, lambda: None)
    assert await idle.run() == 0
    with pytest.raises(NoQualityPlanError):
        await idle.draw()


async def test_a_whole_review_from_the_draw_to_the_settled_dispute(
    desk: Desk, quality: QualityService
) -> None:
    ana = await desk.agent("ana")
    sofia = await desk.agent("sofia", role=Role.SUPERVISOR)
    paulo = await desk.agent("paulo", role=Role.SUPERVISOR)
    sample_id = await one_sample(desk, ana)
    (sample,) = await desk.all(QualitySample)
    async with desk.db.transaction() as session:
        assert await review_state(session, sample.ticket_id) == "pending"
        assert await own_feedback(session, actor=ana, language="pt") == ()
    begun = await quality.start(ask(sofia, sample_id))
    assert (begun.sample.state, begun.sample.reviewer_name) == ("in_review", "Sofia")
    with pytest.raises(AnswerError):
        await quality.submit(ask(sofia, sample_id), Judgement({"tone": "5"}))
    judgement = Judgement(POOR, "Faltou dizer o prazo")
    done = await quality.submit(ask(sofia, sample_id), judgement)
    assert done.sample.state == "done"
    assert done.sample.score == pytest.approx(100 * (1 + 1 + 1) / 10)
    again = await quality.submit(ask(sofia, sample_id), judgement)
    assert again == done
    with pytest.raises(QualityStateError):
        await quality.submit(ask(sofia, sample_id), Judgement(GOOD))
    async with desk.db.transaction() as session:
        (read,) = await own_feedback(session, actor=ana, language="pt")
    assert read.reviews[0].comment == "Faltou dizer o prazo"
    disputed = await quality.dispute(ask(ana, sample_id), reply="O prazo está na 2ª mensagem")
    assert disputed.sample.state == "disputed"
    with pytest.raises(QualityStateError):
        await quality.dispute(ask(ana, sample_id), reply="e mais uma coisa")
    with pytest.raises(QualityStateError):
        await quality.acknowledge(ask(ana, sample_id))
    settled = await quality.settle(ask(paulo, sample_id), answer="É verdade", answers=GOOD)
    assert (settled.sample.state, settled.sample.score) == ("settled", 100)
    assert [review.part for review in settled.reviews] == ["first", "settlement"]
    assert (await quality.settle(ask(paulo, sample_id), answer="É verdade")) == settled
    with pytest.raises(QualityStateError):
        await quality.settle(ask(sofia, sample_id), answer="Não")
    from ticketing.db.audit_tables import AuditEntry  # noqa: PLC0415

    actions = {entry.action for entry in await desk.all(AuditEntry)}
    assert {"quality.started", "quality.submitted", "quality.disputed", "quality.settled"} <= (
        actions
    )


async def test_agreeing_settles_it_and_only_the_agent_can(
    desk: Desk, quality: QualityService
) -> None:
    ana, bia = await desk.agent("ana"), await desk.agent("bia")
    sofia = await desk.agent("sofia", role=Role.SUPERVISOR)
    sample_id = await one_sample(desk, ana)
    with pytest.raises(QualityStateError):
        await quality.acknowledge(ask(ana, sample_id))
    await quality.start(ask(sofia, sample_id))
    await quality.submit(ask(sofia, sample_id), Judgement(GOOD))
    for person in (bia, sofia):
        with pytest.raises(QualityPersonError):
            await quality.acknowledge(ask(person, sample_id))
    first = await quality.acknowledge(ask(ana, sample_id))
    assert first.sample.state == "settled"
    assert await quality.acknowledge(ask(ana, sample_id)) == first


async def test_nobody_judges_a_ticket_they_worked_on_and_of_two_who_begin_one_begins(
    desk: Desk, quality: QualityService
) -> None:
    boss = await desk.agent("boss", role=Role.SUPERVISOR)
    sofia = await desk.agent("sofia", role=Role.SUPERVISOR)
    paulo = await desk.agent("paulo", role=Role.SUPERVISOR)
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    await desk.service.take(order(boss, ticket_id))
    await desk.service.reply(order(boss, ticket_id), text="Vou passar para a Ana")
    from ticketing.services.ticket_targets import Target  # noqa: PLC0415

    await desk.service.assign(
        order(boss, ticket_id), target=Target(agent_id=ana.agent_id), reason="turno"
    )
    await desk.service.resolve(order(ana, ticket_id))
    desk.clock.advance(timedelta(days=7))
    await drawing(desk).draw()
    (sample,) = await desk.all(QualitySample)
    assert sample.agent_id == ana.agent_id
    for person in (ana, boss):
        with pytest.raises(QualityPersonError):
            await quality.start(ask(person, sample.id))
    results = await asyncio.gather(
        *(quality.start(ask(who, sample.id)) for who in (sofia, paulo)), return_exceptions=True
    )
    assert sum(isinstance(result, QualityStateError) for result in results) == 1
    (row,) = await desk.all(QualitySample)
    winner, loser = (sofia, paulo) if row.reviewer_id == sofia.agent_id else (paulo, sofia)
    desk.clock.advance(CLAIM)
    await quality.start(ask(loser, sample.id))
    with pytest.raises(QualityPersonError):
        await quality.submit(ask(winner, sample.id), Judgement(GOOD))
    await quality.submit(ask(loser, sample.id), Judgement(GOOD))


async def test_a_reviewer_sees_only_what_is_theirs_to_see(
    desk: Desk, quality: QualityService
) -> None:
    ana = await desk.agent("ana")
    sample_id = await one_sample(desk, ana)
    stranger = await desk.agent("rui", queues=("n3_risk",))
    with pytest.raises(NotVisibleError):
        await quality.start(ask(stranger, sample_id))
    async with desk.db.transaction() as session:
        page = await list_samples(session, actor=stranger, wanted=SampleFilter())
        assert page.samples == ()
        own = await list_samples(session, actor=ana, wanted=SampleFilter())
        assert own.samples == ()
        with pytest.raises(NotVisibleError):
            await sample_detail(session, sample_id, actor=ana, language="pt")
        others = SampleFilter(agent_id=ana.agent_id)
        bia = Actor(agent_id=uuid.uuid4(), role=Role.SUPERVISOR)
        assert len((await list_samples(session, actor=bia, wanted=others)).samples) == 1
    with pytest.raises(SampleNotFoundError):
        await quality.start(ask(ana, uuid.uuid4()))


async def test_the_second_review_is_independent_and_measures_the_reviewers(
    desk: Desk, quality: QualityService
) -> None:
    ana = await desk.agent("ana")
    sofia = await desk.agent("sofia", role=Role.SUPERVISOR)
    paulo = await desk.agent("paulo", role=Role.SUPERVISOR)
    sample_id = await one_sample(desk, ana, second="1.0")
    await quality.start(ask(sofia, sample_id))
    with pytest.raises(QualityPersonError):
        await quality.submit_second(ask(sofia, sample_id), Judgement(GOOD))
    await quality.submit(ask(sofia, sample_id), Judgement(POOR))
    async with desk.db.transaction() as session:
        hidden = await sample_detail(session, sample_id, actor=paulo, language="pt")
        assert (hidden.hidden, hidden.reviews, hidden.sample.score) == (True, (), None)
        assert not (await sample_detail(session, sample_id, actor=sofia, language="pt")).hidden
    await quality.submit_second(ask(paulo, sample_id), Judgement(GOOD))
    again = await quality.submit_second(ask(paulo, sample_id), Judgement(GOOD))
    assert not again.hidden
    assert len(again.reviews) == 2
    assert again.sample.score == pytest.approx(30)  # the first one's stays in force
    with pytest.raises(QualityStateError):
        await quality.submit_second(ask(paulo, sample_id), Judgement(POOR))
    async with desk.db.transaction() as session:
        (read,) = await own_feedback(session, actor=ana, language="pt")
    assert [review.part for review in read.reviews] == ["first"]
    assert len(await desk.all(QualityReview)) == 2


async def test_where_one_reviewer_is_wanted_a_second_is_refused(
    desk: Desk, quality: QualityService
) -> None:
    ana = await desk.agent("ana")
    sofia = await desk.agent("sofia", role=Role.SUPERVISOR)
    sample_id = await one_sample(desk, ana)
    with pytest.raises(QualityStateError, match="it has one reviewer"):
        await quality.submit_second(ask(sofia, sample_id), Judgement(GOOD))


async def test_the_averages_describe_the_week_and_not_the_sample(
    desk: Desk, quality: QualityService
) -> None:
    ana, bia = await desk.agent("ana"), await desk.agent("bia")
    sofia = await desk.agent("sofia", role=Role.SUPERVISOR)
    for number in range(26):
        await resolved(desk, ana, intent="x", confidence=0.3 if number < 6 else 0.9)
    await resolved(desk, bia, intent="x", confidence=0.9)
    desk.clock.advance(timedelta(days=7))
    await drawing(desk, second="0.0").draw()
    samples = await desk.all(QualitySample)
    for sample in samples:
        await quality.start(ask(sofia, sample.id))
        answers = POOR if sample.stratum == "low_confidence" else GOOD
        await quality.submit(ask(sofia, sample.id), Judgement(answers))
    async with desk.db.transaction() as session:
        report = await quality_report(session, plan=plan(), by=By.AGENT, periods=())
        with pytest.raises(UnknownPeriodError):
            await quality_report(session, plan=plan(), by=By.AGENT, periods=("2020-W01",))
        by_team = await quality_report(session, plan=plan(), by=By.TEAM, periods=("2026-W11",))
    assert (report.population, report.sampled, report.judged) == (27, 15, 15)
    assert report.overall.value == pytest.approx((6 * 30 + 21 * 100) / 27)
    assert report.overall.n == 15
    assert report.overall.effective_n < 15
    names = {group.name: group.estimate for group in report.groups}
    assert names["Ana"].value is not None
    bias = names.get("Bia")
    assert bias is None or (bias.value, bias.refused) == (None, "too_few")
    assert {item.agreement.refused for item in report.agreement} == {"too_few"}
    assert [(group.id, group.name) for group in by_team.groups] == [(None, None)]
