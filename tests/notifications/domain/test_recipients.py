from __future__ import annotations

from typing import Any

import pytest

from notifications.domain.events import PolicyEvent
from notifications.domain.recipients import (
    Admin,
    Holder,
    Person,
    choose_notices,
    notice_language,
)
from notifications.policy_file import load_policies

ANA, BRUNO = Person("ana@example.com"), Person("bruno@example.com", "es")
CHEFE = Person("chefe@example.com")
PHONE = "+5511912345678"


def choose(*events: Any, on_duty: Any = (), admin: Any = None, holder: Any = None) -> Any:
    notices = choose_notices(
        events or (PolicyEvent.TICKET_OPENED,),
        policies=load_policies(),
        on_duty=on_duty,
        admin=admin or Admin(CHEFE, PHONE),
        holder=holder,
    )
    return [(n.channel.value, n.recipient, n.event.value, n.nobody_on_duty) for n in notices]


def test_agents_get_an_email_each_and_the_admin_a_whatsapp() -> None:
    assert choose(on_duty=[ANA, BRUNO]) == [
        ("email", "ana@example.com", "ticket-opened", False),
        ("email", "bruno@example.com", "ticket-opened", False),
        ("whatsapp", PHONE, "ticket-opened", False),
    ]


def test_with_nobody_on_duty_the_admin_gets_the_email_too() -> None:
    assert choose() == [
        ("email", "chefe@example.com", "ticket-opened", True),
        ("whatsapp", PHONE, "ticket-opened", False),
    ]


def test_an_admin_without_address_is_told_by_whatsapp_that_nobody_is_on_duty() -> None:
    assert choose(admin=Admin(None, PHONE)) == [("whatsapp", PHONE, "ticket-opened", True)]


def test_with_nobody_at_all_there_is_no_notice() -> None:
    assert choose(admin=Admin()) == []


def test_two_occasions_of_one_event_are_one_notice_each_the_weightier() -> None:
    events = (PolicyEvent.TICKET_PRIORITY_HIGH, PolicyEvent.TICKET_OPENED)

    assert choose(*events, on_duty=[ANA]) == [
        ("email", "ana@example.com", "ticket-priority-high", False),
        ("whatsapp", PHONE, "ticket-priority-high", False),
    ]


@pytest.mark.parametrize(
    ("holder", "on_duty", "told"),
    [
        (Holder(ANA, on_duty=True), [ANA, BRUNO], ["ana@example.com"]),
        (Holder(ANA, on_duty=False), [BRUNO], ["ana@example.com", "bruno@example.com"]),
        (Holder(ANA, on_duty=False), [], ["ana@example.com"]),
        (None, [ANA, BRUNO], ["ana@example.com", "bruno@example.com"]),
        (None, [], []),
    ],
)
def test_of_a_broken_promise_hear_the_admin_and_who_has_the_ticket_or_could_take_it(
    holder: Any, on_duty: Any, told: Any
) -> None:
    notices = choose(PolicyEvent.SLA_ALERT, on_duty=on_duty, holder=holder)

    assert [to for channel, to, *_ in notices if channel == "email"] == [*told, CHEFE.email]
    assert [to for channel, to, *_ in notices if channel == "whatsapp"] == [PHONE]
    somebody = bool(on_duty) or (holder is not None and holder.on_duty)
    assert any(alone for *_, alone in notices) is not somebody


def test_an_admin_who_is_on_duty_gets_one_email() -> None:
    assert choose(on_duty=[CHEFE])[0] == ("email", "chefe@example.com", "ticket-opened", False)
    assert len(choose(on_duty=[CHEFE])) == 2


@pytest.mark.parametrize(
    ("languages", "expected"),
    [((), "pt"), (("en", "pt"), "pt"), (("es",), "es"), (("fr", "en"), "en"), (("fr",), "pt")],
)
def test_an_agent_is_written_to_in_a_language_they_speak(languages: Any, expected: Any) -> None:
    assert notice_language(languages) == expected
