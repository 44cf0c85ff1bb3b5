from __future__ import annotations

import uuid
from typing import Any

import pytest

from notifications.domain.events import EventPayloadError, policy_events, ticket_facts

PAYLOAD = {
    "ticket_id": "01890000-0000-7000-8000-000000000001",
    "ticket_number": 1001,
    "queue_key": "n1",
    "queue_name": "Primeiro nível",
    "level": "N1",
    "priority": "normal",
    "reason": "vip",
    "something_new": {"x": 1},
}


def facts(**changes: Any) -> Any:
    return ticket_facts(PAYLOAD | changes)


def test_unknown_keys_are_ignored_and_optional_ones_may_lack() -> None:
    assert facts().severity is None
    assert facts(queue_name=None).queue_name == "n1"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ticket_id", None),
        ("ticket_id", "1001"),
        ("ticket_id", 7),
        ("ticket_number", "1001"),
        ("ticket_number", True),
        ("ticket_number", None),
        ("queue_key", ""),
        ("queue_key", None),
        ("level", 1),
        ("priority", None),
        ("reason", 5),
        ("severity", []),
    ],
)
def test_a_wrong_field_is_named(field: Any, value: Any) -> None:
    with pytest.raises(EventPayloadError, match=f"^payload.{field}: expected"):
        facts(**{field: value})


@pytest.mark.parametrize(
    ("topic", "priority", "expected"),
    [
        ("ticket.opened", "normal", ("ticket-opened",)),
        ("ticket.opened", "low", ("ticket-opened",)),
        ("ticket.opened", "high", ("ticket-priority-high", "ticket-opened")),
        ("ticket.opened", "urgent", ("ticket-priority-high", "ticket-opened")),
        ("ticket.escalated", "urgent", ("ticket-escalation",)),
        ("ticket.priority_changed", "high", ("ticket-priority-high",)),
        ("ticket.priority_changed", "normal", ()),
    ],
)
def test_the_occasions_of_an_event_come_weightiest_first(
    topic: Any, priority: Any, expected: Any
) -> None:
    assert policy_events(topic, facts(priority=priority)) == expected


SLA = {
    "threshold": "breach",
    "metric": "resolution",
    "due_at": "2026-03-10T13:00:00+00:00",
    "consumed_seconds": 6000,
    "target_seconds": 6000,
    "silenced": 0,
}


@pytest.mark.parametrize("topic", ["sla.warning", "sla.breached"])
def test_both_alerts_of_the_sla_monitor_are_one_occasion(topic: Any) -> None:
    found = facts(**SLA, also=[{"metric": "total_resolution"}], agent_id=PAYLOAD["ticket_id"])

    assert policy_events(topic, found) == ("sla-alert",)
    assert found.sla.also == ("total_resolution",)
    assert found.as_context()["threshold"] == "breach"
    assert "holder_id" not in found.as_context()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("threshold", "soon"),
        ("threshold", None),
        ("metric", ""),
        ("due_at", "tomorrow"),
        ("due_at", "2026-03-10T13:00:00"),
        ("consumed_seconds", "6000"),
        ("target_seconds", None),
        ("silenced", True),
        ("also", "resolution"),
        ("also", ["resolution"]),
        ("agent_id", "ana"),
    ],
)
def test_a_wrong_field_of_an_alert_is_named(field: Any, value: Any) -> None:
    with pytest.raises(EventPayloadError, match=f"^payload.{field}: expected"):
        facts(**SLA | {field: value})


def test_an_alert_without_a_threshold_is_refused() -> None:
    with pytest.raises(EventPayloadError, match=r"^payload.threshold: expected"):
        policy_events("sla.breached", facts())


def test_an_unknown_topic_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"'ticket\.eaten' is not known"):
        policy_events("ticket.eaten", facts())


@pytest.mark.parametrize(
    ("actor", "person"),
    [
        ("agent:00000000-0000-0000-0000-000000000001", uuid.UUID(int=1)),
        ("agent:nobody", None),
        ("system", None),
        (None, None),
    ],
)
def test_the_person_who_did_it_is_read_from_the_actor(
    actor: str | None, person: uuid.UUID | None
) -> None:
    assert ticket_facts(PAYLOAD | {"actor": actor}).actor_id == person
