"""Whatever is in the file: a policy comes out, or an error that names a line."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handoff.lint import lint
from handoff.policy import HandoffPolicy
from handoff.policy_file import MAX_BYTES, PolicyError, load_policy, parse_policy

POLICY_TEXT = (Path(__file__).parents[2] / "handoff.yml").read_text(encoding="utf-8")
LINES = POLICY_TEXT.splitlines()
ODD_VALUES = (
    "",
    "~",
    "true",
    "-1",
    "0x1F",
    "1e999",
    ".nan",
    ".inf",
    "9" * 5000,
    '""',
    '"  "',
    "[]",
    "{}",
    "[[[]]]",
    "{a: {b: {c: d}}}",
    "[1, true, ~, {a: b}]",
    "2026-02-30",
    "25:99-26:00",
    '"{ticket"',
    '"{0.__class__}"',
    '"{ticket!r:>9999999}"',
    "!!python/object/apply:os.system [echo]",
    "!!binary aGk=",
    "!!set {a, b}",
    "*nobody",
    "&anchor x",
    "|\n  block",
    "a\tb",
    "\ud83d",
    "\x00",
    "'unclosed",
    "[unclosed",
    "? complex",
    "<<: *a",
    "@at",
    "%percent",
    "\u202e\u0000",
)


def no_holidays(_country: str, _subdivision: str | None, _year: int) -> Collection[date]:
    return ()


def is_policy_or_located_error(text: str) -> None:
    read = policy_or_error(text)
    if isinstance(read, HandoffPolicy):
        lint(read)
        return
    assert read.problems
    assert all(problem.line >= 1 and problem.text for problem in read.problems)
    assert str(read) == "\n".join(read.lines)


def policy_or_error(text: str) -> HandoffPolicy | PolicyError:
    try:
        return parse_policy(text, holiday_dates=no_holidays)
    except PolicyError as error:
        return error


@st.composite
def changed_lines(draw: st.DrawFn) -> str:
    """The real file with a few lines damaged."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        how = draw(st.sampled_from(sorted(_DAMAGE)))
        _DAMAGE[how](draw, lines, at)
    return "\n".join(lines)


def _value(draw: st.DrawFn, lines: list[str], at: int) -> None:
    key, colon, _ = lines[at].partition(":")
    odd = draw(st.sampled_from(ODD_VALUES))
    lines[at] = f"{key}: {odd}" if colon else f"{key}{odd}"


def _indent(draw: st.DrawFn, lines: list[str], at: int) -> None:
    lines[at] = draw(st.sampled_from(("\t", " ", "      ", "- "))) + lines[at]


def _swap(draw: st.DrawFn, lines: list[str], at: int) -> None:
    other = draw(st.integers(0, len(lines) - 1))
    lines[at], lines[other] = lines[other], lines[at]


def _character(draw: st.DrawFn, lines: list[str], at: int) -> None:
    line = lines[at]
    position = draw(st.integers(0, len(line)))
    sign = draw(st.sampled_from("{}[]:,#&*!|>'\"%@`-?\t\x01 é\u2028"))
    lines[at] = line[:position] + sign + line[position + draw(st.integers(0, 2)) :]


_DAMAGE: dict[str, Callable[[st.DrawFn, list[str], int], object]] = {
    "value": _value,
    "indent": _indent,
    "swap": _swap,
    "character": _character,
    "drop": lambda _draw, lines, at: lines.pop(at) if len(lines) > 1 else None,
    "repeat": lambda _draw, lines, at: lines.insert(at, lines[at]),
    "cut": lambda _draw, lines, at: lines.__delitem__(slice(max(at, 1), None)),
}


@given(text=changed_lines())
@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_damaged_file_is_a_policy_or_an_error_with_a_line(text: str) -> None:
    is_policy_or_located_error(text)


@given(text=st.text(max_size=200) | st.text("{}[]:,-&*!|>?#'\"\n\t abc<1", max_size=80))
@settings(max_examples=400, deadline=None)
def test_any_text_is_an_error_with_a_line(text: str) -> None:
    is_policy_or_located_error(text)


def problems_of(text: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        parse_policy(text, holiday_dates=no_holidays)
    return list(caught.value.lines)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "handoff.yml:1: file: is empty; expected a handoff policy"),
        ("# only words\n", "handoff.yml:1: file: is empty; expected a handoff policy"),
        ("- a\n", "handoff.yml:1: file: got a list; expected keys with values"),
        ("hello\n", "handoff.yml:1: file: got 'hello'; expected keys with values"),
        ("a:\n\tb: 1\n", "handoff.yml:2: yaml: a tab in the indentation; expected spaces"),
        ("a: 1\n---\nb: 1\n", "handoff.yml:2: yaml: but found another document"),
        ("a: &x [*x]\n", "refers to itself; expected a value"),
        ("a: *gone\n", "handoff.yml:1: yaml: found undefined alias"),
        ("a: \x07\n", "does not belong in a text"),
        ("[" * 5000, "nested too deeply"),
        ("a: {b: 1\n", "handoff.yml:2: yaml: "),
        ("? [a, b]\n: c\n", "handoff.yml:1: file: a key is no text; expected one"),
    ],
)
def test_what_is_no_policy_at_all(text: str, problem: str) -> None:
    assert any(problem in line for line in problems_of(text)), problems_of(text)


def test_a_bomb_of_aliases_is_refused_before_it_grows() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]

    assert any("expected fewer aliases" in line for line in problems_of("\n".join(lines)))


def test_a_bomb_of_merges_is_refused_before_it_grows() -> None:
    lines = ["a0: &a0 {x: 1}"]
    for n in range(1, 25):
        lines.append(f"a{n}: &a{n}")
        lines.append(f"  <<: [{', '.join([f'*a{n - 1}'] * 9)}]")

    assert problems_of("\n".join(lines))


def test_a_file_of_another_size_is_refused() -> None:
    assert "is too long" in problems_of("#" * (MAX_BYTES + 1))[0]


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "gone.yml", tmp_path, binary):
        with pytest.raises(PolicyError, match="cannot be read"):
            load_policy(path)


def test_a_byte_order_mark_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "handoff.yml"
    file.write_bytes(b"\xef\xbb\xbf" + POLICY_TEXT.encode())

    plain = parse_policy(POLICY_TEXT, holiday_dates=no_holidays)
    assert load_policy(file, holiday_dates=no_holidays).version == plain.version


def test_anchors_and_merge_keys_say_things_once(policy_text: str) -> None:
    written = policy_text.replace(
        "  n2_technical:\n",
        "  n2_technical: &specialists\n",
        1,
    ).replace(
        "  n3_risk:\n",
        '  n2_more:\n    <<: *specialists\n    name: {pt: "A", en: "B", es: "C"}\n  n3_risk:\n',
        1,
    )

    policy = parse_policy(written, holiday_dates=no_holidays)

    assert policy.queues["n2_more"].level == "N2"
    assert policy.queues["n2_more"].skills == ("technical",)
    assert policy.queues["n2_more"].names["pt"] == "A"


def test_every_mistake_is_reported_at_once(policy_text: str) -> None:
    broken = (
        policy_text.replace("confident: 0.80", "confident: high")
        .replace("level: N3", "level: N9", 1)
        .replace("reason: critical_intent", "reason: critcal_intent", 1)
        .replace("top_intent: legal_threat", "top_intent: legal_treat", 1)
    )

    found = problems_of(broken)

    assert len(found) == 4
    assert all(line.startswith("handoff.yml:") for line in found)
