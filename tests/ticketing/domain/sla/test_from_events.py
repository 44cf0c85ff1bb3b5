from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.ticketing.domain.sla.worlds import SITUATION
from ticketing.domain.enums import TicketStatus
from ticketing.domain.sla.from_events import LoggedEvent, history_of
from ticketing.domain.sla.history import Happening, HappeningKind, History, in_order, phases

T0 = datetime(2026, 3, 10, 13, 0, tzinfo=UTC)
AGENT = "agent:5f0c2c1e-0d5c-4c57-8d35-0f6f7ad1b6a1"


def event(seq: int, kind: str, actor: str = AGENT, **data: Any) -> LoggedEvent:
    return LoggedEvent(seq, kind, actor, T0 + timedelta(minutes=seq), data)


def history(*events: LoggedEvent) -> History:
    return history_of(events, present=SITUATION, opened_at=T0)


def last(*events: LoggedEvent) -> Happening:
    return history(event(0, "opened", "bot"), *events).happenings[-1]


def test_the_opening_says_in_which_situation() -> None:
    found = history(
        event(
            0,
            "opened",
            "bot",
            to_status="new",
            to_priority="urgent",
            to_severity="S1",
            to_level="N3",
            to_queue="n3_risk",
            to_tags=["a"],
        )
    ).opened_in
    assert (found.status, found.priority, found.level) == (TicketStatus.NEW, "urgent", "N3")
    assert (found.queue, found.tags) == ("n3_risk", frozenset({"a"}))


def test_an_older_opening_is_completed_by_the_first_change_and_by_the_present() -> None:
    found = history(
        event(0, "opened", "bot", queue_key="n1_support", level="N1"),
        event(1, "priority_changed", from_priority="low", to_priority="normal"),
    ).opened_in
    assert (found.queue, found.level, found.priority) == ("n1_support", "N1", "low")
    assert found.severity == SITUATION.severity


def test_a_history_without_an_opening_begins_when_the_ticket_was_opened() -> None:
    found = history(event(3, "taken", status="open"))
    assert found.happenings[0].kind is HappeningKind.OPENED
    assert found.happenings[0].at == T0


def test_a_second_handoff_moves_the_ticket_and_opens_nothing() -> None:
    found = last(event(1, "opened", "bot", queue_key="n3_risk", level="N3", priority="urgent"))
    assert found.kind is HappeningKind.CHANGED
    assert found.changes == {"queue": "n3_risk", "level": "N3", "priority": "urgent"}


def test_only_a_persons_public_words_are_words_to_the_customer() -> None:
    assert last(event(1, "replied", status="open")).person_wrote
    assert last(event(1, "resolved", answered=True)).person_wrote
    assert last(event(1, "resolved", first_response=True)).person_wrote
    assert not last(event(1, "resolved", customer_told=True)).person_wrote
    assert not last(event(1, "replied", "system")).person_wrote
    assert not last(event(1, "replied", "bot")).person_wrote
    assert not last(event(1, "replied", automatic=True)).person_wrote
    assert not last(event(1, "noted")).person_wrote
    assert not last(event(1, "taken")).person_wrote


def test_a_customers_message_has_the_providers_time_and_whether_it_asks() -> None:
    sent = "2026-03-10T12:30:00+00:00"
    found = last(event(9, "customer_wrote", "customer", sent_at=sent, asks=False))
    assert found.kind is HappeningKind.CUSTOMER_WROTE
    assert (found.written_at, found.asks) == (datetime(2026, 3, 10, 12, 30, tzinfo=UTC), False)
    assert last(event(9, "customer_wrote", "customer")).asks


def test_alerts_move_no_clock() -> None:
    found = history(event(0, "opened", "bot"), event(1, "sla_breached", "system", status="open"))
    assert len(found.happenings) == 1


def test_the_status_that_an_event_left_counts_also_without_a_change_in_its_data() -> None:
    assert last(event(1, "replied", status="pending_customer")).changes == {
        "status": TicketStatus.PENDING_CUSTOMER
    }
    assert last(event(1, "resolved")).changes == {"status": TicketStatus.RESOLVED}


def test_phases_follow_each_other_without_a_gap() -> None:
    found = history(
        event(0, "opened", "bot"),
        event(5, "taken", to_status="open"),
        event(5, "noted"),
        event(9, "reassigned", to_queue="n3_risk", to_level="N3"),
    )
    ordered = History(found.opened_in, in_order(found.happenings))
    pieces = phases(ordered)
    assert [piece.begins for piece in pieces] == [
        T0 + timedelta(minutes=minutes) for minutes in (0, 5, 9)
    ]
    assert [piece.ends for piece in pieces] == [*[piece.begins for piece in pieces[1:]], None]
    assert pieces[-1].situation.queue == "n3_risk"
