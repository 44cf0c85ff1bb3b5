from __future__ import annotations

from pathlib import Path

import pytest

from handoff.policy_file import load_policy
from ticketing.domain.runbook_file import KnownNames, RunbooksError, parse_runbooks, used_variables
from ticketing.gateways.content_files import load_runbooks

ROOT = Path(__file__).resolve().parents[3]
GOOD = """\
runbook: refund
names: {pt: "Reembolso", en: "Refund", es: "Reembolso"}
when: {level: N1, intent: [refund]}
demands_steps: true
steps:
  - step: check
    obligatory: true
    reply: hello
    texts: {pt: "Ver", en: "Look", es: "Ver"}
replies:
  hello:
    names: {pt: "Oi", en: "Hi", es: "Hola"}
    texts: {pt: "Oi {{contact.name}}", en: "Hi", es: "Hola"}
    closed_window:
      template: refund_update
      parameters: [contact.name]
      body: {pt: "Oi {{1}}", en: "Hi {{1}}", es: "Hola {{1}}"}
"""


def problems(text: str, *, name: str = "refund.yml", **more: str) -> str:
    with pytest.raises(RunbooksError) as caught:
        parse_runbooks({name: text, **{f"{key}.yml": value for key, value in more.items()}})
    return str(caught.value)


def test_a_good_file_is_read_as_it_stands() -> None:
    (runbook,) = parse_runbooks({"refund.yml": GOOD}).runbooks
    assert (runbook.key, runbook.demands_steps) == ("refund", True)
    assert (runbook.fit.levels, runbook.fit.intents) == (("N1",), ("refund",))
    assert runbook.steps[0].reply == "refund.hello"
    assert runbook.replies[0].closed_window is not None
    assert runbook.replies[0].closed_window.languages["pt"] == "pt_BR"
    changed = parse_runbooks({"refund.yml": GOOD.replace("Ver", "Olhar")}).runbooks[0]
    assert changed.version != runbook.version


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("runbook: refund", "runbook: other", "refund.yml:1: runbook: got 'other'"),
        ("level: N1", "level: N4", "refund.yml:3: when.level: unknown level 'N4'"),
        ("obligatory: true", "obligatory: 1", "refund.yml:7: steps[0].obligatory"),
        ("obligatory: true", "obligatory: false", "refund.yml:4: demands_steps: is true"),
        ("{{contact.name}}", "{{contact.nmae}}", "unknown variable {{contact.nmae}}"),
        ("{{contact.name}}", "{{contact.name}", "refund.yml:13: replies.hello.texts.pt: double"),
        (', es: "Hola"}\n    closed', "}\n    closed", "key 'es' is missing"),
        ("reply: hello", "reply: bye", "steps.check.reply: unknown reply 'refund.bye'"),
        ("[contact.name]", "[]", "uses the places [1]; expected 1 to 0"),
        ("[contact.name]", "[contact.nmae]", "refund.yml:16: replies.hello"),
        ("template: refund_update", "template: Olá!", "got 'Olá!'"),
        ("  - step: check", "  - step: Check", "got 'Check'"),
        ("when: {level", "wehn: {level", "did you mean 'when'?"),
        ("runbook: refund\n", "", "key 'runbook' is missing"),
    ],
)
def test_a_mistake_is_named_with_file_line_and_field(old: str, new: str, expected: str) -> None:
    assert old in GOOD
    assert expected in problems(GOOD.replace(old, new, 1))


def test_names_that_nobody_knows_are_named_when_the_known_ones_are_given() -> None:
    known = KnownNames(intents=["order_status"], queues=["n1"], entities=["order_number"])
    with pytest.raises(RunbooksError, match=r"when\.intent\[0\]: unknown intent 'refund'"):
        parse_runbooks({"refund.yml": GOOD}, known=known)


def test_two_runbooks_that_fit_equally_closely_are_refused_and_a_closer_one_is_not() -> None:
    second = GOOD.replace("runbook: refund", "runbook: second")
    assert "second.yml:3: when: fits some tickets as closely as 'refund'" in problems(
        GOOD, second=second
    )
    closer = second.replace("level: N1", "level: N1, queue: n1_support")
    assert len(parse_runbooks({"refund.yml": GOOD, "second.yml": closer}).runbooks) == 2


@pytest.mark.parametrize("text", ["", "- a", "runbook: [", "a: &a [*a]", "\t", "runbook: refund"])
def test_what_is_no_runbook_is_refused_without_a_crash(text: str) -> None:
    assert "refund.yml:" in problems(text)


def test_every_problem_of_every_file_is_told_at_once() -> None:
    told = problems(GOOD.replace("N1", "N9"), other="runbook: other\nnames: 3\n")
    assert "refund.yml:3" in told
    assert "other.yml:2" in told


def test_a_file_that_is_no_text_or_too_long_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "b.yml").write_text("#" * 200_001, encoding="utf-8")
    with pytest.raises(RunbooksError) as caught:
        load_runbooks(tmp_path)
    assert "a.yml:1: file: cannot be read" in str(caught.value)
    assert "b.yml:1: file: is too long" in str(caught.value)
    assert load_runbooks(tmp_path / "nothing").runbooks == ()


def test_the_shipped_runbooks_are_right_and_name_only_what_the_assistant_knows() -> None:
    policy = load_policy(ROOT / "handoff.yml", holiday_dates=lambda *_: set())
    known = KnownNames(policy.intents, policy.queues, ("order_number", "amount"))
    book = load_runbooks(ROOT / "runbooks", known=known)
    assert len(book.runbooks) >= 6
    assert "entity.order_number" in used_variables(book)
    with_steps = [runbook for runbook in book.runbooks if runbook.steps]
    assert {level for item in with_steps for level in item.fit.levels} == {"N1", "N2", "N3"}
