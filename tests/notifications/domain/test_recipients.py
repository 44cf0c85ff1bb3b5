from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time
from typing import Any

import pytest

from notifications.domain.events import PolicyEvent
from notifications.domain.jobs import Channel
from notifications.domain.policies import Audience, Policy, Route
from notifications.domain.quiet_hours import QuietHours
from notifications.domain.recipients import (
    Holder,
    Recipient,
    choose_notices,
    notice_language,
)
from notifications.policy_file import load_policies

ANA, BRUNO = Recipient("ana@example.com"), Recipient("bruno@example.com", "es")
PHONE = "+5511912345678"
CHEFE = Recipient("chefe@example.com", phone=PHONE)


def choose(*events: Any, on_duty: Any = (), admin: Any = CHEFE, holder: Any = None) -> Any:
    notices = choose_notices(
        events or (PolicyEvent.TICKET_OPENED,),
        policies=load_policies(),
        on_duty=on_duty,
        admin=admin,
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
    assert choose(admin=Recipient(None, phone=PHONE)) == [
        ("whatsapp", PHONE, "ticket-opened", True)
    ]


def test_with_nobody_at_all_there_is_no_notice() -> None:
    assert choose(admin=None) == []


def test_two_occasions_of_one_event_are_one_notice_each_the_weightier() -> None:
    events = (PolicyEvent.TICKET_PRIORITY_HIGH, PolicyEvent.TICKET_OPENED)

    assert choose(*events, on_duty=[ANA]) == [
        ("email", "ana@example.com", "ticket-priority-high", False),
        ("whatsapp", PHONE, "ticket-priority-high", False),
        ("sms", PHONE, "ticket-priority-high", False),
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


NIGHT = datetime(2026, 3, 10, 5, 0, tzinfo=UTC)  # 02:00 in São Paulo
MORNING = datetime(2026, 3, 10, 10, 0, tzinfo=UTC)
QUIET = QuietHours(time(22), time(7))


def by_whatsapp_else_sms(person: Recipient, *refused: Any) -> Any:
    route = Route(Audience.ON_DUTY_AGENTS, Channel.WHATSAPP, Channel.SMS)
    policy = Policy(urgent=False, routes=(route,))
    notices = choose_notices(
        [PolicyEvent.TICKET_OPENED],
        policies={PolicyEvent.TICKET_OPENED: policy},
        on_duty=[person],
        admin=None,
        refused=refused,
    )
    return [notice.channel for notice in notices]


def test_the_other_way_is_taken_where_the_first_cannot_reach_and_not_where_it_is_unwanted() -> None:
    ana = replace(ANA, phone=PHONE)
    no_whatsapp = replace(ana, channels={"ticket-opened": frozenset({Channel.SMS})})
    refused = (Channel.WHATSAPP, PHONE)

    assert by_whatsapp_else_sms(ana) == [Channel.WHATSAPP]
    assert by_whatsapp_else_sms(ana, refused) == [Channel.SMS]
    assert by_whatsapp_else_sms(ana, refused, (Channel.SMS, PHONE)) == []
    assert by_whatsapp_else_sms(no_whatsapp) == []
    assert by_whatsapp_else_sms(ANA) == []


def at_night(*people: Recipient, event: Any = PolicyEvent.TICKET_OPENED) -> Any:
    notices = choose_notices(
        [event], policies=load_policies(), on_duty=people, admin=None, now=NIGHT
    )
    return [(notice.recipient, notice.not_before) for notice in notices]


def test_a_channel_that_somebody_turned_off_is_left_out_for_them_alone() -> None:
    without = replace(ANA, channels={"ticket-opened": frozenset({Channel.PUSH})})

    assert at_night(without, BRUNO) == [("bruno@example.com", None)]


def test_in_quiet_hours_a_notice_waits_and_an_urgent_one_does_not() -> None:
    sleeps = replace(ANA, quiet=QUIET)
    sleeps_well = replace(BRUNO, quiet=QUIET, quiet_for_urgent=True)

    assert at_night(sleeps) == [("ana@example.com", MORNING)]
    assert at_night(sleeps, sleeps_well, event=PolicyEvent.TICKET_ESCALATION) == [
        ("ana@example.com", None),
        ("bruno@example.com", MORNING),
    ]


def test_an_urgent_event_that_everybody_turned_off_is_told_all_the_same() -> None:
    off = {"ticket-escalation": frozenset(), "ticket-opened": frozenset()}
    without = replace(ANA, channels=off)

    assert at_night(without) == []
    assert at_night(without, event=PolicyEvent.TICKET_ESCALATION) == [("ana@example.com", None)]
    assert at_night(without, BRUNO, event=PolicyEvent.TICKET_ESCALATION) == [
        ("bruno@example.com", None)
    ]


def test_with_nobody_on_duty_the_admin_is_told_by_a_channel_they_left_on() -> None:
    admin = replace(CHEFE, channels={"ticket-opened": frozenset({Channel.SMS})})

    assert choose(admin=admin) == [("sms", PHONE, "ticket-opened", True)]
