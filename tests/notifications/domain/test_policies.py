from __future__ import annotations

import copy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from notifications.domain.events import PolicyEvent
from notifications.domain.jobs import Channel
from notifications.domain.policies import (
    Audience,
    PoliciesError,
    Route,
    by_channels,
    parse_policies,
)
from notifications.policy_file import load_policies
from ticketing.domain.enums import DeliveryGuarantee

GOOD = {
    "version": 1,
    "events": {
        event.value: {"notify": [{"to": "admin", "channel": "email"}]} for event in PolicyEvent
    },
}


def changed(change: Any) -> Any:
    document = copy.deepcopy(GOOD)
    change(document)
    return document


def test_the_shipped_file_covers_every_event() -> None:
    policies = load_policies()

    assert set(policies) == set(PolicyEvent)
    assert policies[PolicyEvent.TICKET_OPENED].routes == (
        Route(Audience.ON_DUTY_AGENTS, Channel.EMAIL),
        Route(Audience.ADMIN, Channel.WHATSAPP),
    )
    assert policies[PolicyEvent.TICKET_PRIORITY_HIGH].urgent


def test_an_event_is_silenced_by_an_empty_list_only() -> None:
    document = changed(lambda d: d["events"]["ticket-opened"].update(notify=[]))

    assert parse_policies(document)[PolicyEvent.TICKET_OPENED].routes == ()


def test_a_policy_says_how_long_how_often_and_how_surely() -> None:
    fields = {"expires": "90m", "digest": "30s", "guarantee": "at-most-once"}
    document = changed(lambda d: d["events"]["ticket-opened"].update(fields))

    policies = parse_policies(document)

    policy, plain = policies[PolicyEvent.TICKET_OPENED], policies[PolicyEvent.SLA_ALERT]
    assert policy.expires == timedelta(minutes=90)
    assert policy.digest == timedelta(seconds=30)
    assert policy.guarantee is DeliveryGuarantee.AT_MOST_ONCE
    assert (plain.expires, plain.digest) == (timedelta(hours=24), None)
    assert plain.guarantee is DeliveryGuarantee.AT_LEAST_ONCE


def test_routes_by_a_channel_without_a_sender_are_left_out() -> None:
    usable = by_channels(load_policies(), {Channel.EMAIL})

    assert usable[PolicyEvent.TICKET_OPENED].routes == (
        Route(Audience.ON_DUTY_AGENTS, Channel.EMAIL),
    )
    assert usable[PolicyEvent.SLA_ALERT].digest == load_policies()[PolicyEvent.SLA_ALERT].digest


@pytest.mark.parametrize("event", ["ticket-escalation", "ticket-priority-high", "sla-alert"])
def test_what_cannot_wait_goes_by_whatsapp_sms_and_push(event: str) -> None:
    channels = {route.channel for route in load_policies()[PolicyEvent(event)].routes}

    assert channels >= {Channel.WHATSAPP, Channel.SMS, Channel.PUSH}


def test_a_route_may_name_another_way_that_stands_in_for_a_channel_without_a_sender() -> None:
    route = {"to": "admin", "channel": "whatsapp", "else": "sms"}
    document = changed(lambda d: set_route(d, **route))

    policies = parse_policies(document)

    opened = PolicyEvent.TICKET_OPENED
    both = Route(Audience.ADMIN, Channel.WHATSAPP, Channel.SMS)
    assert policies[opened].routes == (both,)
    for channels, usable in (
        ({Channel.WHATSAPP, Channel.SMS}, (both,)),
        ({Channel.WHATSAPP}, (Route(Audience.ADMIN, Channel.WHATSAPP),)),
        ({Channel.SMS}, (Route(Audience.ADMIN, Channel.SMS),)),
        ({Channel.EMAIL}, ()),
    ):
        assert by_channels(policies, channels)[opened].routes == usable


def set_route(document: Any, **route: Any) -> None:
    document["events"]["ticket-opened"]["notify"] = [route]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda d: d.update(version=2), "version: expected 1, got 2"),
        (lambda d: d.pop("version"), "version: expected 1, got None"),
        (lambda d: d.update(extra=1), "(file): unknown key 'extra'; expected events, version"),
        (lambda d: d.update(events=[]), "events: expected a mapping, got []"),
        (lambda d: d["events"].pop("ticket-opened"), "events.ticket-opened: is missing"),
        (lambda d: d["events"].update({"ticket-closed": {}}), "unknown key 'ticket-closed'"),
        (
            lambda d: d["events"].update({"ticket-opened": None}),
            "events.ticket-opened: expected a mapping, got None",
        ),
        (
            lambda d: d["events"]["ticket-opened"].pop("notify"),
            "events.ticket-opened.notify: expected a list of {to, channel}, got None",
        ),
        (
            lambda d: d["events"]["ticket-opened"].update(urgent="yes"),
            "events.ticket-opened.urgent: expected true or false, got 'yes'",
        ),
        (
            lambda d: d["events"]["ticket-opened"].update(acknowledge=1),
            "events.ticket-opened.acknowledge: expected true or false, got 1",
        ),
        (
            lambda d: set_route(d, to="boss", channel="email"),
            "notify[0].to: expected one of on_duty_agents, holder, admin, got 'boss'",
        ),
        (
            lambda d: set_route(d, to="admin", channel="pigeon"),
            "notify[0].channel: expected one of email, whatsapp, sms, push, got 'pigeon'",
        ),
        (lambda d: set_route(d, to="admin"), "notify[0].channel: expected one of"),
        (
            lambda d: d["events"]["ticket-opened"].update(expires="soon"),
            "expected a time such as 30s, 10m, 6h or 2d, at most 30d, got 'soon'",
        ),
        (
            lambda d: d["events"]["ticket-opened"].update(digest=10),
            "events.ticket-opened.digest: expected a time such as",
        ),
        (
            lambda d: d["events"]["ticket-opened"].update(expires="5m", digest="10m"),
            "events.ticket-opened.digest: expected less than expires (300s), got '10m'",
        ),
        (
            lambda d: set_route(d, to="admin", channel="sms", **{"else": "fax"}),
            "notify[0].else: expected one of email, whatsapp, sms, push, got 'fax'",
        ),
        (
            lambda d: set_route(d, to="admin", channel="sms", **{"else": "sms"}),
            "notify[0].else: expected another channel than sms",
        ),
        (
            lambda d: d["events"]["ticket-opened"].update(expires="31d"),
            "events.ticket-opened.expires: expected a time such as",
        ),
        (
            lambda d: d["events"]["ticket-opened"].update(guarantee="once"),
            "guarantee: expected one of at-least-once, at-most-once, got 'once'",
        ),
        (
            lambda d: d["events"]["ticket-opened"]["notify"].append(
                {"to": "admin", "channel": "email"}
            ),
            "notify[1]: is there twice",
        ),
        (lambda d: d.update(version=True), "version: expected 1, got True"),
        (
            lambda d: d["events"]["ticket-opened"].update(digest="1\u0663m"),
            "digest: expected a time such as",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_was_expected(change: Any, problem: Any) -> None:
    with pytest.raises(PoliciesError) as caught:
        parse_policies(changed(change))

    assert problem in str(caught.value)


@pytest.mark.parametrize("document", [None, [], "x", 1])
def test_a_document_that_is_no_mapping_is_refused(document: Any) -> None:
    with pytest.raises(PoliciesError, match=r"\(file\): expected a mapping"):
        parse_policies(document)


def test_all_mistakes_are_listed_at_once() -> None:
    document = changed(lambda d: (d.update(version=9), d["events"].pop("ticket-opened")))

    with pytest.raises(PoliciesError) as caught:
        parse_policies(document)

    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a: [", "is not valid YAML"),
        (b"\xff\xfe\x00", "is not valid YAML"),
        (b"version: 2026-13-45", "is not valid YAML"),
        (b"[" * 5000, "is not valid YAML"),
        (None, "read"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: Any, problem: Any) -> None:
    path = tmp_path / "policies.yml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(PoliciesError, match=f"policies.yml.*{problem}"):
        load_policies(path)
