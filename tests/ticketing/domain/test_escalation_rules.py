from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.domain.enums import Level, Priority, Severity, SlaMetric, SlaThreshold
from ticketing.domain.escalation_file import EscalationFileError, parse_escalation
from ticketing.domain.escalation_rules import (
    Alert,
    EscalationFacts,
    EscalationRule,
    EscalationRules,
    Trigger,
    first_firing,
)

NOW = datetime(2026, 3, 10, 13, 0, tzinfo=UTC)
QUEUES = {"n1": Level.N1, "n1b": Level.N1, "n2": Level.N2, "n3": Level.N3}
LADDER = {"n1": "n2", "n2": "n3"}
WAITING = EscalationFacts(
    level=Level.N1,
    queue="n1",
    priority=Priority.NORMAL,
    severity=Severity.S3,
    vip=False,
    unanswered_since=NOW - timedelta(minutes=40),
    waited=timedelta(minutes=40),
)
HALF_AN_HOUR = EscalationRule("slow", Trigger(unanswered=timedelta(minutes=30)))
REOPENED = EscalationRule("again", Trigger(reopened=2))
WARNED = EscalationRule(
    "warned",
    Trigger(alert=SlaThreshold.WARNING, metrics=frozenset({SlaMetric.FIRST_RESPONSE})),
)
WARNING = Alert(uuid.UUID(int=1), SlaMetric.FIRST_RESPONSE, SlaThreshold.WARNING)


def rules(*several: EscalationRule) -> EscalationRules:
    return EscalationRules(rules=several, ladder=LADDER, version="v1")


@pytest.mark.parametrize(
    ("rule", "facts", "fires"),
    [
        (HALF_AN_HOUR, WAITING, True),
        (HALF_AN_HOUR, replace(WAITING, waited=timedelta(minutes=29)), False),
        (HALF_AN_HOUR, replace(WAITING, unanswered_since=None), False),
        (HALF_AN_HOUR, replace(WAITING, level=Level.N2, queue="n2"), True),
        (HALF_AN_HOUR, replace(WAITING, level=Level.N3, queue="n3"), False),
        (HALF_AN_HOUR, replace(WAITING, queue="n1b"), False),
        (HALF_AN_HOUR, replace(WAITING, worked_at=NOW - timedelta(minutes=9)), False),
        (HALF_AN_HOUR, replace(WAITING, worked_at=NOW - timedelta(minutes=10)), True),
        (
            replace(HALF_AN_HOUR, even_if_worked_on=True),
            replace(WAITING, worked_at=NOW),
            True,
        ),
        (replace(HALF_AN_HOUR, levels=frozenset({Level.N2})), WAITING, False),
        (replace(HALF_AN_HOUR, queues=frozenset({"n1b"})), WAITING, False),
        (replace(HALF_AN_HOUR, priorities=frozenset({Priority.HIGH})), WAITING, False),
        (replace(HALF_AN_HOUR, severities=frozenset({Severity.S1})), WAITING, False),
        (replace(HALF_AN_HOUR, vip=True), WAITING, False),
        (replace(HALF_AN_HOUR, vip=True), replace(WAITING, vip=True), True),
        (replace(HALF_AN_HOUR, vip=False), replace(WAITING, vip=True), False),
        (REOPENED, replace(WAITING, reopened=1), False),
        (REOPENED, replace(WAITING, reopened=2), True),
        (REOPENED, replace(WAITING, reopened=3), True),
        (WARNED, WAITING, False),
        (WARNED, replace(WAITING, alerts=(WARNING,)), True),
        (
            WARNED,
            replace(WAITING, alerts=(replace(WARNING, threshold=SlaThreshold.BREACH),)),
            False,
        ),
        (WARNED, replace(WAITING, alerts=(replace(WARNING, metric=SlaMetric.LEVEL),)), False),
    ],
)
def test_a_rule_fires_when_all_it_asks_for_is_so(
    rule: EscalationRule, facts: EscalationFacts, fires: bool
) -> None:
    found = first_firing(rules(rule), facts, fired=frozenset(), now=NOW)
    assert (found is not None) is fires


def test_an_occasion_moves_a_ticket_once_and_a_new_wait_is_a_new_occasion() -> None:
    first = first_firing(rules(HALF_AN_HOUR), WAITING, fired=frozenset(), now=NOW)
    assert first is not None
    done = frozenset({(first.rule.name, first.occasion)})
    assert first_firing(rules(HALF_AN_HOUR), WAITING, fired=done, now=NOW) is None
    later = replace(WAITING, unanswered_since=NOW)
    assert first_firing(rules(HALF_AN_HOUR), later, fired=done, now=NOW) is not None


def test_the_first_rule_in_order_decides_and_its_own_queue_goes_before_the_ladder() -> None:
    own = replace(HALF_AN_HOUR, name="own", to={"n1": "n3"})
    found = first_firing(rules(own, HALF_AN_HOUR), WAITING, fired=frozenset(), now=NOW)
    assert found is not None
    assert (found.rule.name, found.queue) == ("own", "n3")


@given(
    level=st.sampled_from(list(Level)),
    waited=st.timedeltas(min_value=timedelta(), max_value=timedelta(days=9)),
    reopened=st.integers(0, 5),
    alerts=st.lists(st.just(WARNING), max_size=2),
)
def test_no_rule_ever_moves_a_ticket_down_or_beyond_the_top(
    level: Level, waited: timedelta, reopened: int, alerts: list[Alert]
) -> None:
    facts = replace(
        WAITING,
        level=level,
        queue=level.value.lower(),
        waited=waited,
        reopened=reopened,
        alerts=tuple(alerts),
    )
    every = rules(HALF_AN_HOUR, REOPENED, WARNED)
    found = first_firing(every, facts, fired=frozenset(), now=NOW)
    if found is not None:
        assert list(Level).index(QUEUES[found.queue]) > list(Level).index(level)


GOOD = """\
version: 1
ladder:
  n1: n2
  n2: n3
rules:
  - name: slow
    on: {unanswered_minutes: 30}
    when: {level: N1, priority: [high, urgent], vip: true}
    priority: urgent
"""


def test_a_file_is_read_and_its_version_is_of_its_text() -> None:
    read = parse_escalation(GOOD, queues=QUEUES)
    (rule,) = read.rules
    assert rule.trigger == Trigger(unanswered=timedelta(minutes=30))
    assert rule.levels == {Level.N1}
    assert rule.vip is True
    assert rule.priority is Priority.URGENT
    assert read.version != parse_escalation(GOOD + "# x\n", queues=QUEUES).version


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("  n2: n3", "  n2: n1", "4: ladder.n2: goes from N2 to N1"),
        ("  n2: n3", "  n2: n9", "4: ladder.n2: unknown queue 'n9'"),
        ("  n2: n3", "  n9: n3", "4: ladder.n9: 'n9' is no queue"),
        ("level: N1", "level: N3", "unknown level 'N3'; expected one of N1, N2"),
        ("unanswered_minutes: 30", "unanswered_minutes: 0", "expected a number from 1 to"),
        ("unanswered_minutes: 30", "reopened: 2, sla_breach: level", "expected exactly one of"),
        ("unanswered_minutes: 30", "sla_breach: [answer]", "unknown metric 'answer'"),
        ("name: slow", "name: Slow!", "expected a name such as"),
        ("vip: true", "vip: maybe", "expected true or false"),
        ("priority: urgent\n", "priority: higher\n", "unknown priority 'higher'"),
        ("version: 1", "version: 2", "1: version: got 2"),
        ("    on:", "    at:", "unknown key"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_field(old: str, new: str, line: str) -> None:
    with pytest.raises(EscalationFileError) as caught:
        parse_escalation(GOOD.replace(old, new), queues=QUEUES)
    assert any(line in problem for problem in caught.value.lines), caught.value.lines
    assert all(problem.startswith("escalation.yml:") for problem in caught.value.lines)
