from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from channels.message import OutboundTemplate
from kit.clock import FakeClock
from tests.ticketing.desk import Desk, make_desk, make_policy, order
from ticketing.db import runbook_tables, tables
from ticketing.db.engine import Database
from ticketing.domain.enums import Role
from ticketing.domain.holder import Holder
from ticketing.domain.runbook import (
    MarkKind,
    RunbookBook,
    UnknownReplyTextError,
    UnknownStepError,
)
from ticketing.domain.runbook_file import parse_runbooks
from ticketing.domain.ticket import Actor, NotAllowedError
from ticketing.gateways.content_files import load_runbooks
from ticketing.gateways.whatsapp_sender import WhatsAppSender
from ticketing.services import deliveries
from ticketing.services.runbook_gate import StepsMissingError
from ticketing.services.runbook_replies import Desk as ReplyDesk
from ticketing.services.runbook_replies import ReplyNotReadyError, prepare_reply, reply_offers
from ticketing.services.runbook_views import TicketRunbookView, ticket_runbook
from ticketing.services.runbooks import (
    Marking,
    NoRunbookError,
    RunbookChangedError,
    RunbookService,
    TicketOverError,
)
from ticketing.services.tickets import TicketService
from ticketing.services.visibility import NotVisibleError

ROOT = Path(__file__).resolve().parents[3]
TICK, UNTICK, NOTE = MarkKind.TICKED, MarkKind.UNTICKED, MarkKind.NOTED
REFUND = """\
runbook: refund
names: {pt: "Reembolso", en: "Refund", es: "Reembolso"}
when: {intent: refund}
demands_steps: true
steps:
  - {step: check, obligatory: true, texts: {pt: "Conferir", en: "Check", es: "Ver"}}
  - {step: extra, texts: {pt: "Extra", en: "Extra", es: "Extra"}}
replies:
  done:
    names: {pt: "Feito", en: "Done", es: "Hecho"}
    texts:
      pt: "{{contact.first_name}}, pedido {{entity.order_number}}: {{sla.due}} ({{agent.name}})"
      en: "{{contact.first_name}}, order {{entity.order_number}}"
      es: "{{contact.first_name}}, pedido {{entity.order_number}}"
    closed_window: {template: refund_update, parameters: [contact.first_name, ticket.number]}
  plain:
    names: {pt: "Oi", en: "Hi", es: "Hola"}
    texts: {pt: "Oi!", en: "Hi!", es: "¡Hola!"}
"""
N2 = """\
runbook: second_level
names: {pt: "N2", en: "N2", es: "N2"}
when: {intent: refund, level: N2}
steps: [{step: check, texts: {pt: "Ver", en: "See", es: "Ver"}}]
"""


def book_of(refund: str = REFUND) -> RunbookBook:
    return parse_runbooks({"refund.yml": refund, "second_level.yml": N2})


@pytest.fixture
async def desk(db: Database, clock: FakeClock) -> Desk:
    return await make_desk(db, clock)


@pytest.fixture
def holder() -> Holder[RunbookBook]:
    return Holder(book_of())


@pytest.fixture
def runbooks(desk: Desk, holder: Holder[RunbookBook]) -> RunbookService:
    return RunbookService(desk.db, desk.clock, holder.current)


@pytest.fixture
def service(desk: Desk, holder: Holder[RunbookBook]) -> TicketService:
    return TicketService(
        desk.db,
        desk.clock,
        desk.woken.append,
        runbooks=holder,
    )


async def refund_ticket(desk: Desk, **entities: list[str]) -> uuid.UUID:
    """A ticket whose handoff says that it is about a refund."""
    ticket_id = await desk.ticket()
    evidence = {"intent": "refund", "confidence": 0.9, "entities": entities}
    async with desk.db.transaction() as session:
        await session.execute(
            update(tables.Handoff)
            .where(tables.Handoff.ticket_id == ticket_id)
            .values(evidence=evidence)
        )
    return ticket_id


async def view(desk: Desk, ticket_id: uuid.UUID, actor: Actor, book: RunbookBook) -> Any:
    async with desk.db.transaction() as session:
        found = await ticket_runbook(session, ticket_id, actor=actor, book=book, language="pt")
    assert isinstance(found, TicketRunbookView)
    return found


async def test_a_tick_is_a_row_and_an_event_and_shows_who_and_when(
    desk: Desk, runbooks: RunbookService
) -> None:
    ana = await desk.agent("ana")
    ticket_id = await refund_ticket(desk)
    before = (await desk.row(ticket_id)).version
    done = await runbooks.mark(order(ana, ticket_id), Marking(TICK, "check", note="vi no ERP"))
    assert (done.ticked, done.missing, done.repeated) == (True, (), False)
    found = await view(desk, ticket_id, ana, book_of())
    step = found.runbook.steps[0]
    assert (step.ticked, step.ticked_by, step.ticked_at) == (True, "Ana", desk.clock.now())
    assert step.marks[0].note == "vi no ERP"
    assert found.runbook.missing == ()
    event = (await desk.all(tables.TicketEvent, kind="step_ticked"))[0]
    assert event.data["step"] == "check"
    assert event.data["runbook_version"] == done.version
    assert event.actor == ana.label
    assert "ERP" not in str(event.data)  # words stay where erasing finds them
    assert (await desk.row(ticket_id)).version == before  # nobody's open page is outdated by a tick


async def test_ticking_twice_or_at_once_ticks_once_and_the_history_keeps_every_change(
    desk: Desk, runbooks: RunbookService
) -> None:
    ana = await desk.agent("ana")
    ticket_id = await refund_ticket(desk)
    results = await asyncio.gather(
        *(runbooks.mark(order(ana, ticket_id), Marking(TICK, "check")) for _ in range(5))
    )
    assert sum(not result.repeated for result in results) == 1
    assert len(await desk.all(runbook_tables.RunbookMark)) == 1
    await runbooks.mark(order(ana, ticket_id), Marking(UNTICK, "check", note="outro pedido"))
    await runbooks.mark(order(ana, ticket_id), Marking(NOTE, "check", note="vi com a loja"))
    step = (await view(desk, ticket_id, ana, book_of())).runbook.steps[0]
    assert not step.ticked
    assert [mark.kind for mark in step.marks] == ["ticked", "unticked", "noted"]
    again = await runbooks.mark(order(ana, ticket_id), Marking(UNTICK, "check"))
    assert again.repeated


async def test_a_changed_file_does_not_change_what_a_ticket_is_worked_by(
    desk: Desk, runbooks: RunbookService, holder: Holder[RunbookBook]
) -> None:
    ana = await desk.agent("ana")
    begun, fresh = await refund_ticket(desk), await refund_ticket(desk)
    first = await runbooks.mark(order(ana, begun), Marking(TICK, "extra"))
    changed = book_of(REFUND.replace("step: extra", "step: other").replace("Conferir", "Olhar"))
    holder.replace(changed)
    old = await view(desk, begun, ana, changed)
    assert [step.step for step in old.runbook.steps] == ["check", "extra"]
    assert (old.runbook.version, old.runbook.changed) == (first.version, True)
    new = await view(desk, fresh, ana, changed)
    assert [step.step for step in new.runbook.steps] == ["check", "other"]
    with pytest.raises(UnknownStepError):
        await runbooks.mark(order(ana, begun), Marking(TICK, "other"))
    stale = Marking(TICK, "check", runbook="refund", version=first.version)
    with pytest.raises(RunbookChangedError):
        await runbooks.mark(order(ana, fresh), stale)
    await runbooks.mark(order(ana, begun), stale)


async def test_after_an_escalation_the_next_level_has_its_own_steps_and_sees_the_earlier_ones(
    desk: Desk, runbooks: RunbookService, service: TicketService
) -> None:
    from ticketing.domain.enums import Level  # noqa: PLC0415
    from ticketing.services.ticket_targets import Target  # noqa: PLC0415

    ana = await desk.agent("ana")
    ticket_id = await refund_ticket(desk)
    await service.take(order(ana, ticket_id))
    await runbooks.mark(order(ana, ticket_id), Marking(TICK, "check"))
    target = Target(queue="n2_billing", level=Level.N2)
    await service.escalate(order(ana, ticket_id), target=target, reason="valor alto")
    found = await view(desk, ticket_id, ana, book_of())
    assert found.runbook.runbook == "second_level"
    assert not found.runbook.steps[0].ticked  # the same word, another step
    assert [item.runbook for item in found.earlier] == ["refund"]
    assert found.earlier[0].steps[0].ticked
    looked_at_before = Marking(TICK, "check", runbook="refund")
    with pytest.raises(RunbookChangedError):
        await runbooks.mark(order(ana, ticket_id), looked_at_before)


async def test_a_ticket_is_not_resolved_with_obligatory_steps_open_whichever_way(
    desk: Desk, runbooks: RunbookService, service: TicketService
) -> None:
    ana = await desk.agent("ana")
    ticket_id = await refund_ticket(desk)
    await service.take(order(ana, ticket_id))
    for act in (service.resolve, service.return_to_bot):
        with pytest.raises(StepsMissingError, match="check") as caught:
            await act(order(ana, ticket_id), override_reason="tenho pressa")
        assert caught.value.missing == ("check",)
    row = await desk.row(ticket_id)
    assert row.status == "open"
    assert await desk.all(tables.Message, author="system") == []
    await runbooks.mark(order(ana, ticket_id), Marking(TICK, "check"))
    done = await service.resolve(order(ana, ticket_id))
    assert done.ticket.status == "resolved"
    with pytest.raises(TicketOverError):
        await runbooks.mark(order(ana, ticket_id), Marking(UNTICK, "check"))
    await runbooks.mark(order(ana, ticket_id), Marking(NOTE, "check", note="cliente agradeceu"))


async def test_a_supervisor_may_leave_steps_undone_with_a_reason_that_stays_in_the_history(
    desk: Desk, service: TicketService
) -> None:
    sofia = await desk.agent("sofia", role=Role.SUPERVISOR)
    ticket_id = await refund_ticket(desk)
    with pytest.raises(StepsMissingError, match="override_reason"):
        await service.resolve(order(sofia, ticket_id))
    await service.resolve(order(sofia, ticket_id), override_reason="duplicado")
    events = [event.kind for event in await desk.all(tables.TicketEvent, ticket_id=ticket_id)]
    assert set(events) >= {"steps_overridden", "resolved"}
    (event,) = await desk.all(tables.TicketEvent, kind="steps_overridden")
    assert (event.reason, event.data["missing"]) == ("duplicado", ["check"])


async def test_who_may_not_touch_the_ticket_may_not_tick_and_no_runbook_says_so(
    desk: Desk, runbooks: RunbookService, holder: Holder[RunbookBook]
) -> None:
    foreign = await desk.agent("rui", queues=("n3_risk",))
    ticket_id = await refund_ticket(desk)
    with pytest.raises(NotAllowedError):
        await runbooks.mark(order(foreign, ticket_id), Marking(TICK, "check"))
    with pytest.raises(NotVisibleError):
        await view(desk, ticket_id, foreign, book_of())
    ana = await desk.agent("ana")
    holder.replace(RunbookBook())
    with pytest.raises(NoRunbookError):
        await runbooks.mark(order(ana, ticket_id), Marking(TICK, "check"))
    assert (await view(desk, ticket_id, ana, RunbookBook())).runbook is None


async def test_an_agents_correction_of_the_intent_chooses_the_runbook(desk: Desk) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()  # talk_to_person
    assert (await view(desk, ticket_id, ana, book_of())).runbook is None
    from ticketing.domain.review import Verdict  # noqa: PLC0415
    from ticketing.services.reviews import Judgement, review_ticket  # noqa: PLC0415

    async with desk.db.transaction() as session:
        await review_ticket(
            session,
            ticket_id,
            Judgement(Verdict.RIGHT, "refund"),
            actor=ana,
            policy=make_policy(),
            now=desk.clock.now(),
            correlation_id="x",
        )
    assert (await view(desk, ticket_id, ana, book_of())).runbook.runbook == "refund"


def reply_desk(desk: Desk) -> ReplyDesk:
    return ReplyDesk(book_of(), make_policy(), desk.clock.now(), desk.deps.time_zone)


async def offers(desk: Desk, ticket_id: uuid.UUID, actor: Actor, **more: Any) -> Any:
    async with desk.db.transaction() as session:
        return await reply_offers(session, ticket_id, actor=actor, desk=reply_desk(desk), **more)


async def prepare(desk: Desk, ticket_id: uuid.UUID, actor: Actor, **more: Any) -> Any:
    async with desk.db.transaction() as session:
        return await prepare_reply(session, ticket_id, actor=actor, desk=reply_desk(desk), **more)


async def test_texts_are_filled_in_from_the_ticket_in_the_customers_language(desk: Desk) -> None:
    ana = await desk.agent("ana")
    ticket_id = await refund_ticket(desk, order_number=["A-77"])
    found = (await offers(desk, ticket_id, ana)).templates
    assert [item.template for item in found] == ["refund.done", "refund.plain"]
    # 13:00 UTC and 240 minutes: 14:00 in Sao Paulo.
    assert found[0].text == "Carlos, pedido A-77: 10/03 às 14:00 (Ana)"
    assert found[0].ready
    number = (await desk.row(ticket_id)).number
    assert found[0].closed_window.parameters == ("Carlos", str(number))
    english = (await offers(desk, ticket_id, ana, language="en")).templates[0]
    assert (english.text, english.language) == ("Carlos, order A-77", "en")
    desk.clock.advance(timedelta(hours=5))  # a time that has passed is no promise to make
    (gap,) = (await offers(desk, ticket_id, ana)).templates[0].gaps
    assert (gap.variable, gap.reason) == ("sla.due", "missing")


async def test_nothing_half_filled_ever_leaves(desk: Desk) -> None:
    ana = await desk.agent("ana")
    ticket_id = await refund_ticket(desk, order_number=["1", "2"])
    for text in (None, "Oi {{contact.first_name}}", "sobra }}"):
        with pytest.raises(ReplyNotReadyError, match="not filled in"):
            await prepare(desk, ticket_id, ana, template="refund.done", text=text)
    with pytest.raises(ReplyNotReadyError, match="4097 characters"):
        await prepare(desk, ticket_id, ana, template="refund.done", text="x" * 4097)
    with pytest.raises(UnknownReplyTextError, match=r"refund\.done, refund\.plain"):
        await prepare(desk, ticket_id, ana, template="other.done")
    ready = await prepare(desk, ticket_id, ana, template="refund.done", text="Pedido 1, feito")
    assert ready.edited


class Client:
    def __init__(self) -> None:
        self.sent: list[Any] = []

    async def send(self, payload: Any) -> Any:
        self.sent.append(payload)
        return type("Sent", (), {"provider_id": "wamid.1"})()


@pytest.mark.parametrize("closed", [False, True])
async def test_when_the_window_is_closed_the_runbooks_own_template_leaves_and_is_noted(
    desk: Desk, service: TicketService, *, closed: bool
) -> None:
    ana = await desk.agent("ana")
    ticket_id = await refund_ticket(desk, order_number=["77"])
    prepared = await prepare(desk, ticket_id, ana, template="refund.done", language="es")
    done = await service.reply(order(ana, ticket_id), text=prepared.text, prepared=prepared)
    assert done.message_id is not None
    if closed:  # it closes between writing and sending
        desk.clock.advance(timedelta(hours=24))
        assert not (await offers(desk, ticket_id, ana)).window_open
    dispatch = await deliveries.claim(
        desk.db,
        done.message_id,
        owner="t",
        now=desk.clock.now(),
        unknown_wait=timedelta(seconds=45),
    )
    assert dispatch is not None
    number = str((await desk.row(ticket_id)).number)
    assert dispatch.closed_window == OutboundTemplate("refund_update", "es", ("Carlos", number))
    client = Client()
    await WhatsAppSender(lambda _: client, reengagement_template="general").send(dispatch)  # type: ignore[arg-type,return-value]
    (payload,) = client.sent
    (message,) = await desk.all(tables.Message, author="agent")
    if closed:
        assert payload["template"]["name"] == "refund_update"
        assert message.data["left_as_template"] == "refund_update"
    else:
        assert payload["text"]["body"] == prepared.text
        assert message.data["left_as_template"] is None
    (event,) = await desk.all(tables.TicketEvent, kind="replied")
    assert event.data["template"] == "refund.done"
    assert event.data["edited"] is False


async def test_a_closed_window_whose_template_cannot_be_filled_in_is_told_before_sending(
    desk: Desk,
) -> None:
    ana = await desk.agent("ana")
    ticket_id = await refund_ticket(desk, order_number=["77"])
    async with desk.db.transaction() as session:
        await session.execute(update(tables.Contact).values(name="."))
    edited = {"template": "refund.done", "text": "Pedido 77, feito"}
    ready = await prepare(desk, ticket_id, ana, **edited)
    assert ready.closed_window is None  # open now; if it closes, the general template leaves
    desk.clock.advance(timedelta(hours=24))
    with pytest.raises(ReplyNotReadyError, match=r"refund_update needs contact\.first_name"):
        await prepare(desk, ticket_id, ana, **edited)


async def test_the_shipped_book_gives_each_demo_ticket_a_runbook(desk: Desk) -> None:
    book = load_runbooks(ROOT / "runbooks")
    ana = await desk.agent("ana")
    found = await view(desk, await refund_ticket(desk), ana, book)
    assert found.runbook.runbook == "billing"
