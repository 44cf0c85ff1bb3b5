from __future__ import annotations

import textwrap
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handoff.policy_file import PolicyError, load_policy
from ponte.holiday_dates import holiday_dates
from tests.ticketing.desk import ROOT, make_policy
from ticketing.domain.enums import SlaMetric, TicketStatus
from ticketing.domain.sla.history import Situation
from ticketing.domain.sla.rules import SlaRules
from ticketing.domain.sla.rules_file import parse_rules
from ticketing.domain.sla.rules_json import content_version, rules_from_json, rules_to_json

SITUATION = Situation(
    status=TicketStatus.OPEN, priority="high", severity="S2", level="N2", queue="n2_technical"
)


def read(text: str) -> SlaRules:
    return parse_rules(textwrap.dedent(text), policy=make_policy())


def problems(text: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        read(text)
    return list(caught.value.lines)


def test_the_shipped_rules_promise_what_customers_are_told() -> None:
    policy = load_policy(ROOT / "handoff.yml", holiday_dates=holiday_dates)
    rules = parse_rules((ROOT / "sla.yml").read_text(), policy=policy)
    target = rules.policies[0].targets[SlaMetric.FIRST_RESPONSE]
    assert target.durations == policy.first_response
    assert set(rules.policies[0].targets) == set(SlaMetric)
    assert rules.queue_calendars["n1_support"] == "business"


def test_every_key_of_the_file_is_understood() -> None:
    rules = read(
        """
        sla: all of it
        warning: 0.8
        policies:
          - id: gold
            why: They pay for it.
            when:
              priority: [high, urgent]
              severity: S2
              level: [N2]
              queue: n2_technical
              channel: whatsapp
              company: [Acme, Other]
              vip: true
              tag: [gold]
            targets:
              first_response: {minutes: 5, calendar: always, pause_on: [pending_customer]}
              resolution: {minutes: {high: 90}, warning: 0.25}
              level: {minutes: {N2: 30}}
        """
    )
    ours = Situation(
        status=TicketStatus.OPEN,
        priority="high",
        severity="S2",
        level="N2",
        queue="n2_technical",
        channel="whatsapp",
        company="Acme",
        vip=True,
        tags=frozenset({"gold", "blue"}),
    )
    first = rules.promise(SlaMetric.FIRST_RESPONSE, ours)
    assert first is not None
    assert (first.duration, first.warning) == (timedelta(minutes=5), 0.8)
    assert first.pause_on == {TicketStatus.PENDING_CUSTOMER}
    assert first.calendar_name.startswith("always@")
    resolution = rules.promise(SlaMetric.RESOLUTION, ours)
    assert resolution is not None
    assert resolution.warning == 0.25
    assert len(resolution.pause_on) == 2
    assert rules.promise(SlaMetric.NEXT_RESPONSE, ours) is None
    assert rules.promise(SlaMetric.FIRST_RESPONSE, SITUATION) is None


def test_a_first_response_pauses_for_nothing_unless_the_file_says_so() -> None:
    rules = read("sla: s\npolicies: [{id: p, targets: {first_response: {minutes: promised}}}]")
    promise = rules.promise(SlaMetric.FIRST_RESPONSE, SITUATION)
    assert promise is not None
    assert (promise.pause_on, promise.duration) == (frozenset(), timedelta(hours=1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "sla.yml:1: file: is empty; expected"),
        ("sla: s", "sla.yml:1: file: key 'policies' is missing"),
        ("sla: s\npolicies: []", "sla.yml:2: policies: no policy; expected at least one"),
        ("sla: s\npolicies: [{id: p}]", "sla.yml:2: policies[0]: key 'targets' is missing"),
        (
            "sla: s\npolicies:\n- id: p\n  targets: {}",
            "sla.yml:4: policies[0].targets: is empty; expected one or more of first_response",
        ),
        (
            "sla: s\npolicies:\n- id: p\n  targets:\n    first_respnse: {minutes: 1}",
            (
                "sla.yml:5: policies[0].targets.first_respnse: unknown key; expected one of "
                "first_response, next_response, resolution, total_resolution, level; "
                "did you mean 'first_response'?"
            ),
        ),
        (
            "sla: s\npolicies:\n- id: p\n  targets:\n    resolution: {minutes: promised}",
            (
                "sla.yml:5: policies[0].targets.resolution.minutes: 'promised' is for "
                "first_response; expected minutes"
            ),
        ),
        (
            "sla: s\npolicies:\n- id: p\n  targets:\n    resolution: {minutes: {hihg: 5}}",
            (
                "sla.yml:5: policies[0].targets.resolution.minutes.hihg: unknown key; "
                "expected one of low, normal, high, urgent; did you mean 'high'?"
            ),
        ),
        (
            "sla: s\npolicies:\n- id: p\n  targets:\n    resolution: {minutes: 0}",
            (
                "sla.yml:5: policies[0].targets.resolution.minutes: got 0; expected a whole number "
                "from 1 to 525600"
            ),
        ),
        (
            "sla: s\npolicies:\n- id: p\n  targets:\n    resolution: {minutes: 5, calendar: nope}",
            (
                "sla.yml:5: policies[0].targets.resolution.calendar: unknown calendar "
                "'nope'; expected one of queue, always"
            ),
        ),
        (
            "sla: s\npolicies:\n- id: p\n  targets:\n    resolution: {minutes: 5, pause_on: [new]}",
            (
                "sla.yml:5: policies[0].targets.resolution.pause_on[0]: unknown status "
                "'new'; expected one of pending_customer, pending_third_party"
            ),
        ),
        (
            "sla: s\npolicies:\n- id: p\n  when: {queue: n4}\n  targets: {level: {minutes: 5}}",
            "sla.yml:4: policies[0].when.queue: unknown queue 'n4'; expected one of",
        ),
        (
            "sla: s\npolicies:\n- id: p\n  when: {vip: sim}\n  targets: {level: {minutes: 5}}",
            "sla.yml:4: policies[0].when.vip: got 'sim'; expected true or false",
        ),
        (
            "sla: s\nwarning: 1\npolicies:\n- id: p\n  targets: {level: {minutes: 5}}",
            "sla.yml:2: warning: got 1; expected a number from 0.01 to 0.99",
        ),
        (
            "sla: s\npolicies:\n- &a {id: p, targets: {level: {minutes: 5}}}\n- *a",
            "sla.yml:3: policies[1]: id 'p' is given twice; expected each id once",
        ),
        (
            (
                "sla: s\npolicies:\n- {id: a, targets: {level: {minutes: 5}}}\n"
                "- {id: b, targets: {level: {minutes: 5}}}"
            ),
            "sla.yml:4: policies[1]: is never reached: 'a' above has no conditions; expected it",
        ),
        (
            "sla: s\npolicies:\n- id: a@b\n  targets: {level: {minutes: 5}}",
            "sla.yml:3: policies[0].id: got 'a@b'; expected a name without spaces or @",
        ),
        ("sla: s\npolicies: [", "sla.yml:2: yaml: "),
        ("sla: " + "x" * 1_000_001, "sla.yml:1: file: is too long; expected at most"),
    ],
)
def test_each_mistake_is_named_with_its_line_and_field(text: str, expected: str) -> None:
    found = problems(text)
    assert any(line.startswith(expected) for line in found), found


def test_all_mistakes_are_named_at_once() -> None:
    assert len(problems("sla: 1\npolicies:\n- id: 2\n  targets: {level: {minutes: x}}")) == 3


def test_the_version_follows_what_is_promised_and_nothing_else() -> None:
    text = "sla: s\npolicies: [{id: p, targets: {first_response: {minutes: promised}}}]"
    same = (
        "# a remark\nsla: s\npolicies:\n- {targets: {first_response: {minutes: promised}}, id: p}"
    )
    other = text.replace("promised", "61")
    assert read(text).version == read(same).version != read(other).version


def test_rules_come_back_from_json_as_they_were() -> None:
    policy = load_policy(ROOT / "handoff.yml", holiday_dates=holiday_dates)
    rules = parse_rules((ROOT / "sla.yml").read_text(), policy=policy)
    again = rules_from_json(rules_to_json(rules))
    assert again == rules
    assert again.calendar_names == rules.calendar_names
    assert content_version(again) == content_version(rules)


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_is_rules_or_a_list_of_mistakes(text: str) -> None:
    try:
        read = parse_rules(text, policy=make_policy())
    except PolicyError as error:
        found = bool(error.problems)
    else:
        found = bool(read.policies)
    assert found
