from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Collection
from datetime import date, time, timedelta
from pathlib import Path

import pytest

from handoff.policy import MAX_TITLE, HandoffPolicy
from handoff.policy_file import PolicyError, load_policy, main, parse_policy
from ponte.holiday_dates import holiday_dates

ROOT = Path(__file__).parents[2]


def no_holidays(_country: str, _subdivision: str | None, _year: int) -> Collection[date]:
    return ()


def problems_in(text: str, *, known_intents: Collection[str] | None = None) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        parse_policy(text, known_intents=known_intents, holiday_dates=no_holidays)
    return str(caught.value).splitlines()


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


class TestTheRealFile:
    def test_it_reads_without_a_problem(self, policy: HandoffPolicy) -> None:
        assert policy.name == "ponte-demo"
        assert re.fullmatch(r"[0-9a-f]{12}", policy.version)
        assert policy.first_response["urgent"] == timedelta(minutes=15)

    def test_it_has_every_intent_of_the_assistant_with_short_titles(
        self, policy: HandoffPolicy
    ) -> None:
        assert len(policy.intents) == 26
        for titles in policy.intents.values():
            assert set(titles) == {"pt", "en", "es"}
            assert all(0 < len(title) <= MAX_TITLE for title in titles.values())

    def test_titles_that_can_stand_side_by_side_differ(self, policy: HandoffPolicy) -> None:
        offerable = [name for name in policy.intents if name not in policy.clarify.not_offerable]
        for language in policy.languages.served:
            titles = [policy.intent_title(name, language=language) for name in offerable]
            assert len(set(titles)) == len(titles)

    def test_its_calendar_knows_lunch_saturday_and_holidays(self, policy: HandoffPolicy) -> None:
        business = policy.calendars["business"]

        assert business.weekly[0] == ((time(8), time(12)), (time(13), time(18)))
        assert business.weekly[5] == ((time(9), time(13)),)
        assert 6 not in business.weekly
        assert {date(2026, 7, 9), date(2026, 11, 20), date(2027, 1, 25)} <= business.holidays
        assert business.special_days[date(2026, 12, 24)] == ((time(8), time(12)),)

    def test_risk_is_watched_at_any_hour(self, policy: HandoffPolicy) -> None:
        assert policy.calendar_of("n3_risk").name == "always"


class TestVersion:
    def test_comments_and_layout_do_not_count(self, policy_text: str) -> None:
        plain = parse_policy(policy_text, holiday_dates=no_holidays)
        commented = parse_policy(f"# hello\n\n{policy_text}\n", holiday_dates=no_holidays)

        assert plain.version == commented.version

    def test_any_other_change_does(self, policy_text: str) -> None:
        changed = policy_text.replace("confident: 0.80", "confident: 0.56")

        versions = {
            parse_policy(text, holiday_dates=no_holidays).version for text in (policy_text, changed)
        }

        assert len(versions) == 2


@pytest.mark.parametrize(
    ("before", "after", "path", "problem"),
    [
        (
            "  confident: 0.80 ",
            "  confident: 1.5 ",
            "confidence.confident",
            "got 1.5; expected a number from 0 to 1",
        ),
        (
            "  margin: 0.10 ",
            "  margin: low ",
            "confidence.margin",
            "got 'low'; expected a number from 0 to 1",
        ),
        (
            "  margin: 0.10 ",
            "  magrin: 0.10 ",
            "confidence.magrin",
            (
                "unknown key; expected one of confident, margin, out_of_scope, small_talk, "
                "in_scope, by_language, by_intent; did you mean 'margin'?"
            ),
        ),
        (
            "small_talk: [greet, thank,",
            "small_talk: [greet, thnak,",
            "small_talk[1]",
            "unknown intent 'thnak'; did you mean 'thank'?",
        ),
        (
            "    calendar: always",
            "    calendar: allways",
            "queues.n3_risk.calendar",
            "unknown calendar 'allways'; expected one of business, always; did you mean 'always'?",
        ),
        (
            "    level: N2",
            "    level: N4",
            "queues.n2_technical.level",
            "unknown level 'N4'; expected one of N1, N2, N3",
        ),
        (
            "      priority: urgent",
            "      priority: critical",
            "rules[0].then.priority",
            "unknown priority 'critical'; expected one of low, normal, high, urgent",
        ),
        (
            "      severity: S1",
            "      severity: S9",
            "rules[0].then.severity",
            "unknown severity 'S9'; expected one of S1, S2, S3, S4",
        ),
        (
            "      queue: n3_risk",
            "      queue: n3_risc",
            "rules[0].then.queue",
            (
                "unknown queue 'n3_risc'; expected one of n1_support, n2_technical, n2_billing, "
                "n3_risk, n3_legal, as_needed; did you mean 'n3_risk'?"
            ),
        ),
        (
            "      reason: critical_intent",
            "      reason: critical",
            "rules[0].then.reason",
            "unknown value 'critical'; did you mean 'critical_intent'?",
        ),
        (
            "      message: safety_first",
            "      message: safety_frist",
            "rules[0].then.message",
            "unknown message 'safety_frist'; did you mean 'safety_first'?",
        ),
        (
            "  - id: fraud",
            "  - id: safety",
            "rules[1]",
            "rule 'safety' is already defined in line",
        ),
        (
            "  - id: fraud",
            "  - id: default_fraud",
            "rules[1].id",
            "'default_fraud' is a name of a built-in rule",
        ),
        (
            "    when: {trigger: bot_unavailable}",
            "    when: {}",
            "rules[4].when",
            "no condition (it would match every turn); expected at least one",
        ),
        (
            "    when: {trigger: bot_unavailable}",
            "    when: []",
            "rules[4].when",
            "no condition; expected at least one",
        ),
        (
            "    when: {trigger: bot_unavailable}",
            "    when: {triger: bot_unavailable}",
            "rules[4].when.triger",
            "unknown key; did you mean 'trigger'?",
        ),
        (
            "    when: {trigger: bot_unavailable}",
            "    when: {failures: {at_least: 3, below: 2}}",
            "rules[4].when.failures",
            "nothing is at least 3 and below 2; expected at_least < below",
        ),
        (
            "    when: {trigger: bot_unavailable}",
            "    when: {failures: {}}",
            "rules[4].when.failures",
            "no bound; expected at_least, below or both",
        ),
        (
            "    when: {trigger: bot_unavailable}",
            "    when: {vip: maybe}",
            "rules[4].when.vip",
            "got 'maybe'; expected true or false",
        ),
        (
            "    when: {trigger: bot_unavailable}",
            "    when: {top_intent: []}",
            "rules[4].when.top_intent",
            "the list is empty; expected at least one value",
        ),
        (
            "    when: {hours: closed, wants_person: true}",
            "    when: {hours: closed}",
            "rules[5].then.queue",
            "as_needed needs the condition wants_person: true in every alternative",
        ),
        (
            "    when: {hours: closed, wants_person: true}",
            "    when: {hours: shut, wants_person: true}",
            "rules[5].when.hours",
            "unknown hours 'shut'; expected one of open, closed",
        ),
        (
            "    then: {outcome: stay, reason: out_of_scope}",
            "    then: {outcome: stay, reason: out_of_scope, queue: n1_support}",
            "rules[19].then.queue",
            "only for outcome: handoff, but the outcome is stay",
        ),
        (
            "    then: {outcome: stay, reason: out_of_scope}",
            "    then: {outcome: handoff, reason: out_of_scope}",
            "rules[19].then",
            "key 'queue' is missing; a handoff needs a destination",
        ),
        (
            'en: "Order status", ',
            "",
            "intents.order_status",
            "key 'en' is missing",
        ),
        (
            'en: "Order status"',
            'en: "The status of my order"',
            "intents.order_status.en",
            "'The status of my order' has 22 characters; expected at most 20",
        ),
        (
            "Seu protocolo é {ticket}. Uma",
            "Seu protocolo é {tiket}. Uma",
            "messages.to_person.pt",
            (
                "unknown placeholder {tiket}; expected one of ticket, opening, queue, wait; "
                "did you mean 'ticket'?"
            ),
        ),
        (
            "Seu protocolo é {ticket}. Uma",
            "Seu protocolo é {ticket. Uma",
            "messages.to_person.pt",
            "a brace without its partner; expected {name}",
        ),
        (
            "    time_zone: America/Sao_Paulo",
            "    time_zone: America/San_Paulo",
            "calendars.business.time_zone",
            (
                "unknown time zone 'America/San_Paulo'; expected an IANA name; "
                "did you mean 'America/Sao_Paulo'?"
            ),
        ),
        (
            '      sat: ["09:00-13:00"]',
            '      sat: ["9h-13h"]',
            "calendars.business.weekly.sat",
            "got '9h-13h'; expected hours such as \"08:00-12:00\"",
        ),
        (
            '      sat: ["09:00-13:00"]',
            '      fri-sat: ["09:00-13:00"]',
            "calendars.business.weekly.fri-sat",
            "fri is given twice; expected each day once",
        ),
        (
            '      sat: ["09:00-13:00"]',
            '      sat: ["09:00-13:00", "12:00-14:00"]',
            "calendars.business.weekly.sat",
            "hours overlap at 12:00; expected them one by one",
        ),
        (
            '      sat: ["09:00-13:00"]',
            '      sab: ["09:00-13:00"]',
            "calendars.business.weekly.sab",
            (
                "unknown day 'sab'; expected one of mon, tue, wed, thu, fri, sat, sun, mon-fri; "
                "did you mean 'sat'?"
            ),
        ),
        (
            '      mon-sun: ["00:00-24:00"]',
            "      mon-sun: []",
            "calendars.always.weekly",
            "the calendar never opens; expected hours on some day",
        ),
        (
            "      - 2026-02-16 ",
            "      - 2026-02-30 ",
            "calendars.business.closed[1]",
            "got '2026-02-30'; expected a date such as 2027-02-08, or 01-25 (any year)",
        ),
        (
            "  urgent: 15",
            "  urgent: 0",
            "first_response_minutes.urgent",
            "got 0; expected a whole number from 1 to 10080",
        ),
        (
            "  urgent: 15",
            "",
            "first_response_minutes",
            "key 'urgent' is missing",
        ),
        (
            "  max_questions: 2 ",
            "  max_questions: true ",
            "clarify.max_questions",
            "got True; expected a whole number from 1 to 5",
        ),
        (
            "    - procon",
            '    - "!!!"',
            "keywords.legal",
            "'!!!' can never be found; expected letters or digits",
        ),
        (
            "  popular: [order_status,",
            "  popular: [greet,",
            "clarify.popular",
            "'greet' is also in not_offerable",
        ),
    ],
)
def test_a_mistake_is_named_with_its_line_and_key(
    policy_text: str, before: str, after: str, path: str, problem: str
) -> None:
    assert before in policy_text
    text = policy_text.replace(before, after, 1)

    found = problems_in(text)

    assert any(f": {path}: {problem}" in line for line in found), found
    assert all(re.match(r"handoff\.yml:\d+: ", line) for line in found)


def test_the_line_is_the_one_of_the_mistake(policy_text: str) -> None:
    text = policy_text.replace("    calendar: always", "    calendar: allways")

    (problem,) = problems_in(text)

    assert problem.startswith(f"handoff.yml:{line_of(text, 'allways')}: ")


def test_all_mistakes_are_listed_at_once_in_line_order(policy_text: str) -> None:
    text = policy_text.replace("confident: 0.80", "confident: 7").replace("level: N1", "level: L1")

    found = problems_in(text)

    lines = [int(problem.split(":")[1]) for problem in found]
    assert len(found) == 2
    assert lines == sorted(lines)


def test_a_key_given_twice_is_a_mistake(policy_text: str) -> None:
    text = policy_text.replace("  urgent: 15", "  urgent: 15\n  urgent: 20")

    (problem,) = problems_in(text)

    assert "first_response_minutes.urgent: key is given twice, first in line" in problem


def test_a_missing_section_is_named(policy_text: str) -> None:
    text = policy_text.replace("\ndefaults:", "\ndefault:")

    found = problems_in(text)

    assert any("default: unknown key; did you mean 'defaults'?" in line for line in found)
    assert any("key 'defaults' is missing" in line for line in found)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ":1: file: is empty; expected a handoff policy"),
        ("# nothing\n", ":1: file: is empty"),
        ("just text", "file: got 'just text'; expected keys with values"),
        ("- a list", "file: got a list; expected keys with values"),
        ("a: [1, 2\nb: 3", ":2: yaml: "),
        ("a: &x [*x]", "a[0]: refers to itself; expected a value"),
        ("a: \x07", "does not belong in a text; expected none such"),
    ],
)
def test_a_file_that_is_no_policy(text: str, problem: str) -> None:
    assert any(problem in line for line in problems_in(text))


class TestKnownIntents:
    def test_the_intents_must_be_those_of_the_assistant(
        self, policy: HandoffPolicy, policy_text: str
    ) -> None:
        parse_policy(policy_text, known_intents=policy.intents, holiday_dates=no_holidays)
        known = {*policy.intents, "new_intent"} - {"praise"}

        found = problems_in(policy_text, known_intents=known)

        assert any(
            "intents: intent 'new_intent' of the assistant has no titles" in x for x in found
        )
        assert any("intents.praise: unknown key" in line for line in found)


class TestHolidays:
    def test_a_calendar_with_holidays_needs_their_source(self, policy_text: str) -> None:
        with pytest.raises(PolicyError, match="public holidays need a source"):
            parse_policy(policy_text)

    def test_an_unknown_region_is_named(self, policy_text: str) -> None:
        text = policy_text.replace("subdivision: SP}", "subdivision: XX}")

        def refuse(country: str, subdivision: str | None, year: int) -> Collection[date]:
            message = f"no holidays for {country}-{subdivision}"
            raise LookupError(message)

        with pytest.raises(PolicyError, match="no holidays for BR-XX"):
            parse_policy(text, holiday_dates=refuse)

    @pytest.mark.parametrize(
        ("before", "after", "problem"),
        [
            ("country: BR", "country: XX", "no holidays for country 'XX'"),
            ("subdivision: SP", "subdivision: ZZ", "no holidays for BR-ZZ; expected one of AC, AL"),
        ],
    )
    def test_the_real_source_names_what_it_knows(
        self, policy_text: str, before: str, after: str, problem: str
    ) -> None:
        text = policy_text.replace(before, after)

        with pytest.raises(PolicyError, match=problem):
            parse_policy(text, holiday_dates=holiday_dates)

    def test_a_leap_day_of_every_year_exists_in_leap_years_only(self, policy_text: str) -> None:
        text = policy_text.replace("- 01-25 ", "- 02-29 ")

        holidays = parse_policy(text, holiday_dates=no_holidays).calendars["business"].holidays

        assert date(2024, 2, 29) in holidays
        assert not any(day.year == 2025 and day.month == 2 for day in holidays)


class TestTheFileItself:
    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(PolicyError, match="file: cannot be read"):
            load_policy(tmp_path / "none.yml")

    def test_a_file_that_is_no_text(self, tmp_path: Path) -> None:
        file = tmp_path / "policy.yml"
        file.write_bytes(b"\xff\xfe\x00")

        with pytest.raises(PolicyError, match="file: cannot be read"):
            load_policy(file)


class TestTheProgram:
    def test_a_right_file_is_ok(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main([str(ROOT / "handoff.yml")]) == 0
        assert "handoff.yml: ok (ponte-demo, version " in capsys.readouterr().out

    def test_a_wrong_file_is_reported(
        self, tmp_path: Path, policy_text: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "wrong.yml"
        file.write_text(policy_text.replace("default: pt", "default: fr"), encoding="utf-8")

        assert main([str(file)]) == 1
        assert "languages.default: unknown language 'fr'" in capsys.readouterr().err

    @pytest.mark.parametrize(("arguments", "code"), [([], 2), (["--help"], 0)])
    def test_help(
        self, arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(arguments) == code
        assert "usage:" in capsys.readouterr().out


def test_deciding_needs_no_yaml_library() -> None:
    """The Rasa side may import the engine without any package of ours installed."""
    program = (
        "import sys; import handoff.decide, handoff.explain, handoff.clarify, handoff.messages; "
        "sys.exit(any(name.startswith('ruamel') for name in sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)

    assert done.returncode == 0


def test_a_misspelt_outcome_is_one_mistake_not_several(policy_text: str) -> None:
    before = "outcome: handoff\n      reason: critical_intent\n      queue: n3_risk"
    text = policy_text.replace(before, before.replace("handoff", "handof"), 1)
    assert text != policy_text

    found = problems_in(text)

    assert len(found) == 1, found
    assert "did you mean 'handoff'?" in found[0]
