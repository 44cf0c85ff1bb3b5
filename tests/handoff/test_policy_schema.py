from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from handoff.conditions import FACTS
from handoff.fact_texts import CONDITION_TEXTS
from handoff.policy_nodes import Reader
from handoff.policy_rules import CONDITION_KEYS
from handoff.policy_schema import PATH, schema, written
from handoff.policy_sections import plain
from handoff.policy_yaml import read_tree

ROOT = Path(__file__).parents[2]


def document(policy_text: str) -> Any:
    return plain(read_tree(policy_text, Reader()))


def test_the_written_schema_is_up_to_date() -> None:
    assert PATH.read_text(encoding="utf-8") == written(), "run python -m handoff.policy_schema"


def test_it_is_a_schema_and_the_real_policy_fits_it(policy_text: str) -> None:
    Draft7Validator.check_schema(schema())

    assert list(Draft7Validator(schema()).iter_errors(document(policy_text))) == []


def test_the_policy_names_its_schema(policy_text: str) -> None:
    first = policy_text.splitlines()[0]

    assert first == f"# yaml-language-server: $schema={PATH.relative_to(ROOT).as_posix()}"


def test_every_condition_is_in_the_schema_in_the_texts_and_in_the_docs() -> None:
    conditions = schema()["properties"]["rules"]["items"]["properties"]["when"]["anyOf"][0]
    docs = (ROOT / "docs" / "handoff-rules.md").read_text(encoding="utf-8")

    assert set(conditions["properties"]) == set(CONDITION_KEYS)
    assert set(CONDITION_TEXTS) == set(FACTS)
    assert [name for name in FACTS if f"`{name}`" not in docs] == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("  confident: 0.80 ", "  confident: 1.5 "),
        ("  margin: 0.10 ", "  magrin: 0.10 "),
        ("    level: N2", "    level: N4"),
        ("when: {trigger: bot_unavailable}", "when: {}"),
        ("when: {trigger: bot_unavailable}", "when: {triger: bot_unavailable}"),
        ("when: {trigger: bot_unavailable}", "when: {vip: maybe}"),
        ("when: {trigger: bot_unavailable}", "when: {failures: 2}"),
        ("then: {outcome: stay, reason: out_of_scope}", "then: {outcome: stay, reason: why}"),
        ("then: {outcome: stay, reason: out_of_scope}", "then: {outcome: handoff, reason: vip}"),
    ],
)
def test_it_finds_what_an_editor_can_find(policy_text: str, before: str, after: str) -> None:
    assert before in policy_text
    damaged = document(policy_text.replace(before, after, 1))

    assert list(Draft7Validator(schema()).iter_errors(damaged))


def test_the_command_says_whether_the_file_is_up_to_date() -> None:
    command = [sys.executable, "-m", "handoff.policy_schema"]

    checked = subprocess.run([*command, "--check"], cwd=ROOT, check=False)
    misused = subprocess.run([*command, "--chek"], cwd=ROOT, capture_output=True, check=False)

    assert (checked.returncode, misused.returncode) == (0, 2)
    assert json.loads(PATH.read_text(encoding="utf-8"))["title"] == "Ponte handoff policy"
