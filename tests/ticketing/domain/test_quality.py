from __future__ import annotations

import itertools
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ticketing.domain import quality
from ticketing.domain.quality import (
    CLAIM,
    Case,
    QualityPersonError,
    QualityStateError,
    SampleAct,
    SampleState,
)
from ticketing.domain.quality_file import QualityPlanError, parse_plan
from ticketing.domain.quality_period import (
    PeriodError,
    complete_periods,
    period_named,
    period_of,
)
from ticketing.domain.quality_score import (
    AnswerError,
    Criterion,
    CriterionKind,
    Scorecard,
    check_answers,
    score,
)

ROOT = Path(__file__).resolve().parents[3]
AGENT, REVIEWER, OTHER, HELPER = (uuid.UUID(int=number) for number in range(4))
NOW = datetime(2026, 3, 10, 13, 0, tzinfo=UTC)
SAO_PAULO = ZoneInfo("America/Sao_Paulo")


def case(state: SampleState, reviewer: uuid.UUID | None = REVIEWER) -> Case:
    begun = reviewer if state is not SampleState.PENDING else None
    return Case(state, AGENT, frozenset({AGENT, HELPER}), begun, NOW if begun else None)


def attempt(act: SampleAct, state: SampleState, person: uuid.UUID) -> str:
    """The state afterwards, or which error says no."""
    at = case(state)
    try:
        if act is SampleAct.START:
            return quality.start(at, person, now=NOW)
        if act is SampleAct.SUBMIT:
            return quality.submit(at, person)
        if act is SampleAct.SETTLE:
            return quality.settle(at, person)
        return quality.answer(at, person, act)
    except QualityPersonError:
        return "person"
    except QualityStateError:
        return "state"


ALLOWED = {
    (SampleAct.START, SampleState.PENDING, REVIEWER): "in_review",
    (SampleAct.START, SampleState.PENDING, OTHER): "in_review",
    (SampleAct.START, SampleState.IN_REVIEW, REVIEWER): "in_review",
    (SampleAct.SUBMIT, SampleState.IN_REVIEW, REVIEWER): "done",
    (SampleAct.ACKNOWLEDGE, SampleState.DONE, AGENT): "settled",
    (SampleAct.DISPUTE, SampleState.DONE, AGENT): "disputed",
    (SampleAct.SETTLE, SampleState.DISPUTED, REVIEWER): "settled",
    (SampleAct.SETTLE, SampleState.DISPUTED, OTHER): "settled",
}


@pytest.mark.parametrize(
    ("act", "state", "person"),
    list(itertools.product(SampleAct, SampleState, (AGENT, REVIEWER, OTHER, HELPER))),
)
def test_every_act_in_every_state_by_everybody(
    act: SampleAct, state: SampleState, person: uuid.UUID
) -> None:
    found = attempt(act, state, person)
    expected = ALLOWED.get((act, state, person))
    if expected is not None:
        assert found == expected
    else:
        assert found in {"person", "state"}
    judges = act in {SampleAct.START, SampleAct.SUBMIT, SampleAct.SETTLE}
    if judges and person in {AGENT, HELPER}:
        assert found == "person"  # nobody judges what they worked on, in any state


def test_what_another_has_begun_is_free_again_after_a_day() -> None:
    at = case(SampleState.IN_REVIEW)
    with pytest.raises(QualityStateError, match="another reviewer has begun"):
        quality.start(at, OTHER, now=NOW + CLAIM - timedelta(seconds=1))
    assert quality.start(at, OTHER, now=NOW + CLAIM) is SampleState.IN_REVIEW


def criterion(key: str, kind: CriterionKind, weight: float = 1, *, critical: bool = False):  # type: ignore[no-untyped-def]  # noqa: ANN201
    return Criterion(key, {"pt": key, "en": key, "es": key}, kind, weight, critical)


CARD = Scorecard(
    "v1",
    (
        criterion("tone", CriterionKind.SCALE),
        criterion("solved", CriterionKind.YES_NO, 3),
        criterion("law", CriterionKind.YES_NO, critical=True),
    ),
)


@pytest.mark.parametrize(
    ("tone", "solved", "law", "value", "critical"),
    [
        ("5", "yes", "yes", 100, ()),
        ("1", "no", "yes", 20, ()),
        ("3", "yes", "yes", 90, ()),
        ("1", "yes", "yes", 80, ()),
        ("5", "na", "yes", 100, ()),
        ("na", "no", "na", 0, ()),
        ("5", "yes", "no", 0, ("law",)),  # a critical error, whatever else was right
        ("na", "na", "na", None, ()),
        ("na", "na", "yes", 100, ()),
    ],
)
def test_the_score_is_the_weighted_mean_of_what_applies(
    tone: str, solved: str, law: str, value: float | None, critical: tuple[str, ...]
) -> None:
    found = score(CARD, {"tone": tone, "solved": solved, "law": law})
    assert found.value == (None if value is None else pytest.approx(value))
    assert found.critical == critical


@pytest.mark.parametrize(
    ("answers", "field"),
    [
        ({"tone": "5", "solved": "yes"}, "answers.law"),
        ({"tone": "6", "solved": "yes", "law": "yes"}, "answers.tone"),
        ({"tone": "yes", "solved": "yes", "law": "yes"}, "answers.tone"),
        ({"tone": "5", "solved": "yes", "law": "yes", "x": "1"}, "answers.x"),
    ],
)
def test_a_missing_or_wrong_answer_is_named_with_what_is_allowed(
    answers: dict[str, str], field: str
) -> None:
    with pytest.raises(AnswerError) as caught:
        check_answers(CARD, answers)
    assert caught.value.field == field
    assert caught.value.allowed


@pytest.mark.parametrize(
    ("moment", "name"),
    [
        ("2026-03-09T02:59:59+00:00", "2026-W10"),  # Sunday 23:59:59 in Sao Paulo
        ("2026-03-09T03:00:00+00:00", "2026-W11"),
        ("2027-01-01T12:00:00+00:00", "2026-W53"),
        ("2024-12-30T12:00:00+00:00", "2025-W01"),
    ],
)
def test_weeks_begin_on_monday_in_their_own_time_zone(moment: str, name: str) -> None:
    at = datetime.fromisoformat(moment)
    period = period_of(at, zone=SAO_PAULO)
    assert period.name == name
    assert period.starts_at <= at < period.ends_at
    assert period_named(name, zone=SAO_PAULO) == period


def test_a_week_in_which_clocks_change_has_its_own_length() -> None:
    week = period_named("2026-W13", zone=ZoneInfo("Europe/Lisbon"))
    assert week.ends_at - week.starts_at == timedelta(hours=167)


def test_the_last_complete_weeks_come_oldest_first_and_the_newest_must_have_settled() -> None:
    monday = datetime(2026, 3, 9, 3, 30, tzinfo=UTC)
    for settled, last in ((timedelta(hours=1), "2026-W09"), (timedelta(), "2026-W10")):
        names = [
            period.name
            for period in complete_periods(monday, zone=SAO_PAULO, settled=settled, count=2)
        ]
        assert names[-1] == last
        assert names == sorted(names)


@pytest.mark.parametrize("name", ["", "2026-W54", "2026-W00", "2026W11", "0000-W01", "9999-W53"])
def test_what_is_no_week_is_refused(name: str) -> None:
    with pytest.raises(PeriodError, match="expected an ISO week"):
        period_named(name, zone=SAO_PAULO)


PLAN = (ROOT / "quality.yml").read_text("utf-8")


def test_the_shipped_plan_is_right() -> None:
    plan = parse_plan(PLAN)
    assert plan.strata[-1].takes_the_rest
    assert plan.second_share == 0.1
    assert any(item.critical for item in plan.scorecard.criteria)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("America/Sao_Paulo", "America/Nowhere", "quality.yml:4: time_zone: unknown time zone"),
        ("take: 10, share: 0.02", "take: 0", "draws nothing"),
        ("{reopened: true}", "{}", "is empty; expected a condition"),
        ("{reopened: true}", "{reopened: false}", "is false; expected true"),
        ("stratum: random,", "stratum: random, when: {reopened: true},", "for the rest"),
        ("when: {after_hours: true}, ", "", "has no condition, so those below"),
        ("confidence_below: 0.60", "confidence_below: 60", "expected a number from 0 to 1"),
        ("stratum: reopened", "stratum: sla_miss", "'sla_miss' is given twice"),
        ("critical: true", "critical: 1", "expected true or false"),
        ("answers: yes_no\n    weight: 1\n    critical", "answers: scale\n    critical", "yes_no"),
        ("answers: scale\n    weight: 2", "answers: stars\n    weight: 2", "unknown value 'stars'"),
        ("second_review_share: 0.10", "second_review_share: 10", "from 0 to 1"),
        ("least_scored: 5", "least_scored: 1", "from 2 to 100"),
        ("quality: ponte-demo", "qualty: ponte-demo", "did you mean 'quality'?"),
        (PLAN, "", "is empty"),
    ],
)
def test_a_mistake_in_the_plan_is_named_with_its_line(old: str, new: str, expected: str) -> None:
    assert old in PLAN
    with pytest.raises(QualityPlanError) as caught:
        parse_plan(PLAN.replace(old, new, 1))
    assert expected in str(caught.value)
    assert str(caught.value).startswith("quality.yml:")
