"""From a turn the bot was unsure about to a line in the training data."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from kit.clock import FakeClock
from kit.ids import new_id
from tests.ticketing.desk import Desk, make_desk, make_policy
from ticketing.db import tables
from ticketing.db.engine import Database
from ticketing.db.review_tables import HandoffReview, TrainingCandidate, TrainingSighting
from ticketing.domain.enums import UnknownValueError
from ticketing.domain.review import ReviewRefusedError, Verdict
from ticketing.domain.ticket import Actor
from ticketing.services.reviews import Judgement, TurnNotFoundError, review_ticket, review_turn
from ticketing.services.visibility import NotVisibleError
from training.nlu_files import ExampleRefusedError, NluFiles
from training.services import candidates
from training.services.candidate_book import CandidateBook
from training.services.candidates import CandidateDecidedError, CandidateView, InboxFilter
from training.services.collect import Collected, collect
from training.services.erasure import forget_contact
from training.services.review_metrics import review_metrics

DATA = """version: "3.1"
nlu:
  - intent: refund
    examples: |
      - quero meu dinheiro de volta
      - reembolso
  - intent: order_status
    examples: |
      - cadê meu pedido
      - onde está minha encomenda que comprei
"""
HELD_OUT = """version: "3.1"
nlu:
  - intent: refund
    metadata: {language: pt}
    examples: |
      - devolve o valor do plano
"""


class Loop:
    """The desk, and a checkout with training data."""

    def __init__(self, desk: Desk, root: Path) -> None:
        self.desk = desk
        (root / "data/nlu/pt").mkdir(parents=True)
        (root / "tests/rasa").mkdir(parents=True)
        (root / "data/nlu/pt/all.yml").write_text(DATA, encoding="utf-8")
        (root / "tests/rasa/nlu_test.yml").write_text(HELD_OUT, encoding="utf-8")
        self.files = NluFiles(root)

    async def conversation(self, name: str = "Carlos Lima") -> uuid.UUID:
        ticket = await self.desk.row(await self.desk.ticket(name=name))
        self.desk.clock.advance(timedelta(minutes=1))
        return ticket.conversation_id

    async def turn(
        self,
        conversation_id: uuid.UUID,
        text: str,
        *,
        understanding: str = "unsure",
        outcome: str = "clarify",
        top: tuple[str, float] = ("refund", 0.3),
        **snapshot: Any,
    ) -> uuid.UUID:
        """A decided customer turn."""
        now = self.desk.clock.now()
        self.desk.clock.advance(timedelta(seconds=30))
        turn_id = new_id()
        async with self.desk.db.transaction() as session:
            session.add(
                tables.Message(
                    id=turn_id,
                    conversation_id=conversation_id,
                    channel="whatsapp",
                    direction="inbound",
                    author="customer",
                    kind="text",
                    text=text,
                    sent_at=now,
                    created_at=now,
                    correlation_id="c0ffee",
                )
            )
            seen = {
                "message_kind": "text",
                "language": "pt",
                "top_intent": top[0],
                "ranking": [list(top), ["cancel", 0.1]],
                **snapshot,
            }
            session.add(
                tables.Decision(
                    conversation_id=conversation_id,
                    turn_id=turn_id,
                    outcome=outcome,
                    reason="low_confidence",
                    rule="r@v1",
                    snapshot=seen,
                    decision={"understanding": understanding},
                    versions={},
                    created_at=now,
                    correlation_id="c0ffee",
                )
            )
        return turn_id

    async def collect(self) -> Collected:
        book = CandidateBook.of(self.files)
        return await collect(self.desk.db, book, now=self.desk.clock.now(), batch=2)

    async def inbox(self, **wanted: Any) -> tuple[CandidateView, ...]:
        async with self.desk.db.transaction() as session:
            return await candidates.inbox(session, InboxFilter(**wanted))

    async def accept(
        self, item: CandidateView, intent: str | None = None, text: str | None = None
    ) -> candidates.Accepted:
        return await candidates.accept(
            self.desk.db,
            self.files,
            item.id,
            intent=intent,
            text=text,
            policy=make_policy(),
            by="cli",
            now=self.desk.clock.now(),
        )

    async def judge_turn(
        self, conversation_id: uuid.UUID, turn_id: uuid.UUID, judgement: Judgement, actor: Actor
    ) -> Any:
        async with self.desk.db.transaction() as session:
            return await review_turn(
                session, conversation_id, turn_id, judgement, actor=actor, policy=make_policy(),
                now=self.desk.clock.now(), correlation_id="c",
            )  # fmt: skip

    async def judge(self, ticket_id: uuid.UUID, judgement: Judgement, actor: Actor) -> Any:
        async with self.desk.db.transaction() as session:
            return await review_ticket(
                session, ticket_id, judgement, actor=actor, policy=make_policy(),
                now=self.desk.clock.now(), correlation_id="c",
            )  # fmt: skip


@pytest.fixture
async def loop(db: Database, clock: FakeClock, tmp_path: Path) -> Loop:
    return Loop(await make_desk(db, clock), tmp_path)


async def test_an_unsure_turn_becomes_one_scrubbed_candidate_however_often_it_is_collected(
    loop: Loop,
) -> None:
    conversation = await loop.conversation("Jurema Tavares")
    turn = await loop.turn(conversation, "aqui é a Jurema, cpf 123.456.789-09, grana de volta já")
    first = await loop.collect()
    again = await loop.collect()
    assert first.results == {"candidate": 1}
    assert "candidate" not in again.results
    (item,) = await loop.inbox()
    assert item.text == "aqui é a xxx, cpf xxx, grana de volta já"
    assert (item.turn_id, item.source, item.suggested_intent) == (turn, "unsure", "refund")
    assert item.sightings == 1


async def test_two_collectors_at_once_find_each_sentence_once(loop: Loop) -> None:
    conversation = await loop.conversation()
    for text in ("troca de titular do plano", "quebrou o controle remoto", "vocês vendem cadeira"):
        await loop.turn(conversation, text)
    await asyncio.gather(loop.collect(), loop.collect())
    assert len(await loop.inbox()) == 3
    assert all(item.sightings == 1 for item in await loop.inbox())


async def test_alike_sentences_are_one_candidate_or_one_group(loop: Loop) -> None:
    conversation = await loop.conversation()
    for text in (
        "vocês entregam na zona rural",
        "Vocês entregam na zona rural??",
        "vocês entregam na zona rural de Minas e do interior",
        "quebrou o controle remoto",
    ):
        await loop.turn(conversation, text)
    await loop.collect()
    found = {item.text: item for item in await loop.inbox()}
    assert len(found) == 3
    assert found["vocês entregam na zona rural"].sightings == 2
    groups = [item.group_key for item in found.values()]
    assert len(set(groups)) == 2


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("Cade meu pedido!!", "example"),
        ("devolve o valor do plano", "held_out"),
        ("123.456.789-09", "unfit"),
        ("?", "unfit"),
        ("bla blu " * 30, "unfit"),
    ],
)
async def test_what_cannot_teach_is_no_candidate(loop: Loop, text: str, result: str) -> None:
    await loop.turn(await loop.conversation(), text)
    assert (await loop.collect()).results == {result: 1}
    assert await loop.inbox() == ()


@pytest.mark.parametrize(
    "facts",
    [
        {"understanding": "confident", "top": ("refund", 0.9)},
        {"understanding": "form_answer"},
        {"active_form": "order_form"},
        {"message_kind": "button"},
        {"clarification_answer": "none_of_these"},
        {"trigger": "bot_unavailable"},
        {"language": "fr"},
    ],
)
async def test_turns_that_teach_nothing_are_left_alone(loop: Loop, facts: dict[str, Any]) -> None:
    await loop.turn(await loop.conversation(), "grana de volta já", **facts)
    assert (await loop.collect()).results == {}


async def test_the_option_a_customer_chose_labels_the_question_before_it(loop: Loop) -> None:
    conversation = await loop.conversation()
    question = await loop.turn(conversation, "aquilo lá do mês passado sumiu")
    await loop.collect()
    await loop.turn(
        conversation, "nenhuma dessas", message_kind="button", clarification_answer="none_of_these"
    )
    await loop.turn(
        conversation, "Status do pedido", understanding="confident", outcome="stay",
        top=("order_status", 0.2), message_kind="button", clarification_answer="chosen",
    )  # fmt: skip
    assert (await loop.collect()).results["improved"] == 1
    (item,) = await loop.inbox()
    assert (item.turn_id, item.source) == (question, "chosen")
    assert item.suggested_intent == "order_status"


async def test_an_agents_word_outweighs_the_model_and_may_contradict_an_example(
    loop: Loop,
) -> None:
    agent = await loop.desk.agent("ana")
    conversation = await loop.conversation()
    turn = await loop.turn(conversation, "grana de volta já")
    near = await loop.turn(
        conversation, "onde está minha encomenda que compreii",
        understanding="confident", outcome="stay", top=("order_status", 0.9),
    )  # fmt: skip
    await loop.collect()
    await loop.judge_turn(conversation, turn, Judgement(Verdict.RIGHT, "cancel"), agent)
    await loop.judge_turn(conversation, near, Judgement(Verdict.LATE, "complaint"), agent)
    loop.desk.clock.advance(timedelta(minutes=1))
    await loop.collect()
    suggested = {item.text: (item.source, item.suggested_intent) for item in await loop.inbox()}
    assert suggested == {
        "grana de volta já": ("agent", "cancel"),
        "onde está minha encomenda que compreii": ("agent", "complaint"),
    }


async def test_accepting_writes_the_example_and_again_changes_nothing(loop: Loop) -> None:
    await loop.turn(await loop.conversation(), "me devolve a grana do pedido 98213")
    await loop.collect()
    (item,) = await loop.inbox()
    done = await loop.accept(item)
    assert (done.added, done.path) == (True, "data/nlu/pt/all.yml")
    assert done.line == "me devolve a grana do pedido [12345](order_number)"
    assert await loop.inbox() == ()
    again = await loop.accept(item)
    assert not again.added
    with pytest.raises(CandidateDecidedError):
        await loop.accept(item, "order_status")


async def test_a_crash_between_the_file_and_the_database_is_repaired_by_accepting_again(
    loop: Loop,
) -> None:
    await loop.turn(await loop.conversation(), "me devolve a grana")
    await loop.collect()
    (item,) = await loop.inbox()
    await loop.accept(item)
    async with loop.desk.db.transaction() as session:  # as if the commit had been lost
        row = await session.get_one(TrainingCandidate, item.id)
        row.state, row.intent, row.decided_at = "new", None, None
    done = await loop.accept(item)
    assert not done.added
    assert done.candidate.state == "accepted"
    assert loop.files.folder.joinpath("pt/all.yml").read_text().count("me devolve a grana") == 1


async def test_a_refused_text_leaves_the_candidate_new(loop: Loop) -> None:
    await loop.turn(await loop.conversation(), "me devolve a grana")
    await loop.collect()
    (item,) = await loop.inbox()
    with pytest.raises(ExampleRefusedError):
        await loop.accept(item, text="devolve o valor do plano")
    with pytest.raises(UnknownValueError):
        await loop.accept(item, "nonsense")
    assert [one.id for one in await loop.inbox()] == [item.id]


async def test_a_rejected_sentence_does_not_come_back(loop: Loop) -> None:
    conversation = await loop.conversation()
    await loop.turn(conversation, "me devolve a grana")
    await loop.collect()
    (item,) = await loop.inbox()
    for _ in range(2):
        await candidates.reject(
            loop.desk.db, item.id, reason="x", by="cli", now=loop.desk.clock.now()
        )
    await loop.turn(conversation, "me devolve a grana!")
    assert (await loop.collect()).results["same"] == 1
    assert await loop.inbox() == ()


async def test_a_group_is_named_by_its_key(loop: Loop) -> None:
    await loop.turn(await loop.conversation(), "me devolve a grana")
    await loop.collect()
    (item,) = await loop.inbox()
    async with loop.desk.db.transaction() as session:
        assert await candidates.members(session, [item.group_key]) == (item.id,)
        with pytest.raises(candidates.CandidateNotFoundError, match="deadbeef"):
            await candidates.members(session, ["deadbeef"])


async def test_a_mark_is_one_per_turn_and_agent_and_the_ticket_remembers_the_changes(
    loop: Loop,
) -> None:
    agent = await loop.desk.agent("ana")
    ticket_id = await loop.desk.ticket()
    first = await loop.judge(ticket_id, Judgement(Verdict.WRONG, "refund", "sem motivo"), agent)
    same = await loop.judge(ticket_id, Judgement(Verdict.WRONG, "refund", "sem motivo"), agent)
    assert (first.repeated, same.repeated) == (False, True)
    changed = await loop.judge(ticket_id, Judgement(Verdict.RIGHT), agent)
    assert changed.verdict == "right"
    (row,) = await loop.desk.all(HandoffReview)
    assert row.earlier[0]["verdict"] == "wrong"
    events = await loop.desk.all(tables.TicketEvent, ticket_id=ticket_id, kind="reviewed")
    assert [event.data["verdict"] for event in events] == ["wrong", "right"]
    assert events[1].data["from_verdict"] == "wrong"


async def test_two_clicks_at_once_are_one_mark(loop: Loop) -> None:
    agent = await loop.desk.agent("ana")
    ticket_id = await loop.desk.ticket()
    judgement = Judgement(Verdict.RIGHT)
    await asyncio.gather(*(loop.judge(ticket_id, judgement, agent) for _ in range(4)))
    assert len(await loop.desk.all(HandoffReview)) == 1


async def test_a_mark_that_makes_no_sense_is_refused(loop: Loop) -> None:
    agent = await loop.desk.agent("ana")
    stranger = await loop.desk.agent("bia", queues=("n3_risk",))
    conversation = await loop.conversation()
    turn = await loop.turn(conversation, "oi tudo bem", outcome="stay")
    with pytest.raises(ReviewRefusedError, match="verdict: the bot kept this turn"):
        await loop.judge_turn(conversation, turn, Judgement(Verdict.WRONG), agent)
    with pytest.raises(UnknownValueError, match="true_intent"):
        await loop.judge_turn(conversation, turn, Judgement(Verdict.LATE, "nonsense"), agent)
    with pytest.raises(TurnNotFoundError):
        await loop.judge_turn(conversation, new_id(), Judgement(Verdict.LATE), agent)
    with pytest.raises(NotVisibleError):
        await loop.judge_turn(conversation, turn, Judgement(Verdict.LATE), stranger)


async def test_the_rates_come_out_of_the_marks(loop: Loop) -> None:
    ana, bia = await loop.desk.agent("ana"), await loop.desk.agent("bia")
    needless, fine = await loop.desk.ticket(), await loop.desk.ticket()
    conversation = await loop.conversation()
    missed = await loop.turn(conversation, "quero gente", outcome="stay")
    await loop.judge(needless, Judgement(Verdict.WRONG), ana)
    await loop.judge(needless, Judgement(Verdict.WRONG), bia)
    await loop.judge(fine, Judgement(Verdict.RIGHT), ana)
    await loop.judge_turn(conversation, missed, Judgement(Verdict.LATE), ana)
    async with loop.desk.db.transaction() as session:
        found = await review_metrics(session)
        later = await review_metrics(session, since=loop.desk.clock.now() + timedelta(days=1))
    assert (found.marks, found.turns) == (4, 3)
    assert found.total.over_handoff.share == 0.5
    assert found.total.under_handoff.share == 1.0
    assert found.by_reason.keys() == {"customer_request", "low_confidence"}
    assert later.turns == 0


async def test_a_forgotten_customer_leaves_no_sentence_and_no_remark(loop: Loop) -> None:
    agent = await loop.desk.agent("ana")
    own, other = await loop.conversation(), await loop.conversation("Bento Paz")
    turn = await loop.turn(own, "me devolve a grana")
    await loop.turn(other, "quebrou o controle remoto")
    await loop.judge_turn(own, turn, Judgement(Verdict.LATE, None, "coitado do Carlos"), agent)
    loop.desk.clock.advance(timedelta(minutes=1))
    await loop.collect()
    item = next(one for one in await loop.inbox() if one.turn_id == turn)
    await loop.accept(item)
    async with loop.desk.db.transaction() as session:
        contact = await session.scalar(
            select(tables.Conversation.contact_id).where(tables.Conversation.id == own)
        )
        assert contact is not None
        done = await forget_contact(session, contact)
        again = await forget_contact(session, contact)
    assert done.examples == (("pt", "refund", "me devolve a grana"),)
    assert (done.candidates, done.sightings, done.notes) == (1, 1, 1)
    assert (again.candidates, again.sightings, again.notes) == (0, 0, 0)
    assert [one.text for one in await loop.inbox()] == ["quebrou o controle remoto"]
    assert [row.note for row in await loop.desk.all(HandoffReview)] == [None]
    async with loop.desk.db.transaction() as session:
        kept = (await session.scalars(select(TrainingSighting))).all()
    assert len(kept) == 1
